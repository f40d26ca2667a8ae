"""Telling those who run the service: one open alert for each centre whose work is set aside, and settings that are
none.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.db.models import Q

from monitoring.domain.alerting.kinds import AlertKind
from monitoring.domain.course.relapse import Certainty
from monitoring.models import Alert, Centre, EscalationPolicy, SetAside, SetAsideKind
from monitoring.models.alerts import AlertState, ClosingReason
from monitoring.models.centres import ZONE_PROBLEMS
from monitoring.selectors.set_aside import now_set_aside
from monitoring.services.alerts import escalation
from monitoring.services.alerts.identity import alert_public_id
from monitoring.services.alerts.ladders import signed_ladder
from monitoring.services.foundation import set_aside

QUIET = dt.timedelta(minutes=10)  # what fails and succeeds by turns is one alert, not one a minute
RULE_VERSION = "operation.1"


def tell_of_set_aside(*, now: dt.datetime) -> int:
    """Open one alert for each centre of which something is set aside, and close those where nothing is any more.

    What belongs to no centre is told to every centre. An alert that a person has closed is not opened again for what
    was set aside before. Returns how many were opened.
    """
    recent = SetAside.objects.filter(Q(settled_at__isnull=True) | Q(settled_at__gt=now - QUIET))
    rows = list(recent.values_list("centre_id", "first_at", "settled_at"))
    alerts = Alert.objects.filter(kind=AlertKind.SET_ASIDE)
    touched = {centre_id for centre_id, _, _ in rows}
    if None not in touched:
        alerts.live().exclude(centre__in=touched).update(
            state=AlertState.CLOSED, closed_at=now, next_action_at=None, closing_reason=ClosingReason.NOTHING_ASIDE
        )
    newest: dict[int | None, dt.datetime] = {}
    for centre_id, first_at, settled_at in rows:
        if settled_at is None:
            newest[centre_id] = max(first_at, newest.get(centre_id, first_at))
    if not newest:
        return 0
    centres = (
        Centre.objects.filter(is_canary=False)
        if None in newest
        else Centre.objects.filter(pk__in=[pk for pk in newest if pk])
    )
    known: dict[int, dt.datetime | None] = {}  # the latest end of each centre's alerts, None while one is live
    for centre_id, closed_at in (
        alerts.filter(centre__in=centres).order_by("opened_at").values_list("centre_id", "closed_at")
    ):
        latest = known.get(centre_id, closed_at)
        known[centre_id] = None if closed_at is None or latest is None else max(closed_at, latest)
    wanted = []
    for pk in centres.values_list("pk", flat=True):
        since = max(at for at in (newest.get(pk), newest.get(None)) if at is not None)
        if pk not in known or (known[pk] or now) < since:
            wanted.append(pk)
    return set_aside.work_off(
        SetAsideKind.CENTRE, Centre.objects.filter(pk__in=wanted), lambda pks: _open(pks, now), key="pk", centre="pk",
        limit=len(wanted) + 1, now=now,
    )  # fmt: skip


def _open(centre_ids: Sequence[int], now: dt.datetime) -> int:
    alerts = [
        Alert(
            public_id=alert_public_id(AlertKind.SET_ASIDE, f"centre/{pk}", now.isoformat()),
            kind=AlertKind.SET_ASIDE.value, subject_key=f"centre/{pk}", centre_id=pk,
            certainty=Certainty.CONFIRMED.value, evidence_key=f"centre/{pk}", evidence_on=now.date(),
            rule_version=RULE_VERSION, opened_at=now,
        )
        for pk in centre_ids
    ]  # fmt: skip
    Alert.objects.bulk_create(alerts)
    escalation.begin(alerts, now=now)
    return len(alerts)


def check_settings(*, now: dt.datetime) -> int:
    """Set aside what is stored as a time zone or an escalation policy and is none; returns how many there are.

    Nothing waits for these: days are counted in UTC and the built-in ladder holds until they are mended.
    """
    zones = {
        str(pk): (pk, f"{name!r} is no time zone; days are counted in UTC")
        for pk, name in Centre.objects.exclude(time_zone="").values_list("pk", "time_zone")
        if not _is_zone(name)
    }
    ladders: dict[str, tuple[int, str]] = {}
    for policy in EscalationPolicy.objects.filter(is_in_force=True):
        try:
            signed_ladder(policy)
        except ValidationError:
            words = f"the policy {policy.ladder} cannot be read; the built-in ladder holds"
            ladders[str(policy.pk)] = (policy.centre_id, words)
    _note(SetAsideKind.TIME_ZONE, zones, now)
    _note(SetAsideKind.LADDER, ladders, now)
    return len(zones) + len(ladders)


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except ZONE_PROBLEMS:
        return False
    return True


def _note(kind: SetAsideKind, bad: dict[str, tuple[int, str]], now: dt.datetime) -> None:
    aside = dict(now_set_aside().filter(kind=kind).values_list("key", "retry_at"))
    set_aside.settle(kind, aside.keys() - bad.keys(), now=now)
    for key, (centre_id, words) in bad.items():
        if key not in aside or aside[key] <= now:
            set_aside.put(kind, key, words, centre_id=centre_id, now=now)
