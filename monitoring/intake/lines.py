"""One row of a CSV or XLSX file, and why a cell of a sheet may not mean what its text shows."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple


class Odd(Enum):
    """Why a cell of a sheet may not mean what its text shows."""

    FORMULA = auto()  # without a stored value
    FORMATTED = auto()  # a number, shown in a format of its own
    SHOWN_OTHERWISE = auto()  # a number that is shown as another one, or as words
    PERCENT = auto()
    DAY = auto()
    MIDNIGHT = auto()
    BOOLEAN = auto()
    MERGED_DOWN = auto()  # filled from the cell above that it is merged with
    MERGED_ACROSS = auto()


class Line(NamedTuple):
    """One row of a file: its number, its cells, and which of them are odd, by position."""

    number: int
    cells: list[str]
    odd: Mapping[int, Odd] = {}


class TooMuch(Exception):
    """The workbook breaks a bound; the message says which and what to do."""


class NoWorkbook(Exception):
    """The archive or its first sheet cannot be read."""
