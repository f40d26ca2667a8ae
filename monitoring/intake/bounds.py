"""How large a table file may be: checked before it is opened and while it is read, at every entry point."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_LINE = 1_000_000  # bytes of one CSV record; also the longest part of a message


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one entry point reads at most. ``repeats_names`` is off where notes of a file are kept in the database."""

    rows: int
    columns: int
    cells: int
    parts: int
    unpacked_bytes: int
    ratio: int | None
    repeats_names: bool = True


# A sheet has 1,048,576 rows by its format; the widest file of ours has 30 columns.
SHEET_ROWS = 1_048_576
COMMAND = Bounds(
    rows=100_000_000, columns=1000, cells=100_000_000, parts=5000, unpacked_bytes=2_000_000_000, ratio=None
)
PAGE = Bounds(
    rows=5_000_000, columns=1000, cells=20_000_000, parts=500, unpacked_bytes=150_000_000, ratio=100,
    repeats_names=False,
)  # fmt: skip
# No part of a workbook nests deeper than about twenty elements, and no real sheet has a million merged ranges.
DEEPEST_ELEMENT = 100
MOST_MERGED = 100_000
