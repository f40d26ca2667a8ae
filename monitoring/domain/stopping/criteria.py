"""The criteria before stopping a TKI, one function each: met, not met, or not known, with value, limit and source.

Each decides one parameter of an eligibility rule set from facts. Whether the rule set applies to the person is decided
in ``eligibility``. Durations compare calendar-wise, strictly exactly where the source is (register D5).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterator
from datetime import date

from monitoring.domain.course.episodes import DmrRule, ResponseBeforeStop, response_before_stop, tki_duration
from monitoring.domain.course.series import Drug, FactKind, StopReason, tki_courses
from monitoring.domain.rules.rule_sets import RuleSet
from monitoring.domain.rules.values import (
    Asked,
    DaysLimit,
    DepthFor,
    DepthLimit,
    DmrLimit,
    MonthsLimit,
    TestsLimit,
    TranscriptLimit,
)
from monitoring.domain.stopping.criterion import Criterion, EligibilityFacts, State, state_of
from monitoring.domain.vocabulary.dates import Duration, add_months, whole_months
from monitoring.domain.vocabulary.measurement import Transcript
from monitoring.domain.vocabulary.reasons import FactValue, Reason
from monitoring.domain.vocabulary.scale import ResponseClass

SECOND_GENERATION = (Drug.DASATINIB, Drug.NILOTINIB, Drug.BOSUTINIB)  # those that the rule sets we read name


def criteria(facts: EligibilityFacts, rules: RuleSet) -> Iterator[Criterion]:
    """Every criterion that the rule set asks for, in the order of the criteria table."""
    all_criteria = (
        _phase(facts, rules),
        _stated(facts.patient_agreement, "patient_agreement", "E3", rules),
        _stated(facts.international_scale, "international_scale", "E4", rules),
        _sensitivity(facts, rules),
        _turnaround(facts, rules),
        _stated(facts.accepts_schedule, "accepts_schedule", "E7", rules),
        _line(facts, rules),
        _prior_failure(facts, rules),
        _transcript(facts, rules),
        _tki(facts, rules),
        _tki_months(facts, "tki_duration_optimal", "E11", rules),
        _dmr(facts, "dmr_duration", "E13", rules),
        _dmr(facts, "dmr_duration_optimal", "E14", rules),
        _depth(facts, rules),
        _risk(facts, rules),
        _density(facts, rules),
    )
    return (criterion for criterion in all_criteria if criterion is not None)


# --- stated facts -------------------------------------------------------------------------------------------------


def _fact(
    name: str, row: str, level: str, answer: bool | None, value: FactValue, operator: str, threshold: FactValue,
    rules: RuleSet, *, unit: str = "", reason: Reason | None = None,
) -> Criterion:  # fmt: skip
    """A criterion that waiting does not change."""
    if reason is None:
        reason = rules.reason(name, "eligibility.not_recorded" if answer is None else "eligibility.fact")
    return Criterion(name, row, level, state_of(answer), value, operator, threshold, unit, None, reason)


def _word(answer: bool | None) -> str | None:
    return None if answer is None else "yes" if answer else "no"


def _stated(answer: bool | None, name: str, row: str, rules: RuleSet) -> Criterion | None:
    asked = rules.optional(name, Asked)
    return None if asked is None else _fact(name, row, asked.level, answer, _word(answer), "=", "yes", rules)


def _phase(facts: EligibilityFacts, rules: RuleSet) -> Criterion | None:
    """First chronic phase only: no advanced phase at diagnosis and no progression since."""
    asked, progressed_on = rules.optional("chronic_phase", Asked), facts.first(FactKind.PROGRESSION)
    if asked is None:
        return None
    reason = None
    answer = None if not facts.phase else facts.phase == "CP"
    if progressed_on is not None:
        answer, reason = False, rules.reason("chronic_phase", "eligibility.progression", on=progressed_on)
    return _fact("chronic_phase", "E1", asked.level, answer, facts.phase or None, "=", "CP", rules, reason=reason)


def _sensitivity(facts: EligibilityFacts, rules: RuleSet) -> Criterion | None:
    limit, reached = rules.optional("sensitivity", DepthLimit), facts.assay_sensitivity
    if limit is None:
        return None
    answer = None if reached is None else reached.at_least(limit.response_class)
    value = reached.value if reached else None
    return _fact("sensitivity", "E5", limit.level, answer, value, ">=", limit.response_class.value, rules)


def _turnaround(facts: EligibilityFacts, rules: RuleSet) -> Criterion | None:
    """Days from sample to result; where the source gives no number, a person's statement that it is rapid."""
    limit = rules.optional("turnaround", DaysLimit)
    if limit is None:
        return None
    if limit.days is None:
        rapid = facts.rapid_turnaround
        return _fact("turnaround", "E6", limit.level, rapid, _word(rapid), "=", "yes", rules)
    days = facts.turnaround_days
    answer = None if days is None else days <= limit.days
    return _fact("turnaround", "E6", limit.level, answer, days, "<=", limit.days, rules, unit="days")


def _line(facts: EligibilityFacts, rules: RuleSet) -> Criterion | None:
    """First line, or second line where the first was left for intolerance."""
    asked = rules.optional("line", Asked)
    if asked is None:
        return None
    courses = [c for c in tki_courses(facts.courses) if c.started_on <= facts.stop_on]
    drugs = list(dict.fromkeys(c.drug for c in courses))
    answer: bool | None = None if not drugs else len(drugs) == 1
    reason = rules.reason("line", "eligibility.line", drugs=len(drugs))
    if len(drugs) == 2:
        ends = [c.stop_reason for c in courses if c.drug is drugs[0] and c.stopped_on is not None]
        left = ends[-1] if ends else StopReason.UNKNOWN
        answer = _left_for_intolerance(left)
        reason = rules.reason("line", "eligibility.line.left", drug=drugs[0].value, stop_reason=left.value)
    return _fact("line", "E8", asked.level, answer, len(drugs) or None, "<=", 2, rules, unit="drugs", reason=reason)


def _left_for_intolerance(reason: StopReason) -> bool | None:
    silent = (StopReason.UNKNOWN, StopReason.SWITCH, StopReason.OTHER)
    return None if reason in silent else reason is StopReason.INTOLERANCE


def _prior_failure(facts: EligibilityFacts, rules: RuleSet) -> Criterion | None:
    """No treatment failure before: nothing on record shows one, and a person has stated that there was none."""
    name, asked = "no_prior_failure", rules.optional("no_prior_failure", Asked)
    if asked is None:
        return None
    reason = evidence_of_failure(facts, name, rules.reason)
    answer = False if reason is not None else None if facts.prior_failure is None else True
    value = _word(None if answer is None else not answer)
    return _fact(name, "E9", asked.level, answer, value, "=", "no", rules, reason=reason)


def evidence_of_failure(facts: EligibilityFacts, name: str, reason: Callable[..., Reason]) -> Reason | None:
    """The first entry on record that shows a failure, stated by ``reason``; None without one."""
    for course in tki_courses(facts.courses):
        stopped_on = course.stopped_on
        if course.stop_reason is StopReason.RESISTANCE and stopped_on is not None and stopped_on <= facts.stop_on:
            return reason(name, "eligibility.resistance", drug=course.drug.value, on=stopped_on)
    for kind in (FactKind.MUTATION, FactKind.PROGRESSION):
        on = facts.first(kind)
        if on is not None:
            return reason(name, f"eligibility.{kind.value}", on=on)
    return reason(name, "eligibility.stated_failure") if facts.prior_failure else None


def _transcript(facts: EligibilityFacts, rules: RuleSet) -> Criterion | None:
    limit = rules.optional("transcript", TranscriptLimit)
    if limit is None:
        return None
    answer: bool | None = facts.transcript in limit.accepted
    reason = None
    if facts.transcript is Transcript.UNKNOWN:
        answer = False if facts.never_detected else None
        reason = rules.reason("transcript", "eligibility.never_detected") if facts.never_detected else None
    accepted = ", ".join(t.value for t in limit.accepted)
    value = facts.transcript.value or None
    return _fact("transcript", "E10", limit.level, answer, value, "in", accepted, rules, reason=reason)


def _risk(facts: EligibilityFacts, rules: RuleSet) -> Criterion | None:
    asked = rules.optional("risk_not_high", Asked)
    if asked is None:
        return None
    is_sokal = facts.risk_score == "sokal"
    answer = facts.risk_group != "high" if is_sokal and facts.risk_group else None
    reason = rules.reason("risk_not_high", "eligibility.other_score") if facts.risk_score and not is_sokal else None
    value = (facts.risk_group or None) if is_sokal else None
    return _fact("risk_not_high", "E16", asked.level, answer, value, "!=", "high", rules, reason=reason)


# --- durations ----------------------------------------------------------------------------------------------------


def passes(length: Duration, operator: str, months: int) -> bool | None:
    """Whether a length is more than (``>``) or at least (``>=``) so many calendar months."""
    return length.exceeds(months) if operator == ">" else length.reaches(months)


def passed_on(start: date, operator: str, months: int) -> date:
    """The first day on which a length from ``start`` passes the limit."""
    return add_months(start, months) + dt.timedelta(days=1 if operator == ">" else 0)


def _tki(facts: EligibilityFacts, rules: RuleSet) -> Criterion | None:
    """Time on TKIs; the shorter limit of second-generation drugs only where no other TKI was ever taken."""
    drugs = {c.drug for c in tki_courses(facts.courses) if c.started_on <= facts.stop_on}
    only_second = bool(drugs) and drugs <= set(SECOND_GENERATION)
    name, row = ("tki_duration_second_generation", "E12") if only_second else ("tki_duration", "E11")
    criterion = _tki_months(facts, name, row, rules)
    unnamed = sorted(drugs - {Drug.IMATINIB, *SECOND_GENERATION})
    if criterion is None or not unnamed or criterion.reason.text_code != "eligibility.duration":
        return criterion
    reason = rules.reason(name, "eligibility.duration.unnamed_drug", drug=unnamed[0].value, months=criterion.value)
    return dataclasses.replace(criterion, reason=reason)


def _tki_months(facts: EligibilityFacts, name: str, row: str, rules: RuleSet) -> Criterion | None:
    limit = rules.optional(name, MonthsLimit)
    if limit is None:
        return None
    tkis = [c for c in tki_courses(facts.courses) if c.started_on <= facts.stop_on]
    until = min(facts.stop_on, max((c.stopped_on or facts.stop_on for c in tkis), default=facts.stop_on))
    length = tki_duration(facts.courses, until)
    if length is None:
        return _months(name, row, limit.level, None, 0, limit.operator, limit.months, None,
                       rules.reason(name, "eligibility.duration.none"))  # fmt: skip
    answer = passes(length, limit.operator, limit.months)
    earliest = passed_on((length.shortest or length).start, limit.operator, limit.months)
    months = whole_months(length)
    code = "eligibility.duration.not_exact" if answer is None else "eligibility.duration"
    reason = rules.reason(name, code, months=months, stop_on=until)
    return _months(name, row, limit.level, answer, months, limit.operator, limit.months,
                   earliest if until == facts.stop_on or answer else None, reason)  # fmt: skip


def _months(
    name: str, row: str, level: str, answer: bool | None, value: int, operator: str, threshold: int,
    earliest: date | None, reason: Reason,
) -> Criterion:  # fmt: skip
    return Criterion(name, row, level, state_of(answer), value, operator, threshold, "months", earliest, reason)


def _dmr(facts: EligibilityFacts, name: str, row: str, rules: RuleSet) -> Criterion | None:
    """Time in deep response up to the stop. Of alternatives it is one that is met, else the one that is met first."""
    limit = rules.optional(name, DmrLimit)
    if limit is None:
        return None
    if facts.last_point is None:
        first = limit.any_of[0]
        reason = rules.reason(name, "eligibility.no_result", stop_on=facts.stop_on)
        return _months(name, row, limit.level, None, 0, first.operator, first.months, None, reason)
    options = [_dmr_option(facts, option, name, row, limit.level, rules) for option in limit.any_of]
    order = (State.MET, State.NOT_KNOWN, State.NOT_MET)
    return min(options, key=lambda c: (order.index(c.state), c.earliest_on or date.max))


def _dmr_option(
    facts: EligibilityFacts, option: DepthFor, name: str, row: str, level: str, rules: RuleSet
) -> Criterion:
    """Time in one depth, from the first sample of the run to the last: days after the last sample are not counted.

    Not known where the last sample is too old, or where the limit is passed only across a long gap.
    """
    last = facts.last_point
    run = _run(facts, option, rules, max_gap_days=None)
    shown: dict[str, FactValue] = {"response_class": option.response_class.value}
    if run.dmr is None or last is None:
        reason = rules.reason(name, "eligibility.duration.none", **shown)
        return _months(name, row, level, False, 0, option.operator, option.months, None, reason)
    length = Duration(run.dmr.start, last.on)
    gap_limit = rules.value("max_gap_days", int)
    steady = _run(facts, option, rules, max_gap_days=gap_limit).dmr
    shown |= {"months": whole_months(length), "since": length.start, "last_on": last.on, "stop_on": facts.stop_on}
    answer, line, code = passes(length, option.operator, option.months), name, "eligibility.duration.samples"
    if _is_stale(facts, rules):
        answer, line, code = None, "last_sample_within_months", "eligibility.duration.last_too_old"
        shown["limit"] = rules.value(line, int)
    elif answer and not (steady and passes(Duration(steady.start, last.on), option.operator, option.months)):
        answer, line, code = None, "max_gap_days", "eligibility.duration.gap"
        shown["limit"] = gap_limit
    elif answer is False and run.left_censored and run.first_dmr_on == length.start:
        answer, code = None, "eligibility.duration.left_censored"
    earliest = passed_on(length.start, option.operator, option.months)
    reason = rules.reason(line, code, **shown)
    return _months(name, row, level, answer, whole_months(length), option.operator, option.months, earliest, reason)


def _run(facts: EligibilityFacts, option: DepthFor, rules: RuleSet, max_gap_days: int | None) -> ResponseBeforeStop:
    """The run of deep response that ends with the last sample, at most so many days between two of its samples."""
    tkis = tki_courses(facts.courses)
    return response_before_stop(
        facts.stop_on,
        tkis[0].started_on if tkis else None,
        sorted(facts.points, key=lambda p: p.on),
        facts.first_dmr_on if option.response_class is ResponseClass.MR4 and max_gap_days is None else None,
        DmrRule(level=option.response_class, max_dips=rules.value("max_dips", int), max_gap_days=max_gap_days),
    )


def _is_stale(facts: EligibilityFacts, rules: RuleSet) -> bool:
    """Whether the last evaluable sample is too old for the day of the stop."""
    last = facts.last_point
    within = rules.value("last_sample_within_months", int)
    return last is not None and add_months(last.on, within) < facts.stop_on


def _depth(facts: EligibilityFacts, rules: RuleSet) -> Criterion | None:
    limit, last = rules.optional("depth_at_stop", DepthLimit), facts.last_point
    if limit is None:
        return None
    threshold = limit.response_class.value
    if last is None:
        reason = rules.reason("depth_at_stop", "eligibility.no_result", stop_on=facts.stop_on)
        return _fact("depth_at_stop", "E13", limit.level, None, None, ">=", threshold, rules, reason=reason)
    value = last.response_class.value
    if _is_stale(facts, rules):
        within = rules.value("last_sample_within_months", int)
        reason = rules.reason(
            "last_sample_within_months", "eligibility.duration.last_too_old",
            last_on=last.on, limit=within, stop_on=facts.stop_on,
        )  # fmt: skip
        return _fact("depth_at_stop", "E13", limit.level, None, value, ">=", threshold, rules, reason=reason)
    reason = rules.reason("depth_at_stop", "eligibility.depth", on=last.on)
    answer = last.response_class.at_least(limit.response_class)
    return _fact("depth_at_stop", "E13", limit.level, answer, value, ">=", threshold, rules, reason=reason)


def _density(facts: EligibilityFacts, rules: RuleSet) -> Criterion | None:
    """Tests in uninterrupted deep response up to the stop, each so many months after the one counted before it."""
    name, limit = "test_density", rules.optional("test_density", TestsLimit)
    if limit is None:
        return None
    counted: list[date] = []
    for point in (p for p in sorted(facts.points, key=lambda p: p.on) if p.on <= facts.stop_on):
        if not point.response_class.is_dmr:
            counted = []
        elif not counted or add_months(counted[-1], limit.months_apart) <= point.on:
            counted.append(point.on)
    missing = limit.tests - len(counted)
    earliest = counted[limit.tests - 1] if missing <= 0 else None
    if counted and missing > 0:
        earliest = add_months(counted[-1], limit.months_apart * missing)
    answer = None if facts.last_point is None else missing <= 0
    reason = rules.reason(name, "eligibility.tests", tests=len(counted))
    return Criterion(
        name, "E17", limit.level, state_of(answer), len(counted), ">=", limit.tests, "tests", earliest, reason
    )
