"""How a laboratory has worked: results, tubes, turnaround and controls by month, of the patients a person may see."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db import connection

from monitoring.domain.quality.controls import TARGET_SD_LOG10
from monitoring.domain.quality.levey_jennings import Limits, limits_of
from monitoring.domain.vocabulary.scale import ResponseClass
from monitoring.models import BenchRun, Laboratory, RunControl
from monitoring.selectors.runs import ChartPoint

LOADED_LATER_DAYS = 90  # what is recorded so long after its sample was loaded from elsewhere, and says nothing of speed
CONTROL_VALUES = 60  # drawn of one control
MOST_CONTROLS = 5000


@dataclass(frozen=True, slots=True)
class Month:
    """One month of collection. Copies are those of valid tubes of one control gene; days are calendar days."""

    first_on: dt.date
    results: int
    not_evaluable: int
    tubes: int
    failed_tubes: int
    copies_median: float | None
    copies_tenth: float | None
    copies_ninetieth: float | None
    timed: int
    days_median: float | None
    days_ninetieth: float | None
    loaded_later: int


def months_of(
    laboratory: Laboratory, centres: Collection[int], *, gene: str, since: dt.date, until: dt.date
) -> list[Month]:
    """The months from that of ``since`` to that of ``until``, also those without a result; in one query.

    Turnaround is from the receipt of a sample, or its collection where that is not known, to the first final version.
    """
    values: dict[str, Any] = {
        "laboratory": laboratory.pk, "centres": list(centres), "gene": gene, "since": since.replace(day=1),
        "until": until, "later": LOADED_LATER_DAYS,
        "not_evaluable": [one.value for one in ResponseClass if not one.is_evaluable],
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_MONTHS, values)
        return [Month(*row) for row in cursor.fetchall()]


def genes_of(laboratory: Laboratory, centres: Collection[int]) -> list[str]:
    """The control genes of the laboratory's results, the most frequent first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select control_gene from monitoring_pcrresult r join monitoring_patient p on p.id = r.patient_id"
            " where r.laboratory_id = %s and p.centre_id = any(%s) group by 1 order by count(*) desc, 1",
            [laboratory.pk, list(centres)],
        )
        return [gene for (gene,) in cursor.fetchall()]


_MONTHS = """
with months as (
    select generate_series(%(since)s::date, %(until)s::date, interval '1 month')::date as first_on
), standing as (
    select r.id, r.public_id, date_trunc('month', r.collected_on)::date as first_on, r.control_gene,
           coalesce(r.received_on, r.collected_on) as came_on
      from monitoring_pcrresult r join monitoring_patient p on p.id = r.patient_id
     where r.laboratory_id = %(laboratory)s and p.centre_id = any(%(centres)s)
       and r.collected_on >= %(since)s and r.collected_on <= %(until)s and r.status <> 'entered_in_error'
       and not exists (select 1 from monitoring_pcrresult later where later.supersedes_id = r.id)
), classes as (
    select first_on, count(*) as results,
           count(*) filter (where a.response_class = any(%(not_evaluable)s)) as not_evaluable
      from standing
      left join monitoring_responseassessment a on a.result_id = standing.id and a.superseded_at is null
     group by 1
), tubes as (
    select first_on, count(*) as tubes, count(*) filter (where not t.run_valid) as failed,
           percentile_cont(array[0.1, 0.5, 0.9]) within group (order by t.control_gene_copies)
               filter (where t.run_valid and standing.control_gene = %(gene)s) as copies
      from standing join monitoring_replicate t on t.result_id = standing.id
     group by 1
), finals as (
    select standing.first_on, min(f.recorded_at)::date - standing.came_on as days
      from standing join monitoring_pcrresult f
        on f.public_id = standing.public_id and f.status in ('final', 'corrected')
     group by standing.public_id, standing.first_on, standing.came_on
), speed as (
    select first_on, count(*) filter (where days <= %(later)s) as timed,
           percentile_cont(array[0.5, 0.9]) within group (order by days) filter (where days <= %(later)s) as days,
           count(*) filter (where days > %(later)s) as later
      from finals group by 1
)
select first_on, coalesce(results, 0), coalesce(not_evaluable, 0), coalesce(tubes.tubes, 0), coalesce(failed, 0),
       copies[2]::float, copies[1]::float, copies[3]::float, coalesce(timed, 0), speed.days[1]::float,
       speed.days[2]::float, coalesce(later, 0)
  from months
  left join classes using (first_on) left join tubes using (first_on) left join speed using (first_on)
 order by first_on
"""


@dataclass(frozen=True, slots=True)
class ControlSeries:
    """The values of one control of an assay over its lots, oldest first, with the limits of its last lot."""

    assay_name: str
    control_gene: str
    kind: str
    lot: str
    points: tuple[ChartPoint, ...]
    limits: Limits | None
    measured: int
    failed: int


def controls_of(laboratory: Laboratory, centres: Any, *, since: dt.date) -> list[ControlSeries]:
    """Each control of the runs that somebody of these centres may open; those without a value are counted only."""
    runs = BenchRun.objects.of_centres(centres).filter(laboratory=laboratory, run_on__gte=since)
    rows = (
        RunControl.objects.filter(run__in=runs.values("pk"), detected__isnull=False)
        .select_related("run")
        .order_by("-run__run_on", "-run__started_at", "-pk")[:MOST_CONTROLS]
    )
    groups: dict[tuple[str, str, str], list[RunControl]] = defaultdict(list)
    for row in reversed(rows):
        groups[row.run.assay_name, row.run.control_gene, row.kind].append(row)
    return [_series(*key, group) for key, group in sorted(groups.items())]


def _series(assay_name: str, control_gene: str, kind: str, rows: list[RunControl]) -> ControlSeries:
    last = rows[-1]
    passed = [
        math.log10(row.is_percent) for row in rows[:-1] if row.lot == last.lot and row.is_percent and not row.faults
    ]
    target = math.log10(last.target_percent) if last.target_percent else None
    points = [
        ChartPoint(f"{row.run.run_on} {row.run.name}", row.lot, row.is_percent, bool(row.faults))
        for row in rows
        if row.is_percent
    ]
    return ControlSeries(
        assay_name, control_gene, kind, last.lot, tuple(points[-CONTROL_VALUES:]),
        limits_of(passed, target, TARGET_SD_LOG10), len(rows), sum(bool(row.faults) for row in rows),
    )  # fmt: skip
