"""Rows of a results file into laboratory reports: one row a replicate, rows of one accession one report."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from monitoring.domain.scoring.laboratory_report import LaboratoryReport, ReplicateReport
from monitoring.domain.vocabulary.dates import PartialDate
from monitoring.domain.vocabulary.measurement import Method, Transcript
from monitoring.domain.vocabulary.scale import CLASS_WORDS, CONTROL_LIMITS, DEPTH, ControlGene, class_of_percent
from monitoring.intake.columns import REPLICATE_COLUMNS
from monitoring.intake.not_detected import means_not_detected
from monitoring.intake.tables import TableRow
from monitoring.intake.values import CellProblem, Cells, Moment
from monitoring.models.results import ResultStatus

MOST_REPLICATES = 100

_STATUSES = tuple(ResultStatus.values)
ZoneOf = Callable[[str, str], ZoneInfo | None]


@dataclass(frozen=True, slots=True)
class ParsedReport:
    """A report with the lines it came from and what was normalised on the way."""

    report: LaboratoryReport
    transcript: Transcript
    notes: tuple[str, ...]


class LineProblem(Exception):
    """A refusal that belongs to one line of the file."""

    def __init__(self, line: int, cell: CellProblem) -> None:
        super().__init__(f"line {line}: {cell}")
        self.line = line
        self.cell = cell


def parse_report(
    rows: Sequence[TableRow],
    *,
    zone_of: ZoneOf = lambda centre, patient_id: None,
    zero_means_not_detected: bool = False,
    for_scoring: bool = False,
    decimal_mark: str = "",
) -> ParsedReport:
    """The report that these rows of one accession make. Raises ``LineProblem`` naming line, column and fix.

    ``zone_of`` gives the time zone of a patient's centre, None where none was entered; ``decimal_mark`` is the one that
    the numbers of the whole file show.
    """
    _must_agree(rows)
    if zero_means_not_detected:
        rows = [dataclasses.replace(row, cells=_zero_as_not_detected(row.cells)) for row in rows]
    first = rows[0]
    cells = Cells(first.cells, decimal_mark)
    try:
        report = _report(cells, zone_of, for_scoring)
        transcript = Transcript(cells.choice("transcript", Transcript))
    except CellProblem as problem:
        raise LineProblem(first.line, problem) from None
    notes = list(cells.notes)
    replicates = []
    for position, row in enumerate(rows, start=1):
        own = Cells(row.cells, decimal_mark)
        try:
            replicates.append(_replicate(own, position))
        except CellProblem as problem:
            raise LineProblem(row.line, problem) from None
        notes += own.notes
    try:
        report = _with_replicates(report, replicates)
    except CellProblem as problem:
        raise LineProblem(first.line, problem) from None
    return ParsedReport(report, transcript, (*notes, *_limit_note(report)))


# What stands in for a cell that was refused while the others are read on.
_HARMLESS = {
    "collected_on": "2000-01-01", "accession_number": "x", "patient_id": "x", "laboratory": "x",
    "bcr_abl1_copies": "nd", "control_gene_copies": "10000",
}  # fmt: skip


def problems_of(rows: Sequence[TableRow], problem: LineProblem) -> list[LineProblem]:
    """Every refusal of these rows, of which ``problem`` is the first: each refused cell is made harmless in turn."""
    found = [problem]
    rows = list(rows)
    while len(found) < len(rows) * len(_HARMLESS):
        refused = found[-1]
        rows = [_without(row, refused, only_line=len(rows) > 1) for row in rows]
        try:
            parse_report(rows)
        except LineProblem as another:
            if (another.line, another.cell.column) in {(one.line, one.cell.column) for one in found}:
                break
            found.append(another)
        else:
            break
    return found


def _without(row: TableRow, refused: LineProblem, *, only_line: bool) -> TableRow:
    column = refused.cell.column
    if only_line and column in REPLICATE_COLUMNS and row.line != refused.line:
        return row
    return dataclasses.replace(row, cells={**row.cells, column: _HARMLESS.get(column, "")})


_ZEROS = ("0", "0.0", "0.00", "0.000", "0,0", "0 %", "0%")


def _zero_as_not_detected(cells: dict[str, str]) -> dict[str, str]:
    """The cells of a laboratory whose profile says that 0 means not detected."""
    changed = dict(cells)
    if changed.get("bcr_abl1_copies") in _ZEROS:
        changed["bcr_abl1_copies"] = "nd"
    if changed.get("is_percent") in _ZEROS:
        changed["is_percent"] = ""
        changed["detected"] = changed.get("detected") or "no"
    return changed


def _must_agree(rows: Sequence[TableRow]) -> None:
    for row in rows:
        if row.problem:
            raise LineProblem(row.line, CellProblem(*row.problem))
    first = rows[0].cells
    for row in rows[1:]:
        for column, value in row.cells.items():
            if column not in REPLICATE_COLUMNS and value != first[column]:
                values = {"line": rows[0].line, "value": repr(first[column])}
                reason = _("line %(line)s of the same accession says %(value)s; the rows must agree") % values
                raise LineProblem(row.line, CellProblem(column, value, reason))


def _report(cells: Cells, zone_of: ZoneOf, for_scoring: bool) -> LaboratoryReport:
    needed = not for_scoring
    patient_id, centre = cells.identifier("patient_id", required=needed), cells.identifier("centre", required=False)
    zone = zone_of(centre, patient_id)
    taken, arrived, issued = (cells.moment(name, zone) for name in ("collected_at", "received_at", "issued_at"))
    collected = _collected(cells, taken, needed)
    received_on = cells.exact_day("received_on") or (arrived.day if arrived else None)
    if received_on is not None and collected.precision == "day" and received_on < collected.on:
        raise CellProblem("received_on", str(received_on), _before(collected.on))
    tested_on = cells.exact_day("tested_on")
    for column, on in (("tested_on", tested_on), ("issued_at", issued.day if issued else None)):
        if on is not None and on < collected.earliest:
            raise CellProblem(column, str(on), _before(collected))
    detected, is_percent, comparator = _reported(cells)
    status = cells.choice("status", _STATUSES, default=ResultStatus.FINAL)
    return LaboratoryReport(
        laboratory=cells.identifier("laboratory", required=needed),
        accession_number=cells.identifier("accession_number"),
        patient_id=patient_id,
        centre=centre,
        collected=collected,
        collected_at=taken.at if taken else None,
        received_on=received_on,
        received_at=arrived.at if arrived else None,
        tested_on=tested_on,
        issued_at=issued.at if issued else None,
        control_gene=cells.choice("control_gene", ControlGene, default=ControlGene.ABL1.value),
        method=cells.choice("method", Method),
        assay_name=cells.text("assay", longest=100),
        kit_lot=cells.text("kit_lot", longest=60),
        run=cells.identifier("run", required=False),
        specimen=cells.choice("specimen", ("PB", "BM"), default="PB"),
        conversion_factor=cells.number("conversion_factor"),
        is_percent=is_percent,
        is_comparator=comparator,
        mr_value=cells.number("mr_value", zero=True),
        reported_class=cells.choice("reported_class", CLASS_WORDS),
        detected=detected,
        limit_of_detection=cells.number("limit_of_detection"),
        limit_of_quantification=cells.number("limit_of_quantification"),
        status=status,
        stated_version=cells.whole_number("version", limit=10_000),
        reason=cells.text("reason", longest=500),
    )


def _reported(cells: Cells) -> tuple[bool | None, Decimal | None, str]:
    """Whether the laboratory reports the transcript as detected, then percentage and comparator.

    A word for not detected in ``is_percent`` counts as detected = no.
    """
    detected = cells.detection("detected")
    written = cells.text("is_percent")
    if not means_not_detected(written):
        return detected, *cells.percentage("is_percent")
    if detected:
        raise CellProblem("is_percent", written, _("contradicts detected = yes"))
    cells.notes.append(_("%(column)s: %(value)s read as %(number)s") % {
        "column": "is_percent", "value": repr(written), "number": "detected = no",
    })  # fmt: skip
    return False, None, "="


def _limit_note(report: LaboratoryReport) -> tuple[str, ...]:
    """A note where the stated limit of detection of an undetected sample proves less than its control copies do."""
    limits = CONTROL_LIMITS.get(ControlGene(report.control_gene))
    undetected = all(r.bcr_abl1_copies is None for r in report.replicates) and report.detected is not True
    if report.limit_of_detection is None or limits is None or not undetected or report.is_percent is not None:
        return ()
    copies = [r.control_gene_copies for r in report.replicates if r.run_valid and r.control_gene_copies is not None]
    by_copies = limits.sensitivity(sum(copies, Decimal(0))).as_class
    by_limit = class_of_percent(report.limit_of_detection)
    if by_copies is None or DEPTH[by_limit] >= DEPTH[by_copies]:
        return ()
    values = {
        "limit": report.limit_of_detection, "limit_class": by_limit.value, "copies": sum(copies, Decimal(0)),
        "copies_class": by_copies.value,
    }  # fmt: skip
    words = _(
        "limit_of_detection: %(limit)s %% proves %(limit_class)s, the %(copies)s control copies %(copies_class)s; "
        "the copies are counted"
    )
    return (words % values,)


def _before(collected: object) -> str:
    return _("lies before the collection on %(day)s") % {"day": collected}


def _collected(cells: Cells, taken: Moment | None, needed: bool) -> PartialDate:
    collected = cells.day("collected_on")
    if taken is not None:
        if collected is not None and not collected.earliest <= taken.day <= collected.latest:
            reason = _("is another day than collected_on %(day)s") % {"day": collected.on}
            raise CellProblem("collected_at", cells.text("collected_at"), reason)
        return PartialDate(taken.day)
    if collected is None:
        if needed:
            raise CellProblem("collected_on", "", _("is needed: every interval is counted from the collection"))
        return PartialDate(dt.date(2000, 1, 1))
    return collected


def _replicate(cells: Cells, position: int) -> ReplicateReport:
    copies, reported = cells.copies("bcr_abl1_copies")
    run_valid = cells.boolean("run_valid")
    control = cells.copy_number("control_gene_copies")
    if control is not None and 0 < control < 1:
        raise CellProblem("control_gene_copies", str(control), _("is less than one copy; write 0 for no signal"))
    return ReplicateReport(
        number=cells.whole_number("replicate", limit=MOST_REPLICATES) or position,
        bcr_abl1_copies=copies,
        control_gene_copies=control,
        run_valid=run_valid is not False,
        reported=reported,
    )


def _with_replicates(report: LaboratoryReport, replicates: list[ReplicateReport]) -> LaboratoryReport:
    """The whole report, after checking that it reports a value and does not contradict itself."""
    if report.status == ResultStatus.ENTERED_IN_ERROR:
        return dataclasses.replace(report, replicates=tuple(replicates))  # a withdrawn report may be empty
    numbers = [r.number for r in replicates]
    if len(set(numbers)) < len(numbers):
        twice = next(n for n in numbers if numbers.count(n) > 1)
        raise CellProblem("replicate", str(twice), _("stands twice in this accession; is a row doubled?"))
    ordered = tuple(sorted(replicates, key=lambda r: r.number))
    whole = dataclasses.replace(report, replicates=ordered)
    if all(not r.run_valid and not r.reported for r in ordered):
        return whole  # every run failed: a report without a value
    _check_whole(whole)
    return whole


def _check_whole(report: LaboratoryReport) -> None:
    """Refuse a report without a value of BCR::ABL1, or one that contradicts itself."""
    ordered = report.replicates
    reported = [r for r in ordered if r.reported]
    has_value = report.is_percent is not None or report.mr_value is not None
    if any(not r.reported and r.run_valid for r in ordered) and reported:
        reason = _("is empty in one replicate and given in another; write a number or nd")
        raise CellProblem("bcr_abl1_copies", "", reason)
    detected = any(r.bcr_abl1_copies is not None for r in reported)
    if reported and not detected:
        if report.detected is True:
            raise CellProblem("detected", "yes", _("contradicts the replicates, which are all not detected"))
        if report.mr_value is not None or (report.is_percent is not None and report.is_comparator != "<"):
            raise CellProblem("is_percent", str(report.is_percent or ""), _("contradicts nd in every replicate"))
    if detected and report.detected is False:
        raise CellProblem("detected", "no", _("contradicts the copies of a replicate"))
    if report.detected is False and not reported and has_value and report.is_comparator != "<":
        raise CellProblem("is_percent", str(report.is_percent), _("contradicts detected = no; leave it empty"))
    no_depth = detected or report.limit_of_detection is None
    if reported and not has_value and no_depth and any(r.control_gene_copies is None and r.run_valid for r in reported):
        raise CellProblem("control_gene_copies", "", _("is needed to make a ratio of the copies"))
    if reported or has_value or report.reported_class:
        return
    if report.detected is None:
        raise CellProblem("bcr_abl1_copies", "", _("is empty; write a number, or nd for not detected"))
    if report.detected is True:
        reason = _("is needed where a result is detected: copies, is_percent, mr_value or reported_class")
        raise CellProblem("is_percent", "", reason)
