"""Sweeps of periodic work that was missed: a beat that was down, a hint that was lost, a worker that was killed."""

from __future__ import annotations

import datetime as dt

from celery import shared_task
from django.conf import settings

from cohorts.services.counts import forget_old_counts, owed_counts
from cohorts.services.night_queue import NIGHTLY_PREFIX, owe_night
from cohorts.services.outputs import forget_old_outputs, owed_outputs
from monitoring import clock
from monitoring.intake.uploads import forget_old_files, owed_uploads
from monitoring.models import ReadingRule, SetAsideKind
from monitoring.services.foundation.idempotency import forget_old_requests
from monitoring.services.foundation.jobs import owed_slots
from monitoring.services.foundation.set_aside import passed_over
from monitoring.services.foundation.sign_in import forget_old_tries
from monitoring.services.settings.backtests import forget_old_backtests, owed_backtests
from tasks.hints import BUILD_READINGS, COUNT_MEMBERS, LOAD_UPLOAD, MAKE_OUTPUT, RECOMPUTE_NIGHT, RUN_BACKTEST, publish
from tasks.schedule import NIGHTLY_CATCH_UP, latest_nightly_slot

GRACE = dt.timedelta(minutes=5)
UPLOAD_GRACE_SECONDS = 60


@shared_task(name="tasks.sweep_nightly_jobs")
def sweep_nightly_jobs() -> int:
    """Hint again for slots of the last night that nobody is working on; write the slot if beat missed it."""
    now = clock.now()
    slot = latest_nightly_slot(now, settings.NIGHTLY_HOUR, settings.NIGHTLY_MINUTE)
    if GRACE < now - slot < NIGHTLY_CATCH_UP:
        owe_night(slot)
    owed = owed_slots(NIGHTLY_PREFIX, now=now, since=NIGHTLY_CATCH_UP)
    for slot_at in sorted({run.slot_at for run in owed}):
        publish(RECOMPUTE_NIGHT, slot_at.isoformat())
    if ReadingRule.objects.filter(built_at__isnull=True).exists():
        publish(BUILD_READINGS)
    aside = passed_over(SetAsideKind.UPLOAD, now=now)
    for pk in owed_uploads(now=now, older_than_seconds=UPLOAD_GRACE_SECONDS, but=aside):
        publish(LOAD_UPLOAD, pk)
    for pk in owed_outputs(now=now):
        publish(MAKE_OUTPUT, pk)
    for pk in owed_counts(now=now):
        publish(COUNT_MEMBERS, pk)
    for pk in owed_backtests(now=now):
        publish(RUN_BACKTEST, pk)
    forget_old_backtests(now=now)
    forget_old_outputs(now=now)
    forget_old_counts(now=now)
    forget_old_files(now=now)
    forget_old_requests(now=now)
    forget_old_tries(now=now)
    return len(owed)
