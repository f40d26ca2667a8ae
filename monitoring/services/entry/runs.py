"""Runs of the bench: started, filled row by row, submitted as results all at once, or rejected whole."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from monitoring.domain.quality.controls import (
    ControlKind,
    ControlReading,
    ControlVerdict,
    control_percent,
    judge_control,
)
from monitoring.domain.quality.factors import usual_instead
from monitoring.domain.scoring.laboratory_report import FactorUsed, LaboratoryReport
from monitoring.domain.vocabulary.scale import ControlGene
from monitoring.models import BenchRun, Laboratory, Patient, RunControl, RunRow, RunState
from monitoring.selectors.laboratories import reporting_laboratories
from monitoring.selectors.runs import earlier_values, factor_of
from monitoring.services.entry.reach import Reach, laboratory_refusal
from monitoring.services.entry.results import implausible_words, record_results
from monitoring.services.entry.verdicts import RowOutcome, Verdict
from monitoring.services.foundation.actors import recorded_as
from monitoring.services.foundation.field_problem import FieldProblem

MOST_ROWS = 96
MOST_TUBES = 6
WHOLE_ROW = ("accession_number", "patient_id", "collected_on", "received_on")
TUBE = ("bcr_abl1_copies", "control_gene_copies")
LONGEST_CELL = 60


@dataclass(frozen=True, slots=True)
class RunHeader:
    """What holds for every sample of a run."""

    name: str
    run_on: dt.date
    assay_name: str = ""
    method: str = ""
    control_gene: str = "ABL1"
    kit_lot: str = ""
    conversion_factor: Decimal | None = None
    specimen: str = "PB"
    operator: str = ""
    tubes: int = 1
    collected_on: dt.date | None = None
    received_on: dt.date | None = None


class RunClosed(Exception):
    """The run is no draft any more; the message says what became of it."""


class RunHeld(Exception):
    """A control of the run fails, or something else must be done first; the message says what."""


class RowsRefused(Exception):
    """Rows that storing refuses: their verdicts by place. Nothing was stored."""

    def __init__(self, verdicts: Mapping[int, Verdict]) -> None:
        super().__init__(", ".join(map(str, verdicts)))
        self.verdicts = verdicts


def start_run(laboratory_code: str, header: RunHeader, *, by: User, reach: Reach, now: dt.datetime) -> BenchRun:
    """A new run of a laboratory, for those of the writer's centres that it reports for. Raises ``FieldProblem``."""
    found = reporting_laboratories([laboratory_code]).get(laboratory_code)
    centres = found.centres & (reach.centres or frozenset()) if found else frozenset()
    if found is None or not centres:
        refused = laboratory_refusal(laboratory_code, reach)
        raise FieldProblem("laboratory", refused.reason)
    _check(found.row, header, now)
    with transaction.atomic(), recorded_as(by.get_username(), "run started"):
        fields = dataclasses.asdict(header)
        run, is_new = BenchRun.objects.get_or_create(
            laboratory=found.row, name=fields.pop("name"), defaults={**fields, "started_by": by, "started_at": now}
        )
        if not is_new:
            raise FieldProblem("name", _("is the name of another run of this laboratory"))
        run.centres.set(centres)
        RunControl.objects.bulk_create([RunControl(run=run, kind=kind.value) for kind in ControlKind])
    return run


def change_header(run: BenchRun, header: RunHeader, *, by: User, now: dt.datetime) -> None:
    """Change what holds for every sample; the controls are judged anew. Raises ``FieldProblem``, ``RunClosed``."""
    with transaction.atomic(), recorded_as(by.get_username(), "run header"):
        standing = _locked_draft(run)
        _check(standing.laboratory, header, now)
        others = BenchRun.objects.filter(laboratory=standing.laboratory, name=header.name).exclude(pk=standing.pk)
        if others.exists():
            raise FieldProblem("name", _("is the name of another run of this laboratory"))
        for name, value in dataclasses.asdict(header).items():
            setattr(standing, name, value)
        standing.save()
        factor = factor_of(standing)
        for control in standing.controls.all():
            _judge(standing, control, factor)
            control.save()


def _check(laboratory: Laboratory, header: RunHeader, now: dt.datetime) -> None:
    if header.run_on > now.date() + dt.timedelta(days=1):
        raise FieldProblem("run_on", _("this day has not come yet; check day and month"))
    if header.conversion_factor is not None:
        registered = list(laboratory.conversion_factors.values_list("factor", flat=True))
        usual = usual_instead(header.conversion_factor, registered)
        if usual is not None:
            raise FieldProblem("conversion_factor", implausible_words(usual))


def _locked_draft(run: BenchRun) -> BenchRun:
    standing = BenchRun.objects.select_for_update(of=("self",)).select_related("laboratory").get(pk=run.pk)
    if standing.state != RunState.DRAFT:
        raise RunClosed(_("this run is %(state)s; nothing in it changes any more") % {
            "state": standing.get_state_display()
        })  # fmt: skip
    return standing


# --- controls --------------------------------------------------------------------------------------------------------


def save_control(
    run: BenchRun,
    kind: ControlKind,
    *,
    lot: str,
    target_percent: Decimal | None,
    detected: bool | None,
    bcr_abl1_copies: Decimal | None,
    control_gene_copies: Decimal | None,
    by: User,
) -> ControlVerdict | None:
    """Write down a control as measured and judge it; None while it has no value. Raises ``RunClosed``."""
    with transaction.atomic(), recorded_as(by.get_username(), "run control"):
        standing = _locked_draft(run)
        control = standing.controls.get(kind=kind.value)
        control.lot, control.target_percent, control.detected = lot, target_percent, detected
        control.bcr_abl1_copies, control.control_gene_copies = bcr_abl1_copies, control_gene_copies
        verdict = _judge(standing, control, factor_of(standing))
        control.save()
    return verdict


def _judge(run: BenchRun, control: RunControl, factor: FactorUsed) -> ControlVerdict | None:
    """Set value and faults of a control by the header and the runs before."""
    control.faults, control.is_percent = "", None
    if control.detected is None:
        return None
    verdict = control_verdict(run, control, factor)
    control.faults = ";".join(verdict.faults)
    return verdict


def control_verdict(run: BenchRun, control: RunControl, factor: FactorUsed) -> ControlVerdict:
    """A measured control judged by the header and the runs before; its value by the run's factor is set beside."""
    kind, gene = ControlKind(control.kind), ControlGene(run.control_gene)
    control.is_percent = control_percent(control.bcr_abl1_copies, control.control_gene_copies, factor.factor)
    reading = ControlReading(
        kind, control.bcr_abl1_copies, control.control_gene_copies, control.is_percent, control.target_percent
    )
    return judge_control(reading, gene, earlier_values(run, control) if kind.has_value else ())


def held_words(run: BenchRun) -> str:
    """Why the controls hold the run, empty where they do not. A run without any measured control is not held."""
    failed = [control.get_kind_display() for control in run.controls.all() if control.faults]
    if not failed:
        return ""
    words = _("a control fails (%(controls)s): the run can be rejected, not submitted")
    return words % {"controls": ", ".join(map(str, failed))}


# --- rows ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TypedRow:
    """A row as it stands in a browser: ``seen`` is the version that it was typed over, 0 for a new one."""

    place: int
    cells: Mapping[str, str]
    seen: int


def save_rows(
    run: BenchRun, typed: Sequence[TypedRow], *, by: User, now: dt.datetime
) -> tuple[dict[int, RunRow], Collection[int]]:
    """Keep rows as they were typed; an empty one is taken away. Returns all rows by place, and the places where
    somebody else was faster: these stay as they stand. Raises ``RunClosed``.
    """
    with transaction.atomic():
        standing = _locked_draft(run)
        rows = {row.place: row for row in standing.rows.select_related("saved_by")}
        stale = []
        for one in typed:
            old = rows.get(one.place)
            cells = {name: value for name, value in one.cells.items() if value}
            if old is not None and old.cells == cells:
                continue
            if (old.version if old else 0) != one.seen and not (old is None and not cells):
                stale.append(one.place)
            elif not cells:
                if old is not None:
                    rows.pop(one.place).delete()
            elif old is None:
                rows[one.place] = RunRow.objects.create(
                    run=standing, place=one.place, cells=cells, saved_by=by, saved_at=now
                )
            else:
                old.cells, old.version, old.saved_by, old.saved_at = cells, old.version + 1, by, now
                old.save(update_fields=["cells", "version", "saved_by", "saved_at"])
    return rows, stale


# --- the end of a run ------------------------------------------------------------------------------------------------


def submit_run(
    run: BenchRun,
    reports: Mapping[int, tuple[LaboratoryReport, Patient]],
    *,
    versions: Mapping[int, int],
    by: User,
    reach: Reach,
    now: dt.datetime,
) -> dict[int, Verdict]:
    """Store the rows of a run as results, all or none. ``reports`` are by place, read from rows of these versions.

    Raises ``RunClosed``, ``RunHeld`` where a control fails or a row has changed since, and ``RowsRefused``.
    """
    with transaction.atomic(), recorded_as(by.get_username(), "run submitted"):
        standing = _locked_draft(run)
        if words := held_words(standing):
            raise RunHeld(words)
        rows = {row.place: row for row in standing.rows.all()}
        if {place: row.version for place, row in rows.items()} != versions:
            raise RunHeld(_("a row has changed meanwhile; look at the run again"))
        if not reports:
            raise RunHeld(_("there is no row yet"))
        places = list(reports)
        verdicts = record_results(
            [reports[place][0] for place in places], patients=[reports[place][1] for place in places], by=by,
            reach=reach, now=now,
        )  # fmt: skip
        by_place = dict(zip(places, verdicts, strict=True))
        refused = {place: one for place, one in by_place.items() if one.action is RowOutcome.REFUSED}
        if refused:
            raise RowsRefused(refused)
        for place, verdict in by_place.items():
            rows[place].result = verdict.public_id
        RunRow.objects.bulk_update(rows.values(), ["result"])
        _end(standing, RunState.SUBMITTED, by, now)
    return by_place


def reject_run(run: BenchRun, *, reason: str, by: User, now: dt.datetime) -> None:
    """End a run without results: what it measured counts for nothing. Raises ``RunClosed``, ``FieldProblem``."""
    if not reason.strip():
        raise FieldProblem("reason", _("is needed: why does this run count for nothing?"))
    with transaction.atomic(), recorded_as(by.get_username(), "run rejected"):
        standing = _locked_draft(run)
        standing.reason = reason.strip()[:500]
        _end(standing, RunState.REJECTED, by, now)


def _end(run: BenchRun, state: RunState, by: User, now: dt.datetime) -> None:
    run.state, run.ended_by, run.ended_at = state, by, now
    run.save()
