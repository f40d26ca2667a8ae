"""Laboratories, their assays, and the conversion factors that put their results on the International Scale."""

from collections.abc import Callable
from typing import Any

import pghistory
from django.db import models
from django.db.models import F, Q
from django.utils.functional import lazy
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from monitoring.domain.text.plain_text import plain_pattern
from monitoring.models import choices
from monitoring.models.centres import Centre, validate_plain
from monitoring.models.fields import LookField, NumberField

# The upper bounds also refuse NaN, which PostgreSQL sorts above every number.
FACTOR_LIMIT = 100
COPIES_LIMIT = 10**12
PERCENT_LIMIT = 10**4


def _double(words: Any) -> str:
    return str(words).replace("%", "%%")


_doubled: Callable[[Any], Any] = lazy(_double, str)


def _between(words: Any, limit: int) -> Any:
    """What a person reads where a number of a setting cannot be right. Django fills in "%" signs: they are doubled."""
    return _doubled(format_lazy(_("{field}: a number above 0 and below {limit} is needed"), field=words, limit=limit))


@pghistory.track(exclude=["look"])  # derived from the identifier
class Laboratory(models.Model):
    """A laboratory that reports BCR::ABL1 results."""

    code = models.CharField(_("code"), max_length=60, unique=True, validators=[validate_plain])
    look = LookField(of="code", unique=True)
    name = models.CharField(_("name"), max_length=200, blank=True, validators=[validate_plain])
    bcr_minimum_copies = NumberField(
        _("minimum BCR copies per replicate"),
        null=True,
        blank=True,
        help_text=_("Needed where BCR is the control gene: no published limits exist."),
    )
    verification_required = models.BooleanField(
        _("a second person verifies results entered on the page"),
        default=True,
        help_text=_("Switched off, results entered on the page are final at once."),
    )
    files_are_final = models.BooleanField(
        _("results of files given on the page are final at once"),
        default=False,
        help_text=_(
            "Where the files come from the laboratory's own system, in which a second person has verified them."
        ),
    )
    zero_means_not_detected = models.BooleanField(_("a reported 0 means not detected"), default=False)
    centres: "models.ManyToManyField[Centre, LaboratoryCentre]" = models.ManyToManyField(
        Centre, through="LaboratoryCentre", related_name="laboratories", verbose_name=_("reports for")
    )

    class Meta:
        verbose_name = _("laboratory")
        verbose_name_plural = _("laboratories")
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(condition=Q(code__regex=plain_pattern()), name="laboratory_code_plain"),
            models.CheckConstraint(
                condition=Q(bcr_minimum_copies__isnull=True)
                | Q(bcr_minimum_copies__gt=0, bcr_minimum_copies__lt=COPIES_LIMIT),
                name="laboratory_bcr_minimum_positive",
                violation_error_message=_between(_("minimum BCR copies per replicate"), COPIES_LIMIT),
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.code


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())
class LaboratoryCentre(models.Model):
    """A centre that a laboratory reports for: only for its patients may results of the laboratory be recorded."""

    laboratory = models.ForeignKey(Laboratory, models.PROTECT, related_name="reports_for")
    centre = models.ForeignKey(Centre, models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["laboratory", "centre"], name="laboratory_centre_once")]


_SD_LIMIT = 2  # log10 units: an assay that scatters more measures nothing
_OF_ASSAYS = {
    "minimum_control_copies": (COPIES_LIMIT, _("minimum control gene copies per replicate")),
    "limit_of_detection_percent": (PERCENT_LIMIT, _("limit of detection, % IS")),
    "limit_of_quantification_percent": (PERCENT_LIMIT, _("limit of quantification, % IS")),
    "sd_log10_below_mr_3_5": (_SD_LIMIT, _("SD below MR 3.5, log10")),
    "sd_log10_from_mr_3_5": (_SD_LIMIT, _("SD from MR 3.5 to 4.25, log10")),
    "sd_log10_beyond_mr_4_25": (_SD_LIMIT, _("SD beyond MR 4.25, log10")),
}


@pghistory.track()
class Assay(models.Model):
    """A named method of a laboratory, with the transcripts it can see and its limits."""

    laboratory = models.ForeignKey(Laboratory, models.PROTECT, related_name="assays")
    name = models.CharField(_("name"), max_length=100)
    method = models.CharField(_("method"), max_length=10, choices=choices.METHOD, default="rt-qpcr")
    control_gene = models.CharField(_("control gene"), max_length=5, choices=choices.CONTROL_GENE, default="ABL1")
    sees_p210 = models.BooleanField(_("sees p210 (e13a2, e14a2)"), default=True)
    sees_p190 = models.BooleanField(_("sees p190 (e1a2)"), default=False)
    minimum_control_copies = NumberField(
        _("minimum control gene copies per replicate"),
        null=True,
        blank=True,
        help_text=_("Where the laboratory asks for more than the published 10,000 ABL1 or 24,000 GUSB copies."),
    )
    limit_of_blank_copies = NumberField(_("limit of blank, copies"), null=True, blank=True)
    limit_of_detection_percent = NumberField(
        _("limit of detection, % IS"),
        null=True,
        blank=True,
        help_text=_("Shown only: what a sample could see depends on its own control gene copies."),
    )
    limit_of_quantification_percent = NumberField(
        _("limit of quantification, % IS"),
        null=True,
        blank=True,
        help_text=_("Used for results that name no limit of their own."),
    )
    # One measurement's SD in log10 units, by the ranges of the kit's acceptance limits (FDA DEN160003).
    sd_log10_below_mr_3_5 = NumberField(_("SD below MR 3.5, log10"), null=True, blank=True)
    sd_log10_from_mr_3_5 = NumberField(_("SD from MR 3.5 to 4.25, log10"), null=True, blank=True)
    sd_log10_beyond_mr_4_25 = NumberField(_("SD beyond MR 4.25, log10"), null=True, blank=True)

    class Meta:
        verbose_name = _("assay")
        verbose_name_plural = _("assays")
        constraints = [
            models.UniqueConstraint(fields=["laboratory", "name"], name="assay_once"),
            models.CheckConstraint(
                condition=Q(limit_of_blank_copies__isnull=True)
                | Q(limit_of_blank_copies__gte=0, limit_of_blank_copies__lt=COPIES_LIMIT),
                name="assay_limit_of_blank_not_negative",
                violation_error_message=_("limit of blank, copies: a number of 0 or more is needed"),
            ),
            *(
                models.CheckConstraint(
                    condition=Q(**{f"{field}__isnull": True}) | Q(**{f"{field}__gt": 0, f"{field}__lt": limit}),
                    name=f"assay_{field}",
                    violation_error_message=_between(words, limit),
                )
                for field, (limit, words) in _OF_ASSAYS.items()
            ),
        ]

    def __str__(self) -> str:
        return f"{self.laboratory.code} {self.name}"


@pghistory.track()
class ConversionFactor(models.Model):
    """A laboratory's factor to the International Scale, with the days on which it held."""

    laboratory = models.ForeignKey(Laboratory, models.PROTECT, related_name="conversion_factors")
    assay_name = models.CharField(_("assay"), max_length=100, blank=True)
    control_gene = models.CharField(_("control gene"), max_length=5, choices=choices.CONTROL_GENE, default="ABL1")
    factor = NumberField(_("factor"))
    valid_from = models.DateField(_("valid from"))
    valid_to = models.DateField(_("valid to"), null=True, blank=True)
    revalidate_by = models.DateField(
        _("re-validate by"),
        null=True,
        blank=True,
        help_text=_("5 of 15 laboratories failed re-validation after 9 or 18 months (Qin): the day is asked for here."),
    )
    source = models.CharField(_("source"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("conversion factor")
        verbose_name_plural = _("conversion factors")
        constraints = [
            models.CheckConstraint(
                condition=Q(factor__gt=0, factor__lt=FACTOR_LIMIT),
                name="factor_positive",
                violation_error_message=_between(_("factor"), FACTOR_LIMIT),
            ),
            models.CheckConstraint(
                condition=Q(valid_to__isnull=True) | Q(valid_to__gte=F("valid_from")),
                name="factor_dates_in_order",
                violation_error_message=_("valid to: a day not before the first one is needed"),
            ),
            models.UniqueConstraint(
                fields=["laboratory", "assay_name", "control_gene", "valid_from"], name="factor_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.laboratory.code} {self.assay_name or self.control_gene} {self.factor}"


# What decides classes and is changed on a page that shows the consequences first.
LaboratorySetting = Laboratory | Assay | ConversionFactor
