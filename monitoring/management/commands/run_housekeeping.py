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
from monitoring.services.foundation.jobs import claim_slot, finish
from monitoring.services.foundation.retention import forget_old

JOB = "housekeeping"
LEASE_SECONDS = 1800


class Command(DoorCommand):
    help = (
        "Once a night (alertd starts it): write each centre's open alerts to OPEN_ALERTS_DIR, mail how many wait, "
        "forget what is older than its time. Each part fails alone; exit 1 where one did."
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
        finish(run, ok=not failed, detail="; ".join(said), now=clock.now())
        self.tell("; ".join(said))
        return not failed

    def _mails(self, slot: dt.datetime, now: dt.datetime) -> str:
        taken, failed = send_digests(slot, now=now)
        return f"{taken} mails" + (f", {failed} not taken" if failed else "")

    def _done(self, part: Callable[[], str], name: str, said: list[str]) -> bool:
        """Whether a part went well; what failed is written down, and the other parts go on."""
        try:
            said.append(part())
        except Exception as problem:
            if set_aside.is_database_lost(problem):
                raise
            said.append(f"{name} failed: {set_aside.describe(problem)}")
            return False
        return True
