"""Reading a table file row by row, whatever its size: CSV in the dialects of this world, and XLSX.

What a file does otherwise than plain comma-separated UTF-8 is read where it can mean one thing only, and noted; what
could mean two is refused by the name of the cause.
"""

from __future__ import annotations

import csv
import difflib
import io
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from django.utils.translation import gettext as _

from monitoring.intake.bounds import COMMAND, LONGEST_LINE, Bounds
from monitoring.intake.columns import NUMBER_COLUMNS, REPLICATE_COLUMNS, TEXT_COLUMNS
from monitoring.intake.encodings import EncodingProblem, encoding_of
from monitoring.intake.lines import Line, NoWorkbook, Odd, TooMuch

LONGEST_CELL = 2000
csv.field_size_limit(LONGEST_LINE)


class FileProblem(Exception):
    """The file as a whole cannot be used; nothing of it was stored. The message says why and what to do.

    ``reason`` is the message without the name of the file.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message


def _unusable(path: Path, reason: str) -> FileProblem:
    return FileProblem(f"{path}: {reason}", reason)


class Wrong(NamedTuple):
    """Why a row cannot be used as it stands in its file: the column (may be empty), what it holds, and the fix."""

    column: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line of a file: its number (the header is line 1) and its cells by column name, trimmed."""

    line: int
    cells: dict[str, str]
    problem: Wrong | None = None


Row = tuple[int, list[str], Wrong | None]


@dataclass(frozen=True, slots=True)
class Table:
    """A file whose header was found to be right: the names of its columns, and its rows as lists in that order.

    A row is its line, its cells and what is wrong with it as a whole. A row that ends early has fewer cells than there
    are names; it never has more. ``notes`` is whole when the last row is read. The numbers of a sheet are ``typed``: how
    they are written says nothing of its author's decimal mark.
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
            raise _unusable(path, _("this is a folder, not a file"))
        if path.exists() and not path.is_file():
            raise _unusable(path, _("this is not a regular file; save it to disk first"))
        with path.open("rb") as handle:
            start = handle.read(8)
    except FileNotFoundError:
        raise _unusable(path, _("there is no such file")) from None
    except PermissionError:
        raise _unusable(path, _("permission to read it is denied")) from None
    except OSError as problem:
        raise _unusable(path, _("cannot be read (%(problem)s)") % {"problem": problem.strerror}) from None
    if not start:
        raise _unusable(path, _("the file is empty"))
    notes: list[str] = []
    wanted = _Wanted(tuple(columns), tuple(required))
    workbook = start.startswith(b"PK\x03\x04")
    lines = _xlsx_lines(path, bounds, notes) if workbook else _csv_lines(path, bounds, wanted, notes)
    header, width, lines = _find_header(path, lines, wanted, notes)
    if len(header) > bounds.columns:
        said = {"count": len(header), "most": bounds.columns}
        reason = _("the header has %(count)s columns, and at most %(most)s are read; delete the others") % said
        raise _unusable(path, reason)
    layout = _layout(header, wanted)
    _check_header(path, layout.names, columns, required, repeat=bounds.repeats_names)
    if layout.is_wide:
        notes.append(_("one row holds several replicates; each was read as a row of its own"))
    return Table(layout.names, layout.arranged(_rows(header, width, lines)), notes, typed=workbook)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The columns that a kind of file may have, and those that it must have."""

    columns: tuple[str, ...]
    required: tuple[str, ...]

    def is_header(self, cells: Iterable[str]) -> bool:
        """Whether a line holds all the needed names."""
        return set(self.required) <= set(_names(cells))


def _names(cells: Iterable[str]) -> list[str]:
    return [name.strip("\ufeff ").lower() for name in cells]


MOST_LINES_ABOVE = 60


def _find_header(
    path: Path, lines: Iterator[Line], wanted: _Wanted, notes: list[str]
) -> tuple[list[str], int, Iterator[Line]]:
    """The names of the header, its width in cells, and the lines below it; what stands above it is no row of a table."""
    above: list[Line] = []
    for line in lines:
        if wanted.is_header(line.cells):
            break
        if any(line.cells):
            above.append(line)
        if len(above) > MOST_LINES_ABOVE:
            break
    else:
        line = Line(0, [])
    if not wanted.is_header(line.cells):
        if not above:
            raise _unusable(path, _("the file has no header line"))
        first, *rest = above  # the words about the header are about the first line
        return _names(first.cells), len(first.cells), itertools.chain(rest, lines)
    header = _names(line.cells)
    for one in above:
        filled = sum(1 for cell in one.cells if cell)
        if filled > 1 and 2 * filled >= len(header):
            said = {"line": one.number, "header": line.number}
            reason = _(
                "line %(line)s stands above the header in line %(header)s and looks like a row of it; move the header to the top"
            )
            raise _unusable(path, reason % said)  # fmt: skip
    if above:
        said = {"count": len(above), "header": line.number}
        notes.append(_("%(count)s lines above the header in line %(header)s were not read") % said)
    return header, len(line.cells), lines


# --- several replicates in one row -------------------------------------------------------------------------------

_NUMBERED = re.compile(r"(.+?)[_ .-]?([1-9][0-9]?)")


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which cells of a row make which rows of the table: one list of positions for each replicate."""

    names: tuple[str, ...]
    replicates: tuple[tuple[int, ...], ...] = ()

    @property
    def is_wide(self) -> bool:
        return bool(self.replicates)

    def arranged(self, rows: Iterator[Row]) -> Iterator[Row]:
        """The rows of the table, in order; a replicate of which nothing is said is none."""
        if not self.is_wide:
            yield from rows
            return
        shared = len(self.names) - 1 - len(self.replicates[0])
        for line, cells, wrong in rows:
            found = [
                (number, own)
                for number, positions in enumerate(self.replicates, start=1)
                if any(own := [cells[p] if p < len(cells) else "" for p in positions])
            ]
            whole = [cells[p] if p < len(cells) else "" for p in self._shared_positions(shared)]
            for number, own in found or [(1, [""] * len(self.replicates[0]))]:
                yield line, [*whole, str(number), *own], wrong

    def _shared_positions(self, count: int) -> list[int]:
        used = {position for positions in self.replicates for position in positions}
        return list(itertools.islice((p for p in itertools.count() if p not in used), count))


def _layout(header: list[str], wanted: _Wanted) -> _Layout:
    """How a row is read: wide where the columns of a replicate stand there several times with their numbers."""
    own = [name for name in REPLICATE_COLUMNS if name != "replicate" and name in wanted.columns]
    numbered: dict[str, dict[int, int]] = {}
    for position, name in enumerate(header):
        found = _NUMBERED.fullmatch(name)
        if found and name not in wanted.columns and found[1] in own:
            numbered.setdefault(found[1], {})[int(found[2])] = position
    counts = {tuple(sorted(positions)) for positions in numbered.values()}
    if len(counts) != 1 or "replicate" in header or any(name in header for name in numbered):
        return _Layout(tuple(header))
    (numbers,) = counts
    used = {position for positions in numbered.values() for position in positions.values()}
    shared = [name for position, name in enumerate(header) if position not in used]
    names = (*shared, "replicate", *numbered)
    return _Layout(names, tuple(tuple(numbered[name][number] for name in numbered) for number in numbers))


def ends_with_a_line_end(path: Path) -> bool:
    """Whether a text file ends as texts do; a workbook always does."""
    with path.open("rb") as handle:
        if handle.read(4) == b"PK\x03\x04":
            return True
        handle.seek(max(path.stat().st_size - 2, 0))
        return handle.read(2).strip(b"\x00")[-1:] in (b"\n", b"\r")


def _check_header(
    path: Path, names: Sequence[str], columns: Sequence[str], required: Sequence[str], *, repeat: bool
) -> None:
    def shown(name: str) -> str:
        """A file without a header has patients in its first line: only what looks like a column is repeated."""
        if repeat or name in columns or difflib.get_close_matches(name[:80], columns, n=1):
            return name[:80]
        return _("(not repeated here)")

    missing = [name for name in required if name not in names]
    if missing:
        found = ", ".join(dict.fromkeys(shown(n) for n in names if n)) or _("nothing")
        hint = ""
        if near := difflib.get_close_matches(missing[0], [name[:80] for name in names], n=1):
            hint = _(" Is it %(near)s?") % {"near": near[0]}
        said = {"column": missing[0], "found": found[:300]}
        raise _unusable(path, _("the header needs the column %(column)s; it has %(found)s.") % said + hint)
    for position, name in enumerate(names, start=1):
        if not name:
            reason = _("column %(position)s of the header has no name; delete it or name it") % {"position": position}
            raise _unusable(path, reason)
        if name not in columns:
            near = difflib.get_close_matches(name[:80], columns, n=1)
            said = {
                "name": repr(name[:80]) if repeat or near else _("(not repeated here)"),
                "near": near[0] if near else "",
                "known": ", ".join(columns),
            }
            if _NUMBERED.fullmatch(name) and "replicate" in columns:
                reason = _(
                    "the column %(name)s is not known; write one row a replicate, or number all columns of a replicate as bcr_abl1_copies_1, control_gene_copies_1"
                )
                raise _unusable(path, reason % said)  # fmt: skip
            if near:
                raise _unusable(path, _("the column %(name)s is not known; did you mean %(near)s?") % said)
            raise _unusable(path, _("the column %(name)s is not known; known are %(known)s") % said)
        if names.count(name) > 1:
            raise _unusable(path, _("the column %(name)s stands twice in the header") % {"name": name})


def _rows(header: Sequence[str], width: int, lines: Iterator[Line]) -> Iterator[Row]:
    for line, cells, odd in lines:
        text = "".join(cells)  # most of what can be wrong is seen in the whole row at once
        if not text:
            continue
        problem: Wrong | None = None
        if len(cells) < width:
            said = {"cells": len(cells), "width": width}
            problem = Wrong("", "", _("the row ends after %(cells)s of %(width)s cells; was the file cut off?") % said)
        elif any(cells[width:]):
            said = {"cells": len(cells), "width": width}
            words = _("the row has %(cells)s cells, the header %(width)s; is a decimal comma outside quotes?")
            problem = Wrong("", "", words % said)
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
    """What is wrong with a row of a sheet whose cells are not what their text seems; midnights are put right."""
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
            "the spreadsheet holds a number, a date or a yes/no here and digits may be lost; format the column as text and enter it again"
        )
    if kind is Odd.PERCENT and name in NUMBER_COLUMNS:
        is_percent = name in ("is_percent", "limit_of_detection", "limit_of_quantification")
        return "" if is_percent else _("is formatted as a percentage, and this column holds none")
    return ""


def _csv_lines(path: Path, bounds: Bounds, wanted: _Wanted, notes: list[str]) -> Iterator[Line]:
    try:
        encoding, note = encoding_of(path)
    except EncodingProblem as problem:
        raise _unusable(path, str(problem)) from None
    if note:
        notes.append(note)
    delimiter, skipped = _delimiter(path, encoding, wanted)
    if delimiter != ",":
        notes.append(_("the cells are parted by %(mark)s and were read so") % {"mark": _MARK_NAMES[delimiter]()})
    with path.open("r", encoding=encoding, newline="") as handle:
        lines = _Lines(path, handle, bounds.rows)
        for _number in range(skipped):
            next(lines)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        while True:
            lines.taken = 0
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as problem:
                raise _no_csv(path, reader.line_num + skipped, _csv_words(str(problem))) from None
            yield Line(reader.line_num + skipped, [cell.strip() for cell in cells])


_SEPARATOR_LINE = re.compile(r"\ufeff*sep=(.)\s*", re.IGNORECASE)
_MARK_NAMES = {
    ";": lambda: _("semicolons"),
    "\t": lambda: _("tabs"),
    "|": lambda: _("upright strokes"),
}
_SAMPLE_CHARACTERS = 1 << 16


def _delimiter(path: Path, encoding: str, wanted: _Wanted) -> tuple[str, int]:
    """What parts the cells, by the header that it makes, and how many lines say so before it."""
    with path.open("r", encoding=encoding, newline="") as handle:
        sample = handle.read(_SAMPLE_CHARACTERS)
    lines = sample.splitlines()[: MOST_LINES_ABOVE + 1]
    told = _SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    if told and told[1] in (",", *_MARK_NAMES):
        return told[1], 1
    for delimiter in (",", *_MARK_NAMES):
        if any(wanted.is_header(cell.strip(' "') for cell in line.split(delimiter)) for line in lines):
            return delimiter, 0
    return ",", 0


def _no_csv(path: Path, line: int, reason: str) -> FileProblem:
    return _unusable(path, _("line %(line)s cannot be read as CSV: %(reason)s") % {"line": line, "reason": reason})


def _csv_words(problem: str) -> str:
    """What Python's reader says is wrong, in the reader's language."""
    if "unexpected end" in problem:
        return _("a quotation mark is not closed")
    if problem == "',' expected after '\"'":
        return _("',' expected after '\"'")
    return problem


class _Lines:
    """Lines of a text one by one, whatever ends them, with bounds.

    ``taken`` counts the characters of the present record, which may go over many lines; the reader sets it back.
    """

    def __init__(self, path: Path, handle: io.TextIOWrapper, most: int) -> None:
        self._path, self._handle, self._most = path, handle, most
        self._line = self.taken = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        text = self._handle.readline(LONGEST_LINE + 1)
        if not text:
            raise StopIteration
        self._line = line = self._line + 1
        self.taken += len(text)
        if self.taken > LONGEST_LINE:
            raise _no_csv(self._path, line, _("it has more than %(most)s bytes") % {"most": LONGEST_LINE})
        if line > self._most:
            reason = _("the file has more than %(most)s lines; give it in parts") % {"most": self._most}
            raise _unusable(self._path, reason)
        return text


def _xlsx_lines(path: Path, bounds: Bounds, notes: list[str]) -> Iterator[Line]:
    from monitoring.intake.sheets import sheet_lines  # the library behind it is half of what a reading process loads

    opened = False
    try:
        for line in sheet_lines(path, bounds, notes):
            opened = True
            yield line
    except TooMuch as problem:
        raise _unusable(path, str(problem)) from None
    except NoWorkbook:
        if opened:
            raise _unusable(path, _("the first sheet is damaged or is no table; save it again")) from None
        raise _unusable(path, _("looks like XLSX but cannot be opened as a workbook; save it again")) from None
