"""The columns of factors in a model, and its terms with their direction spelled out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cohorts.domain.definition import AGES, SCORE, YEARS, Factor
from cohorts.domain.engine.arrays import Floats
from cohorts.domain.estimates import CoxTerm
from cohorts.domain.member_table import MemberTable

MONTHS = 12


@dataclasses.dataclass(frozen=True, slots=True)
class Columns:
    """The columns of some factors in a model: the direction of each spelled out, and the columns of each factor."""

    factors: tuple[Factor, ...]
    labels: list[dict[str, Any]]
    values: Floats  # rows x columns
    of_factor: list[list[int]]


def model_columns(factors: Sequence[Factor], members: MemberTable) -> Columns:
    """``< cut`` over ``>= cut``; a category against its largest level (ties: alphabetical); a number per unit."""
    labels: list[dict[str, Any]] = []
    values: list[Floats] = []
    of_factor: list[list[int]] = []
    for factor in factors:
        first = len(labels)
        for label, column in _columns_of(factor, members):
            labels.append({"id": factor.id, **label})
            values.append(column)
        of_factor.append(list(range(first, len(labels))))
    matrix = np.column_stack(values) if values else np.zeros((len(members), 0))
    return Columns(tuple(factors), labels, matrix, of_factor)


def unit_of(factor: Factor) -> str:
    """What a coefficient of a number is per."""
    if factor.name == SCORE:
        return "per point"
    return "per year" if factor.name in (*AGES, *YEARS) else "per month"


def _columns_of(factor: Factor, members: MemberTable) -> list[tuple[dict[str, Any], Floats]]:
    if not factor.is_category and factor.cut is None:
        return [({"level": unit_of(factor), "reference": None}, members[factor.column])]
    grouping = members.groupings[factor.id]
    if factor.cut is not None:
        low, high = f"< {factor.cut}", f">= {factor.cut}"
        codes = {label: code for code, label in enumerate(grouping.labels)}
        return [({"level": low, "reference": high}, (grouping.codes == codes.get(low, -2)).astype(float))]
    sizes = np.bincount(grouping.codes[grouping.known], minlength=len(grouping.labels))
    present = [code for code in range(len(grouping.labels)) if sizes[code]]
    if not present:
        return []
    reference = min(present, key=lambda code: (-sizes[code], grouping.labels[code]))
    return [
        (
            {"level": grouping.labels[code], "reference": grouping.labels[reference]},
            (grouping.codes == code).astype(float),
        )
        for code in present
        if code != reference
    ]


def terms_of(columns: Columns, terms: Sequence[CoxTerm] | None) -> list[dict[str, Any]] | None:
    """Terms with their direction; a number per month also per year."""
    if terms is None:
        return None
    both = zip(columns.labels, terms, strict=True)
    return [{**label, **dataclasses.asdict(term), **per_year(label["level"], term)} for label, term in both]


def per_year(level: str, term: CoxTerm) -> dict[str, Any]:
    """The ratio of a number per month over a year, as ``per_year``; nothing for other terms."""
    if level != "per month" or term.hr is None:
        return {}
    ratios = {"hr": term.hr, "lower": term.lower, "upper": term.upper}
    return {"per_year": {name: None if ratio is None else _power(ratio, MONTHS) for name, ratio in ratios.items()}}


def _power(ratio: float, times: int) -> float | None:
    """A ratio over so many units, None where it is too large for a float."""
    return ratio**times if ratio <= 0 or times * math.log(ratio) < 700 else None
