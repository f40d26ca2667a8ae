"""The header of a table: found below any lines above it, checked name by name; replicates in columns become rows."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.utils.translation import gettext as _

from monitoring.intake.columns import REPLICATE_COLUMNS
from monitoring.intake.file_problems import Wrong, unusable
from monitoring.intake.lines import Line

# The line of a row, its cells in the order of the header, and what is wrong with it as a whole.
Row = tuple[int, list[str], Wrong | None]


@dataclass(frozen=True, slots=True)
class WantedColumns:
    """The columns that a kind of file may have, and those that it must have."""

    columns: tuple[str, ...]
    required: tuple[str, ...]

    def is_header(self, cells: Iterable[str]) -> bool:
        """Whether a line holds all the needed names."""
        return set(self.required) <= set(names_of(cells))


def names_of(cells: Iterable[str]) -> list[str]:
    return [name.strip("\ufeff ").lower() for name in cells]


MOST_LINES_ABOVE = 60


def find_header(
    path: Path, lines: Iterator[Line], wanted: WantedColumns, notes: list[str]
) -> tuple[list[str], int, Iterator[Line]]:
    """The names of the header, its width in cells, and the lines below it. Lines above it are not read as rows."""
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
            raise unusable(path, _("the file has no header line"))
        first, *rest = above  # the words about the header are about the first line
        return names_of(first.cells), len(first.cells), itertools.chain(rest, lines)
    header = names_of(line.cells)
    for line_above in above:
        filled = sum(1 for cell in line_above.cells if cell)
        if filled > 1 and 2 * filled >= len(header):
            values = {"line": line_above.number, "header": line.number}
            reason = _(
                "line %(line)s stands above the header in line %(header)s and looks like a row of it; move the "
                "header to the top"
            )
            raise unusable(path, reason % values)  # fmt: skip
    if above:
        values = {"count": len(above), "header": line.number}
        notes.append(_("%(count)s lines above the header in line %(header)s were not read") % values)
    return header, len(line.cells), lines


_NUMBERED = re.compile(r"(.+?)[_ .-]?([1-9][0-9]?)")


@dataclass(frozen=True, slots=True)
class Layout:
    """Which cells of a row make which rows of the table: one list of positions for each replicate."""

    names: tuple[str, ...]
    replicates: tuple[tuple[int, ...], ...] = ()

    @property
    def is_wide(self) -> bool:
        return bool(self.replicates)

    def arranged(self, rows: Iterator[Row]) -> Iterator[Row]:
        """The rows of the table, in order. A replicate with empty cells only is left out."""
        if not self.is_wide:
            yield from rows
            return
        shared = len(self.names) - 1 - len(self.replicates[0])
        for line, cells, wrong in rows:
            filled = [
                (number, own)
                for number, positions in enumerate(self.replicates, start=1)
                if any(own := [cells[p] if p < len(cells) else "" for p in positions])
            ]
            whole = [cells[p] if p < len(cells) else "" for p in self._shared_positions(shared)]
            for number, own in filled or [(1, [""] * len(self.replicates[0]))]:
                yield line, [*whole, str(number), *own], wrong

    def _shared_positions(self, count: int) -> list[int]:
        used = {position for positions in self.replicates for position in positions}
        return list(itertools.islice((p for p in itertools.count() if p not in used), count))


def layout_of(header: list[str], wanted: WantedColumns) -> Layout:
    """How a row is read: wide where the header repeats the columns of a replicate with numbers."""
    replicate_columns = [name for name in REPLICATE_COLUMNS if name != "replicate" and name in wanted.columns]
    numbered: dict[str, dict[int, int]] = {}
    for position, name in enumerate(header):
        matched = _NUMBERED.fullmatch(name)
        if matched and name not in wanted.columns and matched[1] in replicate_columns:
            numbered.setdefault(matched[1], {})[int(matched[2])] = position
    counts = {tuple(sorted(positions)) for positions in numbered.values()}
    if len(counts) != 1 or "replicate" in header or any(name in header for name in numbered):
        return Layout(tuple(header))
    (numbers,) = counts
    used = {position for positions in numbered.values() for position in positions.values()}
    shared = [name for position, name in enumerate(header) if position not in used]
    names = (*shared, "replicate", *numbered)
    return Layout(names, tuple(tuple(numbered[name][number] for name in numbered) for number in numbers))


def check_header(
    path: Path, names: Sequence[str], columns: Sequence[str], required: Sequence[str], *, repeat: bool
) -> None:
    def shown(name: str) -> str:
        """A file without a header has patients in its first line: only names close to a column's are repeated."""
        if repeat or name in columns or difflib.get_close_matches(name[:80], columns, n=1):
            return name[:80]
        return _("(not repeated here)")

    missing = [name for name in required if name not in names]
    if missing:
        present = ", ".join(dict.fromkeys(shown(n) for n in names if n)) or _("nothing")
        hint = ""
        if near := difflib.get_close_matches(missing[0], [name[:80] for name in names], n=1):
            hint = _(" Is it %(near)s?") % {"near": near[0]}
        values = {"column": missing[0], "found": present[:300]}
        raise unusable(path, _("the header needs the column %(column)s; it has %(found)s.") % values + hint)
    for position, name in enumerate(names, start=1):
        if not name:
            reason = _("column %(position)s of the header has no name; delete it or name it") % {"position": position}
            raise unusable(path, reason)
        if name not in columns:
            near = difflib.get_close_matches(name[:80], columns, n=1)
            values = {
                "name": repr(name[:80]) if repeat or near else _("(not repeated here)"),
                "near": near[0] if near else "",
                "known": ", ".join(columns),
            }
            if _NUMBERED.fullmatch(name) and "replicate" in columns:
                reason = _(
                    "the column %(name)s is not known; write one row a replicate, or number all columns of a "
                    "replicate as bcr_abl1_copies_1, control_gene_copies_1"
                )
                raise unusable(path, reason % values)  # fmt: skip
            if near:
                raise unusable(path, _("the column %(name)s is not known; did you mean %(near)s?") % values)
            raise unusable(path, _("the column %(name)s is not known; known are %(known)s") % values)
        if names.count(name) > 1:
            raise unusable(path, _("the column %(name)s stands twice in the header") % {"name": name})
