"""The open alerts of a centre as a list that can be printed, and how many there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Count, Q, QuerySet

from monitoring.domain.alerting.kinds import KINDS, Severity
from monitoring.models import Alert, Centre
from monitoring.models.alerts import AlertState

MOST_LISTED = 1000
URGENT = [kind.value for kind, row in KINDS.items() if row.severity is Severity.URGENT]


@dataclass(frozen=True, slots=True)
class OpenCounts:
    """Alerts that wait for a person: all, those that are urgent, and of these the ones nobody has acknowledged."""

    open: int
    urgent: int
    unseen: int


def open_in(centres: Iterable[Centre] | QuerySet[Centre]) -> QuerySet[Alert]:
    """Open alerts of these centres as a list for paper: the urgent first, then the oldest."""
    return (
        Alert.objects.live()
        .told_alone()
        .filter(centre__in=centres)
        .select_related("centre", "patient", "acknowledged_by")
        .order_by("centre__code", "opened_at", "pk")
    )


def counts_of(user: AbstractBaseUser | AnonymousUser) -> OpenCounts:
    """What waits in the centres of a person."""
    return _counted(Alert.objects.live().visible_to(user).told_alone())


def counts_in(centre: Centre) -> OpenCounts:
    """What waits in a centre."""
    return _counted(Alert.objects.live().told_alone().filter(centre=centre))


def _counted(alerts: QuerySet[Alert]) -> OpenCounts:
    urgent = Q(kind__in=URGENT)
    found = alerts.aggregate(
        open=Count("pk"), urgent=Count("pk", filter=urgent),
        unseen=Count("pk", filter=urgent & Q(state=AlertState.OPEN)),
    )  # fmt: skip
    return OpenCounts(**found)
