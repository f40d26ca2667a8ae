"""A centre signs who is told of its alerts and when; every earlier version stays in the history.

What a ladder says from now on holds for the next step of every alert: what is owed already stays owed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from monitoring.domain.alerting.kinds import KINDS, AlertKind, LadderName, Severity
from monitoring.models import Absence, AlertKindSetting, Centre, DutyHours, EscalationPolicy, Membership, Role
from monitoring.models.escalation import UNHURRIED
from monitoring.services.alerts.audience import MAY_ACT, audience
from monitoring.services.alerts.ladders import BUILT_IN, Ladder, signed_ladder
from monitoring.services.foundation.actors import recorded_as
from monitoring.services.foundation.field_problem import FieldProblem

LONGEST_ABSENCE_DAYS = 366


@dataclass(frozen=True, slots=True)
class WrittenStep:
    """One step as it is signed; hours as numbers, ``people`` by id."""

    roles: tuple[Role, ...]
    people: tuple[int, ...]
    wait_hours: float
    working_hours: float | None = None

    def stored(self) -> dict[str, object]:
        kept: dict[str, object] = {"roles": [role.value for role in self.roles], "wait_hours": self.wait_hours}
        if self.people:
            kept["people"] = sorted(self.people)
        if self.working_hours is not None:
            kept["working_hours"] = self.working_hours
        return kept


def written(ladder: Ladder) -> list[WrittenStep]:
    """The steps of a ladder as a form shows them."""
    return [WrittenStep(s.roles, s.people, s.wait.total_seconds() / 3600, s.working_hours) for s in ladder.steps]


def standing_ladder(centre: Centre, name: LadderName) -> tuple[Ladder, EscalationPolicy | None]:
    """The ladder that holds in a centre, and what was signed for it; None where it is the built-in one.

    So it is where what was signed cannot be read: it is mended by signing it again.
    """
    policy = EscalationPolicy.objects.filter(centre=centre, ladder=name).first()
    if policy is None or not policy.is_in_force:
        return BUILT_IN[name], None
    try:
        return signed_ladder(policy), policy
    except ValidationError:
        return BUILT_IN[name], None


def sign_ladder(
    centre: Centre,
    name: LadderName,
    steps: Sequence[WrittenStep],
    *,
    comes_back_days: int,
    signed_by: str,
    by: User,
    reason: str,
    now: dt.datetime,
) -> EscalationPolicy:
    """Let a centre follow these steps from now on. Raises ``ValidationError`` and ``FieldProblem``."""
    with transaction.atomic(), recorded_as(by.get_username(), reason):
        Centre.objects.select_for_update(no_key=True).get(pk=centre.pk)
        policy = EscalationPolicy.objects.filter(centre=centre, ladder=name).first()
        policy = policy or EscalationPolicy(centre=centre, ladder=name.value)
        policy.steps, policy.is_in_force = [step.stored() for step in steps], True
        policy.acknowledged_comes_back_days, policy.signed_by = comes_back_days, signed_by
        policy.full_clean()
        _check_somebody(centre, signed_ladder(policy), now.date())
        policy.save()
    return policy


def _check_somebody(centre: Centre, ladder: Ladder, today: dt.date) -> None:
    """Every step reaches somebody who works in the centre today, the last one, which repeats, somebody who may act."""
    for number, step in enumerate(ladder.steps, start=1):
        there = set(Membership.objects.valid_on(today).filter(centre=centre).values_list("user_id", flat=True))
        if set(step.people) - there:
            raise FieldProblem("steps", _("step %(n)s names somebody without a role in the centre") % {"n": number})
        if not audience([centre.pk], step, today)[centre.pk]:
            raise FieldProblem("steps", _("step %(n)s would reach nobody in the centre today") % {"n": number})
    acting = Membership.objects.valid_on(today).filter(centre=centre, role__in=MAY_ACT)
    told_last = {person.pk for person in audience([centre.pk], ladder.steps[-1], today)[centre.pk]}
    if not told_last & set(acting.values_list("user_id", flat=True)):
        raise FieldProblem("steps", _("the last step must reach a clinician or an administrator, who can act"))


def follow_built_in(centre: Centre, name: LadderName, *, by: User, reason: str) -> None:
    """Let the built-in ladder hold again; what was signed stays in the history."""
    with transaction.atomic(), recorded_as(by.get_username(), reason):
        for policy in EscalationPolicy.objects.select_for_update().filter(centre=centre, ladder=name):
            policy.is_in_force = False
            policy.save(update_fields=["is_in_force"])


def configurable(kind: AlertKind) -> bool:
    """Whether a centre may say how a kind is treated; what concerns the service itself is not its own."""
    return KINDS[kind].ladder is not LadderName.OPERATION


def ladders_for(kind: AlertKind) -> tuple[LadderName, ...]:
    """The ladders a kind may follow: what is urgent never waits for weeks."""
    allowed = [name for name in LadderName if name is not LadderName.OPERATION]
    if KINDS[kind].severity is Severity.URGENT:
        allowed = [name for name in allowed if name not in UNHURRIED]
    return tuple(allowed)


def severities_for(kind: AlertKind) -> tuple[Severity, ...]:
    """The severities a kind may have: what is urgent by the table stays so."""
    return (Severity.URGENT,) if KINDS[kind].severity is Severity.URGENT else tuple(Severity)


def sign_kind(
    centre: Centre,
    kind: AlertKind,
    *,
    severity: Severity,
    ladder: LadderName,
    owner_role: Role | None,
    signed_by: str,
    by: User,
    reason: str,
) -> AlertKindSetting:
    """Let a centre treat a kind of alert so from now on. Raises ``FieldProblem``."""
    if not configurable(kind) or ladder not in ladders_for(kind) or severity not in severities_for(kind):
        raise FieldProblem("kind", _("this kind of alert may not wait for so long; choose again"))
    with transaction.atomic(), recorded_as(by.get_username(), reason):
        Centre.objects.select_for_update(no_key=True).get(pk=centre.pk)
        setting = AlertKindSetting.objects.filter(centre=centre, kind=kind).first()
        setting = setting or AlertKindSetting(centre=centre, kind=kind.value)
        setting.severity, setting.ladder = severity.value, ladder.value
        setting.owner_role, setting.signed_by = (owner_role.value if owner_role else ""), signed_by
        setting.full_clean()
        setting.save()
    return setting


def set_duty_hours(
    centre: Centre, *, days: str, opens_at: dt.time, closes_at: dt.time, by: User, reason: str
) -> DutyHours:
    """Say when a centre works. Raises ``FieldProblem``."""
    if not closes_at > opens_at:
        raise FieldProblem("closes_at", _("the day ends after it begins; write for example 08:00 and 16:30"))
    with transaction.atomic(), recorded_as(by.get_username(), reason):
        Centre.objects.select_for_update(no_key=True).get(pk=centre.pk)
        hours = DutyHours.objects.filter(centre=centre).first() or DutyHours(centre=centre)
        hours.days, hours.opens_at, hours.closes_at = "".join(sorted(days)), opens_at, closes_at
        hours.full_clean()
        hours.save()
    return hours


# --- absence -----------------------------------------------------------------------------------------------------


def note_absence(
    person: User, *, first_on: dt.date, last_on: dt.date, deputy: User | None, by: User, today: dt.date
) -> Absence:
    """Write down that a person is away, and who is told meanwhile. Raises ``FieldProblem``."""
    if last_on < first_on:
        raise FieldProblem("last_on", _("the last day is before the first"))
    if last_on < today:
        raise FieldProblem("last_on", _("%(day)s is past; name today or a later day") % {"day": last_on.isoformat()})
    if (last_on - first_on).days >= LONGEST_ABSENCE_DAYS:
        raise FieldProblem("last_on", _("an absence lasts a year at most; end the role instead"))
    if deputy is not None and not _work_together(person, deputy, today):
        raise FieldProblem(
            "deputy",
            _("%(name)s cannot do in a centre of %(person)s what an alert asks for; choose somebody who can")
            % {"name": deputy.get_username(), "person": person.get_username()},
        )
    with transaction.atomic(), recorded_as(by.get_username(), "absence"):
        User.objects.select_for_update(no_key=True).get(pk=person.pk)
        overlapping = Absence.objects.filter(person=person, is_over=False, first_on__lte=last_on, last_on__gte=first_on)
        if overlapping.exists():
            raise FieldProblem("first_on", _("an absence on some of these days is noted already; end it first"))
        return Absence.objects.create(
            person=person, first_on=first_on, last_on=last_on, deputy=deputy, noted_by=by
        )  # fmt: skip


def _work_together(person: User, deputy: User, today: dt.date) -> bool:
    """Whether the deputy may act wherever the person may in some centre, or shares a centre where neither does."""
    here = Membership.objects.valid_on(today)
    theirs = here.filter(user=deputy, user__is_active=True).exclude(user=person)
    acts_in = here.filter(user=person, role__in=MAY_ACT).values("centre")
    if here.filter(user=person, role__in=MAY_ACT).exists():
        return theirs.filter(centre__in=acts_in, role__in=MAY_ACT).exists()
    return theirs.filter(centre__in=Membership.objects.centres_of(person)).exists()


def end_absence(absence: Absence, *, by: User) -> None:
    """The person is there again, or never leaves: told as before from now on."""
    with transaction.atomic(), recorded_as(by.get_username(), "absence ended"):
        absence.is_over = True
        absence.save(update_fields=["is_over"])
