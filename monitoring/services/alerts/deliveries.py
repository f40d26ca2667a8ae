"""Messages about alerts: owed in the transaction that opens them, claimed with a lease, sent outside, then recorded.

At least once: a crash between sending and recording sends again, with the same key. Never suppressed: retries have no
maximum while the alert waits for a person. One that cannot even be built is set aside and the others go on.
"""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import Iterable, Sequence

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Q

from monitoring.domain.alerting.kinds import KINDS, AlertKind, LadderName
from monitoring.models import Alert, AlertDelivery, Membership, Role, SetAsideKind
from monitoring.models.alerts import AlertState, DeliveryAbout, DeliveryOutcome
from monitoring.notify.mail import Message, local_address
from monitoring.services.foundation import set_aside

LEASE_SECONDS = 60
LONGEST_PAUSE_SECONDS = 300


def people_of(centre_ids: Iterable[int], roles: Sequence[Role], on: dt.date) -> dict[int, list[User]]:
    """Who has one of these roles in each centre on a day; closed accounts are left out."""
    people: dict[int, list[User]] = {pk: [] for pk in centre_ids}
    rows = (
        Membership.objects.valid_on(on)
        .filter(centre__in=list(people), role__in=roles, user__is_active=True)
        .select_related("user")
        .order_by("user_id")
    )
    for membership in rows:
        if membership.user not in people[membership.centre_id]:
            people[membership.centre_id].append(membership.user)
    return people


def owe(alerts: Sequence[Alert], people: dict[int, list[User]], *, now: dt.datetime) -> None:
    """Write one delivery per alert and person for the alert's present step and round."""
    AlertDelivery.objects.bulk_create(
        [_delivery(alert, person, DeliveryAbout.OPENED, now) for alert in alerts for person in people[alert.centre_id]],
        ignore_conflicts=True,
    )


def tell_of_withdrawal(alerts: Sequence[Alert], *, now: dt.datetime) -> None:
    """Tell whoever was told of these alerts that they no longer hold; what was not sent yet is not sent any more."""
    pending = AlertDelivery.objects.filter(alert__in=alerts, settled_at__isnull=True, attempts=0)
    pending.update(settled_at=now, delivered=False, outcome_code=DeliveryOutcome.WITHDRAWN)
    told = AlertDelivery.objects.filter(alert__in=alerts, about=DeliveryAbout.OPENED).exclude(delivered=False)
    AlertDelivery.objects.bulk_create(
        [
            _delivery(delivery.alert, delivery.recipient, DeliveryAbout.WITHDRAWN, now)
            for delivery in told.select_related("alert", "recipient").order_by("pk")
        ],
        ignore_conflicts=True,
    )


def _delivery(alert: Alert, person: User, about: DeliveryAbout, now: dt.datetime) -> AlertDelivery:
    step = "withdrawn" if about == DeliveryAbout.WITHDRAWN else str(alert.step)
    return AlertDelivery(
        alert=alert,
        key=f"{alert.public_id}:{step}:{alert.round}:email:{person.pk}",
        about=about,
        recipient=person,
        owed_at=now,
        next_attempt_at=now,
        round=alert.round,
        step=alert.step,
        certainty=alert.certainty,
    )


def claim_due(*, now: dt.datetime, limit: int) -> list[tuple[AlertDelivery, Message]]:
    """Claim deliveries that are due, each with a lease and a token; what another sender holds is passed over."""
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    with transaction.atomic():
        ids = list(
            AlertDelivery.objects.select_for_update(skip_locked=True)
            .filter(free, settled_at__isnull=True, next_attempt_at__lte=now)
            .order_by("next_attempt_at", "pk")
            .values_list("pk", flat=True)[:limit]
        )
        AlertDelivery.objects.filter(pk__in=ids).update(
            lease_until=now + dt.timedelta(seconds=LEASE_SECONDS), lease_token=uuid.uuid4(), attempts=F("attempts") + 1
        )
    return [prepared for pk in ids if (prepared := _prepared(pk, now)) is not None]


def _prepared(pk: int, now: dt.datetime) -> tuple[AlertDelivery, Message] | None:
    """A claimed delivery with its message; None where nobody needs it any more, or where it cannot be built."""
    try:
        with transaction.atomic():
            delivery = AlertDelivery.objects.select_related("alert__centre", "recipient").get(pk=pk)
            if _is_needless(delivery):
                settle(
                    delivery,
                    delivered=False,
                    outcome=delivery.alert.state,
                    code=DeliveryOutcome.NOT_NEEDED.value,
                    now=now,
                )
                return None
            return delivery, _message(delivery)
    except Exception as problem:  # one that cannot be built must not stop the others; it is written down
        if set_aside.is_database_lost(problem):
            raise
        put_aside(pk, problem, now=now)
        return None


def _is_needless(delivery: AlertDelivery) -> bool:
    """Whether nobody needs a message any more: its alert was acknowledged, acted on or withdrawn meanwhile."""
    return delivery.about != DeliveryAbout.WITHDRAWN and delivery.alert.state != AlertState.OPEN


def _message(delivery: AlertDelivery) -> Message:
    alert = delivery.alert
    kind = KINDS[AlertKind(alert.kind)]
    address = delivery.recipient.email or local_address(delivery.recipient.get_username())
    return Message(
        delivery.key, address, delivery.about, alert.centre.code, str(alert.public_id), alert.certainty, alert.round,
        urgency=kind.severity.value, operational=kind.ladder is LadderName.OPERATION,
    )  # fmt: skip


def settle(delivery: AlertDelivery, *, delivered: bool, outcome: str, code: str = "", now: dt.datetime) -> bool:
    """Record the outcome, if the lease is still ours; returns whether it was."""
    ours = AlertDelivery.objects.filter(pk=delivery.pk, lease_token=delivery.lease_token, settled_at__isnull=True)
    is_ours = bool(ours.update(settled_at=now, delivered=delivered, outcome=outcome[:300], outcome_code=code))
    if is_ours and delivery.attempts > 1:
        set_aside.settle(SetAsideKind.DELIVERY, [delivery.key], now=now)
    return is_ours


def put_aside(pk: int, problem: BaseException, *, now: dt.datetime) -> None:
    """A message that failed for a reason nobody foresaw: the pause grows to hours, and it is never given up."""
    key, centre_id = AlertDelivery.objects.values_list("key", "alert__centre_id").get(pk=pk)
    with transaction.atomic():
        row = set_aside.put(SetAsideKind.DELIVERY, key, problem, centre_id=centre_id, now=now)
        AlertDelivery.objects.filter(pk=pk, settled_at__isnull=True).update(
            lease_until=None, lease_token=None, next_attempt_at=row.retry_at, outcome=row.error
        )


def postpone(delivery: AlertDelivery, *, problem: str, now: dt.datetime) -> bool:
    """Try again later, with growing pauses and jitter up to five minutes, for ever; returns whether the lease was
    ours.
    """
    pause = min(LONGEST_PAUSE_SECONDS, 2 ** min(delivery.attempts, 10)) * random.uniform(0.7, 1.0)  # noqa: S311  # jitter
    return bool(
        AlertDelivery.objects.filter(pk=delivery.pk, lease_token=delivery.lease_token, settled_at__isnull=True).update(
            lease_until=None, lease_token=None, next_attempt_at=now + dt.timedelta(seconds=pause), outcome=problem[:300]
        )
    )
