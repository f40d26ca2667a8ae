"""The guarantee: what is owed gets done with PostgreSQL alone, even when Redis and every worker are dead."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import logging
import smtplib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import connection

from cohorts.services.night_queue import NIGHTLY_PREFIX, owe_night
from monitoring import clock
from monitoring.intake.uploads import LOADING, owed_uploads
from monitoring.management.door import DoorCommand
from monitoring.models import AlertDelivery, Heartbeat, ImportRun, JobRun, SetAsideKind
from monitoring.notify.mail import Message, send
from monitoring.permissions import centres_with_role
from monitoring.selectors.set_aside import now_set_aside, set_aside_by_kind
from monitoring.services.alerts import deliveries, escalation
from monitoring.services.alerts.by_the_clock import (
    raise_lost,
    raise_no_mmr_after_restart,
    raise_no_restart,
    raise_overdue,
)
from monitoring.services.alerts.operational import check_settings, tell_of_set_aside
from monitoring.services.classification.classify import ClassificationFailed, classify_pending
from monitoring.services.entry.verification import raise_suspicious, raise_unverified
from monitoring.services.foundation import set_aside
from monitoring.services.foundation.jobs import owed_slots
from monitoring.services.foundation.sessions import own_session
from tasks.schedule import NIGHTLY_CATCH_UP, latest_nightly_slot

logger = logging.getLogger("monitoring.alertd")

ROUND_SECONDS = 2.0
OWED_FOR_SECONDS = 10.0
CLASSIFY_AT_MOST = 100  # patients a round, so that a large import does not delay the messages
SEND_AT_ONCE = 4
SEND_TIMEOUT_SECONDS = 20.0
MOST_HANGING = 32  # sends that were given up and have not ended; each holds a thread
NIGHTLY_GRACE = dt.timedelta(minutes=5)
NIGHTLY_LIMIT_SECONDS = 3600.0
UPLOAD_LIMIT_SECONDS = 1800.0
ADVISORY_LOCK = 727002
NAME = "alertd"
# What a channel raises when a message could not be handed over; anything else is a fault of the message.
SEND_FAILURES = (OSError, smtplib.SMTPException, concurrent.futures.TimeoutError)


class Command(DoorCommand):
    help = (
        "Every two seconds: classify what is owed, send what is due, escalate, claim nightly slots. Needs "
        "PostgreSQL only."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="do one round and exit")

    def work(self, **options: Any) -> bool:
        if options["once"]:
            with _Leadership() as leadership:
                if not leadership.won():
                    raise CommandError("another alertd is at work; it does the rounds")
                Rounds().one()
            return True
        rounds = Rounds()
        while True:  # nothing that happens in a round, and no lost database, ends this process
            try:
                with _Leadership() as leadership:
                    self._lead(leadership, rounds)
                self.tell("alertd: the connection that held the lead is gone")
            except psycopg.Error as problem:
                logger.error("alertd: the database is away: %s", type(problem).__name__)
            connection.close()
            time.sleep(ROUND_SECONDS)

    def _lead(self, leadership: _Leadership, rounds: Rounds) -> None:
        """Wait for the lead, then do one round after another until it is lost."""
        self.tell("alertd: waiting for the lead" if not leadership.won() else "alertd: leading")
        while not leadership.won():
            time.sleep(ROUND_SECONDS)
        while leadership.still_held():
            started = time.monotonic()
            try:
                rounds.one()
            except Exception as problem:  # said aloud, and the next round is two seconds away
                logger.error("a round failed: %s", set_aside.describe(problem), exc_info=problem)
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
        except psycopg.Error:
            return False
        return True


@dataclass
class _Child:
    """A process for one piece of work, ended when it takes too long."""

    process: subprocess.Popen[bytes]
    key: str
    limit_seconds: float
    started: float = field(default_factory=time.monotonic)

    def code(self) -> int | None:
        """How the child has ended, None while it works."""
        code = self.process.poll()
        if code is None and time.monotonic() - self.started >= self.limit_seconds:
            self.process.kill()
            code = self.process.wait()
        return code


class SendersHang(Exception):
    """So many sends never ended that no more are begun."""


def _send_into(future: concurrent.futures.Future[str], message: Message) -> None:
    try:
        future.set_result(send(message))
    except BaseException as problem:  # noqa: BLE001  # handed to the round, which judges it
        future.set_exception(problem)


class Rounds:
    """One round after another; each send has a thread of its own, the night and files a process of their own."""

    def __init__(self) -> None:
        self._sending: dict[concurrent.futures.Future[str], tuple[AlertDelivery, float]] = {}
        self._hanging: set[concurrent.futures.Future[str]] = set()
        self._night: _Child | None = None
        self._upload: _Child | None = None

    def one(self) -> None:
        """Do every step, whatever becomes of the others, and write the heartbeat.

        A step that fails as a whole is set aside by name, so that people are told, and is tried in every round. Only a
        database that is away ends a round.
        """
        steps: dict[str, Callable[[], object]] = {
            "classify": self._classify,
            "watch unverified results": lambda: raise_unverified(now=clock.now()),
            "watch suspicious values": lambda: raise_suspicious(now=clock.now()),
            "watch overdue samples": lambda: raise_overdue(now=clock.now()),
            "watch who is not seen": lambda: raise_lost(now=clock.now()),
            "watch restarts": lambda: raise_no_restart(now=clock.now()),
            "watch responses after a restart": lambda: raise_no_mmr_after_restart(now=clock.now()),
            "escalate": lambda: escalation.advance(now=clock.now()),
            "send": self._send,
            "look after the night": self._look_after_the_night,
            "look after uploads": self._look_after_uploads,
            "check settings": lambda: check_settings(now=clock.now()),
            "tell of what is set aside": lambda: tell_of_set_aside(now=clock.now()),
        }
        aside = dict(now_set_aside().filter(kind=SetAsideKind.STEP).values_list("key", "retry_at"))
        failed = []
        for name, step in steps.items():
            try:
                step()
            except Exception as problem:  # whatever it is: written down, told, and the other steps go on
                if set_aside.is_database_lost(problem):
                    raise
                failed.append(name)
                if name not in aside or aside[name] <= clock.now():
                    set_aside.put(SetAsideKind.STEP, name, problem, centre_id=None, now=clock.now())
        set_aside.settle(SetAsideKind.STEP, aside.keys() - set(failed), now=clock.now())
        Heartbeat.objects.update_or_create(name=NAME, defaults={"beat_at": clock.now(), "detail": _detail()})

    def _classify(self) -> None:
        try:
            classify_pending(now=clock.now(), limit=CLASSIFY_AT_MOST, older_than_seconds=OWED_FOR_SECONDS)
        except ClassificationFailed as failure:  # its patients are set aside, the others were classified
            logger.error("%s", failure)

    def _send(self) -> None:
        """Begin what is due, as far as there is room, and record what has ended or takes too long."""
        self._hanging = {future for future in self._hanging if not future.done()}
        is_full = len(self._hanging) >= MOST_HANGING
        room = 0 if is_full else SEND_AT_ONCE - len(self._sending)
        if room:
            for delivery, message in deliveries.claim_due(now=clock.now(), limit=room):
                future: concurrent.futures.Future[str] = concurrent.futures.Future()
                # A daemon: one that never ends holds up neither its successors nor the end of this process.
                threading.Thread(target=_send_into, args=(future, message), name="send", daemon=True).start()
                self._sending[future] = (delivery, time.monotonic())
        concurrent.futures.wait(self._sending, timeout=ROUND_SECONDS / 2)
        for future, (delivery, started) in list(self._sending.items()):
            if future.done() or time.monotonic() - started >= SEND_TIMEOUT_SECONDS:
                del self._sending[future]
                self._record(delivery, future)
        if is_full:
            raise SendersHang(f"{len(self._hanging)} sends have not ended; no more are begun until one does")

    def _record(self, delivery: AlertDelivery, future: concurrent.futures.Future[str]) -> None:
        try:
            outcome = future.result(timeout=0)
        except SEND_FAILURES as failure:
            if not future.done():
                self._hanging.add(future)
            deliveries.postpone(delivery, problem=f"{type(failure).__name__}: {failure}", now=clock.now())
        except Exception as problem:  # noqa: BLE001  # a fault of this message, written down with it; the others go on
            deliveries.put_aside(delivery.pk, problem, now=clock.now())
        else:
            deliveries.settle(delivery, delivered=True, outcome=outcome, now=clock.now())

    def _look_after_the_night(self) -> None:
        """Write the night's slots when beat has not, and work off one slot at a time in a child with a time limit."""
        now = clock.now()
        unfinished = JobRun.objects.filter(
            job__startswith=NIGHTLY_PREFIX, finished_at__isnull=True, slot_at__gte=now - NIGHTLY_CATCH_UP
        )
        if self._night is not None:
            code = self._night.code()
            if code is None:
                return
            if code and self._night.key in set(map(_slot_key, unfinished)):
                set_aside.put(SetAsideKind.NIGHT, self._night.key, f"ended with {code}", centre_id=None, now=now)
            self._night = None
        set_aside.settle_all_but(SetAsideKind.NIGHT, map(_slot_key, unfinished), now=now)
        slot = latest_nightly_slot(now, settings.NIGHTLY_HOUR, settings.NIGHTLY_MINUTE)
        if not NIGHTLY_GRACE < now - slot < NIGHTLY_CATCH_UP:
            return
        owe_night(slot)
        aside = set_aside.passed_over(SetAsideKind.NIGHT, now=now)
        owed = owed_slots(NIGHTLY_PREFIX, now=now, since=NIGHTLY_CATCH_UP)
        run = next((job for job in owed if _slot_key(job) not in aside), None)
        if run is not None:
            words = ("run_night", run.job.removeprefix(NIGHTLY_PREFIX), run.slot_at.isoformat())
            self._night = _begin(_slot_key(run), NIGHTLY_LIMIT_SECONDS, *words)

    def _look_after_uploads(self) -> None:
        """Read files that no worker has taken, one at a time in a child; a child that dies frees its lease."""
        now = clock.now()
        waiting = ImportRun.objects.filter(finished_at__isnull=True, content__isnull=False)
        if self._upload is not None:
            code = self._upload.code()
            if code is None:
                return
            unread = waiting.filter(public_id=self._upload.key).select_related("by").first()
            if code and unread is not None:
                set_aside.put(
                    SetAsideKind.UPLOAD, unread.public_id, f"its reader ended with {code}",
                    centre_id=centres_with_role(unread.by, LOADING).first(), now=now,
                )  # fmt: skip
            self._upload = None
        set_aside.settle_all_but(SetAsideKind.UPLOAD, waiting.values_list("public_id", flat=True), now=now)
        aside = set_aside.passed_over(SetAsideKind.UPLOAD, now=now)
        owed = owed_uploads(now=now, older_than_seconds=OWED_FOR_SECONDS, but=aside)
        if owed:
            key = str(ImportRun.objects.values_list("public_id", flat=True).get(pk=owed[0]))
            self._upload = _begin(key, UPLOAD_LIMIT_SECONDS, "load_upload", str(owed[0]))


def _slot_key(run: JobRun) -> str:
    return f"{run.job}@{run.slot_at.isoformat()}"


def _begin(key: str, limit_seconds: float, *words: str) -> _Child:
    command = [sys.executable, "manage.py", *words]
    return _Child(subprocess.Popen(command, cwd=settings.BASE_DIR), key, limit_seconds)


def _detail() -> str:
    """What is set aside, for whoever looks at the heartbeat."""
    kinds = set_aside_by_kind()
    return ("set aside: " + ", ".join(f"{kind} {number}" for kind, number in kinds.items()) if kinds else "")[:200]
