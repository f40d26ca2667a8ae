"""Cohorts, the runs that computed them, and the frozen figures."""

import pghistory
import pgtrigger
from django.conf import settings
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


@pghistory.track()
class Cohort(models.Model):
    """A definition, validated when it is saved through the service."""

    slug = models.SlugField(_("slug"), max_length=60, unique=True)
    title = models.CharField(_("title"), max_length=200)
    definition = models.JSONField(_("definition"))
    is_active = models.BooleanField(_("recomputed every night"), default=True)

    class Meta:
        verbose_name = _("cohort")
        verbose_name_plural = _("cohorts")
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.title


class CohortSnapshot(models.Model):
    """Figures and their frozen rows. The digest is of definition, versions and rows, without clock and cut-off."""

    cohort = models.ForeignKey(Cohort, models.PROTECT, related_name="snapshots")
    digest = models.CharField(max_length=64)
    figures = models.JSONField()
    rows = models.BinaryField(help_text="member and excluded episodes, Parquet")
    data_cutoff = models.DateField()
    computed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cohort", "digest"], name="snapshot_once")]
        triggers = [pgtrigger.Protect(name="frozen", operation=pgtrigger.Update | pgtrigger.Delete)]


class SnapshotName(models.Model):
    """A name by which people find a snapshot again, such as "as in the manuscript". Named once, for good."""

    cohort = models.ForeignKey(Cohort, models.PROTECT, related_name="names")
    snapshot = models.ForeignKey(CohortSnapshot, models.PROTECT, related_name="names")
    name = models.CharField(_("name"), max_length=80)
    note = models.CharField(_("note"), max_length=500, blank=True)
    named_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    named_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cohort", "name"], name="snapshot_name_once")]
        triggers = [pgtrigger.Protect(name="named", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return self.name


class OutputKind(models.TextChoices):
    """What can be made of a snapshot."""

    REPORT = "report", _("printed report (PDF)")
    PICTURES = "pictures", _("pictures for papers (SVG and PNG)")
    BUNDLE = "bundle", _("statistician's bundle")
    DIFFERENCE = "difference", _("what is different")


class CohortOutput(models.Model):
    """A file of a snapshot as one person may see it: asked for on a page, made by a worker, kept for a day.

    ``seen_digest`` is of the figures that person could see when it was made: with other rights the file is not given.
    """

    public_id = models.UUIDField(db_default=RandomUUID(), unique=True, editable=False)
    snapshot = models.ForeignKey(CohortSnapshot, models.PROTECT, related_name="outputs")
    compared_with = models.ForeignKey(CohortSnapshot, models.PROTECT, null=True, related_name="+")
    kind = models.CharField(max_length=12, choices=OutputKind.choices)
    language = models.CharField(max_length=10)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(db_default=Now())
    tries = models.PositiveSmallIntegerField(default=0)
    tried_at = models.DateTimeField(null=True)
    made_at = models.DateTimeField(null=True)
    content = models.BinaryField(null=True)
    seen_digest = models.CharField(max_length=64, blank=True)
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        indexes = [models.Index(fields=["asked_by", "-asked_at"], name="output_of_person")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(made_at__isnull=True, content__isnull=True)
                | models.Q(made_at__isnull=False, content__isnull=False, error=""),
                name="output_made_is_there",
            ),
            models.CheckConstraint(
                condition=models.Q(kind="difference", compared_with__isnull=False)
                | (~models.Q(kind="difference") & models.Q(compared_with__isnull=True)),
                name="output_difference_of_two",
            ),
        ]


class DefinitionCount(models.Model):
    """How many would be members by a definition that somebody is writing: asked on a page, counted by a worker."""

    public_id = models.UUIDField(db_default=RandomUUID(), unique=True, editable=False)
    definition = models.JSONField()
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(db_default=Now())
    answer = models.JSONField(null=True)  # flow, members and events; or how far the readings are; or that it failed
    answered_at = models.DateTimeField(null=True)


class CohortPublication(models.Model):
    """Which snapshot of a cohort is shown, and when it was last confirmed as current."""

    cohort = models.OneToOneField(Cohort, models.PROTECT, related_name="publication")
    snapshot = models.ForeignKey(CohortSnapshot, models.PROTECT, related_name="+")
    published_at = models.DateTimeField()
    confirmed_at = models.DateTimeField()


class CohortRun(models.Model):
    """One computation: what it used, what came out, or why it failed."""

    cohort = models.ForeignKey(Cohort, models.PROTECT, related_name="runs")
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)
    as_of = models.DateField()
    known_at = models.DateTimeField(null=True)
    ok = models.BooleanField(null=True)
    unchanged = models.BooleanField(default=False)
    snapshot = models.ForeignKey(CohortSnapshot, models.PROTECT, null=True, related_name="runs")
    error = models.CharField(max_length=1000, blank=True)

    class Meta:
        indexes = [models.Index(fields=["cohort", "-started_at"], name="run_latest")]
