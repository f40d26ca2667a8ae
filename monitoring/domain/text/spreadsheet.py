"""Cells of files that people open in a spreadsheet: text that would run as a formula is marked as text."""

from __future__ import annotations

import re
from collections.abc import Mapping

_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def as_cell(value: object) -> object:
    """The value, with an apostrophe before text that a spreadsheet would run; numbers stay numbers."""
    if not isinstance(value, str) or not value.startswith(_STARTS) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"


def as_cells(row: Mapping[str, object]) -> dict[str, object]:
    """A row with every value as such a cell."""
    return {name: as_cell(value) for name, value in row.items()}
