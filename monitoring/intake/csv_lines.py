"""The lines of a CSV file: its encoding, separator and quotes, and what is wrong with them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from django.utils.translation import gettext as _

from monitoring.intake.bounds import LONGEST_LINE, Bounds
from monitoring.intake.encodings import EncodingProblem, encoding_of
from monitoring.intake.file_problems import FileProblem, unusable
from monitoring.intake.headers import MOST_LINES_ABOVE, WantedColumns
from monitoring.intake.lines import Line

csv.field_size_limit(LONGEST_LINE)


def csv_lines(path: Path, bounds: Bounds, wanted: WantedColumns, notes: list[str]) -> Iterator[Line]:
    try:
        encoding, note = encoding_of(path)
    except EncodingProblem as problem:
        raise unusable(path, str(problem)) from None
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


def _delimiter(path: Path, encoding: str, wanted: WantedColumns) -> tuple[str, int]:
    """The separator of the cells, and how many lines before the table declare it (``sep=;``), none or one.

    Without a declaration it is the separator that makes a header.
    """
    with path.open("r", encoding=encoding, newline="") as handle:
        sample = handle.read(_SAMPLE_CHARACTERS)
    lines = sample.splitlines()[: MOST_LINES_ABOVE + 1]
    declared = _SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    if declared and declared[1] in (",", *_MARK_NAMES):
        return declared[1], 1
    for delimiter in (",", *_MARK_NAMES):
        if any(wanted.is_header(cell.strip(' "') for cell in line.split(delimiter)) for line in lines):
            return delimiter, 0
    return ",", 0


def _no_csv(path: Path, line: int, reason: str) -> FileProblem:
    return unusable(path, _("line %(line)s cannot be read as CSV: %(reason)s") % {"line": line, "reason": reason})


def _csv_words(problem: str) -> str:
    """What Python's reader says is wrong, in the reader's language."""
    if "unexpected end" in problem:
        return _("a quotation mark is not closed")
    if problem == "',' expected after '\"'":
        return _("',' expected after '\"'")
    return problem


class _Lines:
    """Lines of a text one by one, whatever ends them, with bounds.

    ``taken`` counts the characters of the present record, which may span many lines; the caller resets it.
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
            raise unusable(self._path, reason)
        return text
