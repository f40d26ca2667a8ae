"""What was promised of every alert, looked for in the rows themselves: it never sleeps, somebody was told, and its life
is on record.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db.models import Exists, F, OuterRef, Q

from monitoring.domain.alerting.kinds import KINDS, AlertKind, Part
from monitoring.models import Alert, AlertDelivery
from monitoring.models.alerts import AlertState, ClosingReason, DeliveryAbout
from monitoring.services.alerts.identity import alert_public_id
from monitoring.services.alerts.lifecycle import HISTORY_AFTER_DAYS
from monitoring.services.foundation.history_audit import Discrepancy

LATE = dt.timedelta(minutes=2)
BY_REPLAY = [kind.value for kind, row in KINDS.items() if row.opened_by is Part.REPLAY]


def check_promises(now: dt.datetime) -> Iterator[Discrepancy]:
    """Every alert or message that breaks a promise."""
    yield from _asleep(now)
    yield from _closed_by_nobody()
    yield from _untold(now)
    yield from _in_a_wrong_worklist()
    yield from _with_a_broken_life()


def whose(alert: Alert) -> str:
    """The patient of an alert, or its centre where it has none."""
    return f"{alert.centre.code}/{alert.patient.patient_id}" if alert.patient else alert.centre.code


def _asleep(now: dt.datetime) -> Iterator[Discrepancy]:
    """I4: every alert that waits for a person has a next step, and none is overdue."""
    waiting = Alert.objects.live().told_alone().select_related("centre", "patient")
    for alert in waiting.filter(next_action_at__isnull=True):
        yield Discrepancy(whose(alert), f"alert {alert.kind} has no next step")
    for alert in waiting.filter(next_action_at__lt=now - LATE):
        yield Discrepancy(whose(alert), f"the next step of alert {alert.kind} is overdue since {alert.next_action_at}")


def _closed_by_nobody() -> Iterator[Discrepancy]:
    """An alert ends for a reason, and where a person ended it, it says who."""
    ended = Alert.objects.filter(state__in=[AlertState.CLOSED, AlertState.WITHDRAWN])
    without_deed = Q(closing_reason=ClosingReason.ACTED) & (Q(acted_by__isnull=True) | Q(acted_at__isnull=True))
    without_name = Q(closing_reason__in=[ClosingReason.ACTED, ClosingReason.WITHDRAWN], closing_values__by__isnull=True)
    signed = Q(closing_reason=ClosingReason.NOT_KNOWN)  # of a time when the reason was a sentence
    for alert in ended.filter(Q(closing_reason="") | (without_deed | without_name) & ~signed).select_related(
        "centre", "patient"
    ):
        yield Discrepancy(whose(alert), f"alert {alert.kind} is {alert.state} and nobody is on record who ended it")


def _untold(now: dt.datetime) -> Iterator[Discrepancy]:
    """I5: each round of an open alert was told to somebody, and what is recorded as sent was tried."""
    told = AlertDelivery.objects.filter(
        alert=OuterRef("pk"), round=OuterRef("round"), about=DeliveryAbout.OPENED, owed_at__isnull=False
    )
    deserted = Alert.objects.live().filter(kind=AlertKind.NO_CLINICIAN, centre=OuterRef("centre"))
    open_alerts = Alert.objects.told_alone().filter(state=AlertState.OPEN).select_related("centre", "patient")
    for alert in open_alerts.filter(~Exists(told), ~Exists(deserted)):
        yield Discrepancy(whose(alert), f"nobody was told of round {alert.round} of alert {alert.kind}")
    of_alert = AlertDelivery.objects.select_related("alert__centre", "alert__patient")
    faked = Q(attempts=0) | Q(settled_at__isnull=True) | Q(outcome="") | Q(settled_at__lt=F("owed_at"))
    for delivery in of_alert.filter(faked, delivered=True):
        yield Discrepancy(whose(delivery.alert), f"message {delivery.key} counts as sent and was not tried")
    for delivery in of_alert.filter(settled_at__isnull=True, owed_at__lt=now - LATE):
        yield Discrepancy(whose(delivery.alert), f"message {delivery.key} has not left since {delivery.owed_at}")


def _in_a_wrong_worklist() -> Iterator[Discrepancy]:
    """A row of a worklist was old when first known, or raised by rules; it is of its centre, whose worklist lives."""
    rows = Alert.objects.filter(hand_over__isnull=False).select_related("centre", "patient", "hand_over")
    recent = Q(
        evidence_on__gt=F("opened_at__date") - dt.timedelta(days=HISTORY_AFTER_DAYS), kind__in=BY_REPLAY, by_rules=False
    )
    foreign = ~Q(hand_over__centre=F("centre")) | ~Q(hand_over__kind=AlertKind.HAND_OVER)
    over = Q(hand_over__closed_at__isnull=False, closed_at__isnull=True, acted_at__isnull=True)
    for alert in rows.filter(recent | foreign | over):
        yield Discrepancy(whose(alert), f"alert {alert.kind} stands in a worklist where it does not belong")


def _with_a_broken_life() -> Iterator[Discrepancy]:
    """I7: each round and each deed of an alert is in its history, and its id is the one of its first evidence."""
    event: Any = apps.get_model("monitoring", "AlertEvent")  # made by pghistory
    of_alert = event.objects.filter(pgh_obj=OuterRef("pk"))
    deeds = Q()
    seen = of_alert.exclude(state=AlertState.OPEN)  # later versions of an alert that came back keep the instants
    for name in ("acknowledged_at", "acted_at", "closed_at"):
        deeds |= Q(**{f"{name}__isnull": False}) & Q(~Exists(seen.filter(**{name: OuterRef(name)})))
    for alert in Alert.objects.filter(deeds).select_related("centre", "patient"):
        yield Discrepancy(whose(alert), f"a deed about alert {alert.kind} is missing from its history")
    first = {row.pgh_obj_id: row for row in event.objects.filter(pgh_label="insert", kind__in=BY_REPLAY).iterator()}
    rounds: dict[int, set[int]] = {}
    for pk, number in event.objects.values_list("pgh_obj_id", "round").distinct().iterator():
        rounds.setdefault(pk, set()).add(number)
    for alert in Alert.objects.select_related("centre", "patient").iterator():
        if not set(range(1, alert.round + 1)) <= rounds.get(alert.pk, set()):
            yield Discrepancy(whose(alert), f"a round of alert {alert.kind} is missing from its history")
        opened = first.get(alert.pk)
        if opened is not None and alert.public_id != alert_public_id(
            AlertKind(opened.kind), opened.subject_key, opened.evidence_key
        ):
            yield Discrepancy(whose(alert), f"alert {alert.kind} has another id than its evidence gives it")
