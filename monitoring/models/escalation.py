"""Who is told of an alert, in which order, and how long silence is waited for: signed by a centre's clinical owner."""

import pghistory
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from monitoring.models.centres import Centre, Role

LONGEST_WAIT_HOURS = 24 * 7


def validate_steps(value: object) -> None:
    """A list of steps, each with roles and a wait in hours; raises ``ValidationError`` naming step and fix."""
    if not isinstance(value, list) or not 1 <= len(value) <= 10:
        raise ValidationError(_("write a list of one to ten steps"))
    for number, step in enumerate(value, start=1):
        if not isinstance(step, dict) or set(step) != {"roles", "wait_hours"}:
            raise ValidationError(_("step %(n)s: write roles and wait_hours, nothing else"), params={"n": number})
        roles, hours = step["roles"], step["wait_hours"]
        if not isinstance(roles, list) or not roles or not set(map(str, roles)) <= set(Role.values):
            raise ValidationError(
                _("step %(n)s: roles are some of %(known)s"), params={"n": number, "known": ", ".join(Role.values)}
            )
        if isinstance(hours, bool) or not isinstance(hours, int | float) or not 0 < hours <= LONGEST_WAIT_HOURS:
            raise ValidationError(
                _("step %(n)s: wait_hours is more than 0 and at most %(most)s: nobody may be forgotten for longer"),
                params={"n": number, "most": LONGEST_WAIT_HOURS},
            )


def validate_days(value: int) -> None:
    """An acknowledged alert comes back within a month."""
    if not 1 <= value <= 31:
        raise ValidationError(_("write 1 to 31 days"))


@pghistory.track()
class EscalationPolicy(models.Model):
    """The ladder of one centre; without one the built-in ladder holds. Its last step repeats for ever."""

    centre = models.OneToOneField(Centre, models.PROTECT, related_name="escalation_policy", verbose_name=_("centre"))
    steps = models.JSONField(
        _("steps"),
        validators=[validate_steps],
        help_text=_('For example [{"roles": ["clinician"], "wait_hours": 12}]; the last step repeats for ever.'),
    )
    acknowledged_comes_back_days = models.PositiveSmallIntegerField(
        _("acknowledged without action comes back after, days"), default=7, validators=[validate_days]
    )
    signed_by = models.CharField(_("signed by"), max_length=200, help_text=_("The clinical owner of these times."))

    class Meta:
        verbose_name = _("escalation policy")
        verbose_name_plural = _("escalation policies")
        constraints = [
            models.CheckConstraint(
                condition=Q(acknowledged_comes_back_days__gte=1, acknowledged_comes_back_days__lte=31),
                name="policy_comes_back",
            )
        ]

    def __str__(self) -> str:
        return str(self.centre)
