"""A patient's series: the facts, the class of every result, and the time points that all later rules read."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

from monitoring.domain.rules.values import SdRange
from monitoring.domain.scoring.response import Score, score
from monitoring.domain.scoring.response_rules import EUTOS_2015, ResponseRules
from monitoring.domain.vocabulary.dates import PartialDate, Precision
from monitoring.domain.vocabulary.measurement import Flag, Measurement, Transcript
from monitoring.domain.vocabulary.scale import DEPTH, ResponseClass


class Drug(StrEnum):
    """Drugs of the treatment file; all but interferon are tyrosine-kinase inhibitors or counted as one."""

    IMATINIB = "imatinib"
    DASATINIB = "dasatinib"
    NILOTINIB = "nilotinib"
    BOSUTINIB = "bosutinib"
    PONATINIB = "ponatinib"
    ASCIMINIB = "asciminib"
    FLUMATINIB = "flumatinib"
    OLVEREMBATINIB = "olverembatinib"
    RADOTINIB = "radotinib"
    INTERFERON = "interferon"
    OTHER = "other"

    @property
    def is_tki(self) -> bool:
        """``other`` counts as a TKI, so that its stop is followed rather than overlooked."""
        return self is not Drug.INTERFERON


class StopReason(StrEnum):
    """Why a course ended; it is the kind of the episode that the stop opens."""

    TFR_ATTEMPT = "tfr_attempt"
    INTOLERANCE = "intolerance"
    RESISTANCE = "resistance"
    PREGNANCY = "pregnancy"
    SWITCH = "switch"
    DOSE_CHANGE = "dose_change"
    TRANSPLANT = "transplant"
    PATIENT_CHOICE = "patient_choice"
    OTHER = "other"
    UNKNOWN = "unknown"


class FactKind(StrEnum):
    """Dated facts that are not results."""

    LAST_CONTACT = "last_contact"
    DEATH = "death"
    PROGRESSION = "progression"
    WITHDRAWAL_SYNDROME = "withdrawal_syndrome"
    PREGNANCY = "pregnancy"
    PREGNANCY_END = "pregnancy_end"
    MUTATION = "mutation"
    ALLOGENEIC_TRANSPLANT = "allogeneic_transplant"
    SECOND_PRIMARY = "second_primary"
    LOST_TO_FOLLOW_UP = "lost_to_follow_up"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    TRANSFER = "transfer"
    SAMPLE_TAKEN = "sample_taken"


@dataclass(frozen=True, slots=True)
class Course:
    """One course of a drug; ``stopped_on`` is the last day of drug and None while it is taken."""

    key: str
    drug: Drug
    started_on: date
    stopped_on: date | None = None
    stop_reason: StopReason = StopReason.UNKNOWN
    dose_mg_per_day: Decimal | None = None
    started_precision: Precision = Precision.DAY
    stopped_precision: Precision = Precision.DAY
    dose_reduced_on: date | None = None
    is_confirmed: bool = True  # recorded or confirmed by somebody who treats, so that alerts may rest on it

    def covers(self, on: date) -> bool:
        """Whether the drug was taken on that day."""
        return self.started_on <= on and (self.stopped_on is None or on <= self.stopped_on)


@dataclass(frozen=True, slots=True)
class Fact:
    """An observation."""

    kind: FactKind
    observed_on: date
    detail: str = ""
    grade: int | None = None
    is_confirmed: bool = True


@dataclass(frozen=True, slots=True)
class ResultFact:
    """One current result version with what its class depends on."""

    id: int
    key: str
    collected_on: date
    laboratory: str
    measurement: Measurement
    is_preliminary: bool = False
    is_bone_marrow: bool = False
    hours_to_laboratory: float | None = None
    precision: Precision = Precision.DAY
    sd_ranges: tuple[SdRange, ...] = ()  # of the assay, where the laboratory has measured its own


@dataclass(frozen=True, slots=True)
class Series:
    """Everything known of one patient that decisions rest on."""

    patient_key: str
    results: tuple[ResultFact, ...] = ()
    courses: tuple[Course, ...] = ()
    facts: tuple[Fact, ...] = ()
    first_mmr_on: date | None = None
    first_dmr_on: date | None = None

    @property
    def unconfirmed(self) -> tuple[Course | Fact, ...]:
        """Courses and observations that nobody who treats has recorded or confirmed."""
        entries: tuple[Course | Fact, ...] = (*self.courses, *self.facts)
        return tuple(entry for entry in entries if not entry.is_confirmed)


@dataclass(frozen=True, slots=True)
class Assessed:
    """A result with its class."""

    result: ResultFact
    score: Score

    @property
    def counts(self) -> bool:
        """Whether statistics, DMR runs and sampling slots may rest on it."""
        return (
            self.score.response_class.is_evaluable and not self.result.is_preliminary and not self.result.is_bone_marrow
        )


@dataclass(frozen=True, slots=True)
class TimePoint:
    """One date of a series, with the worst evaluable class of that date."""

    on: date
    response_class: ResponseClass
    is_percent: Decimal | None = None
    low_control: bool = False
    key: str = ""
    precision: Precision = field(default=Precision.DAY, compare=False)

    @property
    def in_mmr(self) -> bool:
        return self.response_class is not ResponseClass.NO_MMR


def assess(series: Series, rules: ResponseRules = EUTOS_2015) -> tuple[Assessed, ...]:
    """The class of every result, in order of collection, with the flags that depend on the other results."""
    assessed = []
    seen_before: ResultFact | None = None
    detected_by_assay: set[tuple[str, str]] = set()
    for result in sorted(series.results, key=lambda r: (r.collected_on, r.key)):
        scored = score(result.measurement, rules)
        flags = sample_flags(result.hours_to_laboratory, result.precision)
        assay = (result.laboratory, result.measurement.method.value)
        if seen_before is not None and assay != (seen_before.laboratory, seen_before.measurement.method.value):
            flags.add(Flag.LAB_CHANGED)
        if scored.detected:
            detected_by_assay.add(assay)
        elif result.measurement.transcript is Transcript.UNKNOWN and assay not in detected_by_assay:
            flags.add(Flag.TRANSCRIPT_UNKNOWN)
        if flags:
            scored = dataclasses.replace(scored, flags=scored.flags | flags)
        seen_before = result
        assessed.append(Assessed(result, scored))
    return tuple(assessed)


def sample_flags(hours_to_laboratory: float | None, precision: Precision) -> set[Flag]:
    """Flags from the dates of the sample: too old when it arrived, or not known to the day."""
    flags = set()
    if hours_to_laboratory is not None and hours_to_laboratory > EUTOS_2015.old_sample_hours:
        flags.add(Flag.OLD_SAMPLE)
    if precision is not Precision.DAY:
        flags.add(Flag.IMPUTED_DATE)
    return flags


def time_points(assessed: Iterable[Assessed]) -> tuple[TimePoint, ...]:
    """The evaluable, final blood results by date; results on one date are one time point, with the worst class."""
    return worst_of_each_date(
        TimePoint(
            on=item.result.collected_on,
            response_class=item.score.response_class,
            is_percent=item.score.is_percent,
            low_control=Flag.LOW_CONTROL in item.score.flags,
            key=item.result.key,
            precision=item.result.precision,
        )
        for item in assessed
        if item.counts
    )


def worst_of_each_date(points: Iterable[TimePoint]) -> tuple[TimePoint, ...]:
    """One point per date: the shallowest class, of equals the better sample, then the higher value."""

    def worst_first(point: TimePoint) -> tuple[int, bool, Decimal, str]:
        return (DEPTH[point.response_class], point.low_control, -(point.is_percent or Decimal(0)), point.key)

    worst: dict[date, TimePoint] = {}
    for point in points:
        worst_yet = worst.get(point.on)
        if worst_yet is None or worst_first(point) < worst_first(worst_yet):
            worst[point.on] = point
    return tuple(worst[on] for on in sorted(worst))


def merge_courses(courses: Sequence[Course]) -> tuple[Course, ...]:
    """Courses in order of start; doses of one drug that follow within a day are one course.

    The merged course keeps the key, stop and reason of its last part, and the date of its last dose reduction. A course
    without a stop ends where a later one of the same drug starts: an empty stop means that the day is not known.
    """
    if len(courses) < 2:  # most patients, several times each
        return tuple(courses)
    merged: list[Course] = []
    latest: dict[Drug, int] = {}
    for course in _with_open_ended(sorted(courses, key=lambda c: (c.started_on, c.stopped_on or date.max, c.key))):
        position = latest.get(course.drug)
        if position is not None:
            merged[position] = _stopped_before(merged[position], course)
        if position is not None and _follows(merged[position], course):
            merged[position] = _joined(merged[position], course)
        else:
            latest[course.drug] = len(merged)
            merged.append(course)
    return tuple(merged)


def _with_open_ended(courses: Sequence[Course]) -> Iterator[Course]:
    """The courses, each without a stop ended where a later one of its drug starts; all others are unchanged."""
    for position, course in enumerate(courses):
        following = (c.started_on for c in courses[position + 1 :] if c.drug is course.drug)
        next_start = next(following, None) if course.stopped_on is None else None
        yield dataclasses.replace(course, stopped_on=next_start) if next_start is not None else course


def _stopped_before(before: Course, after: Course) -> Course:
    """A stop known to the month or year is moved before the next start of the drug, to the middle of the possible
    days.
    """
    stop = before.stopped_on
    if stop is None or before.stopped_precision is Precision.DAY or stop < after.started_on:
        return before
    earliest = max(PartialDate(stop, before.stopped_precision).earliest, before.started_on)
    if earliest >= after.started_on:
        return before
    return dataclasses.replace(before, stopped_on=earliest + (after.started_on - earliest) // 2)


def _follows(before: Course, after: Course) -> bool:
    return before.stopped_on is None or after.started_on <= before.stopped_on + dt.timedelta(days=1)


def _joined(before: Course, after: Course) -> Course:
    reduced_on = before.dose_reduced_on
    if before.dose_mg_per_day and after.dose_mg_per_day and after.dose_mg_per_day < before.dose_mg_per_day:
        reduced_on = after.started_on
    ends_with = before if before.stopped_on and after.stopped_on and before.stopped_on > after.stopped_on else after
    return dataclasses.replace(
        ends_with,
        started_on=before.started_on,
        started_precision=before.started_precision,
        dose_mg_per_day=after.dose_mg_per_day,
        dose_reduced_on=reduced_on,
    )


def tki_courses(courses: Sequence[Course]) -> tuple[Course, ...]:
    """The merged courses of tyrosine-kinase inhibitors."""
    return tuple(course for course in merge_courses(courses) if course.drug.is_tki)


def transplanted_on(facts: Sequence[Fact]) -> date | None:
    """The day of the last allogeneic transplant, None without one."""
    return max((f.observed_on for f in facts if f.kind is FactKind.ALLOGENEIC_TRANSPLANT), default=None)
