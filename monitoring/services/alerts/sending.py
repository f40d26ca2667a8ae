"""Sending what is owed: the most urgent first, several at once over kept connections, each with a hard deadline.

All database work is done by whoever calls ``turn``; the threads speak to the mail server and to nothing else.
"""

from __future__ import annotations

import datetime as dt
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import F, Q

from monitoring import clock
from monitoring.models import AlertDelivery, SetAsideKind
from monitoring.models.alerts import AlertState, DeliveryOutcome
from monitoring.notify.carriers import Carrier, carriers
from monitoring.notify.mail import BadAddress
from monitoring.notify.outside import ForbiddenAddress
from monitoring.notify.relay import Verdict
from monitoring.selectors.set_aside import now_set_aside
from monitoring.services.alerts import deliveries, escalation
from monitoring.services.alerts.deliveries import LEASE_SECONDS, Claim
from monitoring.services.foundation import set_aside

logger = logging.getLogger(__name__)

SEND_AT_ONCE = 8
DEADLINE_SECONDS = 20.0
EXTEND_EVERY_SECONDS = 10.0
MOST_HANGING = 32  # tries that were cut and have not ended; each holds a thread, and its message waits with it
HANGS_AFTER_SECONDS = 10.0
TRIES_BEFORE_TOLD = 5  # of a program that takes nothing: then those who administer the centre are told
LONGEST_REST_SECONDS = 10.0  # while nobody can speak to the mail server, it is asked this often


@dataclass
class _Try:
    """A claim on its way: since when it is claimed and sent, and how it ended."""

    claim: Claim
    claimed: float
    began: float = 0.0
    ended_by_us: bool = False
    problem: Exception | None = None
    verdict: Verdict | None = None


@dataclass
class _Slot:
    """A thread with its connection. It sends one message after another and reports each."""

    reports: queue.SimpleQueue[_Slot]
    carriers: dict[str, Carrier] = field(default_factory=carriers)
    work: queue.SimpleQueue[_Try | None] = field(default_factory=queue.SimpleQueue)
    trying: _Try | None = None

    def __post_init__(self) -> None:
        # A daemon: one that never ends holds up neither its successors nor the end of this process.
        threading.Thread(target=self._run, name="send", daemon=True).start()

    def begin(self, one: _Try) -> None:
        one.began = time.monotonic()
        self.trying = one
        self.work.put(one)

    def _run(self) -> None:
        while (one := self.work.get()) is not None:
            try:
                # Somebody who was frozen since the claim has lost it, and another sends: better late than twice.
                if time.monotonic() - one.claimed > LEASE_SECONDS:
                    raise LeaseLost
                self.carrier_of(one).send(one.claim.message)
            except Exception as problem:  # noqa: BLE001  # handed to whoever records it
                one.problem, one.verdict = problem, self.carrier_of(one).verdict(problem)
            self.reports.put(self)
        for carrier in self.carriers.values():
            carrier.close()

    def carrier_of(self, one: _Try) -> Carrier:
        return self.carriers[one.claim.message.channel]


class SendersHang(Exception):
    """So many tries never ended that no more are begun."""


class LeaseLost(Exception):
    """Between claiming a message and sending it more time has passed than the claim holds."""


class Sender:
    """Sends what is due to people, or to programs, for as long as somebody calls ``turn``."""

    def __init__(self, at_once: int = SEND_AT_ONCE, *, to_programs: bool = False) -> None:
        self._at_once = at_once
        self._to_programs = to_programs
        self._reports: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        self._free: list[_Slot] = []
        self._busy: list[_Slot] = []
        self._waiting: deque[_Try] = deque()
        self._ended: deque[_Try] = deque()  # recorded as soon as the database takes it
        self._extended = time.monotonic()
        self._rests_until = 0.0
        self._rest_seconds = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self._busy and not self._waiting and not self._ended

    def turn(self, wait_seconds: float = 0.0) -> int:
        """Record what has ended, end what takes too long, begin what is due; returns how many were begun.

        Waits so long for something to end. Raises ``SendersHang``, and what the database raises; what is under way is
        not forgotten.
        """
        self._collect(wait_seconds)
        self._cut_late()
        self._hold()
        if time.monotonic() < self._rests_until:
            return 0
        hanging = sum(self._hangs(slot) for slot in self._busy)
        if hanging >= MOST_HANGING:
            raise SendersHang(f"{hanging} tries have not ended; no more are begun until one does")
        most = self._at_once + hanging
        if len(self._busy) < most and not self._waiting:
            claimed = time.monotonic()
            due = deliveries.claim_due(now=clock.now(), limit=2 * self._at_once, to_programs=self._to_programs)
            self._waiting.extend(_Try(claim, claimed) for claim in due)
        begun = 0
        while self._waiting and len(self._busy) < most:
            slot = self._free.pop() if self._free else _Slot(self._reports)
            self._busy.append(slot)
            slot.begin(self._waiting.popleft())
            begun += 1
        return begun

    def finish(self, seconds: float) -> None:
        """Send what is due now, and wait so long until nothing is on its way."""
        until = time.monotonic() + seconds
        self.turn()
        while not self.is_idle and time.monotonic() < until:
            self.turn(0.05)

    def wind_up(self, seconds: float) -> None:
        """Begin nothing more, and record what is still on its way: what was sent and not recorded is sent again."""
        deliveries.release([one.claim for one in self._waiting])
        self._waiting.clear()
        until = time.monotonic() + seconds
        while not self.is_idle and time.monotonic() < until:
            self._collect(0.2)
            self._cut_late()
            self._hold()
        for slot in (*self._free, *self._busy):
            slot.work.put(None)  # its thread ends

    def _collect(self, wait_seconds: float) -> None:
        for slot in self._reported(wait_seconds):
            one, slot.trying = slot.trying, None
            self._busy.remove(slot)
            self._free.append(slot)
            if one is not None:
                self._ended.append(one)
        # All that were taken in one go: who is killed between sending and recording sends again, so this is short.
        taken = [one for one in self._ended if one.problem is None]
        if taken:
            self._record_taken(taken)
            self._ended = deque(one for one in self._ended if one.problem is not None)
        while self._ended:
            one = self._ended[0]
            try:
                self._record(one)
            except Exception as problem:  # one that cannot be recorded holds up no other; it is told
                if set_aside.is_database_lost(problem):
                    raise
                deliveries.put_aside(one.claim.deliveries, problem, now=clock.now())
            self._ended.popleft()

    def _reported(self, wait_seconds: float) -> Iterator[_Slot]:
        """The slots that have ended a try; waits for the first where one is on its way."""
        try:
            if wait_seconds and self._busy and not self._ended:
                yield self._reports.get(timeout=wait_seconds)
            while True:
                yield self._reports.get_nowait()
        except queue.Empty:
            return

    def _cut_late(self) -> None:
        """End what takes longer than a message may; its thread then reports the failure."""
        for slot in self._busy:
            one = slot.trying
            if one is not None and not one.ended_by_us and time.monotonic() - one.began > DEADLINE_SECONDS:
                one.ended_by_us = True
                slot.carrier_of(one).cut()

    def _hangs(self, slot: _Slot) -> bool:
        """Whether a try did not end although it was cut: it keeps its message and holds up no other."""
        one = slot.trying
        late = DEADLINE_SECONDS + HANGS_AFTER_SECONDS
        return one is not None and one.ended_by_us and time.monotonic() - one.began > late

    def _hold(self) -> None:
        """Keep the claims of what is still under way: nothing is sent again while its first try is alive."""
        if time.monotonic() - self._extended < EXTEND_EVERY_SECONDS:
            return
        self._extended = time.monotonic()
        tries = [*self._waiting, *(slot.trying for slot in self._busy if slot.trying is not None)]
        if tries:
            held = deliveries.extend([one.claim for one in tries], now=clock.now())
            self._waiting = deque(one for one in self._waiting if one.claim.deliveries[0].pk in held)
            for one in self._waiting:
                one.claimed = self._extended

    def _record_taken(self, taken: Sequence[_Try]) -> None:
        self._rest_seconds = 0.0
        sent, now = [delivery for one in taken for delivery in one.claim.deliveries], clock.now()
        deliveries.settle(sent, delivered=True, outcome="accepted", now=now)
        set_aside.settle(SetAsideKind.ADDRESS, {_address_key(delivery) for delivery in sent}, now=now)

    def _record(self, one: _Try) -> None:
        claimed, now, problem = one.claim.deliveries, clock.now(), one.problem
        assert problem is not None
        words = "took too long and was ended" if one.ended_by_us else _words(problem)
        if isinstance(problem, LeaseLost):
            return
        if isinstance(problem, BadAddress):
            refuse(claimed, code=DeliveryOutcome.NO_ADDRESS, words="", now=now)
        elif isinstance(problem, ForbiddenAddress):
            refuse(claimed, code=DeliveryOutcome.REFUSED, words=str(problem), now=now)
        elif not isinstance(problem, OSError) and not one.ended_by_us:  # smtplib's own are among them
            deliveries.put_aside(claimed, problem, now=now)
        elif one.verdict is Verdict.REFUSED:
            refuse(claimed, code=DeliveryOutcome.REFUSED, words=words, now=now)
        else:
            if one.verdict is Verdict.SERVER_AWAY:  # of mail alone: each program is a server of its own
                self._rest(words)
            else:
                logger.warning("message %s was not sent: %s", claimed[0].key, type(problem).__name__)
            may_have_arrived = one.verdict is Verdict.MAY_HAVE_ARRIVED
            deliveries.postpone(claimed, problem=words, may_have_arrived=may_have_arrived, now=now)
            first = claimed[0]
            if first.endpoint is not None and first.attempts % TRIES_BEFORE_TOLD == 0:
                said = f"{first.addressee}: {words}"
                set_aside.put(SetAsideKind.ADDRESS, _address_key(first), said, centre_id=first.alert.centre_id, now=now)

    def _rest(self, words: str) -> None:
        """The server speaks to nobody: said once, then asked again after growing pauses."""
        if not self._rest_seconds:
            logger.error("the mail server cannot be reached (%s); it is asked again until it can", words)
        self._rest_seconds = min(LONGEST_REST_SECONDS, max(1.0, 2 * self._rest_seconds))
        self._rests_until = time.monotonic() + self._rest_seconds
        deliveries.release([one.claim for one in self._waiting])  # when it is back the most urgent go first
        self._waiting.clear()


def _words(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}"


def refuse(claimed: Sequence[AlertDelivery], *, code: DeliveryOutcome, words: str, now: dt.datetime) -> None:
    """A person whom no message can reach: those who run the service are told, and the next person is told at once."""
    first = claimed[0]
    said = f"{first.addressee}: {words or 'no e-mail address'}"
    with transaction.atomic():  # refused and told are one: whoever is killed between them has done neither
        if deliveries.settle(claimed, delivered=False, outcome=words, code=code, now=now):
            set_aside.put(SetAsideKind.ADDRESS, _address_key(first), said, centre_id=first.alert.centre_id, now=now)
            escalation.hurry_on([delivery.alert_id for delivery in claimed], now=now)


def try_refused_again(*, now: dt.datetime) -> int:
    """Try addresses again that were refused or missing, in the pauses of what is set aside: somebody may have mended
    them. Returns how many messages are owed again.
    """
    owed_again = 0
    for row in now_set_aside().filter(kind=SetAsideKind.ADDRESS, retry_at__lte=now):
        addressee, centre = row.key.split("@")
        to = Q(endpoint=addressee[1:]) if addressee.startswith(_PROGRAM) else Q(recipient=addressee)
        mine = AlertDelivery.objects.filter(to, endpoint__ended_at__isnull=True, alert__centre=int(centre))
        refused = mine.filter(
            outcome_code__in=[DeliveryOutcome.NO_ADDRESS, DeliveryOutcome.REFUSED],
            alert__state=AlertState.OPEN,
            round=F("alert__round"),
        )
        again = AlertDelivery.objects.filter(pk__in=refused.values("pk")).update(
            settled_at=None, delivered=None, outcome_code="", next_attempt_at=now, lease_until=None, lease_token=None
        )
        if not again and not mine.filter(settled_at__isnull=True).exists():
            set_aside.settle(SetAsideKind.ADDRESS, [row.key], now=now)
        owed_again += again
    return owed_again


_PROGRAM = "e"


def _address_key(delivery: AlertDelivery) -> str:
    to = f"{_PROGRAM}{delivery.endpoint_id}" if delivery.endpoint_id else str(delivery.recipient_id)
    return f"{to}@{delivery.alert.centre_id}"
