"""What is done to the service. Each fault returns whether there was anything to hit."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg

from tests.faults.chaos.service import LEFT_OUT, Service, pid_in

HELD_SECONDS = 5.0


def strike(service: Service, fault: str, chance: random.Random) -> bool:
    """Do one fault; what it holds is let go by itself."""
    if fault in _DEEDS:
        return _DEEDS[fault](service)
    if fault in ("backend", "backend frozen"):
        pid = _backend(service, chance)
    elif fault == "importer":
        pid = service.importer.pid if service.importer is not None and service.importer.poll() is None else None
    elif fault == "postmaster":
        pid = pid_in(service.folder / "postgres" / "postmaster.pid")
    elif fault == "broker frozen":
        pid = pid_in(Path(service.sockets()) / "valkey.pid")
    else:
        found = service.parts().get(fault.removesuffix(" frozen"), [])
        pid = chance.choice(found) if found else None
    if pid is None:
        return False
    return _freeze(pid, service.choices.pause_seconds) if fault.endswith(" frozen") else kill(pid)


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _freeze(pid: int, seconds: float) -> bool:
    if not kill(pid, signal.SIGSTOP):
        return False
    _later(seconds, lambda: kill(pid, signal.SIGCONT))
    return True


def _later(seconds: float, deed: Callable[[], object]) -> None:
    timer = threading.Timer(seconds, deed)
    timer.daemon = True
    timer.start()


def _backend(service: Service, chance: random.Random) -> int | None:
    with contextlib.suppress(psycopg.Error), service.database() as session:
        rows = session.execute("select pid from pg_stat_activity where usename = 'cml_service'").fetchall()
        if rows:
            return int(chance.choice(rows)[0])
    return None


# --- the broker --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _broker(service: Service) -> Iterator[Callable[..., bool]]:
    """Commands to the broker; each returns whether it was answered."""
    with socket.socket(socket.AF_UNIX) as session:
        session.settimeout(3)

        def say(*words: str) -> bool:
            parts = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
            session.sendall(f"*{len(words)}\r\n{parts}".encode())
            return bool(session.recv(200))

        session.connect(f"{service.sockets()}/valkey.sock")
        yield say


def _said(*words: str) -> Callable[[Service], bool]:
    def deed(service: Service) -> bool:
        with contextlib.suppress(OSError), _broker(service) as say:
            return say(*words) or words[0] == "SHUTDOWN"
        return False

    return deed


def _broker_full(service: Service) -> bool:
    """It refuses every write for want of memory."""
    _later(HELD_SECONDS, lambda: _said("CONFIG", "SET", "maxmemory", "0")(service))
    return _said("CONFIG", "SET", "maxmemory", "1")(service)


def _broker_locked(service: Service) -> bool:
    """Everybody's password is wrong."""

    def unlock() -> None:
        with contextlib.suppress(OSError), _broker(service) as say:
            say("AUTH", "changed")
            say("CONFIG", "SET", "requirepass", "")

    _later(HELD_SECONDS, unlock)
    with contextlib.suppress(OSError), _broker(service) as say:
        return say("CONFIG", "SET", "requirepass", "changed") and say("CLIENT", "KILL", "TYPE", "normal")
    return False


# --- the database and the disk ---------------------------------------------------------------------------


def _connections(service: Service) -> bool:
    """No connection is left for whoever wants one."""
    held = []
    with contextlib.suppress(psycopg.Error, OSError, IndexError):
        while len(held) < 200:
            held.append(service.database("service"))

    def let_go() -> None:
        for session in held:
            session.close()

    _later(HELD_SECONDS, let_go)
    return bool(held)


def _disk(service: Service) -> bool:
    """Nothing more fits on the disk."""
    filler = service.folder / "filler"
    try:
        with filler.open("wb", buffering=0) as handle:
            while True:
                handle.write(bytes(1 << 20))
    except OSError:
        _later(HELD_SECONDS, lambda: filler.unlink(missing_ok=True))
        return True


def _clock(service: Service) -> bool:
    """The service's clock jumps by an hour, ahead or back, and returns."""

    def put(hours: int) -> bool:
        with contextlib.suppress(psycopg.Error, OSError, IndexError), service.database() as session:
            session.execute("update chaos_clock set ahead = make_interval(hours => %s)", [hours])
            return True
        return False

    def put_right() -> None:
        while not put(0):
            time.sleep(0.5)

    _later(HELD_SECONDS, put_right)
    return put(random.choice([-1, 1]))


_DEEDS: dict[str, Callable[[Service], bool]] = {
    "flush": _said("FLUSHALL"),
    "broker": _said("SHUTDOWN", "NOSAVE"),
    "broker full": _broker_full,
    "broker locked": _broker_locked,
    "connections": _connections,
    "disk": _disk,
    "clock": _clock,
}


_SECOND_ALERT = """
do $$
declare names text;
begin
    select string_agg(quote_ident(column_name), ', ') into names from information_schema.columns
     where table_name = 'monitoring_alert' and column_name not in ('id', 'public_id');
    execute format('insert into monitoring_alert (public_id, %1$s) select gen_random_uuid(), %1$s'
        ' from monitoring_alert where kind = ''loss_of_mmr'' and state = ''open'' order by id limit 1', names);
end $$
"""


def race(service: Service, over: threading.Event) -> None:
    """Somebody who read before an alert was opened, and opens it again: what the index of open alerts refuses."""
    while not over.wait(1.0):
        with contextlib.suppress(psycopg.Error, OSError, IndexError), service.database() as session:
            session.execute(_SECOND_ALERT)


def leave_out(service: Service, over: threading.Event) -> None:
    """A part that is killed whenever it comes, or the index that allows one open alert."""
    without = service.choices.without
    while not over.wait(0.2):
        if without == "index":
            with contextlib.suppress(psycopg.Error, OSError, IndexError), service.database() as session:
                session.execute("drop index if exists alert_one_open")
        for name in LEFT_OUT.get(without, ()):
            for pid in service.parts().get(name, []):
                kill(pid)
