"""Alerts reach a person and escalate until somebody has acted: silence never ends one.

Times are proposals that the clinical owner of a centre signs; they are listed here and in the operator's guide.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.contrib.auth.models import User
from django.db import transaction

from monitoring.domain.history import AlertKind
from monitoring.domain.relapse import Certainty
from monitoring.models import Alert, Centre, Role
from monitoring.models.alerts import AlertState
from monitoring.services import deliveries
from monitoring.services.alert_identity import BY_A_PERSON, alert_public_id


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the ladder: who is told, and how long silence is waited for before the next."""

    roles: tuple[Role, ...]
    wait: dt.timedelta


LADDER = (
    Step((Role.CLINICIAN,), dt.timedelta(hours=12)),
    Step((Role.CLINICIAN,), dt.timedelta(hours=12)),
    Step((Role.CLINICIAN, Role.ADMINISTRATOR), dt.timedelta(hours=24)),  # and again each day, for ever
)
ACKNOWLEDGED_WITHOUT_ACTION_COMES_BACK = dt.timedelta(days=7)


def begin(alerts: Sequence[Alert], *, now: dt.datetime) -> None:
    """Tell the first step of the ladder of newly opened or more certain alerts. Runs in the classifying transaction."""
    told = [a for a in alerts if a.hand_over_id is None]
    for alert in told:
        alert.step, alert.next_action_at = 0, now + LADDER[0].wait
    Alert.objects.bulk_update(told, ["step", "next_action_at"])
    _tell(told, LADDER[0].roles, now)


def _tell(alerts: Sequence[Alert], roles: Sequence[Role], now: dt.datetime) -> None:
    centres = {alert.centre_id for alert in alerts}
    people = deliveries.people_of(centres, roles, now.date())
    deserted = [pk for pk, found in people.items() if not found]
    if deserted:
        people |= deliveries.people_of(deserted, [Role.ADMINISTRATOR], now.date())
        _warn_of_deserted(deserted, now)
    deliveries.owe(alerts, people, now=now)


def _warn_of_deserted(centre_ids: Sequence[int], now: dt.datetime) -> None:
    """A centre whose alerts reach no clinician is an alert of its own."""
    for centre in Centre.objects.filter(pk__in=centre_ids):
        subject = f"centre/{centre.code}"
        Alert.objects.live().get_or_create(
            kind=AlertKind.NO_CLINICIAN.value,
            subject_key=subject,
            defaults={
                "public_id": alert_public_id(AlertKind.NO_CLINICIAN, subject, now.isoformat()),
                "centre": centre,
                "certainty": Certainty.CONFIRMED.value,
                "evidence_key": subject,
                "evidence_on": now.date(),
                "rule_version": "ladder",
                "opened_at": now,
            },
        )


def advance(*, now: dt.datetime, limit: int = 200) -> int:
    """Move every alert whose time has come one step on; returns how many.

    An open alert is told to the next step, the last step again each time. One that was acknowledged without a recorded
    action is open again.
    """
    with transaction.atomic():
        due = list(
            Alert.objects.live()
            .select_for_update(skip_locked=True)
            .filter(next_action_at__lte=now, hand_over__isnull=True)
            .order_by("next_action_at")[:limit]
        )
        for alert in due:
            alert.step = 1 if alert.state == AlertState.ACKNOWLEDGED else alert.step + 1
            alert.round += 1
            alert.state = AlertState.OPEN
            alert.next_action_at = now + _step(alert).wait
            alert.save(update_fields=["step", "round", "state", "next_action_at"])
            _tell([alert], _step(alert).roles, now)
    return len(due)


def _step(alert: Alert) -> Step:
    return LADDER[min(alert.step, len(LADDER) - 1)]


class AlertConflictError(Exception):
    """The alert has changed meanwhile or is no longer open; the message says so in the reader's words."""


def acknowledge(alert: Alert, *, by: User, note: str, now: dt.datetime) -> Alert:
    """A named person has seen the alert. Repeats pause; without an action it comes back."""
    with transaction.atomic():
        standing = _locked(alert)
        if standing.state != AlertState.OPEN:
            raise AlertConflictError(f"the alert is {standing.get_state_display()} already")
        standing.state, standing.acknowledged_at, standing.acknowledged_by = AlertState.ACKNOWLEDGED, now, by
        standing.note = note.strip()[:500]
        standing.next_action_at = now + ACKNOWLEDGED_WITHOUT_ACTION_COMES_BACK
        standing.save()
    return standing


class Action(StrEnum):
    """What a person can have done about an alert."""

    RESTART = "restart"
    REPEAT = "repeat"
    WATCH = "watch"
    ENTERED_IN_ERROR = "entered_in_error"
    OTHER = "other"


def act(alert: Alert, *, by: User, action: Action, note: str, until: dt.date | None = None, now: dt.datetime) -> Alert:
    """Record what was done.

    A repeat or watching has a day on which the alert comes back unless its evidence was answered; a result entered in
    error is withdrawn by its correction; anything else needs words and closes the alert. A restart is recorded as a
    course (``record_restart``), which settles the alert by the replay.
    """
    if action in (Action.REPEAT, Action.WATCH) and (until is None or until <= now.date()):
        raise AlertConflictError("a day after today is needed on which this comes back")
    if action is Action.OTHER and not note.strip():
        raise AlertConflictError("say in a few words what was done")
    with transaction.atomic():
        standing = _locked(alert)
        if standing.closed_at is not None:
            raise AlertConflictError(f"the alert is {standing.get_state_display()} already")
        standing.action, standing.note = action.value, note.strip()[:500] or standing.note
        standing.acknowledged_at = standing.acknowledged_at or now
        standing.acknowledged_by = standing.acknowledged_by or by
        if action is Action.OTHER:
            _close(standing, f"{BY_A_PERSON}: {note} ({by.get_username()})", now)
        else:
            standing.state = AlertState.ACKNOWLEDGED
            comes_back = dt.datetime.combine(until, dt.time(), dt.UTC) if until else None
            standing.next_action_at = comes_back or now + ACKNOWLEDGED_WITHOUT_ACTION_COMES_BACK
            standing.save()
    return standing


def _close(alert: Alert, reason: str, now: dt.datetime) -> None:
    """Close an alert, and with a hand-over all that it holds."""
    for one in (alert, *Alert.objects.live().filter(hand_over=alert)):
        one.state, one.closed_at, one.next_action_at, one.closing_reason = AlertState.CLOSED, now, None, reason[:200]
        one.save()


def _locked(alert: Alert) -> Alert:
    return Alert.objects.select_for_update().get(pk=alert.pk)
