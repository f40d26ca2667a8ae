"""When the next sample of a patient is due, and whether a sample or a result is overdue.

The next sample is counted from the last sample that counts, or from the start of the present time on or off treatment
where there is none since: an interval after a missed or early sample is never longer than the rule says. A sample that
is not evaluable, preliminary or bone marrow does not count. Intervals and their sources are those of the rule set
(register D8). Intervals are in calendar months and days; the edges of a window are inclusive.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from monitoring.domain.course.episodes import find_episodes
from monitoring.domain.course.off_scale import ratios_of
from monitoring.domain.course.protocol_loss import merely_unproven
from monitoring.domain.course.series import (
    Assessed,
    Fact,
    FactKind,
    Series,
    TimePoint,
    assess,
    time_points,
    tki_courses,
)
from monitoring.domain.course.treatment import Treatment, TreatmentPhase, known_on, treatment_on
from monitoring.domain.following.early_signs import last_lost
from monitoring.domain.following.kinetics import values_of
from monitoring.domain.following.resistance import rise_on_treatment
from monitoring.domain.rules.rule_sets import RuleSet
from monitoring.domain.rules.values import Every, SamplingPhase, Span
from monitoring.domain.vocabulary.dates import add_months
from monitoring.domain.vocabulary.reasons import FactValue, Reason
from monitoring.domain.vocabulary.scale import ResponseClass

ENDS_PLAN = (FactKind.DEATH, FactKind.CONSENT_WITHDRAWN)
ENDS_UNTIL_SEEN_AGAIN = (FactKind.TRANSFER, FactKind.LOST_TO_FOLLOW_UP)
SEEN = (FactKind.LAST_CONTACT, FactKind.SAMPLE_TAKEN)


class PlanState(StrEnum):
    """The state of the next sample on a day."""

    PLANNED = "planned"
    DUE = "due"
    OVERDUE_SAMPLE = "overdue_sample"
    AWAITING_RESULT = "awaiting_result"
    OVERDUE_RESULT = "overdue_result"
    NOT_FOLLOWED = "not_followed"
    ENDED = "ended"
    NO_PLAN = "no_plan"


@dataclass(frozen=True, slots=True)
class Slot:
    """The window of one planned sample, all three days inclusive."""

    earliest: date
    due: date
    latest: date


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """The next sample of a patient as of a day.

    ``counted_from`` is the sample or the start from which the slot is counted; ``awaited`` are the days of samples
    without a final result, ``results_overdue`` those that wait too long. An overdue sample is a separate matter.
    """

    state: PlanState
    slot: Slot | None
    counted_from: date | None
    awaited: tuple[date, ...]
    results_overdue: tuple[date, ...]
    reason: Reason
    notes: tuple[Reason, ...] = ()
    ended_by: FactKind | None = None


# A value that shows treatment failing is repeated within four weeks, whatever the interval of the rule set (design; ELN
# 2020 asks for a repeat within 4 to 6 weeks without naming the interval after it).
REPEAT = Every(Span(days=21), Span(days=21), 7)


def next_sample_due(
    series: Series,
    as_of: date,
    rules: RuleSet,
    assessed: Sequence[Assessed] | None = None,
    *,
    failed_on: date | None = None,
) -> SamplePlan:
    """The next sample of a patient under a schedule, from what was collected or observed up to ``as_of``.

    ``failed_on`` is the day of the sample that failed a milestone: where it is the last one, it is repeated.
    """
    series = known_on(series, as_of)
    items = tuple(i for i in (assessed if assessed is not None else assess(series)) if i.result.collected_on <= as_of)
    ended = _ended(series)
    if ended is not None:
        reason = rules.reason("off_treatment", "schedule.ended", kind=ended.kind.value, on=ended.observed_on)
        return SamplePlan(PlanState.ENDED, None, None, (), (), reason, ended_by=ended.kind)
    points = time_points(items)
    treatment = treatment_on(series, points, as_of)
    if treatment is None:
        reason = rules.reason("off_treatment", "schedule.no_treatment_known")
        return SamplePlan(PlanState.NO_PLAN, None, None, (), (), reason)
    return _plan(series, items, points, treatment, as_of, rules, failed_on)


def planned_slots(stopped_on: date, rules: RuleSet, until: date) -> tuple[Slot, ...]:
    """The windows after a stop up to ``until`` if every sample is taken on its day and the response holds.

    Months are counted from the first day of their run, so that the clamped end of a short month does not move the
    later ones.
    """
    slots: list[Slot] = []
    start, offset = stopped_on, Span()
    while True:
        interval = _phase_at(rules.value("off_treatment", tuple), stopped_on, offset.after(start)).interval
        if offset.days and interval.every.months:
            start, offset = offset.after(start), Span()
        due, late = (offset + interval.every).after(start), (offset + interval.until).after(start)
        if due > until:
            return tuple(slots)
        tolerance = dt.timedelta(days=interval.tolerance_days)
        slots.append(Slot(due - tolerance, due, late + tolerance))
        offset += interval.every


# --- the slot -----------------------------------------------------------------------------------------------------


def _plan(
    series: Series,
    items: Sequence[Assessed],
    points: Sequence[TimePoint],
    treatment: Treatment,
    as_of: date,
    rules: RuleSet,
    failed_on: date | None,
) -> SamplePlan:
    evident = _evident_on(items, points)
    anchor = max((on for on in evident if on >= treatment.since), default=treatment.since)
    line, interval, code = _interval(points, treatment, anchor, rules)
    facts: dict[str, FactValue] = {}
    lost_on = _fluctuating(points, treatment, anchor)
    if (
        code == "schedule.off_treatment.regular"
        and lost_on is not None
        and MONTHLY.every.after(anchor) < interval.every.after(anchor)
    ):
        interval, code, facts = MONTHLY, "schedule.off_treatment.fluctuation", {"lost_on": lost_on}
    mutation_on = _mutation_on(series, points, treatment, as_of)
    repeat = _repeat(series, items, points, treatment, anchor, failed_on)
    if mutation_on is not None and not repeat:
        anchor, repeat = max(anchor, mutation_on), "schedule.on_treatment.repeat_after_mutation"
    if repeat and REPEAT.every.after(anchor) < interval.every.after(anchor):
        interval, code = REPEAT, repeat
    slot = _slot(anchor, interval)
    shown_on = points[-1].on if points else None
    if code == "schedule.on_treatment.repeat_after_mutation":
        facts = {"mutation_on": mutation_on}
    reason = rules.reason(line, code, since=treatment.since, anchor=anchor, shown_on=shown_on, due=slot.due, **facts)
    awaited = _awaited(series, items, rules)
    limit = rules.value("result_overdue_days", int)
    late = tuple(on for on in awaited if (as_of - on).days > limit)
    state = _state(as_of, slot, interval, [on for on in awaited if on > anchor], late)
    notes = tuple(_notes(items, evident, awaited, late, anchor, as_of, line, rules))
    last_on = last_record(series, items, as_of)
    if (as_of - last_on).days > rules.value("followed_within_days", int):
        late = ()
        if state in (PlanState.OVERDUE_SAMPLE, PlanState.OVERDUE_RESULT):
            state = PlanState.NOT_FOLLOWED
            reason = rules.reason("followed_within_days", "schedule.not_followed", last_on=last_on)
    return SamplePlan(state, slot, anchor, awaited, late, reason, notes)


def _evident_on(items: Sequence[Assessed], points: Sequence[TimePoint]) -> set[date]:
    """The days of samples that fill a slot: evaluable on the scale, or a good ratio of a transcript off it."""
    return {p.on for p in points} | {r.on for r in ratios_of(items) if r.is_final and r.proves}


def _repeat(
    series: Series,
    items: Sequence[Assessed],
    points: Sequence[TimePoint],
    treatment: Treatment,
    anchor: date,
    failed_on: date | None,
) -> str:
    """Why the last sample on treatment is repeated, as a text code: MMR lost, a milestone failed, a rise of one log."""
    on_drug = treatment.phase in (TreatmentPhase.ON, TreatmentPhase.RESTARTED)
    if not on_drug or not points or points[-1].on != anchor:
        return ""
    if not points[-1].in_mmr and any(p.in_mmr for p in points if p.on >= treatment.since):
        return "schedule.on_treatment.repeat_after_loss"
    if failed_on == anchor:
        return "schedule.on_treatment.repeat_after_failure"
    if points[-1].is_percent is None:
        return ""  # not detected, or without a number: no rise is left
    episodes = find_episodes(series.courses, series.facts, points)
    rise = rise_on_treatment(series.courses, points, values_of(items, series.courses), episodes)
    return "schedule.on_treatment.repeat_after_rise" if rise and not rise.is_over else ""


def _mutation_on(series: Series, points: Sequence[TimePoint], treatment: Treatment, as_of: date) -> date | None:
    """The day of a mutation recorded under the present drug and after the last sample, else None."""
    if treatment.phase not in (TreatmentPhase.ON, TreatmentPhase.RESTARTED):
        return None
    taken = [c.started_on for c in tki_courses(series.courses) if c.covers(as_of)]
    since = max([*taken, points[-1].on if points else treatment.since, treatment.since])
    return max(
        (f.observed_on for f in series.facts if f.kind is FactKind.MUTATION and f.observed_on >= since), default=None
    )


def _slot(anchor: date, interval: Every) -> Slot:
    """The window of the sample after ``anchor``; where a source gives a range, it is late only after the longer end."""
    tolerance = dt.timedelta(days=interval.tolerance_days)
    due = interval.every.after(anchor)
    return Slot(due - tolerance, due, interval.until.after(anchor) + tolerance)


def _interval(
    points: Sequence[TimePoint], treatment: Treatment, anchor: date, rules: RuleSet
) -> tuple[str, Every, str]:
    """Line of the rule set, interval and text code that hold now."""
    if treatment.phase is TreatmentPhase.TRANSPLANTED:
        return "on_treatment_until_mmr", rules.value("on_treatment_until_mmr", Every), "schedule.after_transplant"
    if treatment.phase is TreatmentPhase.OFF:
        return _interval_off(points, treatment, anchor, rules)
    last = points[-1] if points else None
    in_mmr = last is not None and last.in_mmr and (last.on > treatment.since or not treatment.after_loss)
    where = "restart" if treatment.phase is TreatmentPhase.RESTARTED else "on_treatment"
    line = f"{'after_restart' if where == 'restart' else where}_{'in_mmr' if in_mmr else 'until_mmr'}"
    return line, rules.value(line, Every), f"schedule.{where}.{'in_mmr' if in_mmr else 'until_mmr'}"


def _interval_off(
    points: Sequence[TimePoint], treatment: Treatment, anchor: date, rules: RuleSet
) -> tuple[str, Every, str]:
    """Off treatment: the phase in which the interval starts, or a shorter one after loss of MR4 or MMR."""
    phases: tuple[SamplingPhase, ...] = rules.value("off_treatment", tuple)
    regular = "off_treatment", _phase_at(phases, treatment.since, anchor).interval, "schedule.off_treatment.regular"
    lost = _lost(points, treatment)
    override = rules.optional(f"after_{lost}", Every) if lost else None
    if override is None or override.every.after(anchor) > regular[1].every.after(anchor):
        return regular
    return f"after_{lost}", override, f"schedule.off_treatment.{lost}"


def _lost(points: Sequence[TimePoint], treatment: Treatment) -> str:
    """What the last value off treatment shows as lost: MMR, MR4 that was held at the stop or since, or nothing."""
    if not points:
        return ""
    if not points[-1].in_mmr:
        return "loss_of_mmr"
    baseline = [p for p in points if p.on <= treatment.since][-1:]
    since = [*baseline, *(p for p in points if p.on > treatment.since)]
    had_mr4 = any(p.response_class.is_dmr for p in since) and not merely_unproven(points[-1], ResponseClass.MR4)
    return "loss_of_mr4" if had_mr4 and not points[-1].response_class.is_dmr else ""


# MR4 that was lost and regained off treatment is sampled monthly for six months (design; A-STIM: 65.4 % stay in
# remission).
MONTHLY = Every(Span(months=1), Span(months=1), 7)
FLUCTUATION_MONTHS = 6


def _fluctuating(points: Sequence[TimePoint], treatment: Treatment, anchor: date) -> date | None:
    """The day on which MR4 was last lost off treatment, where it is back and was lost less than six months ago."""
    if treatment.phase is not TreatmentPhase.OFF or not points or not points[-1].response_class.is_dmr:
        return None
    baseline = [p for p in points if p.on <= treatment.since][-1:]
    lost = last_lost(baseline, [p for p in points if p.on > treatment.since], ResponseClass.MR4)
    return lost.on if lost is not None and anchor < add_months(lost.on, FLUCTUATION_MONTHS) else None


def _phase_at(phases: Sequence[SamplingPhase], stopped_on: date, anchor: date) -> SamplingPhase:
    """The phase in which an interval starts: from its start (inclusive) to its end (exclusive).

    A sample up to the tolerance before the end of a phase is the last of that phase: the next phase follows it.
    """

    def holds(phase: SamplingPhase) -> bool:
        tolerance = dt.timedelta(days=phase.interval.tolerance_days)
        return phase.end is None or anchor + tolerance < phase.end.after(stopped_on)

    return next(phase for phase in phases if holds(phase))


# --- the state ----------------------------------------------------------------------------------------------------


def _state(as_of: date, slot: Slot, interval: Every, awaited: Sequence[date], late: Sequence[date]) -> PlanState:
    """A sample without a result yet fills the slot until the sample after it would be late too."""
    if awaited and as_of <= _slot(awaited[-1], interval).latest:
        return PlanState.OVERDUE_RESULT if late else PlanState.AWAITING_RESULT
    if as_of < slot.earliest:
        return PlanState.PLANNED
    return PlanState.DUE if as_of <= slot.latest else PlanState.OVERDUE_SAMPLE


def _awaited(series: Series, items: Sequence[Assessed], rules: RuleSet) -> tuple[date, ...]:
    """Days of samples without a final result: recorded samplings and preliminary results.

    A final result collected from a day before the recorded day on answers it.
    """
    slack = dt.timedelta(days=rules.value("sample_match_days", int))
    final = max((i.result.collected_on for i in items if not i.result.is_preliminary), default=date.min)
    taken = {f.observed_on for f in series.facts if f.kind is FactKind.SAMPLE_TAKEN and final < f.observed_on - slack}
    preliminary = {i.result.collected_on for i in items if i.result.is_preliminary and final < i.result.collected_on}
    return tuple(sorted(taken | preliminary))


def _ended(series: Series) -> Fact | None:
    """What ended the plan. A patient seen again after a transfer or a loss to follow-up is planned again."""
    seen_on = max(
        (*(r.collected_on for r in series.results), *(f.observed_on for f in series.facts if f.kind in SEEN)),
        default=date.min,
    )
    ends = [
        f for f in series.facts if f.kind in ENDS_PLAN or (f.kind in ENDS_UNTIL_SEEN_AGAIN and f.observed_on >= seen_on)
    ]
    return min(ends, key=lambda f: (f.observed_on, f.kind), default=None)


def last_record(series: Series, items: Sequence[Assessed], as_of: date) -> date:
    """The last day up to ``as_of`` on which anything was recorded of the patient."""
    courses = (on for c in series.courses for on in (c.started_on, c.stopped_on) if on is not None and on <= as_of)
    days = (*(i.result.collected_on for i in items), *(f.observed_on for f in series.facts), *courses)
    return max(days, default=date.min)


def _notes(
    items: Sequence[Assessed],
    evident: Collection[date],
    awaited: Sequence[date],
    late: Sequence[date],
    anchor: date,
    as_of: date,
    line: str,
    rules: RuleSet,
) -> Iterator[Reason]:
    """Samples after the last counting one that do not count, and results that are awaited."""
    limit = rules.value("result_overdue_days", int)
    for item in items:
        on = item.result.collected_on
        if on <= anchor or item.result.is_preliminary or on in evident:
            continue
        if item.result.is_bone_marrow:
            yield rules.reason(line, "schedule.slot_not_filled.bone_marrow", on=on)
        else:
            response_class = item.score.response_class.value
            yield rules.reason(line, "schedule.slot_not_filled.inevaluable", on=on, response_class=response_class)
    for on in awaited:
        if on in late:
            days = (as_of - on).days
            yield rules.reason("result_overdue_days", "schedule.result_overdue", on=on, days=days, limit=limit)
        else:
            yield rules.reason("result_overdue_days", "schedule.result_awaited", on=on)
