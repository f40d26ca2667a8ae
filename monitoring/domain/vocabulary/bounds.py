"""What a number in a column can plausibly be: the same for files, pages and programs, and for rows loaded by the thousand.

They are wide: outside them no laboratory has measured anything, and a mark, a unit or a column was mistaken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Bounds:
    """From ``least``, itself included, to below ``limit``; 0 is told apart before where it has a meaning of its own."""

    least: Decimal
    limit: Decimal


def _bounds(least: str, limit: str) -> Bounds:
    return Bounds(Decimal(least), Decimal(limit))


BOUNDS: Mapping[str, Bounds] = {
    "bcr_abl1_copies": _bounds("0.001", "100000000"),
    "control_gene_copies": _bounds("0", "100000000"),
    "is_percent": _bounds("0.000001", "1000"),
    "mr_value": _bounds("-1", "8"),
    "conversion_factor": _bounds("0.01", "20"),
    "limit_of_detection": _bounds("0.000001", "100"),
    "limit_of_quantification": _bounds("0.000001", "100"),
    "dose_mg_per_day": _bounds("0.1", "5000"),
}
