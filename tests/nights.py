"""A cohort computed as the night does it: whoever is pending is classified first."""

import datetime as dt
from typing import Any

from cohorts.models import Cohort, CohortRun
from cohorts.services import recompute as recomputing
from cohorts.services.nightly import classify_pending_patients
from monitoring import clock


def recompute(cohort: Cohort, *, known_at: dt.datetime | None = None, **options: Any) -> CohortRun:
    """Classify, then compute."""
    classify_pending_patients(before=clock.now() + dt.timedelta(minutes=1))
    return recomputing.recompute(cohort, known_at=known_at, **options)
