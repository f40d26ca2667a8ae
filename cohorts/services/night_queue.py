"""The night's work as rows, one per cohort and slot. Imports no statistics, so that a look at pending work is fast."""

from __future__ import annotations

import datetime as dt

from cohorts.models import Cohort
from monitoring.models import JobRun

NIGHT_LEASE_SECONDS = 3720  # longer than a night may take
NIGHTLY_PREFIX = "recompute_cohort:"


def owe_night(slot: dt.datetime) -> list[str]:
    """Write one row per active cohort for this slot; returns the cohorts. Writing them again changes nothing."""
    slugs = list(Cohort.objects.filter(is_active=True).values_list("slug", flat=True))
    JobRun.objects.bulk_create(
        [JobRun(job=f"{NIGHTLY_PREFIX}{slug}", slot_at=slot) for slug in slugs], ignore_conflicts=True
    )
    return slugs
