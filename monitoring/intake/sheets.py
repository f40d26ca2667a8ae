"""The rows of a workbook's first sheet, by their own numbers: gaps are never filled, and nothing grows past its bound."""

from __future__ import annotations

import datetime as dt
import struct
import zipfile
import zlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

import openpyxl
from django.utils.translation import gettext as _
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet._reader import WorkSheetParser

from monitoring.intake.bounds import DEEPEST_ELEMENT, MOST_MERGED, SHEET_ROWS, Bounds

# What zipfile, expat and openpyxl raise on archives that are no workbook, or on damaged parts of one.
DAMAGED = (
    zipfile.BadZipFile, zlib.error, InvalidFileException, SyntaxError, EOFError, OSError, LookupError, ValueError,
    AttributeError, TypeError, ArithmeticError, RuntimeError, AssertionError, struct.error, expat.ExpatError,
)  # fmt: skip
_ENCRYPTED = 0x1


class TooMuch(Exception):
    """The workbook breaks a bound; the message says which and what to do."""


class NoWorkbook(Exception):
    """The archive or its first sheet cannot be read."""


def check_archive(file: Path | IO[bytes], size: int, bounds: Bounds) -> None:
    """Whether an archive says that it unpacks to a bearable size. Raises ``TooMuch`` or ``NoWorkbook``."""
    try:
        with zipfile.ZipFile(file) as archive:
            _check_parts(archive.infolist(), size, bounds)
    except DAMAGED:
        raise NoWorkbook from None


def _check_parts(parts: list[zipfile.ZipInfo], size: int, bounds: Bounds) -> None:
    # zipfile unpacks no more of a part than the size that is written here, so what is written can be relied upon.
    unpacked = sum(part.file_size for part in parts)
    too_dense = bounds.ratio is not None and unpacked > bounds.ratio * size
    if len(parts) > bounds.parts or unpacked > bounds.unpacked_bytes or too_dense:
        raise TooMuch(_("The workbook unpacks to far more than it should; save the sheet as CSV."))
    if any(part.flag_bits & _ENCRYPTED for part in parts):
        raise TooMuch(_("The workbook is locked with a password; save it without one."))
    if any(part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for part in parts):
        raise NoWorkbook
    if len({part.filename for part in parts}) < len(parts):
        raise NoWorkbook


def sheet_lines(path: Path, bounds: Bounds) -> Iterator[tuple[int, list[str]]]:
    """The rows of the first sheet that hold something: their number and their cells, as wide as the first at least."""
    check_archive(path, path.stat().st_size, bounds)
    try:
        with zipfile.ZipFile(path) as archive:
            for part in archive.infolist():
                if part.filename.lower().endswith((".xml", ".rels")):
                    with archive.open(part) as stream:
                        _check_xml(stream)
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    except DAMAGED:
        raise NoWorkbook from None
    try:
        width = 0
        for line, cells in _rows(book, bounds):
            if not width:
                width = len(cells)
            # A sheet has no row ends: empty cells at the end are empty cells.
            yield line, cells + [""] * (width - len(cells))
    finally:
        book.close()


def _check_xml(stream: IO[bytes]) -> None:
    """Refuse what a workbook never holds: entities, deep nesting, a flood of merged ranges."""
    depth = merged = 0

    def opened(name: str, _attributes: dict[str, str]) -> None:
        nonlocal depth, merged
        depth += 1
        merged += name.endswith("mergeCell")
        if depth > DEEPEST_ELEMENT or merged > MOST_MERGED:
            raise TooMuch(_("The workbook is built in a way that no table is; save the sheet as CSV."))

    def closed(_name: str) -> None:
        nonlocal depth
        depth -= 1

    def doctype(*_anything: object) -> None:
        raise NoWorkbook

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = opened, closed
    parser.StartDoctypeDeclHandler = doctype
    while block := stream.read(1 << 16):
        parser.Parse(block, False)
    parser.Parse(b"", True)


def _rows(book: Any, bounds: Bounds) -> Iterator[tuple[int, list[str]]]:
    try:
        sheet = book.worksheets[0]
        with sheet._get_source() as source:
            parser = WorkSheetParser(
                source, sheet._shared_strings, data_only=True, epoch=book.epoch, date_formats=book._date_formats,
                timedelta_formats=book._timedelta_formats,
            )  # fmt: skip
            before = seen = 0
            numbered = parser.parse()
            while (found := _next(numbered)) is not None:
                line, cells = found
                seen += len(cells)
                _check_row(line, seen, bounds)
                if line <= before:
                    raise NoWorkbook
                before = line
                parser.row_dimensions.clear()  # heights and styles of rows, which nobody asks for
                if texts := _texts(line, cells, bounds):
                    yield line, texts
    except DAMAGED:
        raise NoWorkbook from None


def _next(numbered: Iterator[tuple[int, list[dict[str, Any]]]]) -> tuple[int, list[dict[str, Any]]] | None:
    return next(numbered, None)


def _check_row(line: int, cells: int, bounds: Bounds) -> None:
    if not 0 < line <= min(SHEET_ROWS, bounds.rows):
        said = {"line": line, "most": min(SHEET_ROWS, bounds.rows)}
        raise TooMuch(
            _("the sheet has a row %(line)s, and at most %(most)s rows are read; delete what stands below the table")
            % said
        )
    if cells > bounds.cells:
        raise TooMuch(
            _("the sheet has more than %(most)s cells; delete empty rows and columns or save it as CSV")
            % {"most": bounds.cells}
        )


def _texts(line: int, cells: list[dict[str, Any]], bounds: Bounds) -> list[str]:
    """The cells of a row up to its last that is not empty."""
    by_column = {cell["column"]: text for cell in cells if (text := cell_text(cell["value"]))}
    last = max(by_column, default=0)
    if last > bounds.columns:
        said = {"line": line, "column": last, "most": bounds.columns}
        raise TooMuch(
            _("row %(line)s has a cell in column %(column)s, and at most %(most)s columns are read; delete what stands beside the table")
            % said
        )  # fmt: skip
    return [by_column.get(column, "") for column in range(1, last + 1)]


def cell_text(value: object) -> str:
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
