"""What is done once a night beside the cohorts: lists on disk, mails that say what waits, and forgetting."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandParser

from monitoring import clock
from monitoring.management.door import DoorCommand
from monitoring.services.alerts.digest import send_digests, write_lists
from monitoring.services.foundation import set_aside
from monitoring.services.foundation.jobs import claim_slot, finish, put_off
from monitoring.services.foundation.retention import forget_old

JOB = "housekeeping"
LEASE_SECONDS = 1800
AGAIN_AFTER = dt.timedelta(minutes=15)


class NotTaken(Exception):
    """Mails that no server took; whoever did not get one gets it with the next try."""


class Command(DoorCommand):
    help = (
        "Once a night (alertd starts it): write each centre's open alerts to OPEN_ALERTS_DIR, mail how many wait, "
        "forget what is older than its time. Each part fails alone; exit 1 where one did, and the slot stays owed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slot", nargs="?", help="the slot, as 2026-11-27T02:00:00+00:00; without one: now")

    def work(self, **options: Any) -> bool:
        now = clock.now()
        slot = dt.datetime.fromisoformat(options["slot"]) if options["slot"] else now
        run = claim_slot(JOB, slot, now=now, lease_seconds=LEASE_SECONDS)
        if run is None:
            self.tell("somebody else does this slot, or it is done")
            return True
        said: list[str] = []
        parts: dict[str, Callable[[], str]] = {
            "lists": lambda: f"{write_lists(now=now)} lists",
            "mails": lambda: self._mails(slot, now),
            "forgetting": lambda: ", ".join(f"{n} {kind}" for kind, n in forget_old(now=now).items()) + " forgotten",
        }
        failed = [name for name, part in parts.items() if not self._done(part, name, said)]
        if failed:
            put_off(run, detail="; ".join(said), until=clock.now() + AGAIN_AFTER)
        else:
            finish(run, ok=True, detail="; ".join(said), now=clock.now())
        self.tell("; ".join(said))
        return not failed

    def _mails(self, slot: dt.datetime, now: dt.datetime) -> str:
        taken, failed = send_digests(slot, now=now)
        if failed:
            raise NotTaken(f"{taken} mails taken, {failed} not")
        return f"{taken} mails"

    def _done(self, part: Callable[[], str], name: str, said: list[str]) -> bool:
        """Whether a part went well; what failed is written down, and the other parts go on."""
        try:
            said.append(part())
        except NotTaken as problem:
            said.append(str(problem))
            return False
        except Exception as problem:  # named in the row of the job, and exit 1 has people told
            if set_aside.is_database_lost(problem):
                raise
            said.append(f"{name} failed: {set_aside.describe(problem)}")
            return False
        return True
