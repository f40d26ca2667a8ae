"""The ladders: built in as proposals, and as a centre's clinical owner has signed them.

The built-in times follow the contract of the operator's guide: hours for a loss of MMR, weeks for an early sign.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from collections.abc import Collection
from dataclasses import dataclass

from django.core.exceptions import ValidationError

from monitoring.domain.alerting.duty import Duty
from monitoring.domain.alerting.kinds import KINDS, AlertKind, KindRow, LadderName, Severity, Urgency, urgency_of
from monitoring.domain.course.relapse import Certainty
from monitoring.models import Alert, AlertKindSetting, DutyHours, EscalationPolicy, Role
from monitoring.models.centres import zone_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a ladder: who is told, and how long silence is waited for before the next.

    ``people`` are ids of accounts. ``operators`` are told beside them; wherever nobody is left in a centre they are
    told instead. ``working_hours``: so many hours of the centre's work, where these are over before the wait.
    """

    roles: tuple[Role, ...]
    wait: dt.timedelta
    operators: bool = False
    people: tuple[int, ...] = ()
    working_hours: float | None = None

    def over_at(self, now: dt.datetime, duty: Duty | None) -> dt.datetime:
        """When silence has lasted for long enough: after the wait, or the working hours where these are over sooner."""
        longest = now + self.wait
        if self.working_hours is None or duty is None:
            return longest
        return min(duty.after(now, self.working_hours) or longest, longest)


@dataclass(frozen=True, slots=True)
class Ladder:
    """The steps of one kind of alert; the last repeats for ever. Acknowledged without action it comes back."""

    steps: tuple[Step, ...]
    comes_back: dt.timedelta = dt.timedelta(days=7)

    def step(self, number: int) -> Step:
        return self.steps[min(number, len(self.steps) - 1)]


_HALF_A_DAY, _DAY = dt.timedelta(hours=12), dt.timedelta(hours=24)
_WARD = (Role.CLINICIAN, Role.ADMINISTRATOR)
_HOUSE = (*_WARD, Role.VERIFIER)
# Whoever treats, again, whoever leads the centre, the laboratory beside them; after three days those who run the
# service, every day until somebody has acted.
CLINICAL_LADDER = Ladder(
    (
        Step((Role.CLINICIAN,), _HALF_A_DAY, working_hours=4),
        Step((Role.CLINICIAN,), _HALF_A_DAY),
        Step(_WARD, _DAY),
        Step(_HOUSE, _DAY),
        Step(_HOUSE, _DAY, operators=True),
    )
)
# A result that waits for its second person goes to the laboratory first, then to those who treat the patient.
VERIFICATION_LADDER = Ladder(
    (
        Step((Role.VERIFIER,), dt.timedelta(hours=4)),
        Step((Role.VERIFIER, Role.CLINICIAN), _HALF_A_DAY),
        Step((Role.VERIFIER, Role.CLINICIAN, Role.ADMINISTRATOR), _DAY),
    )
)
# A doubtful value that would lose MMR has a shorter clock: the doubt must not hide a loss.
SUSPICION_LADDER = Ladder(
    (
        Step((Role.VERIFIER,), dt.timedelta(hours=1)),
        Step((Role.VERIFIER, Role.CLINICIAN), dt.timedelta(hours=4)),
        Step((Role.VERIFIER, Role.CLINICIAN, Role.ADMINISTRATOR), _HALF_A_DAY),
    )
)
# An early sign asks for a look: the clinicians once, and again in two weeks while nobody has acknowledged it.
WATCH_LADDER = Ladder((Step((Role.CLINICIAN,), dt.timedelta(days=14)),), dt.timedelta(days=90))
PLAN_LADDER = Ladder((Step((Role.CLINICIAN,), dt.timedelta(days=7)),), dt.timedelta(days=28))
# What the service itself cannot do, and a centre without anybody who treats, is for those who run it.
OPERATION_LADDER = Ladder((Step((Role.ADMINISTRATOR,), _DAY), Step((Role.ADMINISTRATOR,), _DAY, operators=True)))

BUILT_IN = {
    LadderName.CLINICAL: CLINICAL_LADDER,
    LadderName.VERIFICATION: VERIFICATION_LADDER,
    LadderName.SUSPICION: SUSPICION_LADDER,
    LadderName.WATCH: WATCH_LADDER,
    LadderName.PLAN: PLAN_LADDER,
    LadderName.OPERATION: OPERATION_LADDER,
}


class Ladders:
    """What some centres have signed, read once. For what cannot be read the built-in holds: an alert is told rather
    than lost, and the watch over settings tells of it."""

    def __init__(self, centre_ids: Collection[int]) -> None:
        self._signed: dict[tuple[int, str], Ladder] = {}
        for policy in EscalationPolicy.objects.filter(centre__in=centre_ids, is_in_force=True):
            try:
                self._signed[policy.centre_id, policy.ladder] = signed_ladder(policy)
            except ValidationError:
                logger.error("a ladder of centre %s cannot be read; the built-in holds", policy.centre_id)
        kinds = AlertKindSetting.objects.filter(centre__in=centre_ids)
        self._kinds = {(row.centre_id, row.kind): row for row in kinds}
        hours = DutyHours.objects.filter(centre__in=centre_ids).select_related("centre")
        self._duty = {row.centre_id: duty_of(row) for row in hours}

    def row(self, alert: Alert) -> KindRow:
        """How the centre of an alert treats its kind."""
        return treated(KINDS[AlertKind(alert.kind)], self._kinds.get((alert.centre_id, alert.kind)))

    def urgency(self, alert: Alert) -> Urgency:
        """How soon messages about an alert leave."""
        return urgency_of(self.row(alert), Certainty(alert.certainty))

    def of(self, alert: Alert) -> Ladder:
        """The ladder of an alert."""
        name = self.row(alert).ladder
        ladder = self._signed.get((alert.centre_id, name), BUILT_IN[name])
        setting = self._kinds.get((alert.centre_id, alert.kind))
        if setting is None or not setting.owner_role:
            return ladder
        owner = Role(setting.owner_role)
        # The only step of a ladder is also its last: the owner is told there beside the others.
        roles = (owner,) if len(ladder.steps) > 1 else tuple(dict.fromkeys((owner, *ladder.steps[0].roles)))
        first = dataclasses.replace(ladder.steps[0], roles=roles)
        return dataclasses.replace(ladder, steps=(first, *ladder.steps[1:]))

    def next_at(self, alert: Alert, now: dt.datetime) -> dt.datetime:
        """When the present step of an alert is over."""
        return self.of(alert).step(alert.step).over_at(now, self._duty.get(alert.centre_id))


def treated(row: KindRow, setting: AlertKindSetting | None) -> KindRow:
    """A kind as a centre has signed it. What the table calls urgent stays so, whatever is stored."""
    if setting is None or row.ladder is LadderName.OPERATION:
        return row
    severity = row.severity if row.severity is Severity.URGENT else Severity(setting.severity)
    return dataclasses.replace(row, severity=severity, ladder=LadderName(setting.ladder))


def duty_of(hours: DutyHours) -> Duty:
    """The duty hours of a centre on its own clocks."""
    return Duty(frozenset(map(int, hours.days)), hours.opens_at, hours.closes_at, zone_of(hours.centre))


def signed_ladder(policy: EscalationPolicy) -> Ladder:
    """The ladder that a centre has signed. Raises ``ValidationError`` for one that no door would have taken."""
    policy.clean()
    return Ladder(
        tuple(
            Step(
                tuple(Role(role) for role in step["roles"]),
                dt.timedelta(hours=step["wait_hours"]),
                people=tuple(step.get("people", ())),
                working_hours=step.get("working_hours"),
            )
            for step in policy.steps
        ),
        dt.timedelta(days=policy.acknowledged_comes_back_days),
    )
