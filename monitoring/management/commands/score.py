"""Score a results file without storing anything."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from monitoring.domain.course.series import sample_flags
from monitoring.domain.scoring.laboratory_report import LaboratoryProfile, find_factor, hours_to_laboratory, measurement
from monitoring.domain.scoring.response import score
from monitoring.domain.text.spreadsheet import as_cell
from monitoring.domain.vocabulary.bounds import BOUNDS
from monitoring.domain.vocabulary.measurement import flags_text
from monitoring.domain.vocabulary.scale import ControlGene
from monitoring.intake.columns import COLUMNS, NUMBER_COLUMNS, REQUIRED_COLUMNS
from monitoring.intake.numbers import decimal_mark_of
from monitoring.intake.reports import LineProblem, ParsedReport, parse_report
from monitoring.intake.tables import TableRow, open_table, table_rows
from monitoring.intake.values import CellProblem
from monitoring.management.door import DoorCommand
from monitoring.wording.numbers import plain_number


class Command(DoorCommand):
    help = "Score a results file; stores nothing, writes CSV to standard output."
    asks_the_database = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="CSV (UTF-8) or XLSX with the columns of a results file")
        parser.add_argument(
            "--bcr-minimum", metavar="COPIES", help="minimum BCR copies per replicate, where BCR is used"
        )

    def work(self, **options: Any) -> bool:
        profile = LaboratoryProfile(bcr_minimum_copies=_minimum(options["bcr_minimum"]))
        accessions: dict[tuple[str, str], list[TableRow]] = {}
        table = open_table(options["file"], COLUMNS["score"], REQUIRED_COLUMNS["score"])
        rows = [*table_rows(table)]
        mark = (
            "" if table.typed else decimal_mark_of(row.cells.get(name, "") for row in rows for name in NUMBER_COLUMNS)
        )
        for row in rows:
            key = (row.cells.get("laboratory", ""), row.cells.get("accession_number", ""))
            accessions.setdefault(key, []).append(row)
        writer = csv.writer(sys.stdout if self.stdout is None else self.stdout, lineterminator="\n")
        writer.writerow(("accession_number", "is_percent", "mr_value", "response_class", "flags", "sensitivity"))
        refused = 0
        notes = Counter(table.notes)
        for tubes in accessions.values():
            try:
                parsed = parse_report(tubes, for_scoring=True, decimal_mark=mark)
                writer.writerow(as_cell(cell) for cell in _scored(parsed, profile, tubes[0].line))
                notes.update(parsed.notes)
            except LineProblem as problem:
                refused += 1
                self.tell(f"line {problem.line}: {problem.cell.column} {problem.cell.value!r}: {problem.cell.reason}")
        self.stdout.flush()
        self.tell_notes(notes)
        self.tell(f"{len(accessions)} accessions, {refused} refused")
        return not refused


def _scored(parsed: ParsedReport, profile: LaboratoryProfile, line: int) -> tuple[str, ...]:
    report = parsed.report
    if report.control_gene == ControlGene.BCR and profile.bcr_minimum_copies is None:
        reason = "BCR as control gene needs the laboratory's own minimum: --bcr-minimum COPIES"
        raise LineProblem(line, CellProblem("control_gene", "BCR", reason))
    factor = find_factor(report.conversion_factor, (), report.control_gene, report.assay_name, report.collected.on)
    scored = score(measurement(report, parsed.transcript, profile, factor))
    return (
        report.accession_number,
        plain_number(scored.is_percent),
        "" if scored.mr_value is None else str(scored.mr_value),
        scored.response_class.value,
        flags_text(scored.flags | sample_flags(hours_to_laboratory(report), report.collected.precision)),
        scored.sensitivity.value,
    )


def _minimum(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal(0)
    most = BOUNDS["control_gene_copies"].limit
    if not number.is_finite() or not 0 < number < most:
        raise CommandError(f"--bcr-minimum {text}: write a number of copies from 1 to {most - 1}", returncode=2)
    return number
