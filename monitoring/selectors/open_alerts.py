"""The open alerts of a centre as a list that can be printed, and how many there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Case, Count, Exists, IntegerField, OuterRef, Q, QuerySet, When

from monitoring.domain.alerting.kinds import KINDS, AlertKind, Severity
from monitoring.models import Alert, AlertKindSetting, Centre
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
    """Open alerts of these centres for paper, with the rows of worklists: the urgent first, then the oldest."""
    return (
        Alert.objects.live()
        .filter(centre__in=centres)
        .exclude(kind=AlertKind.HAND_OVER)  # its rows are here
        .select_related("centre", "patient", "acknowledged_by")
        .annotate(later=Case(When(_is_urgent(), then=0), default=1, output_field=IntegerField()))
        .order_by("later", "centre__code", "opened_at", "pk")
    )


def _is_urgent() -> Q:
    """What the table of kinds calls urgent, or the centre of the alert has signed as such."""
    signed = AlertKindSetting.objects.filter(centre=OuterRef("centre"), kind=OuterRef("kind"), severity=Severity.URGENT)
    return Q(kind__in=URGENT) | Q(Exists(signed))


def counts_of(user: AbstractBaseUser | AnonymousUser) -> OpenCounts:
    """What waits in the centres of a person."""
    return _counted(Alert.objects.live().visible_to(user).told_alone())


def counts_in(centre: Centre) -> OpenCounts:
    """What waits in a centre."""
    return _counted(Alert.objects.live().told_alone().filter(centre=centre))


def _counted(alerts: QuerySet[Alert]) -> OpenCounts:
    urgent = _is_urgent()
    found = alerts.aggregate(
        open=Count("pk"), urgent=Count("pk", filter=urgent),
        unseen=Count("pk", filter=urgent & Q(state=AlertState.OPEN)),
    )  # fmt: skip
    return OpenCounts(**found)
