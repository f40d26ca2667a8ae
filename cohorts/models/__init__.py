"""Cohorts, the runs that computed them, and the frozen figures."""

import pghistory
import pgtrigger
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
