"""Response milestones on treatment: the status at 3, 6, 12 and 18 months and at any time, in the words of a rule set.

Months are calendar months from the start of the first TKI, not from diagnosis. The sample nearest to the day counts,
within the window of the rule set (edges inclusive), of two equally near the earlier; a sample that is not evaluable,
preliminary or off treatment never does. Limits are inclusive exactly where the source is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from monitoring.domain.course.bounded_value import KnownValue, known_value
from monitoring.domain.course.episodes import Episode, find_episodes
from monitoring.domain.course.series import (
    Assessed,
    Course,
    FactKind,
    Series,
    TimePoint,
    assess,
    time_points,
    tki_courses,
)
from monitoring.domain.course.treatment import is_off, known_on
from monitoring.domain.rules.rule_sets import RuleSet
from monitoring.domain.rules.values import Band, Confirmation
from monitoring.domain.vocabulary.dates import Precision, add_months
from monitoring.domain.vocabulary.reasons import FactValue, Reason

MONTHS = (3, 6, 12, 18)
CONFIRMED_MONTH = 3

NO_SAMPLE = "no_sample"
NOT_YET_DUE = "not_yet_due"
UNASSIGNED = "unassigned"
UNDECIDED = "undecided"
OFF_TREATMENT = "off_treatment"
FAILURES = ("failure", "resistant")  # ELN and ESMO; NCCN


@dataclass(frozen=True, slots=True)
class Milestone:
    """The status of one milestone; ``month`` None is the line for any time.

    ``status`` is a word of the rule set, or why there is none. ``is_open``: the window has not closed yet, so a sample
    nearer to the day may still come. ``sample_on`` and ``value`` are what the status rests on.
    """

    month: int | None
    status: str
    due_on: date | None
    opens_on: date | None
    closes_on: date | None
    is_open: bool
    sample_on: date | None
    value: KnownValue | None
    sample_key: str
    reasons: tuple[Reason, ...]

    @property
    def is_failure(self) -> bool:
        """Whether the rule set calls the status a failure or resistance."""
        return self.status in FAILURES


@dataclass(frozen=True, slots=True)
class _Sample:
    on: date
    key: str
    value: KnownValue
    in_mmr: bool


@dataclass(frozen=True, slots=True)
class _Case:
    """What the lines are worked out from: samples on treatment, times off it, mutations, the day and the rules."""

    start: Course
    samples: tuple[_Sample, ...]
    episodes: tuple[Episode, ...]
    mutations: tuple[date, ...]
    as_of: date
    rules: RuleSet


def last_failure(steps: Iterable[Milestone]) -> date | None:
    """The day of the latest sample that fails a milestone, None where none does."""
    return max((m.sample_on for m in steps if m.is_failure and m.sample_on is not None), default=None)


def milestones(
    series: Series, as_of: date, rules: RuleSet, assessed: Sequence[Assessed] | None = None
) -> tuple[Milestone, ...]:
    """Every milestone that the rule set has, from what was known on ``as_of``; none before a first TKI."""
    series = known_on(series, as_of)
    items = [i for i in (assessed if assessed is not None else assess(series)) if i.result.collected_on <= as_of]
    courses = tki_courses(series.courses)
    if not courses:
        return ()
    points = time_points(items)
    episodes = find_episodes(series.courses, series.facts, points)
    case = _Case(
        courses[0],
        _samples(points, items, courses[0].started_on, episodes),
        episodes,
        tuple(sorted(f.observed_on for f in series.facts if f.kind is FactKind.MUTATION)),
        as_of,
        rules,
    )
    lines = [(month, rules.optional(f"month_{month}", tuple)) for month in MONTHS]
    steps = [_milestone(case, month, bands) for month, bands in lines if bands is not None]
    any_time = _any_time(case)
    return (*steps, any_time) if any_time is not None else tuple(steps)


def _samples(
    points: Sequence[TimePoint], items: Sequence[Assessed], start: date, episodes: Sequence[Episode]
) -> tuple[_Sample, ...]:
    by_key = {item.result.key: item for item in items}
    return tuple(
        _Sample(p.on, p.key, known_value(by_key[p.key]), p.in_mmr)
        for p in points
        if p.on >= start and not is_off(episodes, p.on)
    )


# --- a month ------------------------------------------------------------------------------------------------------


def _milestone(case: _Case, month: int, bands: Sequence[Band]) -> Milestone:
    line, rules = f"month_{month}", case.rules
    due = add_months(case.start.started_on, month)
    window = dt.timedelta(days=rules.value("milestone_window_days", int))
    opens, closes = due - window, due + window
    near = [s for s in case.samples if opens <= s.on <= closes]
    sample = min(near, key=lambda s: (abs(s.on - due), s.on), default=None)
    status, reason = _status(case, line, bands, sample, due, opens, closes)
    reasons = [reason]
    if month == CONFIRMED_MONTH and sample is not None:
        status, reasons = _confirmed(case, sample, status, reasons)
    value, on, key = (sample.value, sample.on, sample.key) if sample else (None, None, "")
    return Milestone(month, status, due, opens, closes, case.as_of <= closes, on, value, key, tuple(reasons))


def _status(
    case: _Case, line: str, bands: Sequence[Band], sample: _Sample | None, due: date, opens: date, closes: date
) -> tuple[str, Reason]:
    if case.start.started_precision is Precision.YEAR:
        return UNDECIDED, case.rules.reason(line, "milestones.start_not_known")
    if sample is not None:
        return _banded(case.rules, line, bands, sample)
    if is_off(case.episodes, due):
        return OFF_TREATMENT, case.rules.reason(line, "milestones.off_treatment")
    if case.as_of <= closes:
        return NOT_YET_DUE, case.rules.reason(line, "milestones.not_yet_due", opens=opens, closes=closes)
    return NO_SAMPLE, case.rules.reason(line, "milestones.no_sample", opens=opens, closes=closes)


def _banded(rules: RuleSet, line: str, bands: Sequence[Band], sample: _Sample) -> tuple[str, Reason]:
    """The status of the range in which a value lies. A table may leave a gap; a value may be known only by a bound."""
    answers = [(band.status, _lies_in(sample.value, band)) for band in bands]
    facts: dict[str, FactValue] = {"value": sample.value.is_percent or str(sample.value), "on": sample.on}
    status = next((status for status, inside in answers if inside), None)
    if status is not None:
        return status, rules.reason(line, "milestones.value", **facts)
    if any(inside is None for _, inside in answers):
        return UNDECIDED, rules.reason(line, "milestones.undecided", **facts)
    return UNASSIGNED, rules.reason(line, "milestones.unassigned", **facts)


def _lies_in(value: KnownValue, band: Band) -> bool | None:
    over = True if band.low is None else value.is_above(band.low, inclusive=band.low_inclusive)
    under = True if band.high is None else value.is_below(band.high, inclusive=band.high_inclusive)
    if over is False or under is False:
        return False
    return None if over is None or under is None else True


def _confirmed(case: _Case, sample: _Sample, status: str, reasons: list[Reason]) -> tuple[str, list[Reason]]:
    """The 3-month value above its limit again within the months that the source names; the first sample in them
    decides.
    """
    rule = case.rules.optional("confirm_month_3", Confirmation)
    if rule is None or sample.value.is_above(rule.above_percent) is not True:
        return status, reasons
    first, last = add_months(sample.on, rule.from_months), add_months(sample.on, rule.to_months)
    again = next((s for s in case.samples if first <= s.on <= last), None)
    if again is None or again.value.is_above(rule.above_percent) is not True:
        return status, reasons
    reason = case.rules.reason("confirm_month_3", "milestones.confirmed", limit=rule.above_percent, on=again.on)
    return rule.status, [*reasons, reason]


# --- any time -----------------------------------------------------------------------------------------------------


def _any_time(case: _Case) -> Milestone | None:
    """The worst status of the lines for any time: the last value, a loss of MMR, a mutation on record."""
    rules = case.rules
    bands, words = rules.optional("any_time", tuple), rules.value("statuses", tuple)
    if bands is None:
        return None
    from_on = add_months(case.start.started_on, rules.value("any_time_after_months", int))
    if is_off(case.episodes, case.as_of):
        return _nothing(OFF_TREATMENT, from_on, rules.reason("any_time", "milestones.off_treatment"))
    last = case.samples[-1] if case.samples else None
    statuses: list[tuple[str, Reason]] = []
    if last is not None and last.on > from_on:
        statuses.append(_banded(rules, "any_time", bands, last))
    statuses += _loss_of_mmr(case)
    statuses += _mutation(case)
    if not statuses:
        return _nothing_at_any_time(case, from_on)
    ranked = [(words.index(s) if s in words else -1, s) for s, _ in statuses]
    status = max(ranked)[1]
    value, on, key = (last.value, last.on, last.key) if last else (None, None, "")
    return Milestone(None, status, None, from_on, None, True, on, value, key, tuple(r for _, r in statuses))


def _nothing_at_any_time(case: _Case, from_on: date) -> Milestone:
    if case.as_of <= from_on:
        reason = case.rules.reason("any_time", "milestones.any_time_not_yet", opens=from_on)
        return _nothing(NOT_YET_DUE, from_on, reason)
    reason = case.rules.reason("any_time", "milestones.no_sample", opens=from_on, closes=case.as_of)
    return _nothing(NO_SAMPLE, from_on, reason)


def _nothing(status: str, from_on: date, reason: Reason) -> Milestone:
    return Milestone(None, status, None, from_on, None, True, None, None, "", (reason,))


def _loss_of_mmr(case: _Case) -> list[tuple[str, Reason]]:
    """MMR that was held on treatment and is not there in the last sample on treatment."""
    status = case.rules.optional("loss_of_mmr", str)
    held_on = max((s.on for s in case.samples if s.in_mmr), default=None)
    if status is None or held_on is None or case.samples[-1].in_mmr:
        return []
    lost = next(s for s in case.samples if s.on > held_on)
    if any(held_on <= e.stopped_on < lost.on for e in case.episodes):
        return []  # lost off treatment or found at the restart: not a loss on treatment
    return [(status, case.rules.reason("loss_of_mmr", "milestones.loss_of_mmr", held_on=held_on, on=lost.on))]


def _mutation(case: _Case) -> list[tuple[str, Reason]]:
    """A mutation recorded since the start."""
    status = case.rules.optional("mutation", str)
    on = next((on for on in case.mutations if on >= case.start.started_on), None)
    if status is None or on is None:
        return []
    return [(status, case.rules.reason("mutation", "milestones.mutation", on=on))]
