"""Messages about alerts: owed in the transaction that opens them, claimed with a lease, sent outside, then recorded.

At least once: a crash between sending and recording sends again, with the same key. Never suppressed: retries have no
maximum while the alert waits for a person. One that cannot even be built is set aside and the others go on.
"""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q, QuerySet

from monitoring.domain.alerting.kinds import Severity, Urgency
from monitoring.models import Alert, AlertDelivery, AlertEndpoint, DeliveryAttempt, SetAsideKind
from monitoring.models.alerts import AlertState, DeliveryAbout, DeliveryOutcome
from monitoring.notify.carriers import EMAIL
from monitoring.notify.mail import Message
from monitoring.services.alerts.endpoints import secret_of
from monitoring.services.alerts.ladders import Ladders
from monitoring.services.foundation import set_aside

LEASE_SECONDS = 30
LONGEST_PAUSE_SECONDS = 300
LONGEST_URGENT_PAUSE_SECONDS = 30
REPEAT_PAUSE_SECONDS = 1200
MOST_IN_A_LIST = 500
LESSER = min(urgency for urgency in Urgency if urgency.is_lesser)


Addressee = User | AlertEndpoint


def owe(alerts: Sequence[Alert], people: dict[int, list[User]], ladders: Ladders, *, now: dt.datetime) -> None:
    """Write one delivery per alert and person, or program, for the alert's present step and round."""
    programs = _programs(alerts, ladders)
    AlertDelivery.objects.bulk_create(
        [
            _delivery(alert, one, DeliveryAbout.OPENED, ladders, now)
            for alert in alerts
            for one in _addressees(people[alert.centre_id], programs[alert.pk])
        ],
        ignore_conflicts=True,
    )


def addressee_of(delivery: AlertDelivery) -> Addressee:
    """The person or the program that a message is for."""
    to = delivery.endpoint or delivery.recipient
    assert to is not None  # as the table demands
    return to


def _addressees(people: Iterable[User], programs: Iterable[AlertEndpoint]) -> Iterator[Addressee]:
    yield from people
    yield from programs


def _programs(alerts: Sequence[Alert], ladders: Ladders) -> dict[int, list[AlertEndpoint]]:
    """The programs that hear of each alert: those of its centre, from the severity on that they are told."""
    endpoints = list(AlertEndpoint.objects.filter(centre__in={a.centre_id for a in alerts}, ended_at__isnull=True))
    order = list(Severity)
    return {
        alert.pk: [
            one
            for one in endpoints
            if one.centre_id == alert.centre_id
            and order.index(ladders.row(alert).severity) <= order.index(Severity(one.severity))
        ]
        for alert in alerts
    }


def tell_of_withdrawal(alerts: Sequence[Alert], *, now: dt.datetime) -> None:
    """Tell whoever was told of these alerts that they no longer hold; what was not sent yet is not sent any more."""
    if not alerts:
        return
    pending = AlertDelivery.objects.filter(alert__in=alerts, settled_at__isnull=True, attempts=0)
    pending.update(settled_at=now, delivered=False, outcome_code=DeliveryOutcome.WITHDRAWN)
    told = AlertDelivery.objects.filter(
        Q(endpoint__isnull=True) | Q(endpoint__ended_at__isnull=True), alert__in=alerts, about=DeliveryAbout.OPENED
    ).exclude(delivered=False)
    ladders = Ladders({alert.centre_id for alert in alerts})
    AlertDelivery.objects.bulk_create(
        [
            _delivery(delivery.alert, addressee_of(delivery), DeliveryAbout.WITHDRAWN, ladders, now)
            for delivery in told.select_related("alert", "recipient", "endpoint").order_by("pk")
        ],
        ignore_conflicts=True,
    )


def _delivery(alert: Alert, to: Addressee, about: DeliveryAbout, ladders: Ladders, now: dt.datetime) -> AlertDelivery:
    step = "withdrawn" if about == DeliveryAbout.WITHDRAWN else str(alert.step)
    endpoint, person = (to, None) if isinstance(to, AlertEndpoint) else (None, to)
    channel = endpoint.kind if endpoint else EMAIL
    return AlertDelivery(
        alert=alert,
        key=f"{alert.public_id}:{step}:{alert.round}:{channel}:{to.pk}",
        about=about,
        channel=channel,
        recipient=person,
        endpoint=endpoint,
        owed_at=now,
        next_attempt_at=now,
        round=alert.round,
        step=alert.step,
        certainty=alert.certainty,
        urgency=ladders.urgency(alert),
    )


@dataclass(frozen=True, slots=True)
class Claim:
    """Deliveries that leave as one message: one, or what one person is owed of one lesser kind in one centre."""

    deliveries: tuple[AlertDelivery, ...]
    message: Message


def claim_due(*, now: dt.datetime, limit: int, to_programs: bool = False) -> list[Claim]:
    """Claim messages that are due, the most urgent first and then the oldest, each with a lease and a token.

    What another sender holds is passed over. What nobody needs any more, or cannot be sent at all, is settled. People
    and programs are told apart: a program that hangs holds up no mail.
    """
    due = AlertDelivery.objects.filter(
        Q(lease_until__isnull=True) | Q(lease_until__lt=now), settled_at__isnull=True, next_attempt_at__lte=now,
        endpoint__isnull=not to_programs,
    )  # fmt: skip
    with transaction.atomic():
        locked = due.select_for_update(skip_locked=True, of=("self",)).order_by("urgency", "owed_at", "pk")
        ids = set(locked.values_list("pk", flat=True)[:limit])
        lesser = AlertDelivery.objects.filter(
            pk__in=ids, urgency__gte=LESSER, about=DeliveryAbout.OPENED, recipient__isnull=False
        )
        beside = Q(pk__in=[])
        for recipient, kind, centre in lesser.values_list("recipient", "alert__kind", "alert__centre").distinct():
            beside |= Q(recipient=recipient, alert__kind=kind, alert__centre=centre)
        if beside:
            ids.update(
                locked.filter(beside, urgency__gte=LESSER, about=DeliveryAbout.OPENED)
                .values_list("pk", flat=True)[:MOST_IN_A_LIST]
            )  # fmt: skip
        AlertDelivery.objects.filter(pk__in=ids).update(
            lease_until=now + dt.timedelta(seconds=LEASE_SECONDS), lease_token=uuid.uuid4(), attempts=F("attempts") + 1
        )
    return _prepared(ids, now)


def _prepared(ids: Collection[int], now: dt.datetime) -> list[Claim]:
    claimed = AlertDelivery.objects.filter(pk__in=ids).select_related("alert__centre", "recipient", "endpoint")
    needless: dict[str, list[AlertDelivery]] = defaultdict(list)
    ended: list[AlertDelivery] = []
    groups: dict[object, list[AlertDelivery]] = defaultdict(list)
    for delivery in claimed.order_by("urgency", "owed_at", "pk"):
        if delivery.endpoint is not None and delivery.endpoint.ended_at is not None:
            ended.append(delivery)
        elif _is_needless(delivery):
            needless[delivery.alert.state].append(delivery)
        else:
            is_alone = (
                delivery.urgency < LESSER or delivery.about == DeliveryAbout.WITHDRAWN or delivery.endpoint is not None
            )
            of_kind = (delivery.recipient_id, delivery.alert.kind, delivery.alert.centre_id)
            groups[delivery.pk if is_alone else of_kind].append(delivery)
    for state, group in needless.items():
        settle(group, delivered=False, outcome=state, code=DeliveryOutcome.NOT_NEEDED, now=now)
    if ended:
        settle(ended, delivered=False, outcome="", code=DeliveryOutcome.ENDED, now=now)
    claims = []
    ladders = Ladders({group[0].alert.centre_id for group in groups.values()})
    for group in groups.values():
        try:
            claims.append(Claim(tuple(group), _message(group, ladders)))
        except Exception as problem:  # noqa: BLE001  # one that cannot be built must not stop the others; it is told
            put_aside(group, problem, now=now)
    return claims


def extend(claims: Sequence[Claim], *, now: dt.datetime) -> set[int]:
    """Hold on to what is still under way, so that nobody else sends it meanwhile; returns the ids that were held."""
    ours = _ours([delivery for claim in claims for delivery in claim.deliveries])
    held = set(ours.values_list("pk", flat=True))
    ours.filter(pk__in=held).update(lease_until=now + dt.timedelta(seconds=LEASE_SECONDS))
    return held


def release(claims: Sequence[Claim]) -> None:
    """Give back what was claimed and not begun: it was not tried."""
    _ours([delivery for claim in claims for delivery in claim.deliveries]).update(
        lease_until=None, lease_token=None, attempts=F("attempts") - 1
    )


def _is_needless(delivery: AlertDelivery) -> bool:
    """Whether nobody needs a message any more: its alert was acknowledged, acted on or withdrawn meanwhile."""
    return delivery.about != DeliveryAbout.WITHDRAWN and delivery.alert.state != AlertState.OPEN


def _message(group: Sequence[AlertDelivery], ladders: Ladders) -> Message:
    first = group[0]
    alert, to = first.alert, addressee_of(first)
    return Message(
        first.key, to.address if isinstance(to, AlertEndpoint) else to.email, first.about, alert.centre.code,
        tuple(str(delivery.alert.public_id) for delivery in group), alert.certainty, alert.round,
        urgency=ladders.row(alert).severity.value, operational=first.urgency == Urgency.OPERATIONAL,
        channel=first.channel, secret=secret_of(to) if isinstance(to, AlertEndpoint) else b"",
    )  # fmt: skip


def _ours(deliveries: Sequence[AlertDelivery]) -> QuerySet[AlertDelivery]:
    """Those of them that are still claimed by the same lease."""
    tokens = {delivery.lease_token for delivery in deliveries}
    return AlertDelivery.objects.filter(
        pk__in=[delivery.pk for delivery in deliveries], lease_token__in=tokens, settled_at__isnull=True
    )


def settle(
    deliveries: Sequence[AlertDelivery], *, delivered: bool, outcome: str, code: str = "", now: dt.datetime
) -> bool:
    """Record the outcome of those whose lease is still ours; returns whether there were any."""
    settled = _ours(deliveries)
    with transaction.atomic():
        held = set(settled.select_for_update().values_list("pk", flat=True))
        ours = [delivery for delivery in deliveries if delivery.pk in held]
        settled.filter(pk__in=held).update(
            settled_at=now, delivered=delivered, outcome=outcome[:300], outcome_code=code
        )
        if code not in (DeliveryOutcome.NOT_NEEDED, DeliveryOutcome.ENDED):
            _note(ours, outcome or code, now, is_taken=delivered)
    tried_before = [delivery.key for delivery in ours if delivery.attempts > 1]
    if tried_before:
        set_aside.settle(SetAsideKind.DELIVERY, tried_before, now=now)
    return bool(ours)


def put_aside(deliveries: Sequence[AlertDelivery], problem: BaseException, *, now: dt.datetime) -> None:
    """A message that failed for a reason nobody foresaw: the pause grows to hours, and it is never given up."""
    for delivery in deliveries:
        with transaction.atomic():
            row = set_aside.put(
                SetAsideKind.DELIVERY, delivery.key, problem, centre_id=delivery.alert.centre_id, now=now
            )
            _note([delivery], row.error, now)
            _ours([delivery]).update(
                lease_until=None, lease_token=None, next_attempt_at=row.retry_at, outcome=row.error
            )  # fmt: skip


def postpone(
    deliveries: Sequence[AlertDelivery], *, problem: str, may_have_arrived: bool = False, now: dt.datetime
) -> bool:
    """Try again later, with growing pauses and jitter, for ever; returns whether the lease was ours.

    What is urgent waits a minute at most. What may have arrived goes again at most three times an hour.
    """
    first = deliveries[0]
    longest = LONGEST_PAUSE_SECONDS if first.urgency >= LESSER else LONGEST_URGENT_PAUSE_SECONDS
    pause = min(longest, 2 ** min(first.attempts, 10)) * random.uniform(0.7, 1.0)  # noqa: S311  # jitter
    if may_have_arrived:
        pause = REPEAT_PAUSE_SECONDS
    is_ours = bool(
        _ours(deliveries).update(
            lease_until=None, lease_token=None, next_attempt_at=now + dt.timedelta(seconds=pause), outcome=problem[:300]
        )
    )
    if is_ours:
        _note(deliveries, problem, now)
        _let_rest(first, now + dt.timedelta(seconds=pause))
    return is_ours


def _let_rest(delivery: AlertDelivery, until: dt.datetime) -> None:
    """What else a program is owed waits as well: one that hangs takes no more than the tries it has already."""
    if delivery.endpoint_id is not None:
        AlertDelivery.objects.filter(
            endpoint=delivery.endpoint_id, settled_at__isnull=True, lease_until__isnull=True, next_attempt_at__lt=until
        ).update(next_attempt_at=until)


def _note(deliveries: Sequence[AlertDelivery], words: str, now: dt.datetime, *, is_taken: bool = False) -> None:
    """Write down a try, whatever came of it."""
    DeliveryAttempt.objects.bulk_create(
        [DeliveryAttempt(delivery=one, at=now, is_taken=is_taken, words=words[:300]) for one in deliveries]
    )


class OnItsWay(Exception):
    """A message about this alert to this person or program has not left yet, or the program is told nothing more."""


def send_again(delivery: AlertDelivery, *, by: User, now: dt.datetime) -> AlertDelivery:
    """Owe a message once more because a person asks for it: a new one with a key of its own.

    Raises ``OnItsWay``.
    """
    with transaction.atomic():
        Alert.objects.select_for_update().get(pk=delivery.alert_id)
        mine = AlertDelivery.objects.filter(
            alert=delivery.alert_id, recipient=delivery.recipient_id, endpoint=delivery.endpoint_id
        )
        is_ended = delivery.endpoint is not None and delivery.endpoint.ended_at is not None
        if is_ended or mine.filter(settled_at__isnull=True).exists():
            raise OnItsWay
        again = mine.filter(asked_by__isnull=False).count() + 1
        return AlertDelivery.objects.create(
            alert_id=delivery.alert_id,
            key=f"{delivery.key.partition(':again')[0]}:again{again}",
            about=delivery.about,
            channel=delivery.channel,
            recipient_id=delivery.recipient_id,
            endpoint_id=delivery.endpoint_id,
            owed_at=now,
            next_attempt_at=now,
            round=delivery.round,
            step=delivery.step,
            certainty=delivery.certainty,
            urgency=delivery.urgency,
            asked_by=by,
        )
