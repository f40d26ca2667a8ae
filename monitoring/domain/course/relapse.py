"""Loss of major molecular response after the drug was stopped.

The event is the first evaluable result above 0.1 % IS after the stop and not after a restart, dated at collection
(ELN 2020, LAST 2021, STKI-14). Protocols that require two consecutive values (KIDS, DESTINY) set ``n_consecutive``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from monitoring.domain.course.series import TimePoint
from monitoring.domain.vocabulary.scale import ResponseClass

CONFIRMS_AFTER_RESTART_DAYS = 28


@dataclass(frozen=True, slots=True)
class LossRule:
    """When a loss counts as an event (register D6 and D7)."""

    n_consecutive: int = 1
    date_of_event: str = "first"
    max_gap_days: int | None = None
    restart_confirms: bool = True


class Certainty(StrEnum):
    """How certain a loss is; the certainty of one alert grows over time."""

    PROVISIONAL = "provisional"
    SUSPECTED = "suspected"
    CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss of MMR: the first value, and what confirmed it (None while nothing has)."""

    first: TimePoint
    confirmed_on: date | None = None

    @property
    def certainty(self) -> Certainty:
        return Certainty.CONFIRMED if self.confirmed_on else Certainty.SUSPECTED

    def event_on(self, rule: LossRule) -> date | None:
        """The date of the event for statistics, or None where the rule still waits for a confirmation."""
        if rule.n_consecutive == 1:
            return self.first.on
        if self.confirmed_on is None:
            return None
        return self.first.on if rule.date_of_event == "first" else self.confirmed_on


def off_treatment(points: Sequence[TimePoint], stopped_on: date, restarted_on: date | None) -> tuple[TimePoint, ...]:
    """Points after the stop and not after a restart. The day of the restart counts, the day of the stop does not."""
    until = restarted_on or date.max
    return tuple([p for p in points if stopped_on < p.on <= until])


def find_loss(
    points: Sequence[TimePoint], stopped_on: date, restarted_on: date | None = None, rule: LossRule | None = None
) -> Loss | None:
    """The loss of MMR after a stop, or None.

    A value from a poor sample (``low_control``) is a loss only if the next evaluable value is above 0.1 % too or the
    drug is restarted first. Where the rule requires two consecutive values, a value that the next contradicts is
    skipped.
    """
    return loss_among(off_treatment(points, stopped_on, restarted_on), points, restarted_on, rule or LossRule())


def loss_among(
    watched: Sequence[TimePoint], points: Sequence[TimePoint], restarted_on: date | None, rule: LossRule
) -> Loss | None:
    """The same of the points off treatment; ``points`` also holds what came after a restart."""
    for position, point in enumerate(watched):
        if point.response_class is not ResponseClass.NO_MMR:
            continue
        following = watched[position + 1] if position + 1 < len(watched) else None
        confirmed_on = _confirmed_on(point, following, points, restarted_on, rule)
        contradicted = following is not None and following.in_mmr
        if point.low_control and confirmed_on is None and not (following is None and restarted_on is not None):
            continue
        if rule.n_consecutive > 1 and confirmed_on is None and (contradicted or following is not None):
            continue
        return Loss(point, confirmed_on)
    return None


def _confirmed_on(
    point: TimePoint,
    following: TimePoint | None,
    points: Sequence[TimePoint],
    restarted_on: date | None,
    rule: LossRule,
) -> date | None:
    if following is not None:
        gap = rule.max_gap_days if rule.n_consecutive > 1 else None
        too_far = gap is not None and (following.on - point.on).days > gap
        return None if following.in_mmr or too_far else following.on
    if restarted_on is None:
        return None
    if rule.restart_confirms:
        return restarted_on
    until = restarted_on + dt.timedelta(days=CONFIRMS_AFTER_RESTART_DAYS)
    after = next((p for p in points if restarted_on < p.on <= until and not p.in_mmr), None)
    return after.on if after else None
