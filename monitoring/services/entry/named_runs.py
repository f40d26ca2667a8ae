"""Runs that results name: made where a file or a message names one first, refused where one was rejected."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from monitoring.domain.scoring.laboratory_report import LaboratoryReport
from monitoring.models import BenchRun, RunState
from monitoring.services.entry.verdicts import Verdict, refusal


def rejected_among(reports: Sequence[LaboratoryReport]) -> frozenset[tuple[str, str]]:
    """Laboratory and name of the runs that these reports name and that were rejected."""
    names = {report.run for report in reports if report.run}
    if not names:
        return frozenset()
    rejected = BenchRun.objects.filter(state=RunState.REJECTED, name__in=names)
    return frozenset(rejected.values_list("laboratory__code", "name"))


def of_rejected_run(report: LaboratoryReport, rejected: Collection[tuple[str, str]]) -> Verdict | None:
    """The refusal of a result of a run that counts for nothing."""
    if (report.laboratory, report.run) not in rejected:
        return None
    return refusal("run", report.run, _("this run was rejected; results of it count for nothing"))


def name_runs(named: Collection[tuple[int, str, int]], *, by: User, now: dt.datetime) -> None:
    """See to it that each run exists that results of a laboratory (by id) name for patients of a centre (by id)."""
    if not named:
        return
    centres: Mapping[tuple[int, str], set[int]] = defaultdict(set)
    for laboratory_id, name, centre_id in named:
        centres[laboratory_id, name].add(centre_id)
    BenchRun.objects.bulk_create(
        [
            BenchRun(
                laboratory_id=laboratory_id, name=name, state=RunState.SUBMITTED, started_by=by, started_at=now,
                ended_by=by, ended_at=now,
            )
            for laboratory_id, name in sorted(centres)
        ],
        ignore_conflicts=True,
    )  # fmt: skip
    names = {name for _laboratory, name in centres}
    for run in BenchRun.objects.filter(laboratory__in={pk for pk, _name in centres}, name__in=names):
        run.centres.add(*centres.get((run.laboratory_id, run.name), ()))
