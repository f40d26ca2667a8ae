"""Courses of drugs and dated observations."""

import pghistory
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from monitoring.models import choices
from monitoring.models.fields import NumberField
from monitoring.models.patients import Patient


@pghistory.track()
class TkiCourse(models.Model):
    """One course of one drug. ``stopped_on`` is the last day of drug; a restart is a new row."""

    public_id = models.UUIDField(db_default=RandomUUID(), unique=True, editable=False)
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="courses")
    drug = models.CharField(_("drug"), max_length=20, choices=choices.DRUG)
    drug_text = models.CharField(_("drug, in words"), max_length=100, blank=True)
    started_on = models.DateField(_("started on"))
    started_precision = models.CharField(max_length=5, choices=choices.PRECISION, default="day")
    stopped_on = models.DateField(_("stopped on"), null=True, blank=True)
    stopped_precision = models.CharField(max_length=5, choices=choices.PRECISION, default="day")
    stop_reason = models.CharField(_("reason of the stop"), max_length=20, choices=choices.STOP_REASON, blank=True)
    dose_mg_per_day = NumberField(_("dose, mg per day"), null=True, blank=True)
    is_confirmed = models.BooleanField(
        _("confirmed"),
        default=True,
        help_text=_("Recorded or confirmed by somebody who treats; else it ends no alert."),
    )
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("course")
        verbose_name_plural = _("courses")
        constraints = [
            models.UniqueConstraint(fields=["patient", "drug", "started_on"], name="course_key"),
            models.CheckConstraint(
                condition=Q(stopped_on__isnull=True) | Q(stopped_on__gte=F("started_on")), name="course_dates_in_order"
            ),
            models.CheckConstraint(
                condition=Q(stopped_on__isnull=False) | Q(stop_reason=""), name="course_reason_needs_stop"
            ),
            models.CheckConstraint(
                condition=Q(dose_mg_per_day__isnull=True) | Q(dose_mg_per_day__gt=0, dose_mg_per_day__lt=10**5),
                name="course_dose_positive",
            ),
            models.CheckConstraint(condition=~Q(drug="other") | ~Q(drug_text=""), name="course_other_drug_named"),
        ]


@pghistory.track()
class Observation(models.Model):
    """A dated fact that is not a result."""

    public_id = models.UUIDField(db_default=RandomUUID(), unique=True, editable=False)
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="observations")
    kind = models.CharField(_("kind"), max_length=30, choices=choices.FACT_KIND)
    observed_on = models.DateField(_("observed on"))
    observed_precision = models.CharField(max_length=5, choices=choices.PRECISION, default="day")
    detail = models.CharField(_("detail"), max_length=200, blank=True)
    grade = models.PositiveSmallIntegerField(_("grade"), null=True, blank=True)
    is_confirmed = models.BooleanField(
        _("confirmed"),
        default=True,
        help_text=_("Recorded or confirmed by somebody who treats; else it ends no alert."),
    )
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("observation")
        verbose_name_plural = _("observations")
        constraints = [
            models.UniqueConstraint(fields=["patient", "kind", "observed_on"], name="observation_key"),
            models.CheckConstraint(
                condition=Q(grade__isnull=True) | Q(grade__gte=1, grade__lte=5), name="observation_grade_1_to_5"
            ),
        ]
