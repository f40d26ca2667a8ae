"""Loading files that were given on the page: an id in, one service call. Twice, late or never does no harm."""

from __future__ import annotations

from celery import shared_task

from monitoring.intake.uploads import load_upload
from tasks.hints import LOAD_UPLOAD

LIMIT_SECONDS = 1800


@shared_task(name=LOAD_UPLOAD, time_limit=LIMIT_SECONDS + 60, soft_time_limit=LIMIT_SECONDS)
def load_one(run_id: int) -> bool:
    """Load one kept file, if nobody else has."""
    return load_upload(run_id)
