"""Alerts follow the replay: opened, made more certain, closed or withdrawn in the transaction that classifies."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max, Q

from monitoring.domain.alerting.intention import Intention
from monitoring.domain.alerting.kinds import EARLY_SIGNS, AlertKind, Part, closed_by
from monitoring.domain.course.relapse import Certainty
from monitoring.domain.replay import Replay
from monitoring.domain.vocabulary.scale import STORED_DIGITS
from monitoring.models import Alert, Centre, Patient, PcrResult
from monitoring.models.alerts import BY_A_PERSON, LIVE_STATES, AlertState, ClosingReason
from monitoring.services.alerts import deliveries, escalation
from monitoring.services.alerts.identity import alert_public_id

HISTORY_AFTER_DAYS = 90
JOINING_PAUSE = dt.timedelta(minutes=15)  # a go-live in a hundred files is a few messages, not a hundred
BY_THE_PLAN = closed_by(Part.PLAN)
UNTIL_VERIFIED = closed_by(Part.VERIFICATION)


@dataclass
class _AlertWrites:
    """What one settlement writes, gathered so that thousands of patients cost a few statements."""

    now: dt.datetime
    by_rules: frozenset[int] = frozenset()
    opened: list[Alert] = field(default_factory=list)
    told_again: list[Alert] = field(default_factory=list)
    withdrawn: list[Alert] = field(default_factory=list)
    changed: list[Alert] = field(default_factory=list)
    joining: list[Alert] = field(default_factory=list)  # rows of worklists, which are told by their worklist
    left: set[int] = field(default_factory=set)  # worklists that a row has left

    def end(self, alert: Alert, state: AlertState, reason: ClosingReason, on: dt.date | None = None) -> None:
        alert.state, alert.closed_at, alert.closing_reason, alert.next_action_at = state, self.now, reason.value, None
        alert.closing_values = {"on": on.isoformat()} if on else {}
        self.changed.append(alert)
        if state == AlertState.WITHDRAWN:
            self.withdrawn.append(alert)

    def take_out(self, alert: Alert) -> None:
        """A row of a worklist of which a new fact is known: it is told by itself from now on."""
        if alert.hand_over_id is not None:
            self.left.add(alert.hand_over_id)
        alert.hand_over, alert.by_rules = None, False

    def raise_again(self, alert: Alert) -> None:
        """A new round: reopened, or more certain than what people were told."""
        alert.round += 1
        alert.state = AlertState.OPEN
        self.told_again.append(alert)


def update_from_replays(
    replays: Mapping[int, tuple[Patient, Replay]], *, now: dt.datetime, by_rules: Collection[int] = ()
) -> None:
    """Bring the alerts of these patients in line with their replays. Must run inside the classifying transaction.

    What a change of rules alone raises of the patients ``by_rules`` are rows of their centres' worklists.
    """
    standing = list(Alert.objects.filter(patient_id__in=list(replays)))
    live = {(a.kind, a.subject_key): a for a in standing if a.state in LIVE_STATES and a.kind not in BY_THE_PLAN}
    past = {a.public_id: a for a in standing if a.state not in LIVE_STATES}
    changes = _AlertWrites(now, frozenset(by_rules))
    for patient, replay in replays.values():
        result_ids = {item.result.key: item.result.id for item in replay.assessed}
        for intention in replay.intentions:
            alert = live.pop((intention.kind.value, intention.subject_key), None)
            values = values_of(intention, replay.rule_version, result_ids)
            if intention.closing:
                if alert is not None:
                    changes.end(alert, AlertState.CLOSED, ClosingReason(intention.closing.by), intention.closing.on)
            elif alert is None:
                _open(patient, intention, values, past, changes)
            else:  # an open alert follows its evidence: confirmed, amended, verified
                tell_again = needs_new_notification(alert, intention)
                if _take(alert, values):
                    changes.changed.append(alert)
                if tell_again:
                    if alert.hand_over_id and alert.acted_at is None and patient.pk not in changes.by_rules:
                        changes.take_out(alert)
                    changes.raise_again(alert)
        unverified = {item.result.key for item in replay.assessed if item.result.is_preliminary}
        _close_verified(patient, live, unverified, changes)
    for alert in live.values():
        changes.end(alert, AlertState.WITHDRAWN, ClosingReason.EVIDENCE_GONE)
    ends = ("state", "closed_at", "closing_reason", "closing_values", "next_action_at", "round")
    written = [*ends, "hand_over", "by_rules", *_VALUE_FIELDS]
    Alert.objects.bulk_update(changes.changed, written, batch_size=500)
    # Rows before worklists, as whoever acts on one locks them.
    told_anew = join_worklists(changes.joining, now=now)
    Alert.objects.bulk_create(changes.opened)
    escalation.begin([*changes.opened, *told_anew, *changes.told_again], now=now)
    deliveries.tell_of_withdrawal(changes.withdrawn, now=now)
    ended_rows = {a.hand_over_id for a in changes.changed if a.hand_over_id}
    escalation.close_worked_off(ended_rows | changes.left, now=now)


def _close_verified(
    patient: Patient, live: dict[tuple[str, str], Alert], unverified: set[str], changes: _AlertWrites
) -> None:
    """Waiting for verification is raised by the clock (``entry.verification``) and ends with the preliminary result."""
    waiting = [key for key, a in live.items() if key[0] in UNTIL_VERIFIED and a.patient_id == patient.pk]
    for key in waiting:
        alert = live.pop(key)
        if alert.evidence_key not in unverified:
            changes.end(alert, AlertState.CLOSED, ClosingReason.VERIFIED)


def needs_new_notification(alert: Alert, intention: Intention) -> bool:
    """Whether people who know this alert must be told again."""
    return intention.is_told_again(Certainty(alert.certainty), alert.level_percent)


_VALUE_FIELDS = (
    "certainty", "evidence_id", "evidence_key", "evidence_on", "is_percent", "days_off_treatment", "highest_percent",
    "level_percent", "doubling_days", "rule_version",
)  # fmt: skip


def values_of(intention: Intention, rule_version: str, result_ids: Mapping[str, int]) -> dict[str, Any]:
    """What an alert says of its evidence, as it is stored."""
    return {
        "certainty": intention.certainty.value,
        "evidence_id": result_ids.get(intention.evidence_key),
        "evidence_key": intention.evidence_key,
        "evidence_on": intention.evidence_on,
        "is_percent": None if intention.is_percent is None else STORED_DIGITS.plus(intention.is_percent),
        "days_off_treatment": intention.days_off_treatment,
        "highest_percent": None if intention.highest_percent is None else STORED_DIGITS.plus(intention.highest_percent),
        "level_percent": intention.level_percent,
        "doubling_days": intention.doubling_days,
        "rule_version": rule_version,
    }


def _take(alert: Alert, values: Mapping[str, Any]) -> bool:
    """Copy values into an alert; returns whether anything changed."""
    changed = {name: value for name, value in values.items() if getattr(alert, name) != value}
    for name, value in changed.items():
        setattr(alert, name, value)
    return bool(changed)


def _open(
    patient: Patient,
    intention: Intention,
    values: Mapping[str, Any],
    past: Mapping[uuid.UUID, Alert],
    changes: _AlertWrites,
) -> None:
    if is_old_sign(intention, changes.now.date()):
        return
    public_id = alert_public_id(intention.kind, intention.subject_key, intention.evidence_key)
    earlier = past.get(public_id)
    if earlier is not None:
        if dealt_with(earlier, intention):
            return
        _take(earlier, values)
        earlier.closed_at, earlier.closing_reason, earlier.closing_values = None, "", {}
        changes.changed.append(earlier)
        changes.raise_again(earlier)
        return
    alert = Alert(
        public_id=public_id, kind=intention.kind.value, subject_key=intention.subject_key, centre_id=patient.centre_id,
        patient=patient, opened_at=changes.now, **values,
    )  # fmt: skip
    is_old = (changes.now.date() - intention.evidence_on).days > HISTORY_AFTER_DAYS
    alert.by_rules = patient.pk in changes.by_rules
    if is_old or alert.by_rules:
        changes.joining.append(alert)
    changes.opened.append(alert)


def open_by_the_clock(
    kind: AlertKind,
    *,
    patient: Patient,
    subject_key: str,
    evidence_key: str,
    evidence_on: dt.date,
    rule_version: str,
    now: dt.datetime,
    evidence: PcrResult | None = None,
    opening_key: str = "",
    is_history: bool = False,
    by_rules: bool = False,
) -> bool:
    """Open an alert that no replay raises, and tell its first step; False where it is open already or was dealt with.

    ``opening_key`` is what makes it the same alert however often it is raised; the subject unless it is named. What
    ``is_history`` becomes a row of the centre's worklist.
    """
    alert = Alert(
        public_id=alert_public_id(kind, opening_key or subject_key, evidence_key),
        kind=kind.value,
        subject_key=subject_key,
        centre_id=patient.centre_id,
        patient=patient,
        certainty=Certainty.CONFIRMED.value,
        evidence=evidence,
        evidence_key=evidence_key[:150],
        evidence_on=evidence_on,
        rule_version=rule_version[:40],
        opened_at=now,
        by_rules=by_rules,
    )
    try:
        with transaction.atomic():
            told_anew = join_worklists([alert] if is_history else [], now=now)
            alert.save(force_insert=True)
            escalation.begin([alert, *told_anew], now=now)
    except IntegrityError:
        same = Q(public_id=alert.public_id) | Q(kind=alert.kind, subject_key=subject_key, state__in=LIVE_STATES)
        if not Alert.objects.filter(same).exists():
            raise  # refused for another reason than being there already
        return _open_again(alert, now)
    return True


def open_on_a_day(
    kind: AlertKind,
    patient: Patient,
    subject_key: str,
    on: dt.date,
    rule_version: str,
    now: dt.datetime,
    *,
    since: dt.date | None = None,
    by_rules: bool = False,
) -> bool:
    """Open an alert on the evidence of a day; what has been so ``since`` long before we knew it goes to the
    worklist, and so does what a change of rules alone has raised.
    """
    return open_by_the_clock(
        kind,
        patient=patient,
        subject_key=subject_key,
        evidence_key=f"{subject_key}/{on.isoformat()}",
        evidence_on=on,
        rule_version=rule_version,
        now=now,
        is_history=by_rules or (since is not None and is_history(since, now)),
        by_rules=by_rules,
    )


def is_history(since: dt.date, now: dt.datetime) -> bool:
    return (now.date() - since).days > HISTORY_AFTER_DAYS


def _open_again(alert: Alert, now: dt.datetime) -> bool:
    """Open an alert anew whose answer was taken back: a stop moved there and back, a sample entered in error."""
    live = Alert.objects.live().filter(kind=alert.kind, subject_key=alert.subject_key)
    answered = Alert.objects.filter(public_id=alert.public_id, closing_reason=ClosingReason.ANSWERED)
    with transaction.atomic():
        earlier = answered.exclude(subject_key__in=live.values("subject_key")).select_for_update().first()
        if earlier is None:
            return False
        earlier.state, earlier.closed_at, earlier.closing_reason, earlier.closing_values = AlertState.OPEN, None, "", {}
        earlier.round += 1
        earlier.save(update_fields=["state", "closed_at", "closing_reason", "closing_values", "round"])
        escalation.begin([earlier], now=now)
    return True


def is_old_sign(intention: Intention, today: dt.date) -> bool:
    """Whether this is an early sign older than 90 days, for which no alert is opened: what came of it is known by now.

    Lost MR4 that has not come back is not over, however old it is, and does get its alert.
    """
    passing = intention.kind in EARLY_SIGNS and intention.kind is not AlertKind.LOSS_OF_MR4
    return passing and (today - intention.evidence_on).days > HISTORY_AFTER_DAYS


def dealt_with(closed: Alert, intention: Intention) -> bool:
    """Whether a person has closed an alert on this very evidence, and it has become neither surer nor higher since."""
    return closed.closing_reason in BY_A_PERSON and not needs_new_notification(closed, intention)


def join_worklists(rows: Sequence[Alert], *, now: dt.datetime) -> list[Alert]:
    """Make these alerts rows of the worklists of their centres; returns the worklists that must be told now.

    A worklist that gets new rows is told again, so that nobody signs off what nobody was told of: at once, or within a
    quarter of an hour where it was told less than that ago. It stays locked until the transaction ends: whoever ends a
    worklist sees every row.
    """
    by_centre: dict[int, list[Alert]] = defaultdict(list)
    for row in rows:
        by_centre[row.centre_id].append(row)
    told_now = []
    for centre in Centre.objects.filter(pk__in=by_centre).order_by("pk"):
        mine = by_centre[centre.pk]
        worklist, is_new = _worklist_of(centre, mine[0], now=now)
        for row in mine:
            row.hand_over = worklist
        worklist.rows_joined += len(mine)
        worklist.save(update_fields=["rows_joined"])
        last = None if is_new else _last_told(worklist)
        if last is not None and worklist.state == AlertState.OPEN and now - last < JOINING_PAUSE:
            worklist.next_action_at = min(worklist.next_action_at or last + JOINING_PAUSE, last + JOINING_PAUSE)
            worklist.save(update_fields=["next_action_at"])
            continue
        if not is_new:
            worklist.round, worklist.state = worklist.round + 1, AlertState.OPEN
            worklist.save(update_fields=["round", "state"])
        told_now.append(worklist)
    return told_now


def _last_told(worklist: Alert) -> dt.datetime | None:
    last: dt.datetime | None = worklist.deliveries.aggregate(at=Max("owed_at"))["at"]
    return last


def _worklist_of(centre: Centre, first: Alert, *, now: dt.datetime) -> tuple[Alert, bool]:
    """The one open worklist of a centre, locked: what was old when first known and is still so. And whether it is
    new.
    """
    subject = f"centre/{centre.code}"
    evidence = f"{first.evidence_key}@{now.isoformat()}"
    return (
        Alert.objects.live()
        .select_for_update()
        .get_or_create(
            kind=AlertKind.HAND_OVER.value,
            subject_key=subject,
            defaults={
                "public_id": alert_public_id(AlertKind.HAND_OVER, subject, evidence),
                "centre": centre,
                "certainty": Certainty.CONFIRMED.value,
                "evidence_key": first.evidence_key,
                "evidence_on": first.evidence_on,
                "rule_version": first.rule_version,
                "opened_at": now,
            },
        )
    )
