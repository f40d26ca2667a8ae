"""Everything on one machine under one supervisor: `make run`."""

from __future__ import annotations

import contextlib
import ctypes
import datetime as dt
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import environ
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import Error, connection
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from config import embedded
from config.preparing import WATCHDOG_ROLE
from monitoring import clock
from monitoring.models import Heartbeat, Patient, SetAsideKind
from monitoring.services.foundation import set_aside
from monitoring.services.settings.demo_logins import demo_logins_path
from tasks.beat import ALIVE
from tasks.celery import app as celery_app

READY_SECONDS = 90
STOP_SECONDS = 20
FIRST_RESTART_SECONDS = 1.0
LONGEST_RESTART_SECONDS = 30.0
STEADY_SECONDS = 60.0
LOOK_EVERY_SECONDS = 5.0
SILENT_SECONDS = 60.0  # a part that gives no sign of life for so long is replaced
GRACE_SECONDS = 60.0  # after its start
KEEPS_ENDING = 3  # so many ends within ten minutes are told to the administrators
KEEPS_ENDING_SECONDS = 600.0
PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """One process of the service, started again when it ends."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    own: Mapping[str, str] = field(default_factory=dict)  # what its environment has for itself
    signs: Callable[[], bool] | None = None  # whether it has just given a sign of life; None: nobody can tell
    pause_seconds: float = FIRST_RESTART_SECONDS
    not_before: float = field(default=0.0)
    seen_at: float = 0.0
    ends: list[float] = field(default_factory=list)
    is_told: bool = False

    def start(self, environment: dict[str, str]) -> None:
        self.started_at = self.seen_at = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            env={**environment, **self.own},
            cwd=settings.BASE_DIR,
            stdin=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C reaches the supervisor only, which stops its children in order
            preexec_fn=_end_with_parent,
        )


def _end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the supervisor dies, so that a killed one leaves nothing on its port."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Stopped(Exception):
    """Somebody asked the supervisor to end."""


class Command(BaseCommand):
    help = "Migrate, load the demo into an empty database, and run web, workers and beat under one supervisor."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        environment = environ.Env()
        bind, port = environment.str("BIND", default="127.0.0.1"), environment.int("PORT", default=8000)
        _check_port(bind, port)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _stop)
        children: list[Child] = []
        try:
            self._prepare()
            children = _children(bind, port)
            owners_environment = {**os.environ, "REMAP_SIGTERM": "SIGQUIT", "LOG_FORMAT": "line"}
            # What answers requests knows nothing of the owner's login.
            child_environment = {**owners_environment, "DATABASE_ROLE": "cml_app"}
            child_environment.pop("DATABASE_OWNER_URL", None)
            for child in children:
                child.start(child_environment)
            self._wait_until_ready(bind, port, children)
            if self._is_empty():
                self._say("Loading the synthetic demo …")
                subprocess.run(
                    [sys.executable, "manage.py", "load_demo"],
                    env=owners_environment,
                    cwd=settings.BASE_DIR,
                    check=True,
                )
            self._welcome()
            self._watch(children, child_environment)
        except Stopped:
            self._say("Stopping …")
        finally:
            _stop_all(children)

    def _say(self, text: str) -> None:
        self.stderr.write(text, style_func=lambda line: line)
        self.stderr.flush()

    def _prepare(self) -> None:
        self._say("Preparing the database …")
        call_command("migrate", verbosity=0)
        call_command("collectstatic", verbosity=0, interactive=False)

    def _is_empty(self) -> bool:
        """Whether nobody has entered a patient yet; a database that is lost just now is mended and asked again."""
        while True:
            try:
                return not Patient.objects.filter(centre__is_canary=False).exists()
            except Error:
                connection.close()
                self._mend()
                time.sleep(1)

    def _wait_until_ready(self, bind: str, port: int, children: list[Child]) -> None:
        self._say("Starting web, workers and beat …")
        host = "127.0.0.1" if bind in ("0.0.0.0", "::") else bind  # noqa: S104  # compared, not bound
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"http://{host}:{port}/livez", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
            web = children[0].process
            if web is not None and web.poll() is not None:
                raise CommandError("the web process ended at once; its message stands above", returncode=3)
        raise CommandError(f"the web process did not answer within {READY_SECONDS} s", returncode=3)

    def _welcome(self) -> None:
        self.stdout.write(f"\nReady: {settings.PUBLIC_URL}/\n")
        if demo_logins_path().exists():
            self.stdout.write(f"Demo log-ins ({demo_logins_path()}):\n{demo_logins_path().read_text(encoding='utf-8')}")
        self.stdout.write("Ctrl-C stops everything; the data is kept.\n")
        self.stdout.flush()

    def _watch(self, children: list[Child], environment: dict[str, str]) -> None:
        threading.Thread(target=self._look, args=(children,), name="look", daemon=True).start()
        while True:
            for child in children:
                self._tend(child, environment)
            time.sleep(0.5)

    def _look(self, children: Sequence[Child]) -> None:
        """Beside tending: mend our own servers, and kill what has given no sign of life, so that it is replaced."""
        while True:
            servers_are_up = self._mend()
            for child in children:
                if child.process is None or child.signs is None:
                    continue
                now = time.monotonic()
                if not servers_are_up or child.signs():
                    child.seen_at = now  # without its servers nobody can show that he lives
                elif now - child.seen_at > SILENT_SECONDS and now - child.started_at > GRACE_SECONDS:
                    self._say(f"{child.name} was silent for {now - child.seen_at:.0f} s and is replaced")
                    _kill(child)
            self._tell(children)
            connection.close()
            time.sleep(LOOK_EVERY_SECONDS)

    def _mend(self) -> bool:
        """Start again which of our own servers has died; False while one cannot be."""
        try:
            for name in embedded.mend():
                self._say(f"{name} had ended and was started again")
        except embedded.EmbeddedServerError as problem:
            self._say(f"{problem} Trying again.")
            return False
        return True

    def _tell(self, children: Sequence[Child]) -> None:
        """An operational alert for each part that keeps ending, for as long as it does."""
        for child in children:
            recent = [at for at in child.ends if time.monotonic() - at < KEEPS_ENDING_SECONDS]
            keeps_ending = len(recent) >= KEEPS_ENDING
            try:
                if keeps_ending:
                    words = f"ended {len(recent)} times within ten minutes; its last words stand in the log of serve"
                    if not child.is_told or child.ends[-1] > time.monotonic() - LOOK_EVERY_SECONDS:
                        set_aside.put(SetAsideKind.PART, child.name, words, centre_id=None, now=clock.now())
                elif child.is_told:
                    set_aside.settle(SetAsideKind.PART, [child.name], now=clock.now())
            except Error:
                continue  # told as soon as there is a database
            child.is_told = keeps_ending

    def _tend(self, child: Child, environment: dict[str, str]) -> None:
        """Start a child again that ended, with growing pauses while it keeps ending at once."""
        now = time.monotonic()
        if child.process is not None and child.process.poll() is not None:
            steady = now - child.started_at > STEADY_SECONDS
            child.pause_seconds = (
                FIRST_RESTART_SECONDS if steady else min(child.pause_seconds * 2, LONGEST_RESTART_SECONDS)
            )
            child.not_before = now + child.pause_seconds
            child.ends = [*child.ends[-KEEPS_ENDING:], now]
            self._say(
                f"{child.name} ended ({_how(child.process.returncode)}); starting it again in"
                f" {child.pause_seconds:.0f} s"
            )
            child.process = None
        if child.process is None and now >= child.not_before:
            child.start(environment)


def _how(code: int) -> str:
    """How a process ended, in words."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _kill(child: Child) -> None:
    """End a process and everything it started; a frozen one obeys nothing else."""
    if child.process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.process.pid, signal.SIGKILL)


def _stop(number: int, _frame: FrameType | None) -> None:
    raise Stopped(signal.Signals(number).name)


def _check_port(bind: str, port: int) -> None:
    if not 0 < port < 65536:
        raise CommandError(f"PORT={port} is no port; choose one from 1 to 65535", returncode=2)
    with socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except PermissionError:
            raise CommandError(
                f"port {port} needs privileges; choose another: PORT=8000 make run", returncode=3
            ) from None
        except OSError as problem:
            raise CommandError(
                f"{bind}:{port} cannot be used ({problem.strerror}); is the service running already? "
                f"Choose another port: PORT={port + 1} make run",
                returncode=3,
            ) from None


def _children(bind: str, port: int) -> list[Child]:
    host = f"[{bind}]" if ":" in bind else bind
    celery = [sys.executable, "-m", "celery", "-q", "-A", "tasks.celery"]
    worker = [
        *celery,
        *["worker", "--without-gossip", "--without-mingle", "--concurrency", "1", "--loglevel", "WARNING"],
    ]
    web = [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"{host}:{port}"]
    web += [
        "--workers",
        "2",
        "--threads",
        "4",
        "--max-requests",
        "5000",
        "--max-requests-jitter",
        "500",
        "--log-level",
        "warning",
    ]
    node = socket.gethostname()
    return [
        Child("web", web, signs=lambda: _web_answers(bind, port)),
        Child(
            "worker classify",
            [*worker, "--queues", "classify", "--hostname", "classify@%h"],
            signs=lambda: _worker_answers(f"classify@{node}"),
        ),
        Child(
            "worker bulk",
            [*worker, "--queues", "import,stats,housekeeping", "--hostname", "bulk@%h"],
            signs=lambda: _worker_answers(f"bulk@{node}"),
        ),
        Child("alertd", [sys.executable, "manage.py", "alertd"], signs=_alertd_beats),
        Child("watchdog", [sys.executable, "manage.py", "watchdog"], own=_as_watchdog()),
        Child("beat", [*celery, "beat", "--loglevel", "WARNING", "--pidfile="], signs=_beat_turns),
    ]


def _as_watchdog() -> dict[str, str]:
    """The watchdog has a login that reads and does nothing else; without one it uses the service's."""
    address = os.environ.get("DATABASE_WATCHDOG_URL", "")
    return {"DATABASE_URL": address, "DATABASE_ROLE": WATCHDOG_ROLE} if address else {}


def _web_answers(bind: str, port: int) -> bool:
    host = "127.0.0.1" if bind in ("0.0.0.0", "::") else bind  # noqa: S104  # compared, not bound
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/livez", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _worker_answers(node: str) -> bool:
    """Whether the main process of a worker answers; it does so while its child is busy."""
    try:
        return bool(celery_app.control.ping(destination=[node], timeout=2.0))
    except (KombuError, OSError, RedisError):
        return True  # the broker is away, which is nobody's silence


def _alertd_beats() -> bool:
    """Whether alertd has done a round lately; while the database is away nobody can tell."""
    try:
        now = clock.now()
        return Heartbeat.objects.filter(name="alertd", beat_at__gt=now - dt.timedelta(seconds=SILENT_SECONDS)).exists()
    except Error:
        return True


def _beat_turns() -> bool:
    with contextlib.suppress(FileNotFoundError):
        return time.time() - Path(settings.VAR_DIR, ALIVE).stat().st_mtime < SILENT_SECONDS
    return False


def _stop_all(children: list[Child]) -> None:
    for child in children:
        if child.process is not None and child.process.poll() is None:
            child.process.terminate()
    until = time.monotonic() + STOP_SECONDS
    for child in children:
        if child.process is None:
            continue
        try:
            child.process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
