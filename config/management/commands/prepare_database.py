"""What a superuser does once for the database: logins, database, ownership."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import environ
import psycopg
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.preparing import (
    APP_ROLE,
    WATCHDOG_ROLE,
    Login,
    Logins,
    database_statement,
    ownership_statements,
    role_statements,
    scram_verifier,
    script,
)

_SERVICE, _OWNER, _WATCHDOG, _ADMIN = (
    "DATABASE_URL",
    "DATABASE_OWNER_URL",
    "DATABASE_WATCHDOG_URL",
    "DATABASE_ADMIN_URL",
)


class Command(BaseCommand):
    help = (
        "Make the owner's, the service's and the watchdog's login and the database, as the superuser of "
        "DATABASE_ADMIN_URL; "
        "harmless when it is run again. Names and passwords are those of DATABASE_OWNER_URL, DATABASE_URL and "
        "DATABASE_WATCHDOG_URL (optional)."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--sql", action="store_true", help="only print the statements, for whoever administers the server"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        addresses = environ.Env()
        owner = _address(addresses.str(_OWNER, default=""), _OWNER)
        service = _address(addresses.str(_SERVICE, default=""), _SERVICE)
        watchdog = addresses.str(_WATCHDOG, default="")
        logins = Logins(
            _login(owner, _OWNER),
            _login(service, _SERVICE),
            _login(_address(watchdog, _WATCHDOG), _WATCHDOG) if watchdog else None,
        )
        _check_names(logins)
        database = _database(owner, _OWNER)
        if database != _database(service, _SERVICE):
            raise CommandError(f"{_OWNER} and {_SERVICE} name different databases", returncode=2)
        if options["sql"]:
            self.stdout.write(script(database, logins), ending="")
            return
        admin = _address(addresses.str(_ADMIN, default=""), _ADMIN)
        try:
            _prepare(admin, database, logins)
        except psycopg.Error as problem:
            raise CommandError(f"{_ADMIN}: {str(problem).strip()}", returncode=3) from problem
        self.stderr.write(
            f"database {database} belongs to {logins.owner.name}; {logins.service.name} is a member of {APP_ROLE} only",
            style_func=lambda line: line,
        )


def _prepare(admin: str, database: str, logins: Logins) -> None:
    with psycopg.connect(admin, autocommit=True) as session:
        row = session.execute("select current_user, rolsuper from pg_roles where rolname = current_user").fetchone()
        name, is_superuser = row or ("", False)
        if not is_superuser:
            raise CommandError(
                f"{_ADMIN} names {name}, who is no superuser; give the output of --sql to one", returncode=2
            )
        if name in {one.name for one in (logins.owner, logins.service, logins.watchdog) if one}:
            raise CommandError(f"{_ADMIN}, {_OWNER} and {_SERVICE} must name different logins", returncode=2)
        with session.transaction():
            for statement in role_statements(logins):
                session.execute(statement.encode())
        if session.execute("select 1 from pg_database where datname = %s", [database]).fetchone() is None:
            session.execute(database_statement(database, logins).encode())
    with psycopg.connect(admin, dbname=database, autocommit=True) as session, session.transaction():
        for statement in ownership_statements(database, logins):
            session.execute(statement.encode())


def _address(url: str, name: str) -> str:
    if urlsplit(url).scheme not in ("postgres", "postgresql"):
        raise CommandError(f"{name} is not set to an address: postgresql://user:password@host/name", returncode=2)
    return url


def _login(url: str, name: str) -> Login:
    parts = urlsplit(url)
    login = Login(unquote(parts.username or ""), unquote(parts.password or ""))
    if not login.name:
        raise CommandError(f"{name} names no user: postgresql://user:password@host/name", returncode=2)
    try:
        scram_verifier(login.password)
    except ValueError as problem:
        raise CommandError(f"{name}: {problem}", returncode=2) from None
    return login


def _database(url: str, name: str) -> str:
    database = unquote(urlsplit(url).path.removeprefix("/"))
    if not database:
        raise CommandError(f"{name} names no database: postgresql://user:password@host/name", returncode=2)
    return database


def _check_names(logins: Logins) -> None:
    names = [one.name for one in (logins.owner, logins.service, logins.watchdog) if one]
    if len({*names, APP_ROLE, WATCHDOG_ROLE}) != len(names) + 2:
        raise CommandError(
            f"{_OWNER}, {_SERVICE} and {_WATCHDOG} must name logins of their own, other than {APP_ROLE} and "
            f"{WATCHDOG_ROLE}",
            returncode=2,
        )
