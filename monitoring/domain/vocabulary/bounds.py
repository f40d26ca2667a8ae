"""Plausible limits of the numbers in each column: the same for files, pages, programs and bulk loads.

The limits are wide. No laboratory measures a number outside them: the decimal mark, the unit or the column is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Bounds:
    """From ``least`` (included) to below ``limit``. Where 0 has a meaning of its own, it is handled before."""

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
    "spleen_cm": _bounds("0", "41"),
    "platelets_e9_per_l": _bounds("1", "20000"),
    "blasts_percent": _bounds("0", "101"),
    "dose_mg_per_day": _bounds("0.1", "5000"),
}
