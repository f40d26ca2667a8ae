"""Loading one file: staged, then record by record through the same services as every other entry point.

Each chunk of records is one transaction, so a killed import leaves whole records only, and running the file again
finishes it. ``dry_run`` takes the same path and stores nothing.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils.translation import gettext as _

from monitoring import clock
from monitoring.domain.text.spreadsheet import as_cell
from monitoring.intake.columns import COLUMNS, KEY_COLUMNS, REQUIRED_COLUMNS
from monitoring.intake.facts import course_facts, observation_facts, patient_facts
from monitoring.intake.foreseen_files import ForeseenFile
from monitoring.intake.mending import RefusedRows
from monitoring.intake.named import NamedPatients
from monitoring.intake.plain import plain_row_pattern
from monitoring.intake.reports import LineProblem, parse_report
from monitoring.intake.staging import RUN_LOCKS, Staging
from monitoring.intake.tables import Table, TableRow, ends_with_a_line_end, open_table
from monitoring.intake.values import CellProblem, Cells
from monitoring.models import Centre, ImportRun, Laboratory, Patient
from monitoring.services.entry.bulk_results import record_plain_results
from monitoring.services.entry.reach import EVERYWHERE, Reach
from monitoring.services.entry.records import (
    CourseFacts,
    ObservationFacts,
    record_courses,
    record_observations,
    record_patients,
)
from monitoring.services.entry.results import record_results
from monitoring.services.entry.verdicts import Problem, RowOutcome, Verdict
from monitoring.services.foundation.races import retry_lost_race

KILLED_AFTER = dt.timedelta(minutes=1)  # a run that has just begun holds no lock yet
CHUNK_RECORDS = 1000
PLAIN_CHUNK_RECORDS = 10_000


@dataclass
class FileOutcome:
    """What became of a file: rows read, records by action, and new centres and laboratories by name."""

    rows: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    refused_rows: int = 0
    contradictions: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[int, str, str, str]] = field(default_factory=list)
    named: set[tuple[str, str]] = field(default_factory=set)
    created_names: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Parsed:
    """One record ready for its service, with the lines it came from."""

    lines: tuple[int, ...]
    facts: Any
    patient: Patient | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """A file uploaded on the page: its run, the centres its uploader may write to, and what receives each verdict, the
    refused rows and, where it is only tried, the records that would be stored.
    """

    run: ImportRun
    reach: Reach
    say: Callable[..., None]
    refused: RefusedRows
    foreseen: ForeseenFile | None = None


Parser = Callable[[Sequence[TableRow], "Lookup"], Parsed]
Recorder = Callable[..., list[Verdict]]


def load_file(
    kind: str,
    path: Path,
    *,
    by: User,
    amend_reason: str = "",
    dry_run: bool = False,
    errors: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    upload: Upload | None = None,
    opened: Callable[[Path, Sequence[str], Sequence[str]], Table] = open_table,
) -> FileOutcome:
    """Load one file of patients, treatments, observations or results. Raises ``FileProblem`` for an unusable file.

    With ``upload`` only the centres of its uploader are written to, and every row gets a verdict. ``opened`` opens the
    file.
    """
    table = opened(path, COLUMNS[kind], REQUIRED_COLUMNS[kind])
    plain = plain_row_pattern(table.names) if kind == "results" and upload is None else None
    outcome = FileOutcome()
    if not ends_with_a_line_end(path):
        note = _("the last line has no line end: if the file was cut off there, its last value is wrong")
        outcome.notes[note] += 1
    with Staging() as staging:
        outcome.rows = staging.fill(table, KEY_COLUMNS[kind], plain, in_parts=kind == "results")
        outcome.notes.update(table.notes)
        decimal_mark = staging.decimal_mark()
        run = None if dry_run or upload else _begin(kind, path, outcome.rows, by)
        if run is not None:
            staging.stands_for(run.pk)
        known = _names()
        done = 0
        for first in range(1, staging.records_count + 1, PLAIN_CHUNK_RECORDS):
            last = first + PLAIN_CHUNK_RECORDS - 1
            left: tuple[int, ...] | None = None
            if plain is not None:
                rows, left = _load_plain(staging, first, last, table.names, outcome, by=by, dry_run=dry_run)
                done += rows
                progress(done, outcome.rows)
            for chunk in _chunks(staging.records(first, last, but=left), CHUNK_RECORDS):
                refusals = _load_chunk(
                    kind, chunk, outcome, by=by, amend_reason=amend_reason, dry_run=dry_run, upload=upload,
                    decimal_mark=decimal_mark, names=table.names,
                )  # fmt: skip
                staging.refuse(refusals)
                done += sum(len(record) for record in chunk)
                progress(done, outcome.rows)
        outcome.created_names = [_new(*name) for name in sorted(outcome.named - known)]
        outcome.examples = list(itertools.islice(staging.refusals(), 20))
        if run is not None:
            _end(run, outcome)
        if errors is not None:
            _write_errors(errors, staging)
    return outcome


def _write_errors(path: Path, staging: Staging) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(("row", "column", "value", "reason"))
        writer.writerows([as_cell(cell) for cell in refusal] for refusal in staging.refusals())


def _begin(kind: str, path: Path, rows: int, by: User) -> ImportRun:
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return ImportRun.objects.create(kind=kind, file_name=path.name[:255], sha256=digest, by=by, rows=rows)


def end_killed_runs(*, now: dt.datetime) -> int:
    """End the runs of importers that are gone; returns how many. What they stored stays, and the file can be run
    again.
    """
    unfinished = ImportRun.objects.filter(
        finished_at__isnull=True, content__isnull=True, started_at__lt=now - KILLED_AFTER
    )
    ended = 0
    for pk in unfinished.values_list("pk", flat=True):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("select pg_try_advisory_xact_lock(%s, %s)", [RUN_LOCKS, pk])
            row = cursor.fetchone()
            if row and row[0]:
                problem = _("the importer was ended before its last row; what it stored stays, run the file again")
                ended += unfinished.filter(pk=pk).update(finished_at=now, problem=problem)
    return ended


def _end(run: ImportRun, outcome: FileOutcome) -> None:
    run.finished_at, run.counts = clock.now(), {**outcome.actions, "refused_rows": outcome.refused_rows}
    run.save(update_fields=["finished_at", "counts"])


def _names() -> set[tuple[str, str]]:
    return {("centre", c) for c in Centre.objects.values_list("code", flat=True)} | {
        ("laboratory", c) for c in Laboratory.objects.values_list("code", flat=True)
    }


def _new(kind: str, code: str) -> str:
    if kind == "centre":
        return _("centre %(code)s") % {"code": code}
    return _("laboratory %(code)s") % {"code": code}


def _chunks(records: Iterable[list[TableRow]], size: int) -> Iterator[list[list[TableRow]]]:
    iterator = iter(records)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _load_plain(
    staging: Staging,
    first: int,
    last: int,
    columns: Sequence[str],
    outcome: FileOutcome,
    *,
    by: User,
    dry_run: bool,
) -> tuple[int, tuple[int, ...]]:
    """Load what is plain among these records: how many rows that was, and which plain records are left to judge."""
    rows = staging.plain_rows(first, last)
    if not rows:
        return 0, ()
    loaded = retry_lost_race(lambda: record_plain_results(rows, columns, by=by, now=clock.now(), dry_run=dry_run))
    outcome.actions += Counter(
        {RowOutcome.CREATED: loaded.created, RowOutcome.UNCHANGED: loaded.unchanged}
    )  # drops zeros
    outcome.named |= {("laboratory", code) for code in loaded.laboratories}
    return loaded.rows, loaded.left


def _load_chunk(
    kind: str,
    chunk: Sequence[list[TableRow]],
    outcome: FileOutcome,
    *,
    by: User,
    amend_reason: str,
    dry_run: bool,
    upload: Upload | None,
    decimal_mark: str,
    names: Sequence[str],
) -> list[tuple[int, str, str, str]]:
    reach = upload.reach if upload else EVERYWHERE
    lookup = Lookup(kind, chunk, reach, decimal_mark)
    parse, record = _STEPS[kind]
    parsed: list[Parsed] = []
    refusals: list[tuple[int, str, str, str]] = []
    for rows in chunk:
        # All rows of an accession are one record; the rows of another kind's key are records of their own.
        for record_rows in [rows] if kind == "results" else [[row] for row in rows]:
            try:
                parsed.append(parse(record_rows, lookup))
            except LineProblem as problem:
                refusals += _refused(problem, record_rows, outcome)
    for entry in parsed:
        outcome.notes.update(getattr(entry.facts, "notes", ()))
    options = {"by": by, "reach": reach, "amend_reason": amend_reason, "bulk": True, "dry_run": dry_run}
    verdicts = retry_lost_race(lambda: record(parsed, now=clock.now(), **options))
    for entry, verdict in zip(parsed, verdicts, strict=True):
        outcome.actions[verdict.action] += 1
        outcome.notes.update(verdict.notes)
        outcome.named |= _named(kind, entry.facts) if verdict.action is RowOutcome.CREATED else set()
        if verdict.action is RowOutcome.REFUSED:
            outcome.refused_rows += len(entry.lines)
            outcome.contradictions += any(problem.contradicts for problem in verdict.problems)
            refusals += [_row_of(entry.lines[0], problem) for problem in verdict.problems]
        elif upload is not None:
            for line in entry.lines:
                upload.say(line, verdict.action.value)
            if upload.foreseen is not None and verdict.action is not RowOutcome.UNCHANGED:
                _foresee(upload.foreseen, entry, verdict)
    if upload is not None:
        for line, column, value, reason in refusals:
            upload.say(line, RowOutcome.REFUSED.value, column, value, reason)
        _keep_refused(upload.refused, kind, chunk, refusals, names, decimal_mark)
    return refusals


def _foresee(foreseen: ForeseenFile, entry: Parsed, verdict: Verdict) -> None:
    """Keep a record that would be stored, so that the file as a whole can say what it would mean."""
    if verdict.stored is not None and entry.patient is not None:
        foreseen.take_result(entry.lines, entry.patient, verdict.stored)
    elif isinstance(entry.facts, CourseFacts | ObservationFacts):
        foreseen.take_fact(entry.facts.patient, entry.facts)


def _keep_refused(
    kept: RefusedRows,
    kind: str,
    chunk: Sequence[list[TableRow]],
    refusals: Sequence[tuple[int, str, str, str]],
    names: Sequence[str],
    decimal_mark: str,
) -> None:
    """Keep the refused rows of a chunk: of results every row of the accession, of the other kinds the row alone."""
    reasons: dict[int, str] = {}
    for line, column, _value, reason in refusals:
        said = f"{column}: {reason}" if column else reason
        reasons[line] = f"{reasons[line]}; {said}" if line in reasons else said
    for rows in chunk:
        for record_rows in [rows] if kind == "results" else [[row] for row in rows]:
            if any(row.line in reasons for row in record_rows):
                kept.take(record_rows, reasons, names, decimal_mark)


def _named(kind: str, facts: Any) -> set[tuple[str, str]]:
    """The centre or laboratory that a stored record names."""
    if kind == "patients":
        return {("centre", facts.centre)}
    return {("laboratory", facts.report.laboratory)} if kind == "results" else set()


def _refused(problem: LineProblem, rows: Sequence[TableRow], outcome: FileOutcome) -> list[tuple[int, str, str, str]]:
    outcome.actions[RowOutcome.REFUSED] += 1
    outcome.refused_rows += len(rows)
    cell = problem.cell
    refusals = [(problem.line, cell.column, cell.value, cell.reason)]
    for row in rows:
        if row.line != problem.line:
            reason = _(
                "line %(line)s of the same accession was refused, and a result is stored whole or not at all"
            ) % {"line": problem.line}
            refusals.append((row.line, "accession_number", row.cells.get("accession_number", ""), reason))
    return refusals


def _row_of(line: int, problem: Problem) -> tuple[int, str, str, str]:
    return line, problem.column, problem.value, problem.reason


# --- finding patients --------------------------------------------------------------------------------------------


class Lookup(NamedPatients):
    """The patients that a chunk of rows names, what their laboratories say of zeros, and the file's decimal mark."""

    def __init__(self, kind: str, chunk: Sequence[list[TableRow]], reach: Reach, decimal_mark: str) -> None:
        named = {row.cells.get("patient_id", "") for rows in chunk for row in rows}
        super().__init__(set() if kind == "patients" else named, reach)
        self.decimal_mark = decimal_mark
        self.zero_means_not_detected: frozenset[str] = frozenset()
        if kind == "results":
            codes = {row.cells.get("laboratory", "") for rows in chunk for row in rows}
            zeros = Laboratory.objects.filter(code__in=codes, zero_means_not_detected=True)
            self.zero_means_not_detected = frozenset(zeros.values_list("code", flat=True))


# --- the four kinds ----------------------------------------------------------------------------------------------


def _parse_patient(rows: Sequence[TableRow], lookup: Lookup) -> Parsed:
    (row,) = rows
    return Parsed((row.line,), _read(row, lookup, patient_facts))


def _parse_course(rows: Sequence[TableRow], lookup: Lookup) -> Parsed:
    (row,) = rows
    return Parsed((row.line,), _read(row, lookup, lambda cells: course_facts(cells, lookup.patient)))


def _parse_observation(rows: Sequence[TableRow], lookup: Lookup) -> Parsed:
    (row,) = rows
    return Parsed((row.line,), _read(row, lookup, lambda cells: observation_facts(cells, lookup.patient)))


def _read(row: TableRow, lookup: Lookup, read: Callable[[Cells], Any]) -> Any:
    if row.problem:
        raise LineProblem(row.line, CellProblem(*row.problem))
    cells = Cells(row.cells, lookup.decimal_mark)
    try:
        return read(cells)
    except CellProblem as problem:
        raise LineProblem(row.line, problem) from None


def _parse_result(rows: Sequence[TableRow], lookup: Lookup) -> Parsed:
    laboratory = rows[0].cells.get("laboratory", "")
    first = rows[0]
    try:
        patient = lookup.patient(first.cells.get("centre", ""), first.cells.get("patient_id", ""))
    except CellProblem as problem:
        if not first.problem:
            raise LineProblem(first.line, problem) from None
        patient = None  # the row is cut off: the refusal names that instead
    parsed = parse_report(
        rows,
        zone_of=lookup.zone,
        zero_means_not_detected=laboratory in lookup.zero_means_not_detected,
        decimal_mark=lookup.decimal_mark,
    )
    return Parsed(tuple(row.line for row in rows), parsed, patient)


def _record_results(parsed: Sequence[Parsed], **options: Any) -> list[Verdict]:
    patients = [entry.patient for entry in parsed if entry.patient is not None]
    return record_results([entry.facts.report for entry in parsed], patients=patients, **options)


def recorder_of(kind: str) -> Recorder:
    """What stores the facts of a kind of file, apart from results."""
    recorders: dict[str, Recorder] = {"treatments": record_courses, "observations": record_observations}
    return recorders.get(kind, record_patients)


def _facts_first(record: Recorder) -> Recorder:
    def call(parsed: Sequence[Parsed], **options: Any) -> list[Verdict]:
        return record([entry.facts for entry in parsed], **options)

    return call


_STEPS: dict[str, tuple[Parser, Recorder]] = {
    "patients": (_parse_patient, _facts_first(record_patients)),
    "treatments": (_parse_course, _facts_first(record_courses)),
    "observations": (_parse_observation, _facts_first(record_observations)),
    "results": (_parse_result, _record_results),
}
