"""Runs of the bench as they are read: whose, their factor, and the controls of the runs before."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, Q, QuerySet

from monitoring.domain.scoring.laboratory_report import FactorUsed, find_factor
from monitoring.models import BenchRun, Membership, RunControl
from monitoring.selectors.series import load_profiles

EARLIER_VALUES = 40


def runs_of(centres: QuerySet[Membership, int]) -> QuerySet[BenchRun]:
    """The runs that somebody of these centres may open, the newest first, with how many rows."""
    return (
        BenchRun.objects.of_centres(centres)
        .select_related("laboratory", "started_by", "ended_by")
        .annotate(
            row_count=Count("rows", distinct=True),
            failed_count=Count("controls", filter=~Q(controls__faults=""), distinct=True),
        )
        .order_by("-started_at", "-pk")
    )


def factor_of(run: BenchRun) -> FactorUsed:
    """The conversion factor of a run: its own, else the registered one of its day."""
    profile = load_profiles([run.laboratory_id])[run.laboratory_id]
    on = run.run_on or run.started_at.date()
    return find_factor(run.conversion_factor, profile.factors, run.control_gene, run.assay_name, on)


def _before(run: BenchRun, control: RunControl) -> QuerySet[RunControl]:
    """Measured controls of the same kind and lot in other runs of the laboratory and assay, the newest first."""
    others = RunControl.objects.filter(
        run__laboratory=run.laboratory_id, run__assay_name=run.assay_name, run__control_gene=run.control_gene,
        kind=control.kind, lot=control.lot, is_percent__isnull=False,
    )  # fmt: skip
    own = (run.run_on or run.started_at.date(), run.started_at)
    before = Q(run__run_on__lt=own[0]) | Q(run__run_on=own[0], run__started_at__lt=own[1])
    return others.filter(before).exclude(run=run.pk).order_by("-run__run_on", "-run__started_at", "-run__pk")


def earlier_values(run: BenchRun, control: RunControl) -> list[Decimal]:
    """Values of the same control and lot in the runs before, oldest first. Those of failed controls do not count:
    limits would widen with every failure.
    """
    passed = _before(run, control).filter(faults="").values_list("is_percent", flat=True)[:EARLIER_VALUES]
    return [value for value in reversed(passed) if value is not None]


@dataclass(frozen=True, slots=True)
class ChartPoint:
    """A value of a control in an earlier run; ``lot`` shows where another began."""

    run_name: str
    lot: str
    percent: Decimal
    failed: bool


def chart_points(run: BenchRun, kind: str, most: int) -> list[ChartPoint]:
    """The last values of a control over all its lots up to this run, oldest first."""
    rows = (
        RunControl.objects.filter(
            Q(run__run_on__lt=run.run_on) | Q(run__run_on=run.run_on, run__started_at__lte=run.started_at),
            run__laboratory=run.laboratory_id, run__assay_name=run.assay_name, run__control_gene=run.control_gene,
            kind=kind, is_percent__isnull=False,
        )
        .select_related("run")
        .order_by("-run__run_on", "-run__started_at", "-pk")[:most]
    )  # fmt: skip
    return [
        ChartPoint(row.run.name, row.lot, row.is_percent, bool(row.faults))
        for row in reversed(rows)
        if row.is_percent is not None
    ]
