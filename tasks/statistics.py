"""The night: one row per cohort and slot, one task per cohort, each claimed once."""

from __future__ import annotations

import datetime as dt

from celery import shared_task
from django.conf import settings

from cohorts.services.night_queue import owe_night
from monitoring import clock
from tasks.hints import RECOMPUTE_COHORT, publish
from tasks.schedule import latest_nightly_slot

STATS_TIME_LIMIT_SECONDS = 3600


@shared_task(name="tasks.recompute_all_cohorts")
def recompute_all_cohorts() -> int:
    """Write the night's slot for every active cohort and hint to a worker for each."""
    slot = latest_nightly_slot(clock.now(), settings.NIGHTLY_HOUR, settings.NIGHTLY_MINUTE)
    slugs = owe_night(slot)
    for slug in slugs:
        publish(RECOMPUTE_COHORT, slug, slot.isoformat())
    return len(slugs)


@shared_task(name=RECOMPUTE_COHORT, time_limit=STATS_TIME_LIMIT_SECONDS + 60, soft_time_limit=STATS_TIME_LIMIT_SECONDS)
def recompute_cohort(slug: str, slot: str) -> bool:
    """Recompute one cohort for one slot, if nobody else has; returns whether this call did it."""
    # Every worker imports this module, and only the process that computes needs lifelines, which takes seconds to load.
    from cohorts.services.nightly import run_night

    return run_night(slug, dt.datetime.fromisoformat(slot), lease_seconds=STATS_TIME_LIMIT_SECONDS + 120)
