"""Early signs off treatment, before MMR is lost: rungs of the alert ladder with their evidence.

Newly detectable (A1: LAST, HR 5.86 at 3 months), MR4 lost (A2: ENESTfreedom, then a sample every 2 weeks), doubling in
less than 12.75 days in month 2 (A3: BJH 2021, 7.7 % in remission at 12 months), fluctuation above 0.0032 % (A7:
A-STIM, 65.4 % against 100 %). Each asks a person to look; none asks for treatment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from monitoring.domain.course.episodes import Episode
from monitoring.domain.course.protocol_loss import merely_unproven
from monitoring.domain.course.series import TimePoint
from monitoring.domain.following.kinetics import Value
from monitoring.domain.following.landmarks import MonthTwoClass, month_two
from monitoring.domain.rules.rule_sets import RuleSet
from monitoring.domain.vocabulary.scale import ResponseClass


class Sign(StrEnum):
    """The kinds of early signs."""

    DETECTABLE_AGAIN = "detectable_again"
    LOSS_OF_MR4 = "loss_of_mr4"
    FAST_DOUBLING = "fast_doubling"
    FLUCTUATION = "fluctuation"


@dataclass(frozen=True, slots=True)
class EarlySign:
    """One sign of an episode; ``is_over`` when a later value no longer shows it."""

    sign: Sign
    evidence: TimePoint
    is_over: bool


def early_signs(episode: Episode, values: Sequence[Value], rules: RuleSet) -> Iterator[EarlySign]:
    """The signs of an episode while MMR is held, from the first value that showed each in its present run."""
    start, points = _held(episode)
    if not points:
        return
    yield from _lost(Sign.LOSS_OF_MR4, start, points, ResponseClass.MR4)
    if last_lost(start, points, ResponseClass.MR4) is None:
        yield from _lost(Sign.DETECTABLE_AGAIN, start, points, ResponseClass.MR4_5)
    wavering = second_above(points)
    if wavering is not None:
        yield EarlySign(Sign.FLUCTUATION, wavering, is_over=False)
    landmark = month_two(values, episode.stopped_on, rules, episode.restarted_on)
    if landmark.group is MonthTwoClass.FAST and landmark.change is not None:
        evidence = next((p for p in points if p.key == landmark.change.second.key), points[-1])
        yield EarlySign(Sign.FAST_DOUBLING, evidence, is_over=False)


def _held(episode: Episode) -> tuple[list[TimePoint], list[TimePoint]]:
    """The sample at the stop, where there is one, and those off treatment in MMR before a loss."""
    until = episode.loss.first.on if episode.loss else date.max
    start = [episode.baseline] if episode.baseline is not None else []
    return start, [p for p in episode.points_off if p.on < until and p.in_mmr]


def second_above(points: Sequence[TimePoint]) -> TimePoint | None:
    """The second of the first two consecutive points in MMR above 0.0032 % (A-STIM); None where there are none."""

    before = False
    for point in points:
        above = point.response_class in (ResponseClass.MMR, ResponseClass.MR4) and point.is_percent is not None
        if above and before:
            return point
        before = above
    return None


def first_fluctuation(episode: Episode) -> TimePoint | None:
    """The point off treatment at which the response first fluctuated: MR4 lost, or twice above 0.0032 %, in MMR."""
    start, points = _held(episode)
    lost, second = next(losses(start, points, ResponseClass.MR4), None), second_above(points)
    if lost is None or second is None:
        return lost or second
    return min(lost, second, key=lambda p: p.on)


def _lost(
    sign: Sign, start: Sequence[TimePoint], points: Sequence[TimePoint], level: ResponseClass
) -> Iterator[EarlySign]:
    """A level that was held at the stop or since, and the latest run of values that do not show it."""
    run = last_lost(start, points, level)
    if run is not None:
        yield EarlySign(sign, run, is_over=points[-1].response_class.at_least(level))


def losses(start: Sequence[TimePoint], points: Sequence[TimePoint], level: ResponseClass) -> Iterator[TimePoint]:
    """The first point of each run that shows a level lost which was held before."""
    held = False
    for point in (*start, *points):
        if point.response_class.at_least(level):
            held = True
        elif held and not merely_unproven(point, level):
            held = False
            yield point


def last_lost(start: Sequence[TimePoint], points: Sequence[TimePoint], level: ResponseClass) -> TimePoint | None:
    """The first point of the latest run that shows a level lost; None where none does."""
    return next(reversed([*losses(start, points, level)]), None)
