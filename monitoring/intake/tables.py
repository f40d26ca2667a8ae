"""Reading a table file row by row, whatever its size: CSV in its dialects, and XLSX.

A file that is not plain comma-separated UTF-8 is read where it can mean one thing only, and the difference is noted.
Where it could mean two things it is refused, and the message names the cause.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.utils.translation import gettext as _

from monitoring.intake.bounds import COMMAND, Bounds
from monitoring.intake.columns import NUMBER_COLUMNS, REFUSED_BECAUSE, REPLICATE_COLUMNS, TEXT_COLUMNS
from monitoring.intake.csv_lines import csv_lines
from monitoring.intake.file_problems import Wrong, unusable
from monitoring.intake.headers import Row, WantedColumns, check_header, find_header, layout_of
from monitoring.intake.lines import Line, NoWorkbook, Odd, TooMuch

LONGEST_CELL = 2000


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line of a file: its number (the header is line 1) and its cells by column name, trimmed."""

    line: int
    cells: dict[str, str]
    problem: Wrong | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A file whose header was found to be right: the names of its columns, and its rows as lists in that order.

    A row is its line, its cells and what is wrong with it as a whole. A row that ends early has fewer cells than there
    are names; it never has more. ``notes`` is complete once the last row is read. ``typed`` is true for a sheet: its
    numbers have a type, so their text does not show which decimal mark the author uses.
    """

    names: tuple[str, ...]
    rows: Iterator[Row]
    notes: list[str] = field(default_factory=list)
    typed: bool = False


def table_rows(table: Table) -> Iterator[TableRow]:
    """The rows of a table by column name."""
    return (TableRow(line, dict(zip(table.names, cells, strict=False)), wrong) for line, cells, wrong in table.rows)


def open_table(path: Path, columns: Sequence[str], required: Sequence[str], bounds: Bounds = COMMAND) -> Table:
    """A CSV or XLSX file, after its header was found to be right.

    Raises ``FileProblem`` for a file that is missing, unreadable, empty, wrongly encoded or without the needed header.
    """
    try:
        if path.is_dir():
            raise unusable(path, _("this is a folder, not a file"))
        if path.exists() and not path.is_file():
            raise unusable(path, _("this is not a regular file; save it to disk first"))
        with path.open("rb") as handle:
            start = handle.read(8)
    except FileNotFoundError:
        raise unusable(path, _("there is no such file")) from None
    except PermissionError:
        raise unusable(path, _("permission to read it is denied")) from None
    except OSError as problem:
        raise unusable(path, _("cannot be read (%(problem)s)") % {"problem": problem.strerror}) from None
    if not start:
        raise unusable(path, _("the file is empty"))
    notes: list[str] = []
    wanted = WantedColumns(tuple(columns), tuple(required))
    workbook = start.startswith(b"PK\x03\x04")
    lines = _xlsx_lines(path, bounds, notes) if workbook else csv_lines(path, bounds, wanted, notes)
    header, width, lines = find_header(path, lines, wanted, notes)
    if len(header) > bounds.columns:
        values = {"count": len(header), "most": bounds.columns}
        reason = _("the header has %(count)s columns, and at most %(most)s are read; delete the others") % values
        raise unusable(path, reason)
    layout = layout_of(header, wanted)
    check_header(path, layout.names, [*columns, REFUSED_BECAUSE], required, repeat=bounds.repeats_names)
    if layout.is_wide:
        notes.append(_("one row holds several replicates; each was read as a row of its own"))
    names, rows = _without_reasons(layout.names, layout.arranged(_rows(header, width, lines)))
    return Table(names, rows, notes, typed=workbook)


def _without_reasons(names: tuple[str, ...], rows: Iterator[Row]) -> tuple[tuple[str, ...], Iterator[Row]]:
    """The table without the column that says why its rows were refused before."""
    if REFUSED_BECAUSE not in names:
        return names, rows
    at = names.index(REFUSED_BECAUSE)
    left = (*names[:at], *names[at + 1 :])
    return left, ((line, [*cells[:at], *cells[at + 1 :]], wrong) for line, cells, wrong in rows)


def ends_with_a_line_end(path: Path) -> bool:
    """Whether a text file ends with a line end; True for a workbook."""
    with path.open("rb") as handle:
        if handle.read(4) == b"PK\x03\x04":
            return True
        handle.seek(max(path.stat().st_size - 2, 0))
        return handle.read(2).strip(b"\x00")[-1:] in (b"\n", b"\r")


def _rows(header: Sequence[str], width: int, lines: Iterator[Line]) -> Iterator[Row]:
    for line, cells, odd in lines:
        text = "".join(cells)  # one check of the whole row rules out most problems
        if not text:
            continue
        problem: Wrong | None = None
        if len(cells) < width:
            values = {"cells": len(cells), "width": width}
            problem = Wrong(
                "", "", _("the row ends after %(cells)s of %(width)s cells; was the file cut off?") % values
            )
        elif any(cells[width:]):
            values = {"cells": len(cells), "width": width}
            words = _("the row has %(cells)s cells, the header %(width)s; is a decimal comma outside quotes?")
            problem = Wrong("", "", words % values)
        if len(text) > LONGEST_CELL and (longest := max(len(cell) for cell in cells)) > LONGEST_CELL:
            words = _("a cell has %(length)s characters; is a quotation mark missing?")
            problem = Wrong("", "", words % {"length": longest})
            cells = [cell[:80] for cell in cells]
        if not text.isascii():
            cells = [unicodedata.normalize("NFC", cell) for cell in cells]
        if "\x00" in text and any("\x00" in cell for cell in cells):
            words = _("the row holds a NUL character, which no text has; export the file again")
            problem = Wrong("", "", words)
            cells = [cell.replace("\x00", "") for cell in cells]
        if odd:
            cells = list(cells)
            problem = problem or _odd_cells(header, cells, odd)
        yield line, cells[:width] if len(cells) > width else cells, problem


def _odd_cells(header: Sequence[str], cells: list[str], odd: Mapping[int, Odd]) -> Wrong | None:
    """What is wrong with a row of a sheet that has odd cells. A day stored as midnight is corrected in place."""
    for position, kind in odd.items():
        if position >= len(header):
            continue
        name = header[position]
        if kind is Odd.MIDNIGHT and not name.endswith("_at"):
            cells[position] = cells[position].partition("T")[0]
        elif words := _odd_words(name, kind):
            return Wrong(name, cells[position], words)
    return None


def _odd_words(name: str, kind: Odd) -> str:
    """Why a cell of that kind cannot be used in a column; empty where it can."""
    if kind is Odd.FORMULA:
        return _(
            "is a formula whose value is not stored in the file; save the workbook in a spreadsheet, or paste the value"
        )
    if kind is Odd.SHOWN_OTHERWISE:
        return _("shows something else than the number behind it; write what is shown as text")
    if kind is Odd.MERGED_ACROSS:
        return _("is merged with the cell beside it; part the cells and fill each")
    if kind is Odd.MERGED_DOWN:
        shared = name not in REPLICATE_COLUMNS
        return "" if shared else _("is merged over several replicates; part the cells and write the value of each")
    if name in TEXT_COLUMNS:
        return _(
            "the spreadsheet holds a number, a date or a yes/no here and digits may be lost; format the column as "
            "text and enter it again"
        )
    if kind is Odd.PERCENT and name in NUMBER_COLUMNS:
        is_percent = name in ("is_percent", "limit_of_detection", "limit_of_quantification")
        return "" if is_percent else _("is formatted as a percentage, and this column holds none")
    return ""


def _xlsx_lines(path: Path, bounds: Bounds, notes: list[str]) -> Iterator[Line]:
    from monitoring.intake.sheets import sheet_lines  # the library behind it is half of what a reading process loads

    opened = False
    try:
        for line in sheet_lines(path, bounds, notes):
            opened = True
            yield line
    except TooMuch as problem:
        raise unusable(path, str(problem)) from None
    except NoWorkbook:
        if opened:
            raise unusable(path, _("the first sheet is damaged or is no table; save it again")) from None
        raise unusable(path, _("looks like XLSX but cannot be opened as a workbook; save it again")) from None
