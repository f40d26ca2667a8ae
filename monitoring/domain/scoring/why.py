"""Why a class was given: the row of the decision table, with its facts and its source.

``score`` gives the row, and it is stored with the class. For classes that were stored before rows were,
``guessed_decision`` works the row out from the class, and the reason is marked as a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from monitoring.domain.scoring.decision import Decision, decision
from monitoring.domain.vocabulary.measurement import Flag
from monitoring.domain.vocabulary.reasons import FactValue, Reason
from monitoring.domain.vocabulary.scale import CLASS_LIMIT_PERCENT, CONTROL_LIMITS, ControlGene, ResponseClass

CLASS_CITATION = "EUTOS, Cross 2015, doi 10.1038/leu.2015.29; White 2022, doi 10.1038/s41375-022-01607-z"


@dataclass(frozen=True, slots=True)
class StoredClass:
    """A class that was stored without its row.

    ``control_copies`` are the control gene copies of each valid tube. ``reported_percent`` and ``names_only_a_class``
    are what the laboratory reported.
    """

    response_class: ResponseClass
    detected: bool
    flags: frozenset[Flag] = frozenset()
    is_percent: Decimal | None = None
    upper_bound_percent: Decimal | None = None
    control_gene: ControlGene = ControlGene.ABL1
    control_copies: Sequence[Decimal] = ()
    reported_percent: Decimal | None = None
    names_only_a_class: bool = False
    counted_control_copies: Decimal | None = None


def why_class(response_class: ResponseClass, rule_version: str, decided: Decision, *, is_guess: bool = False) -> Reason:
    """The reason of a class, from the row that gave it."""
    facts: dict[str, FactValue] = {"response_class": response_class.value, **dict(decided.facts)}
    return Reason(
        rule_version, decided.row, CLASS_CITATION, tuple(facts.items()), f"class.{decided.code}", is_guess=is_guess
    )


def guessed_decision(stored: StoredClass) -> Decision:
    """The row that most probably gave a class which was stored without it."""
    if stored.names_only_a_class and stored.response_class is not ResponseClass.NOT_ON_IS:
        return decision("row 14", "named")
    if stored.response_class is ResponseClass.INVALID:
        return decision("row 1", "invalid")
    if stored.response_class is ResponseClass.NOT_ON_IS:
        return decision("row 7", "no_factor") if Flag.CF_MISSING in stored.flags else decision("row 2", "off_scale")
    if not stored.detected:
        return _undetected(stored)
    return _without_value(stored) if stored.is_percent is None else _with_value(stored)


def _undetected(stored: StoredClass) -> Decision:
    limits = CONTROL_LIMITS.get(stored.control_gene)
    good = [c for c in stored.control_copies if limits is None or c >= limits.mr4]
    if stored.response_class is ResponseClass.INEVALUABLE_MR4:
        if not stored.control_copies:
            return decision("row 15", "undetected_nothing_known")
        best, needed = max(stored.control_copies), limits.mr4 if limits else None
        if needed is None or best >= needed:  # the laboratory's own minimum is higher
            return decision("row 3", "undetected_below_own", control=best)
        return decision("row 3", "undetected_poor", control=best, needed=needed)
    if not stored.control_copies:
        return decision("row 15", "undetected_by_limit", limit=stored.upper_bound_percent)
    counted = stored.counted_control_copies  # counted by the laboratory's own minimum, as when the class was decided
    return decision("rows 4 to 6", "undetected", control=sum(good, Decimal(0)) if counted is None else counted)


def _without_value(stored: StoredClass) -> Decision:
    limit = stored.upper_bound_percent if stored.upper_bound_percent is not None else stored.reported_percent
    if Flag.BELOW_LOQ in stored.flags:
        useless = stored.response_class is ResponseClass.INEVALUABLE_MR4
        return decision("row 12", "below_useless" if useless else "below", limit=limit)
    above = stored.response_class is ResponseClass.NO_MMR
    return decision("row 13", "above" if above else "above_useless", limit=limit)


def _with_value(stored: StoredClass) -> Decision:
    value = stored.is_percent
    if stored.response_class is ResponseClass.NO_MMR:
        return decision("row 8", "no_mmr", value=value)
    if Flag.REPLICATES_DISCORDANT in stored.flags:
        return decision("replicates", "discordant", value=value)
    if Flag.CAPPED_BY_CONTROL in stored.flags:
        return decision("rows 10 and 11", "capped", value=value)
    row = "row 14" if Flag.SENSITIVITY_UNKNOWN in stored.flags else "rows 9 and 11"
    return decision(row, "value", value=value, limit=CLASS_LIMIT_PERCENT[stored.response_class])
