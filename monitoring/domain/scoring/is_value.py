"""The value of a detected sample on the International Scale: as reported, and as computed from its copies."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from monitoring.domain.scoring.control_copies import Control, capped_by_control, control_sum
from monitoring.domain.scoring.response_rules import ResponseRules
from monitoring.domain.vocabulary.measurement import FactorState, Flag, Measurement, Method, Reading, Reported
from monitoring.domain.vocabulary.scale import (
    DEPTH,
    MMR_LIMIT_PERCENT,
    IsValue,
    ResponseClass,
    class_of_percent,
    percent_of_mr,
)


def copies_sum(readings: tuple[Reading, ...], m: Measurement, rules: ResponseRules) -> Decimal:
    """Summed BCR::ABL1 copies; a positive replicate below the floor counts as the floor, except in digital PCR."""
    floor = Decimal(0) if m.method is Method.DPCR else rules.low_positive_floor_copies
    return sum((max(r.bcr_abl1_copies, floor) for r in readings if r.bcr_abl1_copies is not None), Decimal(0))


def computed_value(m: Measurement, control: Control, rules: ResponseRules) -> IsValue | None:
    """The value computed from the copies, to compare a report with; None without copies or a factor."""
    if m.conversion_factor is None:
        return None
    counted, _ = counted_replicates(m, control, rules)
    return copies_value(m, counted, rules, m.conversion_factor)


def counted_replicates(m: Measurement, control: Control, rules: ResponseRules) -> tuple[tuple[Reading, ...], bool]:
    """The replicates that give the value, and whether a failed positive one made all of them count.

    A failed replicate that is undetected is dropped, also where every one failed. A failed one that is detected is
    dropped only where the class without it is not deeper than the class of all replicates by value, so that a positive
    signal is not lost because its tube was poor.
    """
    if not m.copies_reported or not control.known:
        return m.readings, False
    if control.all_failed:
        return tuple(r for r in m.readings if r.bcr_abl1_copies is not None), False
    if all(r.bcr_abl1_copies is None for r in control.failed):
        return control.good, False
    factor = m.conversion_factor if m.conversion_factor is not None else Decimal(1)
    of_all = IsValue.from_copies(copies_sum(m.readings, m, rules), control_sum(m.readings), factor)
    if any(r.bcr_abl1_copies is not None for r in control.good):
        without = IsValue.from_copies(copies_sum(control.good, m, rules), control_sum(control.good), factor)
        class_without, _ = capped_by_control(without.response_class(), control, rules)
    else:
        class_without = control.sensitivity.as_class or ResponseClass.MMR
    if DEPTH[class_without] <= DEPTH[of_all.response_class()]:
        return control.good, False
    return m.readings, True


@dataclass(frozen=True, slots=True)
class FoundValue:
    """The value on the scale, with its flags and whether it may exceed 0.1 % IS."""

    value: IsValue | None
    flags: frozenset[Flag] = frozenset()
    may_exceed_mmr: bool = False


def value_of(m: Measurement, counted: tuple[Reading, ...], rules: ResponseRules) -> FoundValue:
    """The value as the laboratory reported it, else as computed from the copies that count."""
    reported, flags = _reported_value(m)
    raw = copies_value(m, counted, rules, Decimal(1))
    if m.factor_mismatch:
        flags |= {Flag.CF_MISMATCH}
    if reported is not None:
        computed = None if m.conversion_factor is None else copies_value(m, counted, rules, m.conversion_factor)
        rounded = _may_be_rounded_into_mmr(m.reported, reported, computed)
        if rounded:
            flags |= {Flag.NEAR_THRESHOLD}
        if not _disagree(reported, computed, m.reported, rules):
            return FoundValue(reported, flags, rounded)
        limit = MMR_LIMIT_PERCENT
        one_in_mmr = computed is not None and (computed.at_most(limit) != reported.at_most(limit))
        return FoundValue(reported, flags | {Flag.IS_MISMATCH}, one_in_mmr or rounded)
    if m.conversion_factor is None:
        return FoundValue(None, may_exceed_mmr=raw is not None and not raw.at_most(MMR_LIMIT_PERCENT))
    if m.factor_state is FactorState.EXPIRED:
        flags |= {Flag.CF_EXPIRED}
    return FoundValue(copies_value(m, counted, rules, m.conversion_factor), flags)


def _may_be_rounded_into_mmr(report: Reported, reported: IsValue, computed: IsValue | None) -> bool:
    """Whether a reported value in MMR was above 0.1 % before it was rounded: by its copies, else by its last digit."""
    if not reported.at_most(MMR_LIMIT_PERCENT):
        return False
    if computed is not None:
        return not computed.at_most(MMR_LIMIT_PERCENT)
    if report.is_percent is not None:
        return report.is_percent + _half_last_digit(report.is_percent) > MMR_LIMIT_PERCENT
    assert report.mr_value is not None
    return percent_of_mr(report.mr_value - _half_last_digit(report.mr_value)) > MMR_LIMIT_PERCENT


def copies_value(m: Measurement, counted: tuple[Reading, ...], rules: ResponseRules, factor: Decimal) -> IsValue | None:
    control_copies = control_sum(counted)
    if not m.copies_reported or not control_copies:
        return None
    return IsValue.from_copies(copies_sum(counted, m, rules), control_copies, factor)


def _reported_value(m: Measurement) -> tuple[IsValue | None, frozenset[Flag]]:
    """The laboratory's own value, with NEAR_THRESHOLD where rounding of the printed MR value leaves the class open."""
    if m.reported.is_percent is not None:
        return IsValue(m.reported.is_percent), frozenset()
    mr_value = m.reported.mr_value
    if mr_value is None:
        return None, frozenset()
    half = _half_last_digit(mr_value)
    classes = {class_of_percent(percent_of_mr(edge)) for edge in (mr_value - half, mr_value, mr_value + half)}
    flags = frozenset({Flag.NEAR_THRESHOLD}) if len(classes) > 1 else frozenset()
    return IsValue(percent_of_mr(mr_value)), flags


def _half_last_digit(number: Decimal) -> Decimal:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    return Decimal(5).scaleb(min(exponent, 0) - 1)


def _disagree(reported: IsValue, computed: IsValue | None, report: Reported, rules: ResponseRules) -> bool:
    """Whether reported and computed value are further apart than 5 % and half the last printed digit."""
    if computed is None or report.is_percent is None:
        return False
    apart = abs(computed.percent - reported.percent)
    return apart > rules.mismatch_fraction * reported.percent and apart > _half_last_digit(report.is_percent)
