"""What the statistics read of each time off treatment, under a rule of loss and a rule of deep response.

A reading holds nothing of a cohort: no endpoint, no cut-off, no criterion. These are applied to many readings at once.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple, TypeVar

from monitoring.domain.course.episodes import DmrRule, Episode, find_episodes, response_before_stop, tki_duration
from monitoring.domain.course.protocol_loss import merely_unproven
from monitoring.domain.course.relapse import LossRule
from monitoring.domain.course.series import Course, Fact, FactKind, StopReason, TimePoint, tki_courses
from monitoring.domain.following.early_signs import first_fluctuation
from monitoring.domain.following.findings import LONG_GAP_DAYS
from monitoring.domain.following.kinetics import Value
from monitoring.domain.following.landmarks import MonthTwoClass, month_two, month_two_windows
from monitoring.domain.rules.rule_sets import rule_set
from monitoring.domain.vocabulary.dates import (
    DAYS_PER_MONTH,
    Duration,
    PartialDate,
    Precision,
    between,
    completed_years,
)
from monitoring.domain.vocabulary.scale import ResponseClass

# The statistics read every centre's doubling times by one rule set, whatever a centre's own protocol says.
KINETICS = "kinetics-ln-ratio.1"
# How old the response at a landmark may be: one sample every two months is the sparsest schedule of the first year.
CLASS_WITHIN_DAYS = 62

Measured = TypeVar("Measured", Value, TimePoint)


@dataclass(frozen=True, slots=True)
class PatientHistory:
    """What the statistics read of one patient.

    ``unseen`` are the days of undetected points of a patient whose transcript is not known and in whom the assay had
    never detected one; ``marrow`` the days of bone marrow samples; ``values`` what doubling times two months after a
    stop are made of.
    """

    patient_id: str
    centre: str
    sex: str
    born: PartialDate | None
    diagnosed: PartialDate | None
    transcript: str
    risk_group: str
    first_dmr: PartialDate | None
    courses: tuple[Course, ...]
    facts: tuple[Fact, ...]
    points: tuple[TimePoint, ...]
    unseen: frozenset[date] = frozenset()
    marrow: frozenset[date] = frozenset()
    risk_score: str = ""
    values: tuple[Value, ...] = ()

    def until(self, as_of: date) -> PatientHistory:
        """The same patient as known on a day: nothing collected, started, stopped or observed later."""
        return dataclasses.replace(
            self,
            courses=tuple(_course_until(c, as_of) for c in self.courses if c.started_on <= as_of),
            facts=tuple(f for f in self.facts if f.observed_on <= as_of),
            points=tuple(p for p in self.points if p.on <= as_of),
            unseen=frozenset(on for on in self.unseen if on <= as_of),
            marrow=frozenset(on for on in self.marrow if on <= as_of),
            values=tuple(v for v in self.values if v.on <= as_of),
        )


def for_doubling(values: Iterable[Measured], courses: Sequence[Course]) -> list[Measured]:
    """The values that can decide a doubling time two months after one of the stops."""
    stops = [c.stopped_on for c in courses if c.stopped_on is not None]
    windows = month_two_windows(stops, rule_set(KINETICS))
    return [value for value in values if any(first <= value.on <= last for first, last in windows)]


def _course_until(course: Course, as_of: date) -> Course:
    """A course whose stop lies later was still running on the day."""
    if course.stopped_on is None or course.stopped_on <= as_of:
        return course
    return dataclasses.replace(course, stopped_on=None, stop_reason=StopReason.UNKNOWN)


class EpisodeReading(NamedTuple):
    """One time off treatment as columns; a tuple, since millions are made and stored as they are.

    ``*_least`` and ``*_most`` are the shortest and longest length that partly known dates allow, as twice the completed
    calendar months, plus one where days are left over: ``>= 72 months`` is at least 144, ``> 72 months`` more than 144.
    """

    stop_reason: str
    attempt: int  # of TFR attempts, 0 for other stops
    stopped_on: date
    drug_at_stop: str
    baseline_on: date | None
    baseline_class: str
    baseline_unseen: bool
    last_off_on: date | None  # the last evaluable sample off treatment
    marrow_off: bool  # bone marrow was sampled off treatment
    loss_on: date | None  # by the rule of loss, dated as the rule says
    last_negative_on: date | None  # the last evaluable sample in MMR before the first value of the loss
    restarted_on: date | None
    restart_drug: str
    death_on: date | None
    transplant_on: date | None
    progression_on: date | None
    other_drug_from: date | None  # a drug that is no TKI, taken after the stop: its first day
    mmr_regained_on: date | None
    dmr_regained_on: date | None
    last_contact_on: date | None
    withdrawal_syndrome_on: date | None
    seen_again_on: date | None  # MMR off treatment after a single value above it that nothing confirmed
    last_seen_on: date | None  # the last evaluable sample, on treatment or off it
    class_at_3: str  # the last evaluable class off treatment so many months after the stop, 62 days old at most
    class_at_6: str
    class_at_12: str
    fluctuated_on: date | None  # MR4 lost, or twice above 0.0032 %, while in MMR
    month_two: str  # fast, slow or not_rising two months after the stop, empty where it is not known
    month_two_on: date | None  # the sample that decided it
    line_of_therapy: int  # how many TKIs were taken up to the stop
    earlier_resistance: bool  # a TKI was stopped for resistance before
    dose_reduced: bool  # the dose of a TKI was reduced before the stop
    left_censored: bool  # deep response began before our first result: its lengths are lower bounds
    dmr_across_gap: bool
    first_dmr_on: date | None
    dmr_run_from: date | None
    dmr_days: int | None
    dmr_least: int | None
    dmr_most: int | None
    tki_days: int | None
    tki_least: int | None
    tki_most: int | None
    time_to_dmr_days: int | None
    time_to_dmr_least: int | None
    time_to_dmr_most: int | None
    age_at_diagnosis: int | None  # completed years, and the range that partly known dates allow
    age_at_diagnosis_least: int | None
    age_at_diagnosis_most: int | None
    age_at_stop: int | None
    age_at_stop_least: int | None
    age_at_stop_most: int | None


def read_episodes(history: PatientHistory, loss_rule: LossRule, dmr_rule: DmrRule) -> tuple[EpisodeReading, ...]:
    """All times off treatment of a patient, in order of their stops."""
    episodes = find_episodes(history.courses, history.facts, history.points, loss_rule)
    return tuple(_reading(history, episode, loss_rule, dmr_rule) for episode in episodes)


def _reading(history: PatientHistory, episode: Episode, loss_rule: LossRule, dmr_rule: DmrRule) -> EpisodeReading:
    stopped_on = episode.stopped_on
    tkis = tki_courses(history.courses)
    elsewhere = history.first_dmr
    before = response_before_stop(
        stopped_on,
        tkis[0].started_on if tkis else None,
        history.points,
        elsewhere.on if elsewhere else None,
        dmr_rule,
    )
    started = PartialDate(tkis[0].started_on, tkis[0].started_precision) if tkis else None
    stopped = PartialDate(stopped_on, episode.course.stopped_precision)
    run_from, reached = before.dmr.start if before.dmr else None, before.time_to_dmr
    baseline = episode.baseline
    until = episode.restarted_on
    at_3, at_6, at_12 = _classes_at(episode, (3, 6, 12))
    fluctuation = first_fluctuation(episode)
    dmr = _length(between(_as_known(run_from, history), stopped) if run_from else None)
    tki = _length(tki_duration(history.courses, stopped_on))
    to_dmr = _length(between(started, _as_known(reached.end, history)) if reached and started else None)
    diagnosed_at, stopped_at = _age(history.born, history.diagnosed), _age(history.born, stopped)
    doubling = month_two(history.values, stopped_on, rule_set(KINETICS), until)
    return EpisodeReading(
        stop_reason=episode.kind.value,
        attempt=episode.attempt,
        stopped_on=stopped_on,
        drug_at_stop=episode.course.drug.value,
        baseline_on=baseline.on if baseline else None,
        baseline_class=baseline.response_class.value if baseline else "",
        baseline_unseen=baseline is not None and baseline.on in history.unseen,
        last_off_on=episode.points_off[-1].on if episode.points_off else None,
        marrow_off=any(stopped_on < on and (until is None or on <= until) for on in history.marrow),
        loss_on=episode.loss.event_on(loss_rule) if episode.loss else None,
        last_negative_on=_last_negative(episode, history.points),
        restarted_on=until,
        restart_drug=episode.restart.drug.value if episode.restart else "",
        death_on=_first(history.facts, FactKind.DEATH, stopped_on),
        transplant_on=_first(history.facts, FactKind.ALLOGENEIC_TRANSPLANT, stopped_on),
        progression_on=_first(history.facts, FactKind.PROGRESSION, stopped_on),
        other_drug_from=_other_drug_from(history.courses, stopped_on),
        mmr_regained_on=episode.mmr_regained_on,
        dmr_regained_on=episode.dmr_regained_on,
        last_contact_on=max((f.observed_on for f in history.facts if f.kind is FactKind.LAST_CONTACT), default=None),
        withdrawal_syndrome_on=_first(history.facts, FactKind.WITHDRAWAL_SYNDROME, stopped_on),
        seen_again_on=episode.seen_again_on,
        last_seen_on=_last_seen(history),
        class_at_3=at_3,
        class_at_6=at_6,
        class_at_12=at_12,
        fluctuated_on=fluctuation.on if fluctuation else None,
        month_two="" if doubling.group is MonthTwoClass.NOT_KNOWN else doubling.group.value,
        month_two_on=None if doubling.group is MonthTwoClass.NOT_KNOWN else doubling.decided_on,
        line_of_therapy=len({c.drug for c in tkis if c.started_on <= stopped_on}),
        earlier_resistance=any(
            c.drug.is_tki and c.stop_reason is StopReason.RESISTANCE and c.stopped_on and c.stopped_on < stopped_on
            for c in history.courses
        ),
        dose_reduced=any(c.dose_reduced_on and c.dose_reduced_on <= stopped_on for c in tkis),
        left_censored=before.left_censored,
        dmr_across_gap=run_from is not None and _has_gap(run_from, stopped_on, history.points),
        first_dmr_on=before.first_dmr_on,
        dmr_run_from=run_from,
        dmr_days=dmr.as_dated,
        dmr_least=dmr.least,
        dmr_most=dmr.most,
        tki_days=tki.as_dated,
        tki_least=tki.least,
        tki_most=tki.most,
        time_to_dmr_days=to_dmr.as_dated,
        time_to_dmr_least=to_dmr.least,
        time_to_dmr_most=to_dmr.most,
        age_at_diagnosis=diagnosed_at.as_dated,
        age_at_diagnosis_least=diagnosed_at.least,
        age_at_diagnosis_most=diagnosed_at.most,
        age_at_stop=stopped_at.as_dated,
        age_at_stop_least=stopped_at.least,
        age_at_stop_most=stopped_at.most,
    )


def _as_known(on: date, history: PatientHistory) -> PartialDate:
    """The day of a sample, or of a deep response found elsewhere, as precisely as it is known."""
    point = next((p for p in reversed(history.points) if p.on == on), None)
    if point is not None:
        return PartialDate(on, point.precision)
    elsewhere = history.first_dmr
    return elsewhere if elsewhere is not None and elsewhere.on == on else PartialDate(on)


def _first(facts: Sequence[Fact], kind: FactKind, stopped_on: date) -> date | None:
    """The first day of such an observation on or after the stop."""
    if not facts:
        return None
    return min((f.observed_on for f in facts if f.kind is kind and f.observed_on >= stopped_on), default=None)


def _last_seen(history: PatientHistory) -> date | None:
    """The last evaluable sample of a patient: a contact shows neither MMR nor its loss."""
    return history.points[-1].on if history.points else None


def _classes_at(episode: Episode, landmarks: Sequence[int]) -> Iterator[str]:
    """The class of the last sample off treatment so many months after the stop, and none from later.

    A sample too poor to prove MR4.5 that shows nothing above it says neither that it is held nor that it is lost.
    """
    points, stopped_on = episode.points_off, episode.stopped_on
    days = [(p.on - stopped_on).days for p in points]
    for months in landmarks:
        until = int(months * DAYS_PER_MONTH)
        first, last = bisect_left(days, until - CLASS_WITHIN_DAYS), bisect_right(days, until)
        yield next((p.response_class.value for p in reversed(points[first:last]) if not _unproven(p)), "")


def _unproven(point: TimePoint) -> bool:
    if point.is_percent is not None and not point.low_control:
        return False  # most samples
    if point.response_class.at_least(ResponseClass.MR4_5) or point.response_class is ResponseClass.NO_MMR:
        return False
    return point.is_percent is None or merely_unproven(point, ResponseClass.MR4_5)


def _last_negative(episode: Episode, points: Sequence[TimePoint]) -> date | None:
    """The last sample before a loss: the loss lies between it and the first value above 0.1 %."""
    if episode.loss is None:
        return None
    return max((p.on for p in points if p.on < episode.loss.first.on and p.in_mmr), default=None)


def _other_drug_from(courses: Sequence[Course], stopped_on: date) -> date | None:
    """The first day of a drug against the disease that is no TKI and was taken after the stop."""
    taken = (c for c in courses if not c.drug.is_tki and (c.stopped_on is None or c.stopped_on > stopped_on))
    return min((c.started_on for c in taken), default=None)


def _has_gap(start: date, stopped_on: date, points: Sequence[TimePoint]) -> bool:
    """Whether a run of deep response holds a gap between samples longer than one missed sample explains."""
    longest, before = dt.timedelta(days=LONG_GAP_DAYS), start
    for point in points:
        if start < point.on <= stopped_on:
            if point.on - before > longest:
                return True
            before = point.on
    return stopped_on - before > longest


class _Range(NamedTuple):
    """A number with the least and the most that partly known dates allow."""

    as_dated: int | None = None
    least: int | None = None
    most: int | None = None


def _length(duration: Duration | None) -> _Range:
    if duration is None:
        return _Range()
    code = duration.half_months
    if duration.shortest is None or duration.longest is None:
        return _Range(duration.days, code, code)
    codes = code, duration.shortest.half_months, duration.longest.half_months
    return _Range(duration.days, min(codes), max(codes))


def _age(born: PartialDate | None, at: PartialDate | None) -> _Range:
    if born is None or at is None:
        return _Range()
    years = completed_years(born.on, at.on)
    if born.precision is Precision.DAY is at.precision:
        return _Range(years, years, years)
    return _Range(years, completed_years(born.latest, at.earliest), completed_years(born.earliest, at.latest))
