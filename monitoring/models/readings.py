"""What the statistics read of every time off treatment, kept so that a night reads columns and replays nothing."""

import pgtrigger
from django.db import models
from django.utils.translation import gettext_lazy as _

from monitoring.models.patients import Patient


class ReadingRule(models.Model):
    """A rule of loss with a rule of deep response that a cohort asks for; its readings are kept for every patient.

    A new one is built patient by patient, in order of id; meanwhile whoever is classified is read by it too.
    """

    key = models.CharField(max_length=300, unique=True, help_text="both rules as text, the same for the same rules")
    loss = models.JSONField()
    deep_response = models.JSONField()
    built_up_to = models.BigIntegerField(default=0, help_text="readings of patients up to this id are written")
    built_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("reading rule")
        verbose_name_plural = _("reading rules")

    def __str__(self) -> str:
        return self.key


class StoredReading(models.Model):
    """One time off treatment under one rule: the columns of ``EpisodeReading``, which says what they mean."""

    rule = models.ForeignKey(ReadingRule, models.CASCADE, related_name="readings")
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="readings")
    stop_reason = models.CharField(max_length=20)
    attempt = models.PositiveSmallIntegerField()
    stopped_on = models.DateField()
    drug_at_stop = models.CharField(max_length=20)
    baseline_on = models.DateField(null=True)
    baseline_class = models.CharField(max_length=20, blank=True)
    baseline_unseen = models.BooleanField()
    last_off_on = models.DateField(null=True)
    marrow_off = models.BooleanField()
    loss_on = models.DateField(null=True)
    last_negative_on = models.DateField(null=True)
    restarted_on = models.DateField(null=True)
    restart_drug = models.CharField(max_length=20, blank=True)
    death_on = models.DateField(null=True)
    transplant_on = models.DateField(null=True)
    progression_on = models.DateField(null=True)
    other_drug_from = models.DateField(null=True)
    mmr_regained_on = models.DateField(null=True)
    dmr_regained_on = models.DateField(null=True)
    last_contact_on = models.DateField(null=True)
    withdrawal_syndrome_on = models.DateField(null=True)
    seen_again_on = models.DateField(null=True)
    last_seen_on = models.DateField(null=True)
    class_at_3 = models.CharField(max_length=20, blank=True, db_default="")
    class_at_6 = models.CharField(max_length=20, blank=True, db_default="")
    class_at_12 = models.CharField(max_length=20, blank=True, db_default="")
    fluctuated_on = models.DateField(null=True)
    month_two = models.CharField(max_length=20, blank=True, db_default="")
    month_two_on = models.DateField(null=True)
    line_of_therapy = models.PositiveSmallIntegerField()
    earlier_resistance = models.BooleanField()
    dose_reduced = models.BooleanField()
    left_censored = models.BooleanField()
    dmr_across_gap = models.BooleanField()
    first_dmr_on = models.DateField(null=True)
    dmr_run_from = models.DateField(null=True)
    dmr_days = models.IntegerField(null=True)
    dmr_least = models.SmallIntegerField(null=True)
    dmr_most = models.SmallIntegerField(null=True)
    tki_days = models.IntegerField(null=True)
    tki_least = models.SmallIntegerField(null=True)
    tki_most = models.SmallIntegerField(null=True)
    time_to_dmr_days = models.IntegerField(null=True)
    time_to_dmr_least = models.SmallIntegerField(null=True)
    time_to_dmr_most = models.SmallIntegerField(null=True)
    age_at_diagnosis = models.SmallIntegerField(null=True)
    age_at_diagnosis_least = models.SmallIntegerField(null=True)
    age_at_diagnosis_most = models.SmallIntegerField(null=True)
    age_at_stop = models.SmallIntegerField(null=True)
    age_at_stop_least = models.SmallIntegerField(null=True)
    age_at_stop_most = models.SmallIntegerField(null=True)

    class Meta:
        verbose_name = _("reading")
        verbose_name_plural = _("readings")
        constraints = [models.UniqueConstraint(fields=["rule", "patient", "stopped_on"], name="reading_once")]
        indexes = [models.Index(fields=["patient"], name="reading_of_patient")]
        triggers = [
            pgtrigger.Trigger(  # the statistics never meet the patients that the service invents
                name="no_canary",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func="""
                    IF EXISTS (
                        SELECT FROM monitoring_patient p JOIN monitoring_centre c ON c.id = p.centre_id
                         WHERE p.id = NEW.patient_id AND c.is_canary
                    ) THEN
                        RETURN NULL;
                    END IF;
                    RETURN NEW;
                """,
            )
        ]
