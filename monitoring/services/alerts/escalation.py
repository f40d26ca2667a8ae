"""Alerts reach a person and escalate until somebody has acted: silence never ends one (``ladders`` has the steps)."""

from __future__ import annotations

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from enum import StrEnum

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from monitoring.domain.alerting.kinds import AlertKind, is_read_back
from monitoring.domain.course.relapse import Certainty
from monitoring.models import Alert, AlertDelivery, Centre, Role, SetAsideKind
from monitoring.models.alerts import AlertState, ClosingReason, DeliveryAbout
from monitoring.services.alerts import deliveries
from monitoring.services.alerts.audience import audience, operators, people_of
from monitoring.services.alerts.identity import alert_public_id
from monitoring.services.alerts.ladders import Ladders, Step
from monitoring.services.foundation import set_aside
from monitoring.services.foundation.stale_version import StaleVersionError
from monitoring.wording.numbers import significant

logger = logging.getLogger(__name__)


def begin(alerts: Sequence[Alert], *, now: dt.datetime) -> None:
    """Tell the first step of the ladder of alerts that were opened, or that people must hear of again. Runs in the
    classifying transaction.
    """
    told = [a for a in alerts if a.hand_over_id is None or a.acted_at is not None]
    ladders = Ladders({a.centre_id for a in told})
    for alert in told:
        alert.step = 0
        alert.next_action_at = ladders.next_at(alert, now)
    Alert.objects.bulk_update(told, ["step", "next_action_at"])
    _tell(told, ladders, now)


def _tell(alerts: Sequence[Alert], ladders: Ladders, now: dt.datetime) -> None:
    """Owe one message per alert and person of its present step; a centre without such people is told otherwise.

    Where nobody treats or administers any more, the operators of the service are told.
    """
    by_step: dict[Step, list[Alert]] = defaultdict(list)
    for alert in alerts:
        by_step[ladders.of(alert).step(alert.step)].append(alert)
    for step, group in by_step.items():
        people = audience({alert.centre_id for alert in group}, step, now.date())
        deserted = [pk for pk, people_there in people.items() if not people_there]
        if deserted:
            people |= people_of(deserted, [Role.CLINICIAN, Role.ADMINISTRATOR], now.date())
        if step.operators or not all(people.values()):
            beside = operators()
            people = {
                pk: list(dict.fromkeys([*there, *(beside if step.operators or not there else [])]))
                for pk, there in people.items()
            }
        deliveries.owe(group, people, ladders, now=now)
        if deserted:
            _warn_of_deserted(_without_clinician(deserted, now), now)


def _without_clinician(centre_ids: Iterable[int], now: dt.datetime) -> list[int]:
    clinicians = people_of(centre_ids, [Role.CLINICIAN], now.date())
    return [pk for pk, people_there in clinicians.items() if not people_there]


def _warn_of_deserted(centre_ids: Sequence[int], now: dt.datetime) -> None:
    """A centre whose alerts reach no clinician is an alert of its own, which those who run the service are told."""
    opened = []
    for centre in Centre.objects.filter(pk__in=centre_ids):
        subject = f"centre/{centre.code}"
        alert, is_new = Alert.objects.live().get_or_create(
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
        opened += [alert] if is_new else []
    if opened:
        begin(opened, now=now)


def tell_newcomers(*, now: dt.datetime) -> int:
    """Where a centre has a clinician again, close the alert of that and tell its open alerts anew; how many centres.

    Whoever comes into a deserted centre hears at once of what nobody there was told.
    """
    missing = {a.centre_id: a for a in Alert.objects.live().filter(kind=AlertKind.NO_CLINICIAN)}
    again = set(missing) - set(_without_clinician(missing, now))
    if not again:
        return 0
    with transaction.atomic():
        Alert.objects.live().filter(kind=AlertKind.NO_CLINICIAN, centre__in=again).update(
            state=AlertState.CLOSED, closed_at=now, closing_reason=ClosingReason.ANSWERED, next_action_at=None
        )
        untold = Alert.objects.told_alone().filter(centre__in=again, state=AlertState.OPEN)
        waiting = list(untold.select_for_update().order_by("pk"))
        for alert in waiting:
            alert.round += 1
        Alert.objects.bulk_update(waiting, ["round"])
        begin(waiting, now=now)
    return len(again)


def advance(*, now: dt.datetime, limit: int = 200) -> int:
    """Move every alert whose time has come one step on; returns how many.

    An open alert is told to the next step, the last step again each time. One that was acknowledged without a recorded
    action is open again.
    """
    due = Alert.objects.live().told_alone().filter(next_action_at__lte=now)

    def work(pks: Sequence[int]) -> int:
        return _move_on(
            list(due.select_for_update(skip_locked=True).filter(pk__in=pks).order_by("next_action_at")), now
        )

    return set_aside.work_off(
        SetAsideKind.ESCALATION, due.order_by("next_action_at"), work, key="public_id", centre="centre_id", limit=limit,
        now=now,
    )  # fmt: skip


def _move_on(due: Sequence[Alert], now: dt.datetime) -> int:
    with transaction.atomic():
        ladders = Ladders({alert.centre_id for alert in due})
        grown = _grown(due)
        for alert in due:
            alert.step = 1 if alert.state == AlertState.ACKNOWLEDGED else alert.step + 1
            if alert.pk in grown:
                alert.step = 0
            alert.round += 1
            alert.state = AlertState.OPEN
            alert.next_action_at = ladders.next_at(alert, now)
            alert.save(update_fields=["step", "round", "state", "next_action_at"])
        _tell(due, ladders, now)
    return len(due)


def _grown(alerts: Sequence[Alert]) -> set[int]:
    """The worklists that got rows since people were last told: these are told like a new one, from the first step."""
    worklists = [alert.pk for alert in alerts if alert.kind == AlertKind.HAND_OVER]
    if not worklists:
        return set()
    told = AlertDelivery.objects.filter(alert=OuterRef("hand_over"), owed_at__gte=OuterRef("opened_at"))
    new = Alert.objects.live().filter(~Exists(told), hand_over__in=worklists, acted_at__isnull=True)
    return {pk for pk in new.values_list("hand_over", flat=True) if pk is not None}


def hurry_on(alert_ids: Collection[int], *, now: dt.datetime) -> None:
    """Let the next step of these alerts come now where this one has reached nobody and cannot any more.

    On the last step of a ladder its own wait holds, or messages to nobody would go out without end.
    """
    reached = AlertDelivery.objects.filter(
        ~Q(delivered=False),
        alert=OuterRef("pk"),
        round=OuterRef("round"),
        about=DeliveryAbout.OPENED,
        recipient__isnull=False,
    )
    with transaction.atomic():
        unheard = list(
            # One that somebody holds is just being acted on.
            Alert.objects.select_for_update(skip_locked=True).filter(
                ~Exists(reached), pk__in=alert_ids, state=AlertState.OPEN
            )
        )
        ladders = Ladders({alert.centre_id for alert in unheard})
        for alert in unheard:
            if alert.step < len(ladders.of(alert).steps) - 1:
                alert.next_action_at = now
        Alert.objects.bulk_update(unheard, ["next_action_at"])


class AlertConflictError(Exception):
    """The alert is in a state that does not allow this; the message says so in the reader's words."""


def _already(alert: Alert) -> AlertConflictError:
    return AlertConflictError(_("the alert is %(state)s already") % {"state": alert.get_state_display()})


class NotReadBack(AlertConflictError):
    """The value of a confirmed loss was not read back, or another one was."""


def must_read_back(alert: Alert) -> bool:
    """Whether whoever acknowledges this alert says its value."""
    return alert.is_percent is not None and is_read_back(AlertKind(alert.kind), Certainty(alert.certainty))


def acknowledge(
    alert: Alert,
    *,
    by: User,
    note: str,
    now: dt.datetime,
    version: str | None = None,
    read_back: Decimal | None = None,
) -> Alert:
    """A named person has seen the alert. Repeats pause; without an action it comes back.

    With ``version``, what the person has read: raises ``StaleVersionError`` where the alert has changed since.
    ``read_back`` is the value in % IS as the person has read it: raises ``NotReadBack`` where it must be said and is
    missing or another.
    """
    with transaction.atomic():
        standing = _locked(alert, version)
        if standing.state != AlertState.OPEN:
            raise _already(standing)
        if must_read_back(standing):
            _check_read_back(standing, read_back)
        standing.state, standing.acknowledged_at, standing.acknowledged_by = AlertState.ACKNOWLEDGED, now, by
        standing.note = note.strip()[:500]
        standing.next_action_at = now + Ladders([standing.centre_id]).of(standing).comes_back
        standing.save()
    return standing


def _check_read_back(alert: Alert, read_back: Decimal | None) -> None:
    if read_back is None:
        raise NotReadBack(_("a confirmed loss is acknowledged with its value: type it in % IS as it is shown"))
    if significant(read_back) != significant(alert.is_percent):
        words = _("%(read)s %% IS is not the value of this alert; read it again")
        raise NotReadBack(words % {"read": significant(read_back)})


class ActionTaken(StrEnum):
    """What a person can have done about an alert."""

    RESTART = "restart"
    REPEAT = "repeat"
    WATCH = "watch"
    ENTERED_IN_ERROR = "entered_in_error"
    OTHER = "other"


def act(
    alert: Alert,
    *,
    by: User,
    action: ActionTaken,
    note: str,
    until: dt.date | None = None,
    drug: str = "",
    started_on: dt.date | None = None,
    now: dt.datetime,
    version: str | None = None,
    read_back: Decimal | None = None,
) -> Alert:
    """Record what was done; who did it, when, and with which drug or day stays with the alert.

    A repeat or watching has a day on which the alert comes back unless its evidence was answered; a result entered in
    error is withdrawn by its correction; anything else needs words and closes the alert. A restart is recorded as a
    course (``record_restart``), which settles the alert by the replay. ``read_back`` as for ``acknowledge``, where
    nobody has acknowledged yet.
    """
    if action in (ActionTaken.REPEAT, ActionTaken.WATCH) and (until is None or until <= now.date()):
        raise AlertConflictError(_("a day after today is needed on which this comes back"))
    longest = settings.LONGEST_WATCH_DAYS
    if until is not None and until > now.date() + dt.timedelta(days=longest):
        raise AlertConflictError(
            _("%(day)s is more than %(days)s days away: nobody may be forgotten for longer; choose an earlier day")
            % {"day": until.isoformat(), "days": longest}
        )
    if action is ActionTaken.OTHER and not note.strip():
        raise AlertConflictError(_("say in a few words what was done"))
    with transaction.atomic():
        standing = _locked(alert, version)
        if standing.closed_at is not None:
            raise _already(standing)
        # Acting acknowledges too: what quiets a confirmed loss says its value. A restart answers it.
        if action is not ActionTaken.RESTART and standing.acknowledged_at is None and must_read_back(standing):
            _check_read_back(standing, read_back)
        standing.action, standing.note = action.value, note.strip()[:500] or standing.note
        standing.acted_at, standing.acted_by = now, by
        standing.action_drug, standing.action_on = drug, started_on or until
        standing.acknowledged_at = standing.acknowledged_at or now
        standing.acknowledged_by = standing.acknowledged_by or by
        if action is ActionTaken.OTHER:
            _check_worked_off(standing)
            _end(standing, AlertState.CLOSED, ClosingReason.ACTED, note, by, now)
        else:
            standing.state = AlertState.ACKNOWLEDGED
            comes_back = dt.datetime.combine(until, dt.time(), dt.UTC) if until else None
            standing.next_action_at = comes_back or now + Ladders([standing.centre_id]).of(standing).comes_back
            standing.save()
        close_worked_off([standing.hand_over_id] if standing.hand_over_id else [], now=now)
    return standing


def withdraw(alert: Alert, *, by: User, reason: str, now: dt.datetime, version: str | None = None) -> Alert:
    """A person takes an alert back, with a reason; whoever was told of it is told of this."""
    if not reason.strip():
        raise AlertConflictError(_("say why the alert is taken back"))
    with transaction.atomic():
        standing = _locked(alert, version)
        if standing.closed_at is not None:
            raise _already(standing)
        _check_worked_off(standing)
        _end(standing, AlertState.WITHDRAWN, ClosingReason.WITHDRAWN, reason, by, now)
        deliveries.tell_of_withdrawal([standing], now=now)
        close_worked_off([standing.hand_over_id] if standing.hand_over_id else [], now=now)
    return standing


def _end(alert: Alert, state: AlertState, reason: ClosingReason, words: str, by: User, now: dt.datetime) -> None:
    alert.state, alert.closed_at, alert.next_action_at, alert.closing_reason = state, now, None, reason.value
    alert.closing_values = {"words": words.strip()[:500], "by": by.get_username()}
    alert.save()


def _check_worked_off(alert: Alert) -> None:
    """A worklist ends with its last row, never before: each row is one patient."""
    left = alert.handed_over.live().filter(acted_at__isnull=True).count()
    if left:
        raise AlertConflictError(
            _("%(count)s rows are not signed off yet; open each and record what was done") % {"count": left}
        )


def close_worked_off(ids: Iterable[int], *, now: dt.datetime) -> None:
    """End those of these worklists in which no row is left that nobody has signed off."""
    waiting = Alert.objects.live().filter(hand_over__isnull=False, acted_at__isnull=True).values("hand_over")
    emptied = Alert.objects.live().filter(pk__in=list(ids)).exclude(pk__in=waiting)
    emptied.update(state=AlertState.CLOSED, closed_at=now, closing_reason=ClosingReason.EMPTIED, next_action_at=None)


def _locked(alert: Alert, version: str | None) -> Alert:
    standing = Alert.objects.select_for_update().get(pk=alert.pk)
    if version is not None and version != standing.version_tag:
        raise StaleVersionError(_("the alert has changed since you read it; load it again"))
    return standing
