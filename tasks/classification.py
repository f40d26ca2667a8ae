"""Classification tasks: an id in, one service call, a count out. Twice, late or never does no harm."""

from __future__ import annotations

import logging
import time

from celery import shared_task

from monitoring import clock
from monitoring.services.classification.classify import ClassificationFailed, classify_hinted, classify_pending
from tasks.hints import CLASSIFY_OWED, CLASSIFY_PATIENT, publish

logger = logging.getLogger(__name__)

BUDGET_SECONDS = 25.0


@shared_task(name=CLASSIFY_PATIENT)
def classify_patient(patient_id: int) -> int:
    """Classify one patient and whoever waits beside it; one that vanished or is not owed any more is a normal
    ending.
    """
    return classify_hinted(patient_id, now=clock.now())


@shared_task(name=CLASSIFY_OWED)
def classify_bulk() -> int:
    """Classify what is owed until nothing is left, or the budget is spent and another hint goes on."""
    done, is_spent = _classify_within_budget()
    if is_spent:
        publish(CLASSIFY_OWED)
    return done


@shared_task(name="tasks.sweep_owed_classification")
def sweep_owed_classification() -> int:
    """Classify what hints have lost: requests that have waited for more than ten seconds."""
    done, _is_spent = _classify_within_budget(older_than_seconds=10)
    return done


def _classify_within_budget(older_than_seconds: float = 0) -> tuple[int, bool]:
    """How many were classified, and whether time ran out first. Patients who fail are set aside; the others go on."""
    done, until = 0, time.monotonic() + BUDGET_SECONDS
    while time.monotonic() < until:
        try:
            count = classify_pending(now=clock.now(), older_than_seconds=older_than_seconds)
        except ClassificationFailed as failure:
            logger.error("%s", failure)
            continue
        if not count:
            return done, False
        done += count
    return done, True
