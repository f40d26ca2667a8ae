"""What a database's clock that ran ahead has written must not be waited for after it was set back.

Every wait is a time in a row: the next step of an alert, the next try of a message, a lease. Written while the clock
was an hour ahead, each would hold for an hour too long. The heartbeat of the rounds shows it: nobody writes it ahead.
"""

from __future__ import annotations

import datetime as dt
import logging

from django.db import transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Q, Value
from django.db.models.functions import Greatest

from monitoring.models import Alert, AlertDelivery, ClassificationRequest, Heartbeat, JobRun, SetAside

logger = logging.getLogger(__name__)

SLACK = dt.timedelta(seconds=5)  # what a clock that is steered may go back


def catch_up(beat: str, *, now: dt.datetime) -> dt.timedelta:
    """Where the heartbeat of this name lies in the future, move back what was written meanwhile; returns by how much.

    What comes too early thereby is a message tried again or a reminder; what came too late would be a loss untold.
    """
    with transaction.atomic():
        last = Heartbeat.objects.select_for_update().filter(name=beat).values_list("beat_at", flat=True).first()
        if last is None or last - now <= SLACK:
            return dt.timedelta()
        step = last - now
        logger.error("the database's clock was set back by %.0f seconds; what waits was moved", step.total_seconds())
        _move_back(step, now)
    return step


def _move_back(step: dt.timedelta, now: dt.datetime) -> None:
    def earlier(column: str) -> Greatest:
        moved = ExpressionWrapper(F(column) - Value(step), output_field=DateTimeField())
        return Greatest(moved, Value(now, output_field=DateTimeField()))

    meanwhile = Q(opened_at__gt=now) | Q(acknowledged_at__gt=now) | Q(acted_at__gt=now)
    told = AlertDelivery.objects.filter(owed_at__gt=now).values("alert")
    Alert.objects.live().filter(meanwhile | Q(pk__in=told), next_action_at__gt=now).update(
        next_action_at=earlier("next_action_at")
    )
    waiting = AlertDelivery.objects.filter(settled_at__isnull=True)
    waiting.filter(owed_at__gt=now).update(owed_at=now)
    waiting.filter(next_attempt_at__gt=now).update(next_attempt_at=earlier("next_attempt_at"))
    waiting.filter(lease_until__gt=now).update(lease_until=earlier("lease_until"))
    JobRun.objects.filter(finished_at__isnull=True, claimed_at__gt=now).update(lease_until=earlier("lease_until"))
    ClassificationRequest.objects.filter(requested_at__gt=now).update(requested_at=now)
    SetAside.objects.filter(settled_at__isnull=True, last_at__gt=now).update(retry_at=earlier("retry_at"))
    Heartbeat.objects.filter(beat_at__gt=now).update(beat_at=now)
