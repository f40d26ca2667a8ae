"""The night: everybody who is pending is classified, then each cohort of the slot is computed exactly once.

This module loads lifelines and takes seconds to import: the process that works imports it, no other.
"""

from __future__ import annotations

import datetime as dt

from cohorts.models import Cohort
from cohorts.services.night_queue import NIGHTLY_PREFIX
from cohorts.services.recompute import recompute, record_failure
from monitoring import clock
from monitoring.models import ClassificationRequest
from monitoring.services.classification.classify import ClassificationFailed, classify_pending
from monitoring.services.foundation.jobs import claim_slot, finish


def classify_pending_patients(*, before: dt.datetime) -> None:
    """The first step of a night: figures rest on classes, so whoever was pending before this instant gets theirs.

    The first cohort of a slot does the work, the others find nothing left. Raises ``ClassificationFailed`` where
    somebody cannot be classified; those who are set aside already are passed over.
    """
    pending = ClassificationRequest.objects.filter(requested_at__lte=before)
    while pending.exists() and classify_pending(now=clock.now()):
        pass


def run_night(slug: str, slot: dt.datetime, *, lease_seconds: int) -> bool:
    """Recompute a cohort for a slot unless the slot is taken or done; returns whether this call did it."""
    cohort = Cohort.objects.filter(slug=slug).first()
    if cohort is None:
        return False
    claimed = claim_slot(f"{NIGHTLY_PREFIX}{slug}", slot, now=clock.now(), lease_seconds=lease_seconds)
    if claimed is None:
        return False
    try:
        classify_pending_patients(before=slot)
    except ClassificationFailed as problem:
        run = record_failure(cohort, problem)
    else:
        run = recompute(cohort)
    detail = run.error or ("unchanged" if run.unchanged else "published")
    finish(claimed, ok=bool(run.ok), detail=detail, now=clock.now())
    return True
