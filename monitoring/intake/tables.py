"""Reading a table file row by row: CSV (UTF-8, with or without BOM) and XLSX, whatever their size."""

from __future__ import annotations

import csv
import datetime as dt
import difflib
import itertools
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import IO

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

LONGEST_CELL = 2000
LONGEST_LINE = 1_000_000
csv.field_size_limit(LONGEST_LINE)
# What openpyxl raises on archives that are no workbook, or on parts of one that are cut off or damaged.
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, InvalidFileException, SyntaxError, EOFError, OSError, KeyError, ValueError,
    AttributeError, TypeError, IndexError,
)  # fmt: skip


class FileProblem(Exception):
    """The file as a whole cannot be used; nothing of it was stored. The message says why and what to do."""


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


def open_table(path: Path, columns: Sequence[str], required: Sequence[str]) -> Table:
    """A CSV or XLSX file, after its header was found to be right.

    Raises ``FileProblem`` for a file that is missing, unreadable, empty, wrongly encoded or without the needed header.
    """
    try:
        if path.is_dir():
            raise FileProblem(f"{path}: this is a folder, not a file")
        if path.exists() and not path.is_file():
            raise FileProblem(f"{path}: this is not a regular file; save it to disk first")
        with path.open("rb") as handle:
            start = handle.read(8)
    except FileNotFoundError:
        raise FileProblem(f"{path}: there is no such file") from None
    except PermissionError:
        raise FileProblem(f"{path}: permission to read it is denied") from None
    except OSError as problem:
        raise FileProblem(f"{path}: cannot be read ({problem.strerror})") from None
    if not start:
        raise FileProblem(f"{path}: the file is empty")
    lines = _xlsx_lines(path) if start.startswith(b"PK\x03\x04") else _csv_lines(path, start)
    header = next(lines, None)
    while header is not None and not any(header[1]):
        header = next(lines, None)
    if header is None:
        raise FileProblem(f"{path}: the file has no header line")
    names = [name.strip().lower() for name in header[1]]
    _check_header(path, names, columns, required)
    return Table(tuple(names), _rows(len(names), lines))


def ends_with_a_line_end(path: Path) -> bool:
    """Whether a text file ends as texts do; a workbook always does."""
    with path.open("rb") as handle:
        if handle.read(4) == b"PK\x03\x04":
            return True
        handle.seek(-1, 2)
        return handle.read(1) in (b"\n", b"\r")


def _check_header(path: Path, names: list[str], columns: Sequence[str], required: Sequence[str]) -> None:
    missing = [name for name in required if name not in names]
    if missing:
        found = ", ".join(n for n in names if n) or "nothing"
        hint = ""
        if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
            hint = f" Is the separator a {'semicolon' if ';' in names[0] else 'tab'}? Use commas."
        elif near := difflib.get_close_matches(missing[0], names, n=1):
            hint = f" Is it {near[0]}?"
        raise FileProblem(f"{path}: the header needs the column {missing[0]}; it has {found[:300]}.{hint}")
    for position, name in enumerate(names, start=1):
        if not name:
            raise FileProblem(f"{path}: column {position} of the header has no name; delete it or name it")
        if name not in columns:
            near = difflib.get_close_matches(name, columns, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(columns)}"
            raise FileProblem(f"{path}: the column {name!r} is not known{hint}")
        if names.count(name) > 1:
            raise FileProblem(f"{path}: the column {name} stands twice in the header")


def _rows(width: int, lines: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str], str]]:
    for line, cells in lines:
        text = "".join(cells)  # most of what can be wrong is seen in the whole row at once
        if not text:
            continue
        problem = ""
        if len(cells) < width:
            problem = f"the row ends after {len(cells)} of {width} cells; was the file cut off?"
        elif any(cells[width:]):
            problem = f"the row has {len(cells)} cells, the header {width}; is a decimal comma outside quotes?"
        if len(text) > LONGEST_CELL and (longest := max(len(cell) for cell in cells)) > LONGEST_CELL:
            problem = f"a cell has {longest} characters; is a quotation mark missing?"
            cells = [cell[:80] for cell in cells]
        if not text.isascii():
            cells = [unicodedata.normalize("NFC", cell) for cell in cells]
        if "\x00" in text and any("\x00" in cell for cell in cells):
            problem = "the row holds a NUL character, which no text has; export the file again"
            cells = [cell.replace("\x00", "") for cell in cells]
        yield line, cells[:width] if len(cells) > width else cells, problem


def _csv_lines(path: Path, start: bytes) -> Iterator[tuple[int, list[str]]]:
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in start:
        raise FileProblem(f"{path}: the file looks like UTF-16; save it as CSV UTF-8")
    with path.open("rb") as handle:
        reader = csv.reader(_decoded(path, handle), strict=True)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as problem:
                reason = "a quotation mark is not closed" if "unexpected end" in str(problem) else str(problem)
                raise FileProblem(f"{path}: line {reader.line_num} cannot be read as CSV: {reason}") from None
            yield reader.line_num, [cell.strip() for cell in cells]


def _decoded(path: Path, handle: IO[bytes]) -> Iterator[str]:
    """Lines of UTF-8 text, one by one, so that a wrong byte is told with its line."""
    for line, raw in enumerate(handle, start=1):
        if len(raw) > LONGEST_LINE:
            raise FileProblem(f"{path}: line {line} cannot be read as CSV: it has more than {LONGEST_LINE} bytes")
        try:
            yield raw.decode("utf-8-sig" if line == 1 else "utf-8")
        except UnicodeDecodeError as problem:
            byte = problem.object[problem.start]
            raise FileProblem(
                f"{path}: line {line} is not UTF-8 text (byte {byte:#x}); save the file as CSV UTF-8"
            ) from None


def _xlsx_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except _DAMAGED:
        raise FileProblem(f"{path}: looks like XLSX but cannot be opened as a workbook; save it again") from None
    try:
        sheet = book.worksheets[0]
        numbered = enumerate(sheet.iter_rows(values_only=True), start=1)
        width = 0
        while True:
            try:
                line, values = next(numbered)
            except StopIteration:
                return
            except _DAMAGED:
                raise FileProblem(f"{path}: the first sheet is damaged or is no table; save it again") from None
            cells = [_cell_text(value) for value in values]
            if not width:
                cells = list(itertools.dropwhile(lambda cell: not cell, reversed(cells)))[::-1]
                width = len(cells)
            else:  # a sheet has no row ends: empty cells at the end are empty cells
                cells = (cells + [""] * width)[: max(width, len(cells))]
            yield line, cells
    finally:
        book.close()


def _cell_text(value: object) -> str:
    """A cell of a sheet as the text that a CSV file would hold."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, float):
        if value.is_integer():
            return str(int(value)) if abs(value) < 10**15 else repr(value)
        return format(Decimal(repr(value)), "f")
    return str(value).strip()
