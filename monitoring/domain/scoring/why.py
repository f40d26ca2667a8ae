"""Why a stored class stands: the row of the decision table that gave it, with its facts and its source.

Read from what is stored, so it answers for what was said, whenever that was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from monitoring.domain.vocabulary.measurement import Flag
from monitoring.domain.vocabulary.reasons import FactValue, Reason
from monitoring.domain.vocabulary.scale import CLASS_LIMITS_PERCENT, CONTROL_LIMITS, ControlGene, ResponseClass

CLASS_CITATION = "EUTOS, Cross 2015, doi 10.1038/leu.2015.29; White 2022, doi 10.1038/s41375-022-01607-z"
_LIMIT_OF = dict(CLASS_LIMITS_PERCENT)


@dataclass(frozen=True, slots=True)
class StoredClass:
    """A class as it is stored, with the control gene copies of each valid tube and what the laboratory reported."""

    response_class: ResponseClass
    rule_version: str
    detected: bool
    flags: frozenset[Flag] = frozenset()
    is_percent: Decimal | None = None
    upper_bound_percent: Decimal | None = None
    control_gene: ControlGene = ControlGene.ABL1
    control_copies: Sequence[Decimal] = ()
    reported_percent: Decimal | None = None
    names_only_a_class: bool = False
    counted_control_copies: Decimal | None = None


def why_class(found: StoredClass) -> Reason:
    """The row of the decision table that gave the class."""
    row, code, facts = _row_of(found)
    said = {"response_class": found.response_class.value, **facts}
    return Reason(found.rule_version, row, CLASS_CITATION, tuple(said.items()), f"class.{code}")


def _row_of(found: StoredClass) -> tuple[str, str, dict[str, FactValue]]:
    if found.names_only_a_class and found.response_class is not ResponseClass.NOT_ON_IS:
        return "row 14", "named", {}
    if found.response_class is ResponseClass.INVALID:
        return "row 1", "invalid", {}
    if found.response_class is ResponseClass.NOT_ON_IS:
        return ("row 7", "no_factor", {}) if Flag.CF_MISSING in found.flags else ("row 2", "off_scale", {})
    if not found.detected:
        return _undetected(found)
    return _without_value(found) if found.is_percent is None else _with_value(found)


def _undetected(found: StoredClass) -> tuple[str, str, dict[str, FactValue]]:
    limits = CONTROL_LIMITS.get(found.control_gene)
    good = [c for c in found.control_copies if limits is None or c >= limits.mr4]
    if found.response_class is ResponseClass.INEVALUABLE_MR4:
        if not found.control_copies:
            return "row 15", "undetected_nothing_known", {}
        best, needed = max(found.control_copies), limits.mr4 if limits else None
        if needed is None or best >= needed:  # the laboratory asks for more
            return "row 3", "undetected_below_own", {"control": best}
        return "row 3", "undetected_poor", {"control": best, "needed": needed}
    if not found.control_copies:
        return "row 15", "undetected_by_limit", {"limit": found.upper_bound_percent}
    counted = found.counted_control_copies  # under the laboratory's own minimum, as it was decided
    return "rows 4 to 6", "undetected", {"control": sum(good, Decimal(0)) if counted is None else counted}


def _without_value(found: StoredClass) -> tuple[str, str, dict[str, FactValue]]:
    limit = found.upper_bound_percent if found.upper_bound_percent is not None else found.reported_percent
    if Flag.BELOW_LOQ in found.flags:
        useless = found.response_class is ResponseClass.INEVALUABLE_MR4
        return "row 12", "below_useless" if useless else "below", {"limit": limit}
    above = found.response_class is ResponseClass.NO_MMR
    return "row 13", "above" if above else "above_useless", {"limit": limit}


def _with_value(found: StoredClass) -> tuple[str, str, dict[str, FactValue]]:
    value: dict[str, FactValue] = {"value": found.is_percent}
    if found.response_class is ResponseClass.NO_MMR:
        return "row 8", "no_mmr", value
    if Flag.REPLICATES_DISCORDANT in found.flags:
        return "replicates", "discordant", value
    if Flag.CAPPED_BY_CONTROL in found.flags:
        return "rows 10 and 11", "capped", value
    row = "row 14" if Flag.SENSITIVITY_UNKNOWN in found.flags else "rows 9 and 11"
    return row, "value", {**value, "limit": _LIMIT_OF[found.response_class]}
