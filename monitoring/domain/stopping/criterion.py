"""The facts about a patient before a stop, and one criterion that is decided from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from monitoring.domain.course.series import Course, Fact, FactKind, TimePoint
from monitoring.domain.vocabulary.dates import PartialDate
from monitoring.domain.vocabulary.measurement import Transcript
from monitoring.domain.vocabulary.reasons import FactValue, Reason
from monitoring.domain.vocabulary.scale import ResponseClass


class State(StrEnum):
    """Whether a criterion is met."""

    MET = "met"
    NOT_MET = "not_met"
    NOT_KNOWN = "not_known"


def state_of(answer: bool | None) -> State:
    """Yes, no, or not known."""
    return State.NOT_KNOWN if answer is None else State.MET if answer else State.NOT_MET


@dataclass(frozen=True, slots=True)
class EligibilityFacts:
    """The facts that criteria are decided from, on the (planned) day of the stop. None and empty texts mean not known.

    ``age_at_diagnosis`` and ``age_at_stop`` (completed years) are used where dates of birth or diagnosis are not kept.
    ``phase`` is CP, AP or BP at diagnosis. ``never_detected``: the assay of the last result has never detected anything
    in this person. The yes-or-no facts are what a person has stated.
    """

    stop_on: date
    courses: tuple[Course, ...] = ()
    points: tuple[TimePoint, ...] = ()
    facts: tuple[Fact, ...] = ()
    first_dmr_on: date | None = None
    born: PartialDate | None = None
    diagnosed: PartialDate | None = None
    age_at_diagnosis: int | None = None
    age_at_stop: int | None = None
    phase: str = ""
    transcript: Transcript = Transcript.UNKNOWN
    never_detected: bool = False
    risk_score: str = ""
    risk_group: str = ""
    assay_sensitivity: ResponseClass | None = None
    turnaround_days: int | None = None
    rapid_turnaround: bool | None = None
    prior_failure: bool | None = None
    patient_agreement: bool | None = None
    international_scale: bool | None = None
    accepts_schedule: bool | None = None

    def first(self, kind: FactKind) -> date | None:
        """The first day up to the stop on which such a fact was observed."""
        return min(
            (f.observed_on for f in self.facts if f.kind is kind and f.observed_on <= self.stop_on), default=None
        )

    @property
    def last_point(self) -> TimePoint | None:
        """The last evaluable result on or before the stop."""
        return max((p for p in self.points if p.on <= self.stop_on), key=lambda p: p.on, default=None)


@dataclass(frozen=True, slots=True)
class Criterion:
    """One criterion on the day of the stop.

    ``id`` is the parameter of the rule set and ``row`` the line of the criteria table. ``earliest_on`` is the first day
    on which the criterion is met if treatment and response hold; None where waiting cannot meet it.
    """

    id: str
    row: str
    level: str
    state: State
    value: FactValue
    operator: str
    threshold: FactValue
    unit: str
    earliest_on: date | None
    reason: Reason

    @property
    def source(self) -> str:
        return self.reason.citation
