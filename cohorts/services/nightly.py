"""The night: everybody who is pending is classified, the readings are read once, each cohort is computed exactly once.

This module loads lifelines and takes seconds to import: the process that works imports it, no other.
"""

from __future__ import annotations

import datetime as dt

from cohorts.models import Cohort
from cohorts.services.kept_readings import KeptReadings, forget_unused
from cohorts.services.night_queue import NIGHTLY_PREFIX
from cohorts.services.recompute import recompute, record_failure
from monitoring import clock
from monitoring.models import ClassificationRequest, JobRun
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


def run_whole_night(slot: dt.datetime, *, lease_seconds: int) -> int:
    """Recompute every cohort of a slot that nobody has; returns how many this call did.

    A cohort that fails is written down and the next one goes on; where this process is killed, another takes up what
    is left. At the end the readings that no cohort asks for any more are deleted.
    """
    kept = KeptReadings()
    jobs = JobRun.objects.filter(job__startswith=NIGHTLY_PREFIX, slot_at=slot).order_by("job")
    slugs = [job.removeprefix(NIGHTLY_PREFIX) for job in jobs.values_list("job", flat=True)]
    done = sum(run_night(slug, slot, lease_seconds=lease_seconds, kept=kept) for slug in slugs)
    forget_unused()
    return done


def run_night(slug: str, slot: dt.datetime, *, lease_seconds: int, kept: KeptReadings | None = None) -> bool:
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
        run = recompute(cohort, kept=kept)
    detail = run.error or ("unchanged" if run.unchanged else "published")
    finish(claimed, ok=bool(run.ok), detail=detail, now=clock.now())
    return True
