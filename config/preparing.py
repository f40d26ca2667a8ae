"""What a superuser does once for a database: its logins, the database, and the owner's hold on all that is in it.

Statements only, each harmless when it is run again, so that they can be run (the embedded servers, `prepare_database`)
or printed for whoever administers the server. An owner without superuser migrates; the service's login is nothing but
a member of ``cml_app``, so that giving up its assumed role gains nothing; the watchdog only reads.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import sql

APP_ROLE = "cml_app"
WATCHDOG_ROLE = "cml_watchdog"
_ITERATIONS = 4096


@dataclass(frozen=True, slots=True)
class Login:
    """A name and its password; without one the server's other means of proof decide (peer, certificates)."""

    name: str
    password: str


@dataclass(frozen=True, slots=True)
class Logins:
    """Who may do what: the owner may make databases where tests are run."""

    owner: Login
    service: Login
    watchdog: Login | None = None
    owner_makes_databases: bool = False


def role_statements(logins: Logins) -> Iterator[str]:
    """The roles of the whole server: two that own nothing and log in nowhere, and the logins. For one transaction.

    Roles are the server's: whoever makes them at the same moment in another database waits (as ``privileges`` does).
    """
    yield "select pg_advisory_xact_lock(727001)"
    for role in (APP_ROLE, WATCHDOG_ROLE):
        yield _make_role(role)
        yield _filled("alter role {} nologin {}", role, _POWERLESS)
    for login in filter(None, (logins.owner, logins.service, logins.watchdog)):
        yield _make_role(login.name)
        yield _filled("alter role {} login {}", login.name, _POWERLESS)
        if login.password:
            verifier = sql.Literal(scram_verifier(login.password)).as_string(None)
            yield _filled("alter role {} password {}", login.name, sql.SQL(verifier))
    if logins.owner_makes_databases:
        yield _filled("alter role {} createdb", logins.owner.name)
    yield _filled("grant {}, {} to {}", APP_ROLE, WATCHDOG_ROLE, logins.owner.name)
    for member, role in ((logins.service, APP_ROLE), (logins.watchdog, WATCHDOG_ROLE)):
        if member is not None:
            yield _filled(_ONLY_MEMBER_OF, role=sql.Literal(role), member=sql.Literal(member.name))
            yield _filled("grant {} to {}", role, member.name)


def database_statement(database: str, logins: Logins) -> str:
    """The database itself; it cannot be made inside a transaction."""
    return _filled("create database {} owner {}", database, logins.owner.name)


def ownership_statements(database: str, logins: Logins) -> Iterator[str]:
    """Run inside the database: all that stands in it belongs to the owner, whoever made it."""
    yield _filled(_HAND_OVER, owner=sql.Literal(logins.owner.name))
    yield _filled("alter database {} owner to {}", database, logins.owner.name)
    yield _filled("grant connect on database {} to {}, {}", database, APP_ROLE, WATCHDOG_ROLE)


def script(database: str, logins: Logins) -> str:
    """All of it for `psql`, as text."""
    make = sql.Literal(database_statement(database, logins)).as_string(None)
    name = sql.Literal(database).as_string(None)
    lines = [
        "-- Run with psql as a superuser, as often as you like. Passwords stand here only as SCRAM verifiers.",
        "begin;",
        *(f"{one.strip()};" for one in role_statements(logins)),
        "commit;",
        f"select {make} where not exists (select from pg_database where datname = {name}) \\gexec",  # noqa: S608  # quoted above
        f"\\connect {_filled('{}', database)}",
        *(f"{one.strip()};" for one in ownership_statements(database, logins)),
    ]
    return "\n".join(lines) + "\n"


def scram_verifier(password: str) -> str:
    """What PostgreSQL keeps of a password (RFC 5803), so that the password itself is in no log and no script.

    Raises ``ValueError`` for characters whose normal form clients may see differently.
    """
    if not (password.isascii() and password.isprintable()):
        raise ValueError("a database password is made of printable ASCII characters")
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    client = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = [base64.b64encode(one).decode() for one in (salt, client, server)]
    return f"SCRAM-SHA-256${_ITERATIONS}:{parts[0]}${parts[1]}:{parts[2]}"


_POWERLESS = sql.SQL("nosuperuser nocreatedb nocreaterole noreplication nobypassrls")


def _filled(text: str, *names: str | sql.Composable, **more: sql.Composable) -> str:
    """A statement with its names quoted."""
    parts = [name if isinstance(name, sql.Composable) else sql.Identifier(name) for name in names]
    return sql.SQL(text).format(*parts, **more).as_string(None)


def _make_role(name: str) -> str:
    return _filled(_MAKE_ROLE, literal=sql.Literal(name), name=sql.Identifier(name))


_MAKE_ROLE = """
do $$ begin
    if not exists (select from pg_roles where rolname = {literal}) then
        create role {name} nologin;
    end if;
exception when duplicate_object or unique_violation then null;
end $$
"""

_ONLY_MEMBER_OF = """
do $$ declare membership record; begin
    for membership in
        select roleid::regrole as role, grantor::regrole as grantor
          from pg_auth_members
         where member = (select oid from pg_roles where rolname = {member}) and roleid <> {role}::regrole
    loop
        -- From 16 on a membership is taken back in the name of whoever gave it.
        execute format('revoke %s from %I', membership.role, {member})
            || case when current_setting('server_version_num')::int < 160000 then ''
               else format(' granted by %s', membership.grantor) end;
    end loop;
end $$
"""

# REASSIGN OWNED refuses what belongs to the superuser that the cluster was made with, and takes other schemas along.
_HAND_OVER = """
do $$ declare
    heir constant name := {owner};
    heir_id constant oid := (select oid from pg_roles where rolname = {owner});
    thing record;
begin
    if (select nspowner not in (heir_id, 'pg_database_owner'::regrole) from pg_namespace where nspname = 'public') then
        execute format('alter schema public owner to %I', heir);
    end if;
    for thing in
        select 'table' as kind, oid::regclass::text as name, oid, relowner as owner from pg_class
         where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')
        union all
        select 'sequence', oid::regclass::text, oid, relowner from pg_class
         where relnamespace = 'public'::regnamespace and relkind = 'S'
           and not exists (select from pg_depend where objid = pg_class.oid and deptype in ('a', 'i'))
        union all
        select 'routine', oid::regprocedure::text, oid, proowner from pg_proc
         where pronamespace = 'public'::regnamespace and prokind in ('f', 'p')
        union all
        select 'type', oid::regtype::text, oid, typowner from pg_type
         where typnamespace = 'public'::regnamespace and typtype in ('e', 'd')
    loop
        if thing.owner <> heir_id
           and not exists (select from pg_depend where objid = thing.oid and deptype = 'e') then
            execute format('alter %s %s owner to %I', thing.kind, thing.name, heir);
        end if;
    end loop;
end $$
"""
