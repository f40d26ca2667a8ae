"""Rows of a bench run as they were typed, read like the rows of a file: the header's cells are those of every row."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from monitoring.domain.scoring.laboratory_report import LaboratoryReport
from monitoring.intake.named import NamedPatients
from monitoring.intake.not_detected import ND
from monitoring.intake.numbers import unmistakable
from monitoring.intake.reports import LineProblem, parse_report, problems_of
from monitoring.intake.tables import TableRow
from monitoring.intake.values import CellProblem
from monitoring.models import BenchRun, Patient, ResultStatus
from monitoring.services.entry.reach import Reach

UNDETECTED, FAILED = "u", "f"  # one key each in a cell of copies


@dataclass(frozen=True, slots=True)
class TypedProblem:
    """Why a cell is refused: its name in the grid, what stands in it, and the reason."""

    cell: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class RowReading:
    """A row that could be read has a report and a patient; another one says everything that is wrong with it."""

    report: LaboratoryReport | None = None
    patient: Patient | None = None
    problems: tuple[TypedProblem, ...] = ()
    notes: tuple[str, ...] = ()

    def refused(self, problems: Sequence[TypedProblem]) -> RowReading:
        """The same row, which cannot be stored."""
        return dataclasses.replace(self, problems=(*self.problems, *problems))


def read_rows(
    run: BenchRun,
    rows: Mapping[int, Mapping[str, str]],
    reach: Reach,
    *,
    status: ResultStatus,
    taken: Mapping[str, int],
) -> dict[int, RowReading]:
    """Each row of a run by its place; ``taken`` are the accessions of its other rows. All patients are looked up at
    once.
    """
    named = NamedPatients({cells.get("patient_id", "") for cells in rows.values()}, reach)
    zero = run.laboratory.zero_means_not_detected
    readings = {
        place: _read(_table_rows(run, cells, status), named, zero_means_not_detected=zero)
        for place, cells in rows.items()
    }
    return _once_each(readings, taken)


def _read(rows: list[TableRow], named: NamedPatients, *, zero_means_not_detected: bool) -> RowReading:
    refused: list[TypedProblem] = []
    first = rows[0].cells
    patient = None
    try:
        patient = named.patient("", first["patient_id"])
    except CellProblem as problem:
        if first["patient_id"]:
            refused.append(TypedProblem("patient_id", problem.value, problem.reason))
    try:
        parsed = parse_report(rows, zone_of=lambda _centre, _id: None, zero_means_not_detected=zero_means_not_detected)
    except LineProblem as problem:
        refused += [_typed(one) for one in problems_of(rows, problem)]
        return RowReading(problems=tuple(refused))
    return RowReading(parsed.report, patient, tuple(refused), parsed.notes)


def _typed(problem: LineProblem) -> TypedProblem:
    column = problem.cell.column
    if column == "tested_on":  # of the header: what is wrong in the row is its own day
        late = _("lies after the day of the run, %(day)s") % {"day": problem.cell.value}
        return TypedProblem("collected_on", "", late)
    name = f"{column}_{problem.line}" if column in ("bcr_abl1_copies", "control_gene_copies") else column
    return TypedProblem(name, problem.cell.value, problem.cell.reason)


def _once_each(readings: dict[int, RowReading], taken: Mapping[str, int]) -> dict[int, RowReading]:
    """The readings, each row refused whose accession another row of the run has already."""
    seen = dict(taken)
    for place in sorted(readings):
        report = readings[place].report
        if report is None:
            continue
        first = seen.setdefault(report.accession_number, place)
        if first != place:
            twice = _("stands in row %(row)s already") % {"row": first}
            readings[place] = readings[place].refused(
                [TypedProblem("accession_number", report.accession_number, twice)]
            )
    return readings


def _table_rows(run: BenchRun, cells: Mapping[str, str], status: ResultStatus) -> list[TableRow]:
    """The rows of a results file with this content, one a tube; the line is the number of the tube."""
    whole = {
        "laboratory": run.laboratory.code,
        "run": run.name,
        "assay": run.assay_name,
        "method": run.method,
        "control_gene": run.control_gene,
        "kit_lot": run.kit_lot,
        "specimen": run.specimen,
        "conversion_factor": "" if run.conversion_factor is None else unmistakable(run.conversion_factor),
        "tested_on": run.run_on.isoformat() if run.run_on else "",
        "status": status.value,
        "accession_number": cells.get("accession_number", ""),
        "patient_id": cells.get("patient_id", ""),
        "collected_on": cells.get("collected_on") or (run.collected_on.isoformat() if run.collected_on else ""),
        "received_on": cells.get("received_on") or (run.received_on.isoformat() if run.received_on else ""),
    }
    tubes = [_tube(cells, n) for n in range(1, run.tubes + 1)]
    said = [(n, tube) for n, tube in enumerate(tubes, start=1) if tube is not None]
    return [TableRow(n, {**whole, **tube, "replicate": str(n)}) for n, tube in said] or [
        TableRow(1, {**whole, "bcr_abl1_copies": "", "control_gene_copies": ""})
    ]


def _tube(cells: Mapping[str, str], number: int) -> dict[str, str] | None:
    copies, control = cells.get(f"bcr_abl1_copies_{number}", ""), cells.get(f"control_gene_copies_{number}", "")
    if not copies and not control:
        return None
    failed = copies.lower() == FAILED
    written = {UNDETECTED: ND, FAILED: ""}.get(copies.lower(), copies)
    return {
        "bcr_abl1_copies": written, "control_gene_copies": control, "run_valid": "false" if failed else "true",
    }  # fmt: skip
