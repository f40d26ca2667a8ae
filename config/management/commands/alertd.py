"""The guarantee: what is owed gets done with PostgreSQL alone, even when Redis and every worker are dead."""

from __future__ import annotations

import datetime as dt
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import Error, connection

from cohorts.services.night_queue import NIGHTLY_PREFIX, owe_night
from monitoring import clock
from monitoring.intake.loading import end_killed_runs
from monitoring.intake.uploads import LOADING, owed_uploads
from monitoring.management.door import DoorCommand
from monitoring.models import Heartbeat, ImportRun, JobRun, SetAsideKind
from monitoring.permissions import centres_with_role
from monitoring.selectors.set_aside import now_set_aside, set_aside_by_kind
from monitoring.services.alerts import clock_steps, escalation
from monitoring.services.alerts.by_the_clock import (
    raise_lost,
    raise_no_mmr_after_restart,
    raise_no_restart,
    raise_overdue,
)
from monitoring.services.alerts.operational import check_settings, tell_of_set_aside
from monitoring.services.alerts.sending import Sender, try_refused_again
from monitoring.services.classification.classify import ClassificationFailed, classify_pending
from monitoring.services.entry import canary, record_changes
from monitoring.services.entry.verification import raise_suspicious, raise_unverified
from monitoring.services.foundation import set_aside
from monitoring.services.foundation.jobs import owed_slots
from monitoring.services.foundation.lead import Lead
from tasks.schedule import NIGHTLY_CATCH_UP, latest_nightly_slot

logger = logging.getLogger("monitoring.alertd")

ROUND_SECONDS = 2.0
OWED_FOR_SECONDS = 10.0
CLASSIFY_AT_MOST = 100  # patients a round, so that a large import does not delay the next step of an alert
SEND_WAIT_SECONDS = 0.2
SEND_ONCE_SECONDS = 60.0
KEEP_LEAD_SECONDS = 5.0
STEP_LIMIT_SECONDS = 300.0
LOCK_TIMEOUT = "2s"
NIGHTLY_GRACE = dt.timedelta(minutes=5)
NIGHTLY_LIMIT_SECONDS = 3600.0
UPLOAD_LIMIT_SECONDS = 1800.0
HOUSE_LIMIT_SECONDS = 1800.0
HOUSEKEEPING = "housekeeping"  # as the command of that name claims it
NAME = "alertd"


class Command(DoorCommand):
    help = (
        "Send what is due without a pause; every two seconds escalate, classify what is owed, claim nightly slots. "
        "Needs PostgreSQL only."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="do one round and exit")

    def work(self, **options: Any) -> bool:
        if options["once"]:
            lead = Lead(NAME)
            if not lead.take():
                raise CommandError("another alertd is at work; it does the rounds", returncode=3)
            try:
                rounds = Rounds()
                rounds.one()
                for sender in rounds.senders:
                    sender.finish(SEND_ONCE_SECONDS)  # what the round itself came to owe
            finally:
                lead.release()
            return True
        while True:  # nothing that happens in a round, and no lost database, ends this process
            try:
                self._lead()
                self.tell("alertd: the lead is gone")
            except Error as problem:
                logger.error("alertd: the database is away: %s", type(problem).__name__)
            connection.close()
            time.sleep(ROUND_SECONDS)

    def _lead(self) -> None:
        """Wait for the lead, then do one round after another until it is lost."""
        lead = Lead(NAME)
        self.tell("alertd: leading" if lead.take() else "alertd: waiting for the lead")
        while not lead.is_held and not lead.take():
            time.sleep(ROUND_SECONDS)
        rounds = Rounds(lead)
        sending = [partial(rounds.keep_sending, sender) for sender in rounds.senders]
        for work in (rounds.keep_lead, *sending):
            threading.Thread(target=_on_own_connection, args=(work,), daemon=True).start()
        while lead.is_held:
            started = time.monotonic()
            try:
                rounds.one()
            except Exception as problem:  # said aloud, and the next round is two seconds away
                is_lost = set_aside.is_database_lost(problem)
                words = "the database is away" if is_lost else set_aside.describe(problem)
                logger.error("a round failed: %s", words, exc_info=None if is_lost else problem)
                connection.close()
            time.sleep(max(0.0, ROUND_SECONDS - (time.monotonic() - started)))


def _on_own_connection(work: Callable[[], None]) -> None:
    try:
        work()
    finally:
        connection.close()


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


class Rounds:
    """One round after another, beside sending without a pause; the night and files have a process of their own."""

    def __init__(self, lead: Lead | None = None) -> None:
        self.senders = (Sender(), Sender(to_programs=True))
        self._lead = lead
        self._step, self._step_began = "", time.monotonic()
        self._send_failed: Exception | None = None
        self._night: _Child | None = None
        self._upload: _Child | None = None
        self._house: _Child | None = None

    def keep_lead(self) -> None:
        """Confirm the lead every few seconds, unless the rounds hang: then the next copy shall have it."""
        lead = self._lead
        while lead is not None and lead.is_held:
            try:
                if time.monotonic() - self._step_began > STEP_LIMIT_SECONDS:
                    logger.error("alertd hangs in its step %r; another copy may lead", self._step)
                else:
                    lead.keep()
            except Error:
                connection.close()
            time.sleep(KEEP_LEAD_SECONDS)

    def keep_sending(self, sender: Sender) -> None:
        """Send what is due for as long as the lead is held."""
        while self._lead is not None and self._lead.is_held:
            try:
                if not sender.turn(SEND_WAIT_SECONDS):
                    time.sleep(SEND_WAIT_SECONDS / 2)
            except Exception as problem:  # noqa: BLE001  # the round sets it aside by name, and it is tried again
                if not set_aside.is_database_lost(problem):
                    self._send_failed = problem
                connection.close()
                time.sleep(1)
        until = time.monotonic() + SEND_ONCE_SECONDS
        while time.monotonic() < until:
            try:
                sender.wind_up(SEND_ONCE_SECONDS)
                return
            except Error as problem:  # what was sent is still to be recorded: asked again until it is
                logger.error("alertd: what was sent cannot be recorded: %s", type(problem).__name__)
                connection.close()
                time.sleep(1)

    def one(self) -> None:
        """Do every step, whatever becomes of the others, and write the heartbeat.

        A step that fails as a whole is set aside by name, so that people are told, and is tried in every round. Only a
        database that is away, and a lead that was lost, end a round.
        """
        with connection.cursor() as cursor:  # one row that somebody holds is passed over, not waited for
            cursor.execute("select set_config('lock_timeout', %s, false)", [LOCK_TIMEOUT])
        steps: dict[str, Callable[[], object]] = {
            "follow merges": lambda: record_changes.follow_merges(now=clock.now()),
            "heed the clock": lambda: clock_steps.catch_up(NAME, now=clock.now()),
            "escalate": lambda: escalation.advance(now=clock.now()),
            "tell newcomers": lambda: escalation.tell_newcomers(now=clock.now()),
            "try refused addresses again": lambda: try_refused_again(now=clock.now()),
            "send": self._send,
            "classify": self._classify,
            "watch unverified results": lambda: raise_unverified(now=clock.now()),
            "watch suspicious values": lambda: raise_suspicious(now=clock.now()),
            "watch overdue samples": lambda: raise_overdue(now=clock.now()),
            "watch who is not seen": lambda: raise_lost(now=clock.now()),
            "watch restarts": lambda: raise_no_restart(now=clock.now()),
            "watch responses after a restart": lambda: raise_no_mmr_after_restart(now=clock.now()),
            "look after the night": self._look_after_the_night,
            "look after uploads": self._look_after_uploads,
            "look after the house": self._look_after_the_house,
            "send the canary": lambda: canary.fly(now=clock.now()),
            "end killed imports": lambda: end_killed_runs(now=clock.now()),
            "check settings": lambda: check_settings(now=clock.now()),
            "tell of what is set aside": lambda: tell_of_set_aside(now=clock.now()),
        }
        aside = dict(now_set_aside().filter(kind=SetAsideKind.STEP).values_list("key", "retry_at"))
        failed = []
        for name, step in steps.items():
            if self._lead is not None and not self._lead.is_held:
                return  # whoever leads now does the rest, and the heartbeat is theirs
            self._step, self._step_began = name, time.monotonic()
            try:
                step()
            except Exception as problem:  # whatever it is: written down, told, and the other steps go on
                if set_aside.is_database_lost(problem):
                    raise
                failed.append(name)
                if name not in aside or aside[name] <= clock.now():
                    set_aside.put(SetAsideKind.STEP, name, problem, centre_id=None, now=clock.now())
        set_aside.settle(SetAsideKind.STEP, aside.keys() - set(failed), now=clock.now())
        if self._lead is None or self._lead.is_held:
            Heartbeat.objects.update_or_create(name=NAME, defaults={"beat_at": clock.now(), "detail": _detail()})

    def _classify(self) -> None:
        try:
            classify_pending(
                now=clock.now(), limit=CLASSIFY_AT_MOST, older_than_seconds=OWED_FOR_SECONDS, pass_over_held=True
            )
        except ClassificationFailed as failure:  # its patients are set aside, the others were classified
            logger.error("%s", failure)

    def _send(self) -> None:
        """Without a thread for it, send what is due; with one, raise what stopped it since the last round."""
        if self._lead is None:
            for sender in self.senders:
                sender.finish(SEND_ONCE_SECONDS)
            return
        problem, self._send_failed = self._send_failed, None
        if problem is not None:
            raise problem

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

    def _look_after_the_house(self) -> None:
        """Lists on disk, mails that say what waits, and forgetting: once after each slot, in a child."""
        now = clock.now()
        if self._lead is None:  # a single round ends before its children would
            return
        if self._house is not None:
            code = self._house.code()
            if code is None:
                return
            if code:
                said = f"{self._house.key} ended with {code}"
                set_aside.put(SetAsideKind.HOUSE, HOUSEKEEPING, said, centre_id=None, now=now)
            else:
                set_aside.settle(SetAsideKind.HOUSE, [HOUSEKEEPING], now=now)
            self._house = None
        slot = latest_nightly_slot(now, settings.DIGEST_HOUR, 0)
        if now - slot > NIGHTLY_CATCH_UP:
            return
        if HOUSEKEEPING in set_aside.passed_over(SetAsideKind.HOUSE, now=now):
            return
        run = JobRun.objects.filter(job=HOUSEKEEPING, slot_at=slot).first()
        if run is None or (run.finished_at is None and (run.lease_until is None or run.lease_until < now)):
            key = f"{HOUSEKEEPING}@{slot.isoformat()}"
            self._house = _begin(key, HOUSE_LIMIT_SECONDS, "run_housekeeping", slot.isoformat())

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
