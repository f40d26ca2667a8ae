"""Classification tasks: an id in, one service call, a count out. Twice, late or never does no harm."""

from __future__ import annotations

import time

from celery import shared_task

from monitoring import clock
from monitoring.services.classification import classify_hinted, classify_owed
from tasks.hints import CLASSIFY_OWED, CLASSIFY_PATIENT, publish

BUDGET_SECONDS = 25.0


@shared_task(name=CLASSIFY_PATIENT)
def classify_patient(patient_id: int) -> int:
    """Classify one patient and whoever waits beside it; one that vanished or is not owed any more is a normal ending."""
    return classify_hinted(patient_id, now=clock.now())


@shared_task(name=CLASSIFY_OWED)
def classify_bulk() -> int:
    """Classify what is owed until nothing is left, or the budget is spent and another hint goes on."""
    done, until = 0, time.monotonic() + BUDGET_SECONDS
    while count := classify_owed(now=clock.now()):
        done += count
        if time.monotonic() > until:
            publish(CLASSIFY_OWED)
            break
    return done


@shared_task(name="tasks.sweep_owed_classification")
def sweep_owed_classification() -> int:
    """Classify what hints have lost: requests that have waited for more than ten seconds."""
    done, until = 0, time.monotonic() + BUDGET_SECONDS
    while count := classify_owed(now=clock.now(), older_than_seconds=10):
        done += count
        if time.monotonic() > until:
            break
    return done
