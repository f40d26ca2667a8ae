"""Scoring one measurement: the decision table for EUTOS classes (Cross 2015, doi 10.1038/leu.2015.29).

``score`` is the only implementation; entry form, task, import and the ``score`` command all call it. The numbered
rows in the comments are those of the decision table in ``docs/clinical/scoring.md``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from decimal import Decimal

from monitoring.domain.rules.rule_sets import RuleSet, rule_set
from monitoring.domain.vocabulary.measurement import FactorState, Flag, Measurement, Method, Reading, Reported
from monitoring.domain.vocabulary.scale import (
    CLASS_LIMITS_PERCENT,
    CONTROL_LIMITS,
    DEPTH,
    MMR_LIMIT_PERCENT,
    ControlGene,
    ControlLimits,
    IsValue,
    ResponseClass,
    Sensitivity,
    bcr_limits,
    class_of_percent,
    mr_of_percent,
    percent_of_mr,
    shallower,
)


@dataclass(frozen=True, slots=True)
class ResponseRules:
    """Parameters of the response rule set; disagreements D1, D13 and D20 of the register."""

    version: str
    low_positive_floor_copies: Decimal
    cap_positive_by_control: bool
    mismatch_fraction: Decimal
    old_sample_hours: int


def response_rules(rules: RuleSet) -> ResponseRules:
    """The scoring parameters of a response rule set."""
    return ResponseRules(
        version=rules.value("version", str),
        low_positive_floor_copies=rules.value("low_positive_floor_copies", Decimal),
        cap_positive_by_control=rules.value("cap_positive_by_control", bool),
        mismatch_fraction=rules.value("mismatch_fraction", Decimal),
        old_sample_hours=rules.value("old_sample_hours", int),
    )


EUTOS_2015 = response_rules(rule_set("response-eutos-2015.1"))


@dataclass(frozen=True, slots=True)
class Score:
    """The class of one measurement with what it rests on.

    ``is_percent`` is None where there is no number (undetected, below or above range). ``may_exceed_mmr`` marks doubt
    about 0.1 %: a result that is no evaluable loss but may hide one, or one whose copies contradict the reported value.
    Off treatment it makes an alert provisional.
    """

    response_class: ResponseClass
    flags: frozenset[Flag]
    is_percent: Decimal | None
    mr_value: Decimal | None
    sensitivity: Sensitivity
    detected: bool
    may_exceed_mmr: bool = False
    upper_bound_percent: Decimal | None = None
    counted_control_copies: Decimal | None = None  # of the tubes that an undetected class rests on

    @property
    def counts_one_copy(self) -> bool:
        """Whether the class of an undetected sample is deeper than its 95 % upper bound, which counts three copies."""
        limit = dict(CLASS_LIMITS_PERCENT).get(self.response_class)
        bound = self.upper_bound_percent
        return not self.detected and bound is not None and limit is not None and bound > limit


def score(measurement: Measurement, rules: ResponseRules = EUTOS_2015) -> Score:
    """Class, flags, value and sensitivity of one measurement, by the decision table from top to bottom."""
    m = _above_limit_of_blank(measurement)
    if m.readings and all(not r.run_valid or r.control_gene_copies == 0 for r in m.readings):
        return _no_class(ResponseClass.INVALID)  # row 1
    if not m.assay_sees_transcript and not _is_detected(m):
        return _no_class(ResponseClass.INVALID)  # row 1: a wrong assay, never a remission
    if not m.transcript.is_on_scale:
        return _no_class(ResponseClass.NOT_ON_IS, detected=_is_detected(m))  # row 2
    if m.reported.response_class is not None and _names_only_a_class(m):
        return _score_named(m, m.reported.response_class, rules)
    if not _is_detected(m):
        return _score_undetected(m)
    if m.reported.comparator == "<":
        return _score_below(m, rules, m.reported.is_percent or Decimal(0))
    if m.reported.comparator == ">":
        return _score_above(m, rules)
    return _score_detected(m, rules)


# --- detection and control copies --------------------------------------------------------------------------------


def _above_limit_of_blank(m: Measurement) -> Measurement:
    """Digital PCR: copies below the assay's limit of blank are not a detection."""
    limit = m.limit_of_blank_copies
    if m.method is not Method.DPCR or not limit:
        return m
    readings = tuple(
        Reading(None, r.control_gene_copies, r.run_valid)
        if r.bcr_abl1_copies is not None and r.bcr_abl1_copies < limit
        else r
        for r in m.readings
    )
    return dataclasses.replace(m, readings=readings)


def _is_detected(m: Measurement) -> bool:
    if m.copies_reported and m.readings:
        return any(r.bcr_abl1_copies is not None for r in m.readings)
    if m.detected is not None:
        return m.detected
    return m.reported.has_value or m.reported.response_class is not None


def _names_only_a_class(m: Measurement) -> bool:
    """Whether the class that the laboratory names is all that can be scored."""
    undetected_by_limit = m.detected is False and m.limit_of_detection_percent is not None
    counted = m.copies_reported and bool(m.readings)
    return not (counted or m.reported.has_value or undetected_by_limit or (m.detected is False and _control(m).known))


def _limits(m: Measurement) -> ControlLimits | None:
    if m.control_gene is ControlGene.BCR:
        return bcr_limits(m.bcr_minimum_copies) if m.bcr_minimum_copies else None
    return CONTROL_LIMITS[m.control_gene]


@dataclass(frozen=True, slots=True)
class _Control:
    """The control side of a measurement: which replicates are good and what their sum supports."""

    good: tuple[Reading, ...]
    failed: tuple[Reading, ...]
    sensitivity: Sensitivity
    known: bool

    @property
    def all_failed(self) -> bool:
        return self.known and not self.good


def _control(m: Measurement) -> _Control:
    limits = _limits(m)
    with_copies = tuple(r for r in m.readings if r.control_gene_copies is not None)
    if limits is None or not with_copies:
        return _Control(m.readings, (), Sensitivity.NONE, known=False)
    minimum = max(limits.mr4, m.replicate_minimum_copies or limits.mr4)  # a laboratory may ask for more, never for less
    good = tuple(r for r in m.readings if r.run_valid and (r.control_gene_copies or 0) >= minimum)
    failed = tuple(r for r in m.readings if r not in good)
    return _Control(good, failed, limits.sensitivity(_control_sum(good)), known=True)


def _control_sum(readings: tuple[Reading, ...]) -> Decimal:
    return sum((r.control_gene_copies or Decimal(0) for r in readings), Decimal(0))


def _copies_sum(readings: tuple[Reading, ...], m: Measurement, rules: ResponseRules) -> Decimal:
    """Summed BCR::ABL1 copies; a positive replicate below the floor counts as the floor, except in digital PCR."""
    floor = Decimal(0) if m.method is Method.DPCR else rules.low_positive_floor_copies
    return sum((max(r.bcr_abl1_copies, floor) for r in readings if r.bcr_abl1_copies is not None), Decimal(0))


# --- the rows of the table ---------------------------------------------------------------------------------------


def _no_class(response_class: ResponseClass, *, detected: bool = False) -> Score:
    return Score(response_class, frozenset(), None, None, Sensitivity.NONE, detected)


def _score_named(m: Measurement, named: ResponseClass, rules: ResponseRules) -> Score:
    """Row 14: the class as the laboratory names it, without a number; never deeper than known control copies allow."""
    if not named.is_evaluable:
        return _no_class(named)
    control = _control(m)
    response_class, flags = _capped(named, control, rules)
    return Score(response_class, frozenset(flags), None, None, control.sensitivity, detected=m.detected is not False)


def _score_undetected(m: Measurement) -> Score:
    control = _control(m)
    if control.known:
        by_control = control.sensitivity.as_class
        bound = None
        if control.good and m.conversion_factor:
            bound = 3 * 100 * m.conversion_factor / _control_sum(control.good)
        return Score(
            by_control or ResponseClass.INEVALUABLE_MR4,  # rows 3 to 6
            frozenset(),
            None,
            None,
            control.sensitivity,
            detected=False,
            upper_bound_percent=bound,
            counted_control_copies=_control_sum(control.good) if control.good else None,
        )
    return _score_undetected_without_control(m)


def _score_undetected_without_control(m: Measurement) -> Score:
    """Row 15: class of the limit of detection; without one nothing is proved."""
    limit = m.limit_of_detection_percent
    if limit is None and m.reported.comparator == "<":
        limit = m.reported.is_percent
    if limit is None or limit > MMR_LIMIT_PERCENT:
        return _no_class(ResponseClass.INEVALUABLE_MR4)
    by_limit = class_of_percent(limit)
    sensitivity = Sensitivity(by_limit.value) if by_limit.is_dmr else Sensitivity.NONE
    return Score(by_limit, frozenset(), None, None, sensitivity, detected=False, upper_bound_percent=limit)


def _score_below(m: Measurement, rules: ResponseRules, limit: Decimal) -> Score:
    """Row 12: detected below a limit; a limit above 0.1 % proves nothing. No number is printed below a limit."""
    control = _control(m)
    response_class, flags = ResponseClass.INEVALUABLE_MR4, set[Flag]()
    if limit <= MMR_LIMIT_PERCENT:
        response_class, flags = _capped(class_of_percent(limit), control, rules)
    computed = _computed(m, control, rules)
    contradicted = computed is not None and computed.percent > limit * (1 + rules.mismatch_fraction)
    if contradicted:
        flags.add(Flag.IS_MISMATCH)
    return Score(
        response_class,
        frozenset(flags | {Flag.BELOW_LOQ}),
        None,
        None,
        control.sensitivity,
        detected=True,
        may_exceed_mmr=contradicted and computed is not None and not computed.at_most(MMR_LIMIT_PERCENT),
        upper_bound_percent=limit,
    )


def _score_above(m: Measurement, rules: ResponseRules) -> Score:
    """Row 13: above a limit x; at or over 0.1 % it is no MMR, under it nothing is proved but a loss is possible."""
    limit = m.reported.is_percent or Decimal(0)
    control = _control(m)
    flags = {Flag.LOW_CONTROL} if control.all_failed else set()
    computed = _computed(m, control, rules)
    contradicted = computed is not None and computed.percent * (1 + rules.mismatch_fraction) < limit
    if contradicted:
        flags.add(Flag.IS_MISMATCH)
    if limit < MMR_LIMIT_PERCENT:
        return Score(
            ResponseClass.INEVALUABLE_MR4, frozenset(flags), None, None, control.sensitivity, True, may_exceed_mmr=True
        )
    if not control.known:
        flags.add(Flag.SENSITIVITY_UNKNOWN)
    disputed = contradicted and computed is not None and computed.at_most(MMR_LIMIT_PERCENT)
    return Score(ResponseClass.NO_MMR, frozenset(flags), None, None, control.sensitivity, True, may_exceed_mmr=disputed)


def _capped(by_value: ResponseClass, control: _Control, rules: ResponseRules) -> tuple[ResponseClass, set[Flag]]:
    """Rows 8 to 11 and 14: the class by value, never deeper than the control copies support."""
    if not control.known:
        return by_value, {Flag.SENSITIVITY_UNKNOWN}
    flags = {Flag.LOW_CONTROL} if control.all_failed else set()
    if not by_value.is_dmr or not rules.cap_positive_by_control:
        return by_value, flags
    allowed = control.sensitivity.as_class or ResponseClass.MMR
    capped = shallower(by_value, allowed)
    if capped is not by_value:
        flags.add(Flag.CAPPED_BY_CONTROL)
    return capped, flags


@dataclass(frozen=True, slots=True)
class _Value:
    """The value on the scale and what was noticed while finding it."""

    value: IsValue | None
    flags: frozenset[Flag] = frozenset()
    may_exceed_mmr: bool = False


def _score_detected(m: Measurement, rules: ResponseRules) -> Score:
    control = _control(m)
    counted, discordant = _counted_replicates(m, control, rules)
    if _only_undetected(m, counted):
        # The positive tube failed and says nothing deeper: what is left is an undetected sample (rows 4 to 6).
        return _score_undetected(dataclasses.replace(m, readings=counted))
    found = _value(m, counted, rules)
    if found.value is None:  # row 7, the laboratory never had a factor
        return Score(
            ResponseClass.NOT_ON_IS,
            frozenset({Flag.CF_MISSING}),
            None,
            None,
            control.sensitivity,
            detected=True,
            may_exceed_mmr=found.may_exceed_mmr,
        )
    loq = m.limit_of_quantification_percent
    if loq is not None and found.value.percent < loq and not discordant:
        return _score_below(m, rules, loq)  # detected below the limit of quantification: its class, no false digits
    by_value = found.value.response_class()
    if discordant:
        response_class = shallower(by_value, ResponseClass.MMR)
        flags = {Flag.LOW_CONTROL, Flag.REPLICATES_DISCORDANT}
    else:
        response_class, flags = _capped(by_value, control, rules)
    percent = found.value.percent
    return Score(
        response_class,
        found.flags | flags,
        percent,
        mr_of_percent(percent),
        control.sensitivity,
        detected=True,
        may_exceed_mmr=found.may_exceed_mmr,
    )


def _only_undetected(m: Measurement, counted: tuple[Reading, ...]) -> bool:
    return m.copies_reported and not m.reported.has_value and all(r.bcr_abl1_copies is None for r in counted)


def _computed(m: Measurement, control: _Control, rules: ResponseRules) -> IsValue | None:
    """The value that the copies make, where copies and a factor are there to compare a report with."""
    if m.conversion_factor is None:
        return None
    counted, _ = _counted_replicates(m, control, rules)
    return _copies_value(m, counted, rules, m.conversion_factor)


def _counted_replicates(m: Measurement, control: _Control, rules: ResponseRules) -> tuple[tuple[Reading, ...], bool]:
    """Which replicates make the value, and whether a positive failed one forced all of them in.

    A failed replicate that is undetected is dropped, also where every one failed. A failed one that is detected is
    dropped only where the class without it is not deeper than the class of all replicates by value: a signal must not
    vanish with its poor tube.
    """
    if not m.copies_reported or not control.known:
        return m.readings, False
    if control.all_failed:
        return tuple(r for r in m.readings if r.bcr_abl1_copies is not None), False
    if all(r.bcr_abl1_copies is None for r in control.failed):
        return control.good, False
    factor = m.conversion_factor if m.conversion_factor is not None else Decimal(1)
    everything = IsValue.from_copies(_copies_sum(m.readings, m, rules), _control_sum(m.readings), factor)
    if any(r.bcr_abl1_copies is not None for r in control.good):
        without = IsValue.from_copies(_copies_sum(control.good, m, rules), _control_sum(control.good), factor)
        class_without, _ = _capped(without.response_class(), control, rules)
    else:
        class_without = control.sensitivity.as_class or ResponseClass.MMR
    if DEPTH[class_without] <= DEPTH[everything.response_class()]:
        return control.good, False
    return m.readings, True


def _value(m: Measurement, counted: tuple[Reading, ...], rules: ResponseRules) -> _Value:
    reported, flags = _reported_value(m)
    raw = _copies_value(m, counted, rules, Decimal(1))
    if m.factor_mismatch:
        flags |= {Flag.CF_MISMATCH}
    if reported is not None:
        computed = None if m.conversion_factor is None else _copies_value(m, counted, rules, m.conversion_factor)
        rounded = _may_be_rounded_into_mmr(m.reported, reported, computed)
        if rounded:
            flags |= {Flag.NEAR_THRESHOLD}
        if not _disagree(reported, computed, m.reported, rules):
            return _Value(reported, flags, rounded)
        only_one = computed is not None and (computed.at_most(MMR_LIMIT_PERCENT) != reported.at_most(MMR_LIMIT_PERCENT))
        return _Value(reported, flags | {Flag.IS_MISMATCH}, only_one or rounded)
    if m.conversion_factor is None:
        return _Value(None, may_exceed_mmr=raw is not None and not raw.at_most(MMR_LIMIT_PERCENT))
    if m.factor_state is FactorState.EXPIRED:
        flags |= {Flag.CF_EXPIRED}
    return _Value(_copies_value(m, counted, rules, m.conversion_factor), flags)


def _may_be_rounded_into_mmr(said: Reported, reported: IsValue, computed: IsValue | None) -> bool:
    """Whether a reported value in MMR was above 0.1 % before it was rounded: by its copies, else by its last digit."""
    if not reported.at_most(MMR_LIMIT_PERCENT):
        return False
    if computed is not None:
        return not computed.at_most(MMR_LIMIT_PERCENT)
    if said.is_percent is not None:
        return said.is_percent + _half_last_digit(said.is_percent) > MMR_LIMIT_PERCENT
    assert said.mr_value is not None
    return percent_of_mr(said.mr_value - _half_last_digit(said.mr_value)) > MMR_LIMIT_PERCENT


def _copies_value(
    m: Measurement, counted: tuple[Reading, ...], rules: ResponseRules, factor: Decimal
) -> IsValue | None:
    control_copies = _control_sum(counted)
    if not m.copies_reported or not control_copies:
        return None
    return IsValue.from_copies(_copies_sum(counted, m, rules), control_copies, factor)


def _reported_value(m: Measurement) -> tuple[IsValue | None, frozenset[Flag]]:
    """The laboratory's own value, with NEAR_THRESHOLD where the printed digits of an MR value hide the class."""
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


def _disagree(reported: IsValue, computed: IsValue | None, said: Reported, rules: ResponseRules) -> bool:
    """Whether reported and computed value are further apart than 5 % and half the last printed digit."""
    if computed is None or said.is_percent is None:
        return False
    apart = abs(computed.percent - reported.percent)
    return apart > rules.mismatch_fraction * reported.percent and apart > _half_last_digit(said.is_percent)
