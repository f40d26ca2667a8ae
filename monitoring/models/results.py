"""PCR results as reported, and what was made of them.

A result row is never edited: an amendment is a new row that supersedes the old one. One row can be superseded once
(unique), so of two people who amend the same version one is told that the other was faster.
"""

from decimal import Decimal

import pgtrigger
from django.conf import settings
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from monitoring.models import choices
from monitoring.models.fields import NumberField
from monitoring.models.laboratories import COPIES_LIMIT, FACTOR_LIMIT, PERCENT_LIMIT, Laboratory
from monitoring.models.patients import Patient


class ResultStatus(models.TextChoices):
    """The life of a result."""

    PRELIMINARY = "preliminary", _("preliminary")
    FINAL = "final", _("final")
    CORRECTED = "corrected", _("corrected")
    ENTERED_IN_ERROR = "entered_in_error", _("entered in error")


def _between(field: str, low: int, limit: int, *, inclusive: bool = True) -> Q:
    bound = {f"{field}__gte" if inclusive else f"{field}__gt": low, f"{field}__lt": limit}
    return Q(**{f"{field}__isnull": True}) | Q(**bound)


class PcrResult(models.Model):
    """One version of one result of one sample."""

    public_id = models.UUIDField(db_default=RandomUUID(), editable=False)  # the same for all versions of a result
    laboratory = models.ForeignKey(Laboratory, models.PROTECT, related_name="results", db_index=False)
    accession_number = models.CharField(_("accession number"), max_length=60)
    version = models.PositiveIntegerField(_("version"), default=1)
    patient = models.ForeignKey(Patient, models.PROTECT, related_name="results", db_index=False)
    collected_on = models.DateField(_("collected on"))
    collected_precision = models.CharField(max_length=5, choices=choices.PRECISION, default="day")
    collected_at = models.DateTimeField(_("collected at"), null=True, blank=True)
    received_on = models.DateField(_("received on"), null=True, blank=True)
    received_at = models.DateTimeField(_("received at"), null=True, blank=True)
    tested_on = models.DateField(_("tested on"), null=True, blank=True)
    issued_at = models.DateTimeField(_("issued at"), null=True, blank=True)
    control_gene = models.CharField(_("control gene"), max_length=5, choices=choices.CONTROL_GENE, default="ABL1")
    method = models.CharField(_("method"), max_length=10, choices=choices.METHOD, blank=True)
    assay_name = models.CharField(_("assay"), max_length=100, blank=True)
    kit_lot = models.CharField(_("kit lot"), max_length=60, blank=True)
    run = models.CharField(_("run"), max_length=60, blank=True)  # the name of the ``BenchRun`` at the laboratory
    specimen = models.CharField(_("specimen"), max_length=2, default="PB")
    conversion_factor = NumberField(_("conversion factor"), null=True, blank=True)
    is_percent = NumberField(_("reported % IS"), null=True, blank=True)
    is_comparator = models.CharField(max_length=1, default="=")
    mr_value = NumberField(_("reported MR value"), null=True, blank=True)
    reported_class = models.CharField(_("reported class"), max_length=30, blank=True)
    detected = models.BooleanField(_("reported as detected"), null=True, blank=True)
    limit_of_detection = NumberField(_("limit of detection, % IS"), null=True, blank=True)
    limit_of_quantification = NumberField(_("limit of quantification, % IS"), null=True, blank=True)
    status = models.CharField(_("status"), max_length=20, choices=ResultStatus.choices, default=ResultStatus.FINAL)
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    stated_version = models.PositiveIntegerField(_("version by the laboratory"), null=True, blank=True)
    supersedes = models.OneToOneField("self", models.PROTECT, null=True, blank=True, related_name="superseded_by")
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)
    recorded_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)

    class Meta:
        # No index of their own for the keys: result_key and result_of_patient begin with them, and nobody looks up by
        # author.
        verbose_name = _("PCR result")
        verbose_name_plural = _("PCR results")
        constraints = [
            models.UniqueConstraint(fields=["laboratory", "accession_number", "version"], name="result_key"),
            models.UniqueConstraint(fields=["public_id", "version"], name="result_public_id"),
            models.CheckConstraint(
                condition=Q(version=1, supersedes__isnull=True) | Q(version__gt=1, supersedes__isnull=False),
                name="result_version_supersedes",
            ),
            models.CheckConstraint(
                condition=Q(version=1) | ~Q(status=ResultStatus.CORRECTED) | ~Q(reason=""),
                name="result_correction_has_reason",
            ),
            models.CheckConstraint(condition=Q(is_comparator__in=["<", "=", ">"]), name="result_comparator_known"),
            models.CheckConstraint(condition=Q(specimen__in=["PB", "BM"]), name="result_specimen_known"),
            models.CheckConstraint(
                condition=_between("is_percent", 0, PERCENT_LIMIT, inclusive=False), name="result_is_percent"
            ),
            models.CheckConstraint(condition=_between("mr_value", -3, 10), name="result_mr_value"),
            models.CheckConstraint(
                condition=_between("conversion_factor", 0, FACTOR_LIMIT, inclusive=False), name="result_factor_positive"
            ),
            models.CheckConstraint(condition=_between("limit_of_detection", 0, PERCENT_LIMIT), name="result_lod"),
            models.CheckConstraint(condition=_between("limit_of_quantification", 0, PERCENT_LIMIT), name="result_loq"),
            models.CheckConstraint(
                condition=Q(received_on__isnull=True)
                | Q(received_on__gte=F("collected_on"))
                | ~Q(collected_precision="day"),
                name="result_received_after_collected",
            ),
        ]
        indexes = [
            models.Index(fields=["patient", "collected_on"], name="result_of_patient"),
            models.Index(fields=["recorded_at"], condition=Q(status="preliminary"), name="result_preliminary"),
            models.Index(fields=["laboratory", "run"], condition=~Q(run=""), name="result_of_run"),
        ]
        triggers = [pgtrigger.Protect(name="facts_are_kept", operation=pgtrigger.Update | pgtrigger.Delete)]

    @property
    def raw_percent(self) -> Decimal | None:
        """BCR::ABL1 in % of the control gene before any conversion, None where a tube has no counts."""
        tubes = [t for t in self.replicates.all() if t.run_valid and t.bcr_abl1_reported]
        control = sum((t.control_gene_copies or Decimal(0) for t in tubes), Decimal(0))
        if not control:
            return None
        return 100 * sum((t.bcr_abl1_copies or Decimal(0) for t in tubes), Decimal(0)) / control

    @property
    def is_bone_marrow(self) -> bool:
        """Whether the sample was marrow, which is labelled wherever its value is shown."""
        return self.specimen == "BM"


class LateReport(models.Model):
    """A report that was older than the version that stood when it arrived: kept for the record, never in force."""

    result = models.UUIDField()  # the public id of the result that it speaks of
    stated_version = models.PositiveIntegerField(_("version by the laboratory"), null=True, blank=True)
    issued_at = models.DateTimeField(_("issued at"), null=True, blank=True)
    content = models.JSONField()  # what it says, by field name
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)
    recorded_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", db_index=False)

    class Meta:
        indexes = [models.Index(fields=["result"], name="late_report_of_result")]
        triggers = [pgtrigger.Protect(name="facts_are_kept", operation=pgtrigger.Update | pgtrigger.Delete)]

    @property
    def said(self) -> list[tuple[str, str]]:
        """What the report says, column by column, replicates in words."""
        tubes = [
            f"{t.get('bcr_abl1_copies', '–')}/{t.get('control_gene_copies', '–')}" for t in self.content["replicates"]
        ]
        whole = [(name, str(value)) for name, value in self.content.items() if name not in ("replicates", "patient_id")]
        return [*whole, ("bcr_abl1_copies / control_gene_copies", "; ".join(tubes))] if tubes else whole


class Replicate(models.Model):
    """One tube of a result; no ``bcr_abl1_copies`` means not detected, which is not zero."""

    result = models.ForeignKey(PcrResult, models.PROTECT, related_name="replicates", db_index=False)
    number = models.PositiveSmallIntegerField(_("replicate"))
    bcr_abl1_reported = models.BooleanField(default=True)
    bcr_abl1_copies = NumberField(_("BCR::ABL1 copies"), null=True, blank=True)
    control_gene_copies = NumberField(_("control gene copies"), null=True, blank=True)
    run_valid = models.BooleanField(_("run valid"), default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["result", "number"], name="replicate_once"),
            models.CheckConstraint(
                condition=_between("bcr_abl1_copies", 0, COPIES_LIMIT, inclusive=False),
                name="replicate_copies_positive",
            ),
            models.CheckConstraint(
                condition=_between("control_gene_copies", 0, COPIES_LIMIT), name="replicate_control_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(bcr_abl1_reported=True) | Q(bcr_abl1_copies__isnull=True), name="replicate_copies_reported"
            ),
        ]
        triggers = [pgtrigger.Protect(name="facts_are_kept", operation=pgtrigger.Update | pgtrigger.Delete)]


class ResponseAssessment(models.Model):
    """What the rules made of a result. One is current; an older opinion stays, with the time it was replaced."""

    result = models.ForeignKey(PcrResult, models.PROTECT, related_name="assessments")
    response_class = models.CharField(_("class"), max_length=20, choices=choices.RESPONSE_CLASS)
    flags = models.CharField(_("flags"), max_length=250, blank=True)
    is_percent = NumberField(_("% IS"), null=True)
    mr_value = NumberField(_("MR value"), null=True)
    sensitivity = models.CharField(_("sensitivity"), max_length=5, choices=choices.SENSITIVITY)
    detected = models.BooleanField(_("detected"))
    may_exceed_mmr = models.BooleanField(default=False)
    upper_bound_percent = NumberField(null=True)
    counted_control_copies = NumberField(null=True)  # of the tubes that an undetected class rests on
    conversion_factor = NumberField(_("conversion factor used"), null=True)
    factor_state = models.CharField(max_length=10, choices=choices.FACTOR_STATE)
    rule_version = models.CharField(_("rule version"), max_length=40)
    decision = models.JSONField(null=True)  # row, code and facts; classes from before it was stored have none
    assessed_at = models.DateTimeField(db_default=Now())
    superseded_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["result"], condition=Q(superseded_at__isnull=True), name="assessment_one_current"
            ),
            models.CheckConstraint(condition=_between("is_percent", 0, 10**15), name="assessment_is_percent"),
        ]
        indexes = [models.Index(fields=["assessed_at"], name="assessment_by_time")]

    @property
    def flag_codes(self) -> list[str]:
        """The codes of the flags, in their fixed order."""
        return self.flags.split(";") if self.flags else []
