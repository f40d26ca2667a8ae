"""The night's work as rows: what is owed for a slot, and doing one cohort of it exactly once."""

from __future__ import annotations

import datetime as dt
import importlib

from cohorts.models import Cohort
from monitoring import clock
from monitoring.models import JobRun
from monitoring.services.foundation.jobs import claim_slot, finish

NIGHTLY_PREFIX = "recompute_cohort:"


def owe_night(slot: dt.datetime) -> list[str]:
    """Write one row per active cohort for this slot; returns the cohorts. Writing them twice changes nothing."""
    slugs = list(Cohort.objects.filter(is_active=True).values_list("slug", flat=True))
    JobRun.objects.bulk_create(
        [JobRun(job=f"{NIGHTLY_PREFIX}{slug}", slot_at=slot) for slug in slugs], ignore_conflicts=True
    )
    return slugs


def run_night(slug: str, slot: dt.datetime, *, lease_seconds: int) -> bool:
    """Recompute a cohort for a slot unless the slot is taken or done; returns whether this call did it."""
    cohort = Cohort.objects.filter(slug=slug).first()
    if cohort is None:
        return False
    claimed = claim_slot(f"{NIGHTLY_PREFIX}{slug}", slot, now=clock.now(), lease_seconds=lease_seconds)
    if claimed is None:
        return False
    # lifelines takes seconds to load, so the module that needs it is loaded where the work is done.
    recompute = importlib.import_module("cohorts.services.recompute").recompute
    run = recompute(cohort)
    finish(
        claimed, ok=bool(run.ok), detail=run.error or ("unchanged" if run.unchanged else "published"), now=clock.now()
    )
    return True
