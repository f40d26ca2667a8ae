"""Whether what is shown is current: nothing has waited for long, and alerting does its rounds."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import NamedTuple

from django.db import connection
from django.db.models import Count, Min, Q
from django.db.models.functions import Now

from monitoring.domain.alerting.kinds import Urgency
from monitoring.models import (
    Alert,
    AlertDelivery,
    ClassificationRequest,
    ImportRun,
    JobRun,
    PcrResult,
    ResultStatus,
)
from monitoring.models.alerts import AlertState

STALE_AFTER = dt.timedelta(seconds=120)
LESSER_STALE_AFTER = dt.timedelta(minutes=15)
ALERTD = "alertd"


class Freshness(NamedTuple):
    """Since when something is not as it should be; None while it is.

    ``stale``: a class is owed for long, or alerting has stopped. ``unsent``: a message about an alert is owed that has
    not left, counted from when it was owed, however often it was tried since; lesser messages may wait for longer.
    """

    stale: dt.datetime | None
    unsent: dt.datetime | None


def freshness(now: dt.datetime) -> Freshness:
    """What every page tells, in one query."""
    late, late_lesser = now - STALE_AFTER, now - LESSER_STALE_AFTER
    with connection.cursor() as cursor:
        cursor.execute(
            "select (select min(requested_at) from monitoring_classificationrequest where requested_at < %(late)s),"
            " (select beat_at from monitoring_heartbeat where name = %(alertd)s and beat_at < %(late)s),"
            " (select min(owed_at) from monitoring_alertdelivery where settled_at is null"
            "  and (urgency < %(lesser)s and owed_at < %(late)s or owed_at < %(late_lesser)s))",
            {"late": late, "late_lesser": late_lesser, "alertd": ALERTD, "lesser": int(Urgency.OPERATIONAL)},
        )
        owed, beat, unsent = cursor.fetchone()
    return Freshness(min((at for at in (owed, beat) if at is not None), default=None), unsent)


@dataclass(frozen=True, slots=True)
class Owed:
    """One kind of work that is owed: how many pieces, and the age of the oldest in seconds (0 for none)."""

    name: str
    what: str
    count: int
    oldest_seconds: float


def owed_work(now: dt.datetime) -> list[Owed]:
    """Everything that is owed, for the metrics and the operator."""

    def aged(name: str, what: str, row: dict[str, object]) -> Owed:
        oldest = row["oldest"]
        age = (now - oldest).total_seconds() if isinstance(oldest, dt.datetime) else 0.0
        count = row["count"]
        return Owed(name, what, count if isinstance(count, int) else 0, max(0.0, age))

    classifications = ClassificationRequest.objects.aggregate(
        count=Count("patient_id", distinct=True), oldest=Min("requested_at")
    )
    unsent = AlertDelivery.objects.filter(settled_at__isnull=True)
    deliveries = unsent.aggregate(count=Count("pk"), oldest=Min("owed_at"))
    losses = unsent.filter(urgency__lt=Urgency.OPERATIONAL).aggregate(count=Count("pk"), oldest=Min("owed_at"))
    escalations = (
        Alert.objects.live()
        .told_alone()
        .filter(next_action_at__lte=now)
        .aggregate(count=Count("pk"), oldest=Min("next_action_at"))
    )
    acknowledged = (
        Alert.objects.told_alone().filter(state=AlertState.OPEN).aggregate(count=Count("pk"), oldest=Min("opened_at"))
    )
    unverified = PcrResult.objects.filter(status=ResultStatus.PRELIMINARY, superseded_by__isnull=True).aggregate(
        count=Count("pk"), oldest=Min("recorded_at")
    )
    imports = ImportRun.objects.filter(finished_at__isnull=True, content__isnull=False).aggregate(
        count=Count("pk"), oldest=Min("started_at")
    )
    jobs = JobRun.objects.filter(Q(finished_at__isnull=True), slot_at__lte=Now()).aggregate(
        count=Count("pk"), oldest=Min("slot_at")
    )
    return [
        aged("classifications", "patients that are owed a classification", classifications),
        aged("deliveries", "messages that have not left, since they were owed", deliveries),
        aged("urgent_deliveries", "of these, about what cannot wait", losses),
        aged("escalations", "alerts whose next step is due", escalations),
        aged("acknowledgements", "open alerts that nobody has acknowledged", acknowledged),
        aged("verifications", "preliminary results", unverified),
        aged("imports", "files that wait to be loaded", imports),
        aged("jobs", "nightly jobs that are not finished", jobs),
    ]
