"""Scoring one measurement: the decision table for EUTOS classes (Cross 2015, doi 10.1038/leu.2015.29).

``score`` is the only implementation; entry form, task, import and the ``score`` command all call it. The numbered
rows in the comments are those of the decision table in ``docs/clinical/scoring.md``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from decimal import Decimal

from monitoring.domain.scoring.control_copies import capped_by_control, control_of, control_sum, limits_of
from monitoring.domain.scoring.decision import Decision, decision
from monitoring.domain.scoring.is_value import computed_value, counted_replicates, value_of
from monitoring.domain.scoring.response_rules import EUTOS_2015, ResponseRules
from monitoring.domain.vocabulary.measurement import Flag, Measurement, Method, Reading
from monitoring.domain.vocabulary.scale import (
    CLASS_LIMIT_PERCENT,
    MMR_LIMIT_PERCENT,
    ControlGene,
    ResponseClass,
    Sensitivity,
    class_of_percent,
    mr_of_percent,
    shallower,
)


@dataclass(frozen=True, slots=True)
class Score:
    """The class of one measurement with what it rests on, and the row of the decision table that gave it (``decided``).

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
    decided: Decision
    may_exceed_mmr: bool = False
    upper_bound_percent: Decimal | None = None
    counted_control_copies: Decimal | None = None  # of the tubes that an undetected class rests on

    @property
    def counts_one_copy(self) -> bool:
        """Whether the class of an undetected sample is deeper than its 95 % upper bound, which counts three copies."""
        limit = CLASS_LIMIT_PERCENT.get(self.response_class)
        bound = self.upper_bound_percent
        return not self.detected and bound is not None and limit is not None and bound > limit


def score(measurement: Measurement, rules: ResponseRules = EUTOS_2015) -> Score:
    """Class, flags, value and sensitivity of one measurement, by the decision table from top to bottom."""
    m = _above_limit_of_blank(measurement)
    if m.readings and all(not r.run_valid or r.control_gene_copies == 0 for r in m.readings):
        return _no_class(ResponseClass.INVALID, decision("row 1", "invalid"))
    if not m.assay_sees_transcript and not _is_detected(m):
        return _no_class(ResponseClass.INVALID, decision("row 1", "invalid"))  # the wrong assay proves no remission
    if not m.transcript.is_on_scale:
        return _no_class(ResponseClass.NOT_ON_IS, decision("row 2", "off_scale"), detected=_is_detected(m))
    if m.reported.response_class is not None and _names_only_a_class(m):
        return _score_named(m, m.reported.response_class, rules)
    if not _is_detected(m):
        return _score_undetected(m)
    if m.reported.comparator == "<":
        return _score_below(m, rules, m.reported.is_percent or Decimal(0))
    if m.reported.comparator == ">":
        return _score_above(m, rules)
    return _score_detected(m, rules)


# --- detection ---------------------------------------------------------------------------------------------------


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
    return not (counted or m.reported.has_value or undetected_by_limit or (m.detected is False and control_of(m).known))


# --- the rows of the table ---------------------------------------------------------------------------------------


def _no_class(response_class: ResponseClass, decided: Decision, *, detected: bool = False) -> Score:
    return Score(response_class, frozenset(), None, None, Sensitivity.NONE, detected, decided)


def _score_named(m: Measurement, named: ResponseClass, rules: ResponseRules) -> Score:
    """Row 14: the class as the laboratory names it, without a number; never deeper than known control copies allow."""
    decided = decision("row 14", "named")
    if not named.is_evaluable:
        return _no_class(named, decided)
    control = control_of(m)
    response_class, flags = capped_by_control(named, control, rules)
    return Score(response_class, frozenset(flags), None, None, control.sensitivity, m.detected is not False, decided)


def _score_undetected(m: Measurement) -> Score:
    control = control_of(m)
    if not control.known:
        return _score_undetected_without_control(m)
    by_control = control.sensitivity.as_class
    counted = control_sum(control.good) if control.good else None
    bound = 3 * 100 * m.conversion_factor / counted if counted and m.conversion_factor else None
    return Score(
        by_control or ResponseClass.INEVALUABLE_MR4,
        frozenset(),
        None,
        None,
        control.sensitivity,
        detected=False,
        decided=decision("rows 4 to 6", "undetected", control=counted) if by_control else _too_few_copies(m),
        upper_bound_percent=bound,
        counted_control_copies=counted,
    )


def _too_few_copies(m: Measurement) -> Decision:
    """Row 3: no replicate has enough copies for MR4, or for the laboratory's own minimum."""
    best = max((r.control_gene_copies or Decimal(0) for r in m.readings if r.run_valid), default=Decimal(0))
    limits = limits_of(m)
    needed = limits.mr4 if limits else Decimal(0)
    if m.control_gene is ControlGene.BCR or best >= needed:
        return decision("row 3", "undetected_below_own", control=best)
    return decision("row 3", "undetected_poor", control=best, needed=needed)


def _score_undetected_without_control(m: Measurement) -> Score:
    """Row 15: the class of the limit of detection; without a limit the sample is inevaluable."""
    limit = m.limit_of_detection_percent
    if limit is None and m.reported.comparator == "<":
        limit = m.reported.is_percent
    if limit is None or limit > MMR_LIMIT_PERCENT:
        return _no_class(ResponseClass.INEVALUABLE_MR4, decision("row 15", "undetected_nothing_known"))
    by_limit = class_of_percent(limit)
    sensitivity = Sensitivity(by_limit.value) if by_limit.is_dmr else Sensitivity.NONE
    decided = decision("row 15", "undetected_by_limit", limit=limit)
    return Score(by_limit, frozenset(), None, None, sensitivity, False, decided, upper_bound_percent=limit)


def _score_below(m: Measurement, rules: ResponseRules, limit: Decimal) -> Score:
    """Row 12: detected below a limit; a limit above 0.1 % proves nothing. No number is printed below a limit."""
    control = control_of(m)
    response_class, flags = ResponseClass.INEVALUABLE_MR4, set[Flag]()
    if limit <= MMR_LIMIT_PERCENT:
        response_class, flags = capped_by_control(class_of_percent(limit), control, rules)
    computed = computed_value(m, control, rules)
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
        decided=decision("row 12", "below" if limit <= MMR_LIMIT_PERCENT else "below_useless", limit=limit),
        may_exceed_mmr=contradicted and computed is not None and not computed.at_most(MMR_LIMIT_PERCENT),
        upper_bound_percent=limit,
    )


def _score_above(m: Measurement, rules: ResponseRules) -> Score:
    """Row 13: above a limit x. At 0.1 % or more it is no MMR; below, it is inevaluable and may hide a loss."""
    limit = m.reported.is_percent or Decimal(0)
    control = control_of(m)
    flags = {Flag.LOW_CONTROL} if control.all_failed else set()
    computed = computed_value(m, control, rules)
    contradicted = computed is not None and computed.percent * (1 + rules.mismatch_fraction) < limit
    if contradicted:
        flags.add(Flag.IS_MISMATCH)
    if limit < MMR_LIMIT_PERCENT:
        return Score(
            ResponseClass.INEVALUABLE_MR4,
            frozenset(flags),
            None,
            None,
            control.sensitivity,
            True,
            decision("row 13", "above_useless", limit=limit),
            may_exceed_mmr=True,
        )
    if not control.known:
        flags.add(Flag.SENSITIVITY_UNKNOWN)
    disputed = contradicted and computed is not None and computed.at_most(MMR_LIMIT_PERCENT)
    return Score(
        ResponseClass.NO_MMR, frozenset(flags), None, None, control.sensitivity, True,
        decision("row 13", "above", limit=limit), may_exceed_mmr=disputed,
    )  # fmt: skip


def _score_detected(m: Measurement, rules: ResponseRules) -> Score:
    control = control_of(m)
    counted, discordant = counted_replicates(m, control, rules)
    if _only_undetected(m, counted):
        # The positive tube failed and does not count; the others are an undetected sample (rows 4 to 6).
        return _score_undetected(dataclasses.replace(m, readings=counted))
    found_value = value_of(m, counted, rules)
    if found_value.value is None:  # the laboratory never had a factor
        return Score(
            ResponseClass.NOT_ON_IS,
            frozenset({Flag.CF_MISSING}),
            None,
            None,
            control.sensitivity,
            detected=True,
            decided=decision("row 7", "no_factor"),
            may_exceed_mmr=found_value.may_exceed_mmr,
        )
    loq = m.limit_of_quantification_percent
    if loq is not None and found_value.value.percent < loq and not discordant:
        return _score_below(m, rules, loq)  # below the limit of quantification: its class, no number
    by_value = found_value.value.response_class()
    if discordant:
        response_class = shallower(by_value, ResponseClass.MMR)
        flags = {Flag.LOW_CONTROL, Flag.REPLICATES_DISCORDANT}
    else:
        response_class, flags = capped_by_control(by_value, control, rules)
    percent = found_value.value.percent
    return Score(
        response_class,
        found_value.flags | flags,
        percent,
        mr_of_percent(percent),
        control.sensitivity,
        detected=True,
        decided=_by_value(response_class, percent, found_value.flags | flags, discordant=discordant),
        may_exceed_mmr=found_value.may_exceed_mmr,
    )


def _by_value(response_class: ResponseClass, percent: Decimal, flags: frozenset[Flag], *, discordant: bool) -> Decision:
    if response_class is ResponseClass.NO_MMR:
        return decision("row 8", "no_mmr", value=percent)
    if discordant:
        return decision("replicates", "discordant", value=percent)
    if Flag.CAPPED_BY_CONTROL in flags:
        return decision("rows 10 and 11", "capped", value=percent)
    row = "row 14" if Flag.SENSITIVITY_UNKNOWN in flags else "rows 9 and 11"
    return decision(row, "value", value=percent, limit=CLASS_LIMIT_PERCENT[response_class])


def _only_undetected(m: Measurement, counted: tuple[Reading, ...]) -> bool:
    return m.copies_reported and not m.reported.has_value and all(r.bcr_abl1_copies is None for r in counted)
