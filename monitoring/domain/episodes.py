"""Treatment-free episodes: which stops open one, what happened in it, and the response it started from.

A stop opens an episode whatever its reason, when no other TKI is active and none starts within 28 days (or MMR is
lost before one does). Time zero is the last day of drug.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from monitoring.domain.dates import Duration
from monitoring.domain.relapse import Loss, LossRule, find_loss, off_treatment
from monitoring.domain.scale import ResponseClass
from monitoring.domain.series import Course, Fact, FactKind, StopReason, TimePoint, tki_courses

SWITCH_WINDOW_DAYS = 28
LEFT_CENSORED_AFTER_DAYS = 183  # first own result already in DMR six months or more after the start
ENDS_EPISODE = (FactKind.DEATH, FactKind.ALLOGENEIC_TRANSPLANT)


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
        """Where the episode stands, in one word for lists."""
        if self.ended_by is not None:
            return self.ended_by.kind.value
        if self.restart is not None:
            return "restarted"
        return "loss_of_mmr" if self.loss else "off_treatment"


def find_episodes(
    courses: Sequence[Course], facts: Sequence[Fact], points: Sequence[TimePoint], rule: LossRule | None = None
) -> tuple[Episode, ...]:
    """All episodes of a patient in order of their stops."""
    tkis = tki_courses(courses)
    found: list[Episode] = []
    for course in tkis:
        if course.stopped_on is None or any(e.stopped_on == course.stopped_on for e in found):
            continue
        if any(other is not course and _active_after(other, course.stopped_on) for other in tkis):
            continue
        restart = next((c for c in tkis if c.started_on > course.stopped_on), None)
        if restart is not None and _is_switch(course.stopped_on, restart.started_on, points, rule):
            continue
        found.append(_episode(course, restart, facts, points, rule))
    found.sort(key=lambda e: e.stopped_on)
    return _numbered(found)


def _active_after(other: Course, stopped_on: date) -> bool:
    return other.started_on <= stopped_on and (other.stopped_on is None or other.stopped_on > stopped_on)


def _is_switch(stopped_on: date, restarted_on: date, points: Sequence[TimePoint], rule: LossRule | None) -> bool:
    if (restarted_on - stopped_on).days > SWITCH_WINDOW_DAYS:
        return False
    loss = find_loss(points, stopped_on, restarted_on, rule)
    return loss is None or loss.first.on >= restarted_on


def _episode(
    course: Course,
    restart: Course | None,
    facts: Sequence[Fact],
    points: Sequence[TimePoint],
    rule: LossRule | None,
) -> Episode:
    assert course.stopped_on is not None
    restarted_on = restart.started_on if restart else None
    ended_by = min(
        (
            fact
            for fact in facts
            if fact.kind in ENDS_EPISODE
            and fact.observed_on >= course.stopped_on
            and (restarted_on is None or fact.observed_on < restarted_on)
        ),
        key=lambda fact: fact.observed_on,
        default=None,
    )
    watched = off_treatment(points, course.stopped_on, restarted_on)
    if ended_by is not None and ended_by.kind is FactKind.ALLOGENEIC_TRANSPLANT:
        watched = tuple(p for p in watched if p.on <= ended_by.observed_on)
    loss = find_loss(watched if restarted_on is None else points, course.stopped_on, restarted_on, rule)
    later = [p for p in points if restarted_on is not None and p.on > restarted_on]
    return Episode(
        course=course,
        attempt=0,
        baseline=max((p for p in points if p.on <= course.stopped_on), key=lambda p: p.on, default=None),
        restart=restart,
        loss=loss,
        points_off=watched,
        mmr_regained_on=next((p.on for p in later if p.in_mmr), None) if loss else None,
        dmr_regained_on=next((p.on for p in later if p.response_class.is_dmr), None) if loss else None,
        ended_by=ended_by,
    )


def _numbered(episodes: list[Episode]) -> tuple[Episode, ...]:
    numbered = []
    attempt = 0
    for episode in episodes:
        is_attempt = episode.kind is StopReason.TFR_ATTEMPT
        attempt += is_attempt
        numbered.append(dataclasses.replace(episode, attempt=attempt if is_attempt else 0))
    return tuple(numbered)


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
    starts_deep = bool(before) and before[0].response_class.at_least(rule.level)
    elsewhere = (
        reached_elsewhere_on if before and reached_elsewhere_on and reached_elsewhere_on < before[0].on else None
    )
    left_censored = (
        starts_deep
        and reached_elsewhere_on is None
        and first_tki_on is not None
        and (before[0].on - first_tki_on).days >= LEFT_CENSORED_AFTER_DAYS
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
    """The union of TKI days up to the stop, as a length that ends at the stop; None without a TKI course."""
    spans: list[tuple[date, date]] = []
    for course in tki_courses(courses):
        if course.started_on > stopped_on:
            continue
        start, end = course.started_on, min(course.stopped_on or stopped_on, stopped_on)
        if spans and start <= spans[-1][1] + dt.timedelta(days=1):
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((start, end))
    if not spans:
        return None
    return Duration(stopped_on - sum(((end - start) for start, end in spans), dt.timedelta()), stopped_on)
