"""The periodic work as data: UTC, each entry with an expiry a little shorter than its period."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from celery.schedules import crontab, schedule


@dataclass(frozen=True, slots=True)
class Entry:
    """One periodic task."""

    task: str
    queue: str
    every_seconds: int | None
    expires_seconds: int
    args: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What tells it from other entries of the same task."""
        return " ".join((self.task, *self.args))


SWEEP_SECONDS = 60
NIGHTLY_CATCH_UP = dt.timedelta(hours=20)

ENTRIES = (
    Entry("tasks.sweep_owed_classification", "import", SWEEP_SECONDS, 50),
    Entry("tasks.sweep_nightly_jobs", "housekeeping", SWEEP_SECONDS, 50),
    Entry("tasks.recompute_all_cohorts", "stats", None, 20 * 3600),
    Entry("tasks.canary", "classify", SWEEP_SECONDS, 50, ("classify",)),
)


def beat_schedule(nightly_hour: int, nightly_minute: int) -> dict[str, dict[str, Any]]:
    """The entries as Celery beat reads them; those without a period run nightly."""
    return {
        entry.name: {
            "task": entry.task,
            "args": entry.args,
            "schedule": schedule(entry.every_seconds)
            if entry.every_seconds
            else crontab(hour=nightly_hour, minute=nightly_minute),
            "options": {"queue": entry.queue, "expires": entry.expires_seconds},
        }
        for entry in ENTRIES
    }


def latest_nightly_slot(now: dt.datetime, hour: int, minute: int) -> dt.datetime:
    """The most recent nightly slot at or before ``now`` (UTC)."""
    slot = now.astimezone(dt.UTC).replace(hour=hour, minute=minute, second=0, microsecond=0)
    return slot if slot <= now else slot - dt.timedelta(days=1)
