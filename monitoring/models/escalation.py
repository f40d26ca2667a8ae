"""Who is told of an alert, in which order, how soon, and in whose stead: signed by a centre's clinical owner."""

import pghistory
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from monitoring.domain.alerting.kinds import LadderName, Severity
from monitoring.models import choices
from monitoring.models.centres import Centre, Role

LONGEST_WAIT_HOURS = 24 * 7
LONGEST_COMES_BACK_DAYS = 31
UNHURRIED = (LadderName.WATCH, LadderName.PLAN)  # a look in weeks is enough
LONGEST_UNHURRIED_WAIT_HOURS = 24 * 31
MOST_STEPS = 10
STEP_KEYS = {"roles", "people", "wait_hours", "working_hours"}


def validate_steps(value: object, longest_hours: int = LONGEST_UNHURRIED_WAIT_HOURS) -> None:
    """A list of steps: who is told, by role or by id of a person, and how many hours silence is waited for.

    ``working_hours`` is optional: so many hours in which the centre works, where these are over sooner. Raises
    ``ValidationError`` naming step and fix.
    """
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_STEPS:
        raise ValidationError(_("write a list of one to ten steps"))
    for number, step in enumerate(value, start=1):
        if not isinstance(step, dict) or not {"roles", "wait_hours"} <= set(step) <= STEP_KEYS:
            raise ValidationError(
                _("step %(n)s: write roles and wait_hours, and people and working_hours where they are needed"),
                params={"n": number},
            )
        roles, people = step["roles"], step.get("people", [])
        if not isinstance(roles, list) or not set(map(str, roles)) <= set(Role.values):
            raise ValidationError(
                _("step %(n)s: roles are some of %(known)s"), params={"n": number, "known": ", ".join(Role.values)}
            )
        if not isinstance(people, list) or not all(isinstance(one, int) for one in people):
            raise ValidationError(_("step %(n)s: people are a list of ids of accounts"), params={"n": number})
        if not roles and not people:
            raise ValidationError(
                _("step %(n)s: nobody would be told; choose a role or a person"), params={"n": number}
            )
        for name in ("wait_hours", "working_hours"):
            hours = step.get(name, 1)
            if isinstance(hours, bool) or not isinstance(hours, int | float) or not 0 < hours <= longest_hours:
                raise ValidationError(
                    _("step %(n)s: %(name)s is more than 0 and at most %(most)s: nobody may be forgotten for longer"),
                    params={"n": number, "name": name, "most": longest_hours},
                )


def validate_days(value: int) -> None:
    """An acknowledged alert comes back within the longest time that anything may be watched."""
    if not 1 <= value <= settings.LONGEST_WATCH_DAYS:
        raise ValidationError(_("write 1 to %(most)s days"), params={"most": settings.LONGEST_WATCH_DAYS})


LADDER_NAME: choices.type_choices = [
    (LadderName.CLINICAL, _("treatment: losses of response")),
    (LadderName.VERIFICATION, _("verification")),
    (LadderName.SUSPICION, _("verification of a suspicious value")),
    (LadderName.WATCH, _("early signs")),
    (LadderName.PLAN, _("plan: overdue samples and results")),
    (LadderName.OPERATION, _("work of the service")),
]
SEVERITY: choices.type_choices = [
    (Severity.URGENT, _("urgent")),
    (Severity.SOON, _("soon")),
    (Severity.ROUTINE, _("routine")),
]


@pghistory.track()
class EscalationPolicy(models.Model):
    """One ladder of one centre; without a row the built-in ladder holds. The last step repeats for ever."""

    centre = models.ForeignKey(Centre, models.PROTECT, related_name="escalation_policies", verbose_name=_("centre"))
    ladder = models.CharField(_("ladder"), max_length=20, choices=LADDER_NAME, default=LadderName.CLINICAL)
    steps = models.JSONField(_("steps"), validators=[validate_steps])
    acknowledged_comes_back_days = models.PositiveSmallIntegerField(
        _("acknowledged without action comes back after, days"), default=7, validators=[validate_days]
    )
    signed_by = models.CharField(_("signed by"), max_length=200, help_text=_("The clinical owner of these times."))
    is_in_force = models.BooleanField(_("in force"), default=True)  # off: the built-in ladder holds again

    class Meta:
        verbose_name = _("escalation policy")
        verbose_name_plural = _("escalation policies")
        constraints = [
            models.UniqueConstraint(fields=["centre", "ladder"], name="policy_once"),
            models.CheckConstraint(condition=Q(acknowledged_comes_back_days__gte=1), name="policy_comes_back"),
        ]

    def __str__(self) -> str:
        return f"{self.centre} · {self.get_ladder_display()}"

    def clean(self) -> None:
        """What its ladder allows: losses wait for days at most, a look at an early sign for weeks."""
        is_unhurried = self.ladder in UNHURRIED
        validate_steps(self.steps, LONGEST_UNHURRIED_WAIT_HOURS if is_unhurried else LONGEST_WAIT_HOURS)
        if not is_unhurried and self.acknowledged_comes_back_days > LONGEST_COMES_BACK_DAYS:
            raise ValidationError(_("write 1 to %(most)s days"), params={"most": LONGEST_COMES_BACK_DAYS})


@pghistory.track()
class AlertKindSetting(models.Model):
    """How a centre treats one kind of alert; without a row the table of kinds holds.

    ``owner_role`` is told first, in place of the roles of the first step of its ladder (beside them where that is the
    only step); people whom the step names are told as well. Empty: as the ladder says.
    """

    centre = models.ForeignKey(Centre, models.PROTECT, related_name="alert_kinds", verbose_name=_("centre"))
    kind = models.CharField(_("kind"), max_length=40, choices=choices.ALERT_KIND)
    severity = models.CharField(_("severity"), max_length=10, choices=SEVERITY)
    ladder = models.CharField(_("ladder"), max_length=20, choices=LADDER_NAME)
    owner_role = models.CharField(_("told first"), max_length=20, choices=Role.choices, blank=True)
    signed_by = models.CharField(_("signed by"), max_length=200)

    class Meta:
        verbose_name = _("kind of alert in a centre")
        verbose_name_plural = _("kinds of alerts in a centre")
        constraints = [models.UniqueConstraint(fields=["centre", "kind"], name="alert_kind_once")]

    def __str__(self) -> str:
        return f"{self.centre} · {self.get_kind_display()}"


@pghistory.track()
class DutyHours(models.Model):
    """The hours in which a centre works, in its own time zone; ``days`` holds 1 for Monday to 7 for Sunday."""

    centre = models.OneToOneField(Centre, models.PROTECT, related_name="duty_hours", verbose_name=_("centre"))
    days = models.CharField(_("working days"), max_length=7, default="12345")
    opens_at = models.TimeField(_("from"))
    closes_at = models.TimeField(_("to"))

    class Meta:
        verbose_name = _("duty hours")
        verbose_name_plural = _("duty hours")
        constraints = [
            models.CheckConstraint(condition=Q(closes_at__gt=F("opens_at")), name="duty_hours_in_order"),
            models.CheckConstraint(condition=Q(days__regex="^[1-7]{1,7}$"), name="duty_hours_days"),
        ]

    def __str__(self) -> str:
        return f"{self.centre} {self.opens_at:%H:%M}–{self.closes_at:%H:%M}"


@pghistory.track()
class Absence(models.Model):
    """Days on which a person is told nothing, and who is told in their stead; ended early by an earlier last day."""

    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="absences", verbose_name=_("person")
    )
    first_on = models.DateField(_("first day"))
    last_on = models.DateField(_("last day"))
    deputy = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("deputy")
    )
    noted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    is_over = models.BooleanField(default=False)  # taken back, or the person came back sooner

    class Meta:
        verbose_name = _("absence")
        verbose_name_plural = _("absences")
        constraints = [
            models.CheckConstraint(condition=Q(last_on__gte=F("first_on")), name="absence_in_order"),
            models.CheckConstraint(condition=~Q(deputy=F("person")), name="absence_deputy_is_another"),
        ]
        indexes = [models.Index(fields=["last_on"], condition=Q(is_over=False), name="absence_by_end")]

    def __str__(self) -> str:
        return f"{self.person} {self.first_on} – {self.last_on}"
