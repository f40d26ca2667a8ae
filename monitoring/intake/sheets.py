"""The rows of a workbook's first visible sheet, as its author sees them.

Rows keep their own numbers, gaps are never filled, and nothing grows past its bound. A cell that may not mean what its
text shows is marked as odd; the caller, who knows its column, decides. Hidden rows and columns and unread sheets are
noted.
"""

from __future__ import annotations

import datetime as dt
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

import openpyxl
from django.utils.translation import gettext as _
from openpyxl.styles.numbers import BUILTIN_FORMATS, BUILTIN_FORMATS_MAX_SIZE
from openpyxl.utils.cell import range_boundaries
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.worksheet._reader import FORMULA_TAG, VALUE_TAG, WorkSheetParser

from monitoring.intake.bounds import DEEPEST_ELEMENT, MOST_MERGED, SHEET_ROWS, Bounds
from monitoring.intake.lines import Line, NoWorkbook, Odd, TooMuch
from monitoring.intake.numbers import unmistakable

# What zipfile, expat and openpyxl raise on archives that are no workbook, or on damaged parts of one.
DAMAGED = (
    zipfile.BadZipFile, zlib.error, InvalidFileException, SyntaxError, EOFError, OSError, LookupError, ValueError,
    AttributeError, TypeError, ArithmeticError, RuntimeError, AssertionError, struct.error, expat.ExpatError,
)  # fmt: skip
_ENCRYPTED = 0x1


def check_archive(file: Path | IO[bytes], size: int, bounds: Bounds) -> None:
    """Check the unpacked size that an archive declares. Raises ``TooMuch`` or ``NoWorkbook``."""
    try:
        with zipfile.ZipFile(file) as archive:
            _check_parts(archive.infolist(), size, bounds)
    except DAMAGED:
        raise NoWorkbook from None


def _check_parts(parts: list[zipfile.ZipInfo], size: int, bounds: Bounds) -> None:
    # zipfile unpacks no more of a part than the size that is written here, so the declared size is a true bound.
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


@dataclass(slots=True)
class _Part:
    """What the first pass over one part of the archive found: merged ranges, and whether it holds values."""

    merged: list[str] = field(default_factory=list)
    has_values: bool = False


def sheet_lines(path: Path, bounds: Bounds, notes: list[str]) -> Iterator[Line]:
    """The rows of the first visible sheet that hold something, their cells as wide as the first at least.

    Other sheets with data, and hidden rows and columns, are added to ``notes``.
    """
    check_archive(path, path.stat().st_size, bounds)
    parts: dict[str, _Part] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for part in archive.infolist():
                if part.filename.lower().endswith((".xml", ".rels")):
                    with archive.open(part) as stream:
                        parts[part.filename] = _look_at(stream)
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    except DAMAGED:
        raise NoWorkbook from None
    try:
        width = 0
        for line in _rows(book, bounds, parts, notes):
            width = width or len(line.cells)
            # A sheet has no row ends: empty cells at the end are empty cells.
            yield line._replace(cells=line.cells + [""] * (width - len(line.cells)))
    finally:
        book.close()


def _look_at(stream: IO[bytes]) -> _Part:
    """Look through one part; refuse what no workbook holds: entities, deep nesting, too many merged ranges."""
    depth = 0
    part = _Part()

    def opened(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        kind = name.rpartition(":")[2]
        if kind == "mergeCell":
            part.merged.append(attributes.get("ref", ""))
        elif kind in ("v", "is"):
            part.has_values = True
        if depth > DEEPEST_ELEMENT or len(part.merged) > MOST_MERGED:
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
    return part


class _Parser(WorkSheetParser):
    """openpyxl's reader of cells, which also tells a formula without a stored value from an empty cell."""

    def parse_cell(self, element: Any) -> dict[str, Any]:
        cell: dict[str, Any] = super().parse_cell(element)
        has_value = bool(element.findtext(VALUE_TAG)) or (
            element.get("t") == "str" and element.find(VALUE_TAG) is not None
        )
        cell["formula"] = element.find(FORMULA_TAG) is not None and not has_value
        return cell


def _rows(book: Any, bounds: Bounds, parts: Mapping[str, _Part], notes: list[str]) -> Iterator[Line]:
    try:
        sheet = _first_visible(book)
        path = sheet._worksheet_path.lstrip("/")
        notes += _unread(book, sheet, parts, bounds)
        merged = _Merged(parts[path].merged if path in parts else [])
        formats = _Formats(book)
        with sheet._get_source() as source:
            parser = _Parser(
                source, sheet._shared_strings, data_only=True, epoch=book.epoch, date_formats=book._date_formats,
                timedelta_formats=book._timedelta_formats,
            )  # fmt: skip
            before = seen = hidden = 0
            numbered = parser.parse()
            while (row := _next(numbered)) is not None:
                line, cells = row
                seen += len(cells)
                _check_row(line, seen, bounds)
                if line <= before:
                    raise NoWorkbook
                before = line
                is_hidden = parser.row_dimensions.get(str(line), {}).get("hidden") in ("1", "true")
                parser.row_dimensions.clear()  # heights and styles are not used; kept, they would grow with the sheet
                if texts := _texts(line, cells, bounds, formats, merged):
                    hidden += is_hidden
                    yield texts
            notes += _hidden_words(hidden, parser.column_dimensions)
    except DAMAGED:
        raise NoWorkbook from None


def _first_visible(book: Any) -> Any:
    return next((sheet for sheet in book.worksheets if sheet.sheet_state == "visible"), None) or book.worksheets[0]


def _unread(book: Any, sheet: Any, parts: Mapping[str, _Part], bounds: Bounds) -> list[str]:
    """A note for each other sheet that holds values."""
    words = []
    for number, worksheet in enumerate(book.worksheets, start=1):
        part = parts.get(worksheet._worksheet_path.lstrip("/"))
        if worksheet is sheet or part is None or not part.has_values:
            continue
        values = {"sheet": repr(worksheet.title) if bounds.repeats_names else number}
        if worksheet.sheet_state == "visible":
            words.append(_("the sheet %(sheet)s was not read; only the first visible sheet is") % values)
        else:
            words.append(_("the hidden sheet %(sheet)s was not read; only the first visible sheet is") % values)
    return words


def _hidden_words(rows: int, columns: Mapping[str, Mapping[str, str]]) -> list[str]:
    words = []
    if rows:
        words.append(_("%(count)s rows that a filter or a person has hidden were read too") % {"count": rows})
    hidden = [name for name, column in columns.items() if column.get("hidden") in ("1", "true")]
    if hidden:
        words.append(_("the hidden columns %(columns)s were read too") % {"columns": ", ".join(hidden[:20])})
    return words


def _next(numbered: Iterator[tuple[int, list[dict[str, Any]]]]) -> tuple[int, list[dict[str, Any]]] | None:
    return next(numbered, None)


def _check_row(line: int, cells: int, bounds: Bounds) -> None:
    if not 0 < line <= min(SHEET_ROWS, bounds.rows):
        values = {"line": line, "most": min(SHEET_ROWS, bounds.rows)}
        raise TooMuch(
            _("the sheet has a row %(line)s, and at most %(most)s rows are read; delete what stands below the table")
            % values
        )
    if cells > bounds.cells:
        raise TooMuch(
            _("the sheet has more than %(most)s cells; delete empty rows and columns or save it as CSV")
            % {"most": bounds.cells}
        )


class _Merged:
    """Merged ranges: a cell merged with the cell above it holds the text of that cell."""

    def __init__(self, references: list[str]) -> None:
        self._starting: dict[int, list[tuple[int, int, int]]] = {}
        self._standing: dict[int, tuple[int, str]] = {}  # by column: to which row, and what
        for reference in references:
            left, top, right, bottom = (side or 1 for side in range_boundaries(reference))
            self._starting.setdefault(top, []).append((left, right, bottom))

    def fill(self, line: int, texts: dict[int, str], odd: dict[int, Odd]) -> None:
        """Fill the cells of a row that are merged with a cell above; a row without cells of its own stays empty."""
        for left, right, bottom in self._starting.pop(line, ()):
            if right > left:
                odd.update(
                    {column: Odd.MERGED_ACROSS for column in range(left, min(right, left + 100) + 1) if column in texts}
                )
            elif left in texts:
                self._standing[left] = (bottom, texts[left])
        if not texts:
            return
        for column, (until, text) in list(self._standing.items()):
            if line > until:
                del self._standing[column]
            elif column not in texts:
                texts[column], odd[column] = text, Odd.MERGED_DOWN


# Formats that show the digits of a whole number unchanged.
_AS_IT_IS = ("General", "@", "0")
_DECORATION = re.compile(r"\[[^\]]*\]|_.|\*.|\\.")
_WORDS_SHOWN = re.compile(r'"[^"]*[\w%‰][^"]*"')
_SCALED = re.compile(r"[0#?],+(?=[.;%]|$)")
_TIME_OF_DAY = re.compile(r"[hH]")


class _Formats:
    """How cells are shown, by the number of their style."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._known: dict[int, str] = {}

    def of(self, style_id: int) -> str:
        """The number format of a style."""
        if style_id not in self._known:
            number = self._book._cell_styles[style_id].numFmtId
            custom = number - BUILTIN_FORMATS_MAX_SIZE
            shown = BUILTIN_FORMATS.get(number, "General") if custom < 0 else self._book._number_formats[custom]
            self._known[style_id] = shown
        return self._known[style_id]


def _texts(line: int, cells: list[dict[str, Any]], bounds: Bounds, formats: _Formats, merged: _Merged) -> Line | None:
    """The cells of a row up to the last that is not empty; None for an empty row."""
    texts: dict[int, str] = {}
    odd: dict[int, Odd] = {}
    for cell in cells:
        column = cell["column"]
        if cell["formula"]:
            texts[column], odd[column] = _("a formula"), Odd.FORMULA
            continue
        shown = formats.of(cell["style_id"])
        if text := cell_text(cell["value"], shown):
            texts[column] = text
            if kind := _oddity(cell["value"], shown):
                odd[column] = kind
    merged.fill(line, texts, odd)
    last = max(texts, default=0)
    if last > bounds.columns:
        values = {"line": line, "column": last, "most": bounds.columns}
        raise TooMuch(
            _("row %(line)s has a cell in column %(column)s, and at most %(most)s columns are read; delete what "
              "stands beside the table")
            % values
        )  # fmt: skip
    if not texts:
        return None
    return Line(
        line,
        [texts.get(column, "") for column in range(1, last + 1)],
        {column - 1: kind for column, kind in odd.items()},
    )


def _oddity(value: object, shown: str) -> Odd | None:
    """Why a value shown in this format may not mean what its text shows; None where it does."""
    if isinstance(value, str):
        return None
    if isinstance(value, bool):
        return Odd.BOOLEAN
    if isinstance(value, dt.datetime) and value.time() == dt.time() and _TIME_OF_DAY.search(shown):
        return Odd.MIDNIGHT
    if not isinstance(value, int | float):
        return Odd.DAY
    plain = _DECORATION.sub("", shown)
    if _WORDS_SHOWN.search(plain) or _SCALED.search(plain):
        return Odd.SHOWN_OTHERWISE
    if "%" in plain:
        return Odd.PERCENT
    digits_kept = float(value).is_integer() and abs(value) < 10**15
    return None if shown in _AS_IT_IS and digits_kept else Odd.FORMATTED


def cell_text(value: object, shown: str = "General") -> str:
    """A cell of a sheet as the text that a CSV file would hold; a percentage as its format shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        only_day = value.time() == dt.time() and not _TIME_OF_DAY.search(shown)
        return value.date().isoformat() if only_day else value.isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, int | float) and "%" in _DECORATION.sub("", shown):
        return unmistakable((Decimal(repr(value)) * 100).normalize()) + "%"
    if isinstance(value, float):
        if value.is_integer():
            return str(int(value)) if abs(value) < 10**15 else repr(value)
        return unmistakable(Decimal(repr(value)))
    return str(value).strip()
