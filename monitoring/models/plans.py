"""The next sample of each patient, as the last replay says; what is overdue follows from it and the day."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from monitoring.models.patients import Patient


class MonitoringPlan(models.Model):
    """One row a patient. ``slot_known_on`` is the day on which this slot was first planned: one that was over by then
    is
    told from the next day on, since the rest of a load may answer it. ``checked_on`` is the day of the last look."""

    patient = models.OneToOneField(Patient, models.PROTECT, related_name="plan")
    state = models.CharField(max_length=20)
    earliest_on = models.DateField(null=True)
    due_on = models.DateField(_("due on"), null=True)
    latest_on = models.DateField(_("late after"), null=True)
    result_late_on = models.DateField(null=True)
    followed_until = models.DateField(null=True)
    slot_known_on = models.DateField()
    checked_on = models.DateField(null=True)
    by_rules = models.BooleanField(default=False)  # this slot was over when a change of rules planned it
    rule_id = models.CharField(max_length=60)
    text_code = models.CharField(max_length=80)

    class Meta:
        verbose_name = _("monitoring plan")
        verbose_name_plural = _("monitoring plans")
        indexes = [
            models.Index(fields=["due_on"], condition=models.Q(due_on__isnull=False), name="plan_due"),
            models.Index(fields=["latest_on"], condition=models.Q(latest_on__isnull=False), name="plan_late"),
            models.Index(
                fields=["result_late_on"], condition=models.Q(result_late_on__isnull=False), name="plan_result"
            ),
            models.Index(fields=["followed_until"], condition=models.Q(due_on__isnull=False), name="plan_followed"),
        ]
