"""Real processes of the service around a test: commands, workers, whole set-ups with a folder of their own."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from django.db import connection

ROOT = Path(__file__).resolve().parent.parent


def environment(**more: str) -> dict[str, str]:
    """The environment of a process that works on this test's database, with the logins that were named for it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    urls = {name: on_this_database(kept[name]) for name in ("DATABASE_URL", "DATABASE_OWNER_URL") if name in kept}
    return {**kept, **urls, "DATABASE_ROLE": "cml_app", **more}


def on_this_database(url: str) -> str:
    """The same address with the name of the database that the test uses."""
    return urlsplit(url)._replace(path=f"/{connection.settings_dict['NAME']}").geturl()


def command(*words: str, check: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a management command as a user would."""
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=environment(**more),
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


WORKER = (
    sys.executable, "-m", "celery", "-q", "-A", "tasks.celery", "worker", "--queues",
    "classify,import,stats,housekeeping",
    "--concurrency", "1", "--without-gossip", "--without-mingle", "--loglevel", "WARNING",
)  # fmt: skip


@contextlib.contextmanager
def running(*words: str, log: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A background process in a group of its own, ended with the block."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(words), cwd=ROOT, env=environment(**more), stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        kill_group(process, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            kill_group(process, signal.SIGKILL)
            process.wait(15)


def kill_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a process and all its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait until something is true; returns how long it took. Fails with ``what`` when it never is."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        if condition():
            return time.monotonic() - started
        time.sleep(0.1)
    raise AssertionError(f"after {seconds} s: {what}")
