"""Treatment-free episodes: which stops open one, what happened in it, and the response it started from.

A stop opens an episode whatever its reason, when no other TKI is active and none starts within 28 days (or MMR is
lost before one does). Time zero is the last day of drug.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from operator import attrgetter

from monitoring.domain.course.relapse import Loss, LossRule, find_loss, loss_among, off_treatment
from monitoring.domain.course.series import Course, Fact, FactKind, Series, StopReason, TimePoint, tki_courses
from monitoring.domain.vocabulary.dates import Duration, PartialDate, Precision, add_months
from monitoring.domain.vocabulary.scale import ResponseClass

SWITCH_WINDOW_DAYS = 28
LEFT_CENSORED_AFTER_MONTHS = 6  # a first own result in DMR so long after the first TKI is a lower bound
ENDS_EPISODE = (FactKind.DEATH, FactKind.ALLOGENEIC_TRANSPLANT)
_collected_on = attrgetter("on")


@dataclass(frozen=True, slots=True)
class Episode:
    """One time off treatment. ``attempt`` numbers the TFR attempts of a patient and is 0 for other kinds."""

    course: Course
    attempt: int
    baseline: TimePoint | None
    restart: Course | None
    loss: Loss | None
    points_off: tuple[TimePoint, ...]
    mmr_regained_on: date | None
    dmr_regained_on: date | None
    ended_by: Fact | None

    @property
    def kind(self) -> StopReason:
        return self.course.stop_reason

    @property
    def stopped_on(self) -> date:
        assert self.course.stopped_on is not None
        return self.course.stopped_on

    @property
    def restarted_on(self) -> date | None:
        return self.restart.started_on if self.restart else None

    @property
    def state(self) -> str:
        """The state of the episode, in one word for lists."""
        if self.ended_by is not None:
            return self.ended_by.kind.value
        if self.restart is not None:
            return "restarted"
        if self.loss is None:
            return "off_treatment"
        return "loss_not_confirmed" if self.seen_again_on else "loss_of_mmr"

    @property
    def seen_again_on(self) -> date | None:
        """The day of MMR after a single value above it, where nothing confirmed the loss and the drug was not
        restarted.
        """
        if self.loss is None or self.loss.confirmed_on is not None or self.restart is not None:
            return None
        return next((p.on for p in self.points_off if p.on > self.loss.first.on and p.in_mmr), None)


def find_episodes(
    courses: Sequence[Course], facts: Sequence[Fact], points: Sequence[TimePoint], rule: LossRule | None = None
) -> tuple[Episode, ...]:
    """All episodes of a patient in order of their stops."""
    tkis = tki_courses(courses)
    opened: dict[date, tuple[Course, Course | None]] = {}
    for course in sorted(tkis, key=_by_stop_reason):
        if course.stopped_on is None or course.stopped_on in opened:
            continue  # drugs that were stopped on the same day open one episode
        if any(tki is not course and _active_after(tki, course.stopped_on) for tki in tkis):
            continue
        restart = next((c for c in tkis if c.started_on > course.stopped_on), None)
        if restart is not None and _is_switch(course.stopped_on, restart.started_on, points):
            continue
        opened[course.stopped_on] = course, restart
    episodes, attempt = [], 0
    for _stopped_on, (course, restart) in sorted(opened.items()):
        is_attempt = course.stop_reason is StopReason.TFR_ATTEMPT
        attempt += is_attempt
        episodes.append(_episode(course, restart, facts, points, rule, attempt if is_attempt else 0))
    return tuple(episodes)


def _active_after(course: Course, stopped_on: date) -> bool:
    return course.started_on <= stopped_on and (course.stopped_on is None or course.stopped_on > stopped_on)


def _by_stop_reason(course: Course) -> tuple[bool, bool, date, str]:
    """Sort key: a TFR attempt before other reasons, a stated reason before an unknown one, the earlier start first."""
    reason = course.stop_reason
    return reason is not StopReason.TFR_ATTEMPT, reason is StopReason.UNKNOWN, course.started_on, course.key


def _is_switch(stopped_on: date, restarted_on: date, points: Sequence[TimePoint]) -> bool:
    """Whether a stop was only a switch to the next drug. One value above MMR decides it, whatever a cohort's own
    rule.
    """
    if (restarted_on - stopped_on).days > SWITCH_WINDOW_DAYS:
        return False
    loss = find_loss(points, stopped_on, restarted_on)
    return loss is None or loss.first.on >= restarted_on


def _episode(
    course: Course,
    restart: Course | None,
    facts: Sequence[Fact],
    points: Sequence[TimePoint],
    rule: LossRule | None,
    attempt: int,
) -> Episode:
    assert course.stopped_on is not None
    restarted_on = restart.started_on if restart else None
    stopped_on = course.stopped_on
    ends = [
        fact
        for fact in facts
        if fact.kind in ENDS_EPISODE
        and fact.observed_on >= stopped_on
        and (restarted_on is None or fact.observed_on < restarted_on)
    ]
    # A death on the day of the transplant ends the episode, whichever of the two was entered first.
    ended_by = min(ends, key=lambda fact: (fact.observed_on, fact.kind is not FactKind.DEATH), default=None)
    transplants = [fact.observed_on for fact in ends if fact.kind is FactKind.ALLOGENEIC_TRANSPLANT]
    if transplants:
        points = tuple(p for p in points if p.on <= min(transplants))
    points_off = off_treatment(points, stopped_on, restarted_on)
    loss = loss_among(points_off, points, restarted_on, rule or LossRule())
    later = [p for p in points if p.on > restarted_on] if loss and restarted_on is not None else []
    return Episode(
        course=course,
        attempt=attempt,
        baseline=max([p for p in points if p.on <= stopped_on], key=_collected_on, default=None),
        restart=restart,
        loss=loss,
        points_off=points_off,
        mmr_regained_on=next((p.on for p in later if p.in_mmr), None),
        dmr_regained_on=next((p.on for p in later if p.response_class.is_dmr), None),
        ended_by=ended_by,
    )


# --- what preceded the stop ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DmrRule:
    """How the deep response before the stop is measured (register D17 and D18)."""

    level: ResponseClass = ResponseClass.MR4
    run: str = "uninterrupted"
    max_dips: int = 0
    max_gap_days: int | None = None


@dataclass(frozen=True, slots=True)
class ResponseBeforeStop:
    """Deep response up to the stop. A left-censored length is a lower bound: the response began before our results."""

    first_dmr_on: date | None
    time_to_dmr: Duration | None
    dmr: Duration | None
    left_censored: bool


def response_before_stop(
    stopped_on: date,
    first_tki_on: date | None,
    points: Sequence[TimePoint],
    reached_elsewhere_on: date | None,
    rule: DmrRule | None = None,
) -> ResponseBeforeStop:
    """First deep response ever and the run of deep response that ends at the stop.

    The run holds evaluable results at the level or deeper and includes the last one on or before the stop; it is
    measured from its first result. ``reached_elsewhere_on`` is a first DMR before our first result.
    """
    rule = rule or DmrRule()
    before = [p for p in points if p.on <= stopped_on]
    first_own = next((p for p in before if p.response_class.at_least(rule.level)), None)
    starts_deep = first_own is not None and first_own is before[0]
    elsewhere = (
        reached_elsewhere_on if before and reached_elsewhere_on and reached_elsewhere_on < before[0].on else None
    )
    left_censored = (
        starts_deep
        and reached_elsewhere_on is None
        and first_tki_on is not None
        and add_months(first_tki_on, LEFT_CENSORED_AFTER_MONTHS) <= before[0].on
    )
    first_on = elsewhere or (first_own.on if first_own else None)
    run_start = _run_start(before, rule)
    if run_start is not None and elsewhere is not None and run_start == before[0].on:
        run_start = elsewhere
    if rule.run == "first":
        run_start = first_on
    return ResponseBeforeStop(
        first_dmr_on=first_on,
        time_to_dmr=Duration(first_tki_on, first_on)
        if first_on and first_tki_on and first_on >= first_tki_on
        else None,
        dmr=Duration(run_start, stopped_on) if run_start else None,
        left_censored=left_censored,
    )


def _run_start(before: Sequence[TimePoint], rule: DmrRule) -> date | None:
    """The first result of the run that ends at the last result, walking back; None where the last one is not deep."""
    if not before or not before[-1].response_class.at_least(rule.level):
        return None
    dip_floor = {ResponseClass.MR4: ResponseClass.MMR, ResponseClass.MR4_5: ResponseClass.MR4}.get(rule.level)
    start, later, dips = before[-1].on, before[-1].on, 0
    for point in reversed(before[:-1]):
        if rule.max_gap_days is not None and (later - point.on).days > rule.max_gap_days:
            break
        if point.response_class.at_least(rule.level):
            start = point.on
        else:
            dips += 1
            if dips > rule.max_dips or dip_floor is None or not point.response_class.at_least(dip_floor):
                break
        later = point.on
    return start


def tki_duration(courses: Sequence[Course], stopped_on: date) -> Duration | None:
    """The union of TKI days up to the stop, as a length that ends at the stop; None without a TKI course.

    A single course counts the days from its start to its stop; a further drug adds the days that no other covers.
    """
    tkis = [course for course in tki_courses(courses) if course.started_on <= stopped_on]
    if not tkis:
        return None
    only = tkis[0] if len(tkis) == 1 else None
    if only and only.stopped_on == stopped_on and only.started_precision is Precision.DAY is only.stopped_precision:
        return Duration(only.started_on, stopped_on)  # most patients
    exact = _union(((c.started_on, min(c.stopped_on or stopped_on, stopped_on)) for c in tkis), stopped_on)
    if all(c.started_precision is Precision.DAY is c.stopped_precision for c in tkis):
        return exact
    starts = [PartialDate(c.started_on, c.started_precision) for c in tkis]
    stops = [PartialDate(c.stopped_on or stopped_on, c.stopped_precision) for c in tkis]
    last = next((s for s in stops if s.on == stopped_on), PartialDate(stopped_on))
    shortest = _union(
        ((s.latest, min(e.earliest, last.earliest)) for s, e in zip(starts, stops, strict=True)), last.earliest
    )
    longest = _union(
        ((s.earliest, min(e.latest, last.latest)) for s, e in zip(starts, stops, strict=True)), last.latest
    )
    return dataclasses.replace(exact, shortest=shortest, longest=longest)


def _union(spans: Iterable[tuple[date, date]], end: date) -> Duration:
    """The days covered by these spans as one length that ends at ``end``; a span that ends before its start is
    empty.
    """
    joined: list[tuple[date, date]] = []
    for first, last in sorted(span for span in spans if span[0] <= span[1]):
        if joined and first <= joined[-1][1] + dt.timedelta(days=1):
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    days = sum((last - first).days + 1 for first, last in joined) - 1
    return Duration(end - dt.timedelta(days=max(days, 0)), end)


def subject_of(series: Series, course: Course) -> str:
    """The subject of everything an episode raises: the drug course whose stop opened it."""
    return f"{series.patient_key}/{course.key}"
