"""Runs of a laboratory's bench: the header, the control samples, and the rows as typed until all is submitted.

A stored result names its run (``PcrResult.run`` with its laboratory); a run that a file or a message names comes into
being with the first result that does.
"""

import pghistory
from django.conf import settings
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from monitoring.domain.quality.controls import ControlKind
from monitoring.models import choices
from monitoring.models.centres import Centre, Membership
from monitoring.models.fields import NumberField
from monitoring.models.laboratories import COPIES_LIMIT, FACTOR_LIMIT, PERCENT_LIMIT, Laboratory


class RunState(models.TextChoices):
    """The life of a run."""

    DRAFT = "draft", _("draft")
    SUBMITTED = "submitted", _("submitted")
    REJECTED = "rejected", _("rejected")


class BenchRunQuerySet(models.QuerySet["BenchRun"]):
    """Runs, and whose eyes they are for."""

    def of_centres(self, centre_ids: "models.QuerySet[Membership, int]") -> "BenchRunQuerySet":
        """Runs all of whose centres are among these: what was typed in a run may be of any of its patients."""
        others = Centre.objects.exclude(pk__in=centre_ids)
        return self.filter(centres__in=centre_ids).exclude(centres__in=others).distinct()


@pghistory.track()
class BenchRun(models.Model):
    """Samples that a laboratory measured together. ``name`` is the laboratory's own; its state says what it came to."""

    public_id = models.UUIDField(db_default=RandomUUID(), unique=True, editable=False)
    laboratory = models.ForeignKey(Laboratory, models.PROTECT, related_name="runs")
    name = models.CharField(_("run"), max_length=60)
    state = models.CharField(_("state"), max_length=10, choices=RunState.choices, default=RunState.DRAFT)
    assay_name = models.CharField(_("assay"), max_length=100, blank=True)
    method = models.CharField(_("method"), max_length=10, choices=choices.METHOD, blank=True)
    control_gene = models.CharField(_("control gene"), max_length=5, choices=choices.CONTROL_GENE, default="ABL1")
    kit_lot = models.CharField(_("kit lot"), max_length=60, blank=True)
    conversion_factor = NumberField(_("conversion factor"), null=True, blank=True)
    specimen = models.CharField(_("specimen"), max_length=2, default="PB")
    run_on = models.DateField(_("run date"), null=True)
    operator = models.CharField(_("operator"), max_length=100, blank=True)
    tubes = models.PositiveSmallIntegerField(_("tubes of each sample"), default=1)
    collected_on = models.DateField(_("collected on"), null=True, blank=True)  # of a row that says none
    received_on = models.DateField(_("received on"), null=True, blank=True)
    centres = models.ManyToManyField(Centre, related_name="+")
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    started_at = models.DateTimeField(db_default=Now())
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    ended_at = models.DateTimeField(null=True)  # submitted or rejected
    reason = models.CharField(_("reason"), max_length=500, blank=True)  # of the rejection

    objects = BenchRunQuerySet.as_manager()

    class Meta:
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        constraints = [
            models.UniqueConstraint(fields=["laboratory", "name"], name="bench_run_once"),
            models.CheckConstraint(
                condition=Q(state=RunState.DRAFT, ended_at__isnull=True) | Q(ended_at__isnull=False),
                name="bench_run_ended_at_with_state",
            ),
            models.CheckConstraint(condition=~Q(state=RunState.REJECTED) | ~Q(reason=""), name="bench_run_has_reason"),
            models.CheckConstraint(
                condition=Q(conversion_factor__isnull=True)
                | Q(conversion_factor__gt=0, conversion_factor__lt=FACTOR_LIMIT),
                name="bench_run_factor",
            ),
            models.CheckConstraint(condition=Q(tubes__gte=1, tubes__lte=6), name="bench_run_tubes"),
        ]
        indexes = [models.Index(fields=["state", "started_at"], name="bench_run_by_age")]

    def __str__(self) -> str:
        return self.name


CONTROL_KIND: choices.type_choices = [
    (ControlKind.HIGH, _("high")),
    (ControlKind.LOW, _("low")),
    (ControlKind.NEGATIVE, _("negative")),
    (ControlKind.NO_TEMPLATE, _("no template")),
]


@pghistory.track()
class RunControl(models.Model):
    """A control sample of a run. ``detected`` is empty until it was measured; then no copies mean not detected."""

    run = models.ForeignKey(BenchRun, models.PROTECT, related_name="controls")
    kind = models.CharField(_("control"), max_length=15, choices=CONTROL_KIND)
    lot = models.CharField(_("lot of the control"), max_length=60, blank=True)
    target_percent = NumberField(_("target, % IS"), null=True, blank=True)
    detected = models.BooleanField(null=True)
    bcr_abl1_copies = NumberField(_("BCR::ABL1 copies"), null=True, blank=True)
    control_gene_copies = NumberField(_("control gene copies"), null=True, blank=True)
    is_percent = NumberField(null=True)  # by the factor of the run; the ratio where there is none
    faults = models.CharField(max_length=200, blank=True)  # codes of ``domain.quality.controls``; empty: passed

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "kind"], name="run_control_once"),
            *(
                models.CheckConstraint(
                    condition=Q(**{f"{field}__isnull": True}) | Q(**{f"{field}__gte": 0, f"{field}__lt": limit}),
                    name=f"run_control_{field}",
                )
                for field, limit in (
                    ("target_percent", PERCENT_LIMIT), ("bcr_abl1_copies", COPIES_LIMIT),
                    ("control_gene_copies", COPIES_LIMIT),
                )
            ),
        ]  # fmt: skip


class RunRow(models.Model):
    """A row of a draft as it was typed. ``version`` grows with each change; ``result`` names what it became."""

    run = models.ForeignKey(BenchRun, models.PROTECT, related_name="rows")
    place = models.PositiveSmallIntegerField()
    cells = models.JSONField(default=dict)
    version = models.PositiveIntegerField(default=1)
    saved_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    saved_at = models.DateTimeField()
    result = models.UUIDField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "place"], name="run_row_once")]
