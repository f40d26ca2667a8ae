"""Reading a table file row by row: CSV (UTF-8, with or without BOM) and XLSX, whatever their size."""

from __future__ import annotations

import csv
import difflib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from django.utils.translation import gettext as _

from monitoring.intake.bounds import COMMAND, LONGEST_LINE, Bounds
from monitoring.intake.sheets import NoWorkbook, TooMuch, sheet_lines

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


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line of a file: its number (the header is line 1) and its cells by column name, trimmed."""

    line: int
    cells: dict[str, str]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A file whose header was found to be right: the names of its columns, and its rows as lists in that order.

    A row is its line, its cells and what is wrong with it as a whole. A row that ends early has fewer cells than there
    are names; it never has more.
    """

    names: tuple[str, ...]
    rows: Iterator[tuple[int, list[str], str]]


def read_table(path: Path, columns: Sequence[str], required: Sequence[str]) -> Iterator[TableRow]:
    """The rows of a CSV or XLSX file by column name. Raises ``FileProblem`` as ``open_table`` does."""
    table = open_table(path, columns, required)
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
    lines = _xlsx_lines(path, bounds) if start.startswith(b"PK\x03\x04") else _csv_lines(path, start, bounds)
    header = next(lines, None)
    while header is not None and not any(header[1]):
        header = next(lines, None)
    if header is None:
        raise _unusable(path, _("the file has no header line"))
    names = [name.strip().lower() for name in header[1]]
    if len(names) > bounds.columns:
        said = {"count": len(names), "most": bounds.columns}
        reason = _("the header has %(count)s columns, and at most %(most)s are read; delete the others") % said
        raise _unusable(path, reason)
    _check_header(path, names, columns, required, repeat=bounds.repeats_names)
    return Table(tuple(names), _rows(len(names), lines))


def ends_with_a_line_end(path: Path) -> bool:
    """Whether a text file ends as texts do; a workbook always does."""
    with path.open("rb") as handle:
        if handle.read(4) == b"PK\x03\x04":
            return True
        handle.seek(-1, 2)
        return handle.read(1) in (b"\n", b"\r")


def _check_header(
    path: Path, names: list[str], columns: Sequence[str], required: Sequence[str], *, repeat: bool
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
        if len(names) == 1 and ";" in names[0]:
            hint = _(" Is the separator a semicolon? Use commas.")
        elif len(names) == 1 and "\t" in names[0]:
            hint = _(" Is the separator a tab? Use commas.")
        elif near := difflib.get_close_matches(missing[0], [name[:80] for name in names], n=1):
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
            if near:
                raise _unusable(path, _("the column %(name)s is not known; did you mean %(near)s?") % said)
            raise _unusable(path, _("the column %(name)s is not known; known are %(known)s") % said)
        if names.count(name) > 1:
            raise _unusable(path, _("the column %(name)s stands twice in the header") % {"name": name})


def _rows(width: int, lines: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str], str]]:
    for line, cells in lines:
        text = "".join(cells)  # most of what can be wrong is seen in the whole row at once
        if not text:
            continue
        problem = ""
        if len(cells) < width:
            said = {"cells": len(cells), "width": width}
            problem = _("the row ends after %(cells)s of %(width)s cells; was the file cut off?") % said
        elif any(cells[width:]):
            said = {"cells": len(cells), "width": width}
            problem = _("the row has %(cells)s cells, the header %(width)s; is a decimal comma outside quotes?") % said
        if len(text) > LONGEST_CELL and (longest := max(len(cell) for cell in cells)) > LONGEST_CELL:
            problem = _("a cell has %(length)s characters; is a quotation mark missing?") % {"length": longest}
            cells = [cell[:80] for cell in cells]
        if not text.isascii():
            cells = [unicodedata.normalize("NFC", cell) for cell in cells]
        if "\x00" in text and any("\x00" in cell for cell in cells):
            problem = _("the row holds a NUL character, which no text has; export the file again")
            cells = [cell.replace("\x00", "") for cell in cells]
        yield line, cells[:width] if len(cells) > width else cells, problem


def _csv_lines(path: Path, start: bytes, bounds: Bounds) -> Iterator[tuple[int, list[str]]]:
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in start:
        raise _unusable(path, _("the file looks like UTF-16; save it as CSV UTF-8"))
    with path.open("rb") as handle:
        lines = _Lines(path, handle, bounds.rows)
        reader = csv.reader(lines, strict=True)
        while True:
            lines.taken = 0
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as problem:
                raise _no_csv(path, reader.line_num, _csv_words(str(problem))) from None
            yield reader.line_num, [cell.strip() for cell in cells]


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
    """Lines of UTF-8 text, one by one, so that a wrong byte is told with its line.

    ``taken`` counts the bytes of the present record, which may go over many lines; the reader sets it back.
    """

    def __init__(self, path: Path, handle: IO[bytes], most: int) -> None:
        self._path, self._handle, self._most = path, handle, most
        self._line = self.taken = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        raw = self._handle.readline(LONGEST_LINE + 1)
        if not raw:
            raise StopIteration
        self._line = line = self._line + 1
        self.taken += len(raw)
        if self.taken > LONGEST_LINE:
            raise _no_csv(self._path, line, _("it has more than %(most)s bytes") % {"most": LONGEST_LINE})
        if line > self._most:
            reason = _("the file has more than %(most)s lines; give it in parts") % {"most": self._most}
            raise _unusable(self._path, reason)
        try:
            return raw.decode("utf-8-sig" if line == 1 else "utf-8")
        except UnicodeDecodeError as problem:
            said = {"line": line, "byte": f"{problem.object[problem.start]:#x}"}
            reason = _("line %(line)s is not UTF-8 text (byte %(byte)s); save the file as CSV UTF-8") % said
            raise _unusable(self._path, reason) from None


def _xlsx_lines(path: Path, bounds: Bounds) -> Iterator[tuple[int, list[str]]]:
    opened = False
    try:
        for line, cells in sheet_lines(path, bounds):
            opened = True
            yield line, cells
    except TooMuch as problem:
        raise _unusable(path, str(problem)) from None
    except NoWorkbook:
        if opened:
            raise _unusable(path, _("the first sheet is damaged or is no table; save it again")) from None
        raise _unusable(path, _("looks like XLSX but cannot be opened as a workbook; save it again")) from None
