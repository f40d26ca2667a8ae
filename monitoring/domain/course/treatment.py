"""Whether a patient is on or off treatment on a day, from what was known up to that day."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from monitoring.domain.course.episodes import Episode, find_episodes
from monitoring.domain.course.series import Course, Series, StopReason, TimePoint, tki_courses, transplanted_on


class TreatmentPhase(StrEnum):
    """The phases of treatment with TKIs."""

    ON = "on"
    OFF = "off"
    RESTARTED = "restarted"
    TRANSPLANTED = "transplanted"


@dataclass(frozen=True, slots=True)
class Treatment:
    """The present time on or off treatment and the day from which it counts: first TKI, stop, or restart.

    ``after_loss`` says that the drug was restarted after MMR had been lost.
    """

    phase: TreatmentPhase
    since: date
    after_loss: bool = False


def known_on(series: Series, as_of: date) -> Series:
    """The series with what was collected, observed, started or stopped up to a day."""
    return dataclasses.replace(
        series,
        results=tuple(r for r in series.results if r.collected_on <= as_of),
        courses=tuple(_course_on(c, as_of) for c in series.courses if c.started_on <= as_of),
        facts=tuple(f for f in series.facts if f.observed_on <= as_of),
    )


def _course_on(course: Course, as_of: date) -> Course:
    if course.stopped_on is None or course.stopped_on <= as_of:
        return course
    return dataclasses.replace(course, stopped_on=None, stop_reason=StopReason.UNKNOWN)


def treatment_on(series: Series, points: Sequence[TimePoint], as_of: date) -> Treatment | None:
    """The treatment on a day; None without a TKI course. The day of the stop is the first day off."""
    courses = [c for c in tki_courses(series.courses) if c.started_on <= as_of]
    transplant = transplanted_on([f for f in series.facts if f.observed_on <= as_of])
    if transplant is not None and not any(c.started_on > transplant for c in courses):
        return Treatment(TreatmentPhase.TRANSPLANTED, transplant)
    if not courses:
        return None
    episodes = find_episodes(series.courses, series.facts, points)
    started = [e for e in episodes if e.stopped_on <= as_of]
    if not started:
        return Treatment(TreatmentPhase.ON, courses[0].started_on)
    latest = started[-1]
    if latest.restarted_on is not None and latest.restarted_on <= as_of:
        return Treatment(TreatmentPhase.RESTARTED, latest.restarted_on, after_loss=latest.loss is not None)
    return Treatment(TreatmentPhase.OFF, latest.stopped_on)


def is_off(episodes: Sequence[Episode], on: date) -> bool:
    """Whether a day lies after a stop and not after the restart that ended it."""
    return any(e.stopped_on < on and (e.restarted_on is None or on <= e.restarted_on) for e in episodes)
