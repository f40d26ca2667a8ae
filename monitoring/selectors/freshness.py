"""Whether what is shown is current: nothing has waited for long, and alerting does its rounds."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import Count, Min, Q
from django.db.models.functions import Now

from monitoring.domain.alerting.kinds import Urgency
from monitoring.models import (
    Alert,
    AlertDelivery,
    ClassificationRequest,
    Heartbeat,
    ImportRun,
    JobRun,
    PcrResult,
    ResultStatus,
)
from monitoring.models.alerts import AlertState

STALE_AFTER = dt.timedelta(seconds=120)
LESSER_STALE_AFTER = dt.timedelta(minutes=15)
ALERTD = "alertd"


def unsent_since(now: dt.datetime) -> dt.datetime | None:
    """Since when a message about an alert is owed that has not left, None while none waits for long.

    The time counts from when it was owed, however often it was tried since. Lesser messages may wait for longer.
    """
    late = Q(urgency__lt=Urgency.OPERATIONAL, owed_at__lt=now - STALE_AFTER) | Q(owed_at__lt=now - LESSER_STALE_AFTER)
    oldest: dt.datetime | None = AlertDelivery.objects.filter(late, settled_at__isnull=True).aggregate(
        at=Min("owed_at")
    )["at"]
    return oldest


def stale_since(now: dt.datetime) -> dt.datetime | None:
    """Since when data is not current, None while it is: a class is owed for long, or alerting has stopped."""
    before = now - STALE_AFTER
    oldest = ClassificationRequest.objects.filter(requested_at__lt=before).aggregate(at=Min("requested_at"))["at"]
    beat_at = Heartbeat.objects.filter(name=ALERTD, beat_at__lt=before).values_list("beat_at", flat=True).first()
    return min((at for at in (oldest, beat_at) if at is not None), default=None)


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
