"""The guarantee: what is owed gets done with PostgreSQL alone, even when Redis and every worker are dead."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import logging
import smtplib
import subprocess
import sys
import time
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError, connection

from cohorts.services.nightly import NIGHTLY_PREFIX, owe_night
from monitoring import clock
from monitoring.intake.uploads import owed_uploads
from monitoring.management.door import DoorCommand
from monitoring.models import AlertDelivery, Heartbeat
from monitoring.notify.mail import send
from monitoring.services import deliveries, escalation
from monitoring.services.classification import ClassificationFailed, classify_owed
from monitoring.services.jobs import owed_slots
from monitoring.services.plans import raise_no_mmr_after_restart, raise_no_restart, raise_overdue
from monitoring.services.sessions import own_session
from monitoring.services.verification import raise_suspicious, raise_unverified
from tasks.schedule import NIGHTLY_CATCH_UP, latest_nightly_slot

logger = logging.getLogger("monitoring.alertd")

ROUND_SECONDS = 2.0
OWED_FOR_SECONDS = 10.0
CLASSIFY_AT_MOST = 100  # patients a round, so that a large import does not delay the messages
SEND_AT_ONCE = 4
SEND_TIMEOUT_SECONDS = 20.0
NIGHTLY_GRACE = dt.timedelta(minutes=5)
NIGHTLY_LIMIT_SECONDS = 3600.0
ADVISORY_LOCK = 727002
NAME = "alertd"
# What a channel raises when a message could not be handed over.
SEND_FAILURES = (OSError, smtplib.SMTPException, concurrent.futures.TimeoutError)


class Command(DoorCommand):
    help = "Every two seconds: classify what is owed, send what is due, escalate, claim nightly slots. Needs PostgreSQL only."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="do one round and exit")

    def work(self, **options: Any) -> bool:
        with _Leadership() as leadership:
            if options["once"]:
                if not leadership.won():
                    raise CommandError("another alertd is at work; it does the rounds")
                Rounds().one()
                return True
            self.tell("alertd: waiting for the lead" if not leadership.won() else "alertd: leading")
            while not leadership.won():
                time.sleep(ROUND_SECONDS)
            rounds = Rounds()
            while True:
                started = time.monotonic()
                if not leadership.still_held():
                    raise CommandError("alertd: the connection that holds the lead is gone", returncode=3)
                try:
                    rounds.one()
                except DatabaseError as problem:  # the database is away: say so, and be back when it is
                    logger.error("a round failed: %s", problem)
                    connection.close()
                time.sleep(max(0.0, ROUND_SECONDS - (time.monotonic() - started)))


class _Leadership:
    """A session lock of the database: one copy works, the others wait; the lock ends with its session."""

    def __init__(self) -> None:
        self._session = own_session(autocommit=True)
        self._held = False

    def __enter__(self) -> _Leadership:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def won(self) -> bool:
        """Whether this copy leads, trying for it where it does not."""
        if not self._held:
            row = self._session.execute("select pg_try_advisory_lock(%s)", [ADVISORY_LOCK]).fetchone()
            self._held = bool(row and row[0])
        return self._held

    def still_held(self) -> bool:
        """Whether the session that holds the lock still answers."""
        try:
            self._session.execute("select 1")
        except psycopg.OperationalError:
            return False
        return True


class Rounds:
    """One round after another; sending has a pool of its own and the night a process of its own."""

    def __init__(self) -> None:
        self._pool = concurrent.futures.ThreadPoolExecutor(SEND_AT_ONCE, thread_name_prefix="send")
        self._sending: dict[concurrent.futures.Future[str], tuple[AlertDelivery, float]] = {}
        self._night: tuple[subprocess.Popen[bytes], float] | None = None
        self._upload: subprocess.Popen[bytes] | None = None

    def one(self) -> None:
        """Classify, send, escalate, look after the night, and write the heartbeat."""
        problem = ""
        try:
            classify_owed(now=clock.now(), limit=CLASSIFY_AT_MOST, older_than_seconds=OWED_FOR_SECONDS)
        except ClassificationFailed as failure:
            problem = str(failure)
            logger.error("%s", failure)
        raise_unverified(now=clock.now())
        raise_suspicious(now=clock.now())
        raise_overdue(now=clock.now())
        raise_no_restart(now=clock.now())
        raise_no_mmr_after_restart(now=clock.now())
        escalation.advance(now=clock.now())
        self._send()
        self._look_after_the_night()
        self._look_after_uploads()
        Heartbeat.objects.update_or_create(name=NAME, defaults={"beat_at": clock.now(), "detail": problem[:200]})

    def _send(self) -> None:
        room = SEND_AT_ONCE - len(self._sending)
        if room:
            for one, message in deliveries.claim_due(now=clock.now(), limit=room):
                self._sending[self._pool.submit(send, message)] = (one, time.monotonic())
        concurrent.futures.wait(self._sending, timeout=ROUND_SECONDS / 2)
        for future, (one, started) in list(self._sending.items()):
            if not future.done() and time.monotonic() - started < SEND_TIMEOUT_SECONDS:
                continue
            del self._sending[future]
            try:
                outcome = future.result(timeout=0)
            except SEND_FAILURES as failure:
                deliveries.postpone(one, problem=f"{type(failure).__name__}: {failure}", now=clock.now())
            else:
                deliveries.settle(one, delivered=True, outcome=outcome, now=clock.now())

    def _look_after_the_night(self) -> None:
        """Write the night's slots when beat has not, and work off one slot at a time in a child with a time limit."""
        if self._night is not None:
            process, started = self._night
            if process.poll() is None and time.monotonic() - started < NIGHTLY_LIMIT_SECONDS:
                return
            if process.poll() is None:
                process.kill()
                process.wait()
            self._night = None
        now = clock.now()
        slot = latest_nightly_slot(now, settings.NIGHTLY_HOUR, settings.NIGHTLY_MINUTE)
        if not NIGHTLY_GRACE < now - slot < NIGHTLY_CATCH_UP:
            return
        owe_night(slot)
        owed = owed_slots(NIGHTLY_PREFIX, now=now, since=NIGHTLY_CATCH_UP)
        if owed:
            slug = owed[0].job.removeprefix(NIGHTLY_PREFIX)
            words = [sys.executable, "manage.py", "run_night", slug, owed[0].slot_at.isoformat()]
            self._night = (subprocess.Popen(words, cwd=settings.BASE_DIR), time.monotonic())

    def _look_after_uploads(self) -> None:
        """Read files that no worker has taken, one at a time in a child; a child that dies frees its lease."""
        if self._upload is not None and self._upload.poll() is None:
            return
        self._upload = None
        owed = owed_uploads(now=clock.now(), older_than_seconds=OWED_FOR_SECONDS)
        if owed:
            words = [sys.executable, "manage.py", "load_upload", str(owed[0])]
            self._upload = subprocess.Popen(words, cwd=settings.BASE_DIR)
