"""Replay: a patient's whole series in, everything the service says about the patient out.

Nothing is ever incremented. A late, amended or retracted result is just another series, and the difference between
what this function says and what stands in the ledger is what gets written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

from monitoring.domain.episodes import DmrRule, Episode, find_episodes, response_before_stop, tki_duration
from monitoring.domain.relapse import Certainty
from monitoring.domain.response import EUTOS_2015, Flag, ResponseRules
from monitoring.domain.scale import ResponseClass
from monitoring.domain.series import (
    Assessed,
    Course,
    Series,
    StopReason,
    TimePoint,
    assess,
    time_points,
    tki_courses,
)


class EventKind(StrEnum):
    """What the ledger of response events records."""

    MMR_GAINED = "mmr_gained"
    MMR_LOST = "mmr_lost"
    DMR_GAINED = "dmr_gained"
    DMR_LOST = "dmr_lost"
    TREATMENT_STOPPED = "treatment_stopped"
    LOSS_OF_MMR = "loss_of_mmr"
    TREATMENT_RESTARTED = "treatment_restarted"
    MMR_REGAINED = "mmr_regained"
    DMR_REGAINED = "dmr_regained"


class AlertKind(StrEnum):
    """What a person must hear of."""

    LOSS_OF_MMR = "loss_of_mmr"
    NOT_IN_MMR_OFF_TREATMENT = "not_in_mmr_off_treatment"
    LOSS_OF_MMR_ON_TREATMENT = "loss_of_mmr_on_treatment"
    TREATMENT_UNKNOWN = "treatment_unknown"
    STOP_REASON_MISSING = "stop_reason_missing"
    FACTOR_MISSING = "factor_missing"
    HAND_OVER = "hand_over"


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """One line of the ledger; two events are the same when all of this is the same."""

    on: date
    kind: EventKind
    subject_key: str
    result_key: str = ""
    certainty: str = ""


@dataclass(frozen=True, slots=True)
class Intention:
    """An alert that should stand, or one that is settled (``settled_by``) and only closes what is still open."""

    kind: AlertKind
    subject_key: str
    certainty: Certainty
    evidence_key: str
    evidence_on: date
    is_percent: Decimal | None = None
    days_off_treatment: int | None = None
    settled_by: str = ""
    settled_on: date | None = None


@dataclass(frozen=True, slots=True)
class EpisodeSummary:
    """An episode with the response it started from, as stored for lists and pages."""

    subject_key: str
    episode: Episode
    tki_days: int | None
    dmr_days: int | None
    first_dmr_on: date | None


@dataclass(frozen=True, slots=True)
class Replay:
    """Everything the rules say about one patient."""

    assessed: tuple[Assessed, ...]
    points: tuple[TimePoint, ...]
    episodes: tuple[EpisodeSummary, ...]
    events: tuple[Event, ...]
    intentions: tuple[Intention, ...]
    rule_version: str = field(default=EUTOS_2015.version)


def replay(series: Series, rules: ResponseRules = EUTOS_2015) -> Replay:
    """Classes, time points, episodes, ledger events and alert intentions of one patient."""
    assessed = assess(series, rules)
    points = time_points(assessed)
    episodes = find_episodes(series.courses, series.facts, points)
    return Replay(
        assessed=assessed,
        points=points,
        episodes=tuple(_summary(series, episode, points) for episode in episodes),
        events=tuple(sorted(_events(series, points, episodes))),
        intentions=tuple(_intentions(series, assessed, points, episodes)),
        rule_version=rules.version,
    )


def subject_of(series: Series, course: Course) -> str:
    """The subject of everything an episode raises: the drug course whose stop opened it."""
    return f"{series.patient_key}/{course.key}"


def _summary(series: Series, episode: Episode, points: Sequence[TimePoint]) -> EpisodeSummary:
    tkis = tki_courses(series.courses)
    before = response_before_stop(
        episode.stopped_on, tkis[0].started_on if tkis else None, points, series.first_dmr_on, DmrRule()
    )
    duration = tki_duration(series.courses, episode.stopped_on)
    return EpisodeSummary(
        subject_key=subject_of(series, episode.course),
        episode=episode,
        tki_days=duration.days if duration else None,
        dmr_days=before.dmr.days if before.dmr else None,
        first_dmr_on=before.first_dmr_on,
    )


# --- ledger ------------------------------------------------------------------------------------------------------


def _events(series: Series, points: Sequence[TimePoint], episodes: Sequence[Episode]) -> Iterator[Event]:
    yield from _crossings(series, points)
    for episode in episodes:
        subject = subject_of(series, episode.course)
        yield Event(episode.stopped_on, EventKind.TREATMENT_STOPPED, subject)
        if episode.loss:
            first = episode.loss.first
            yield Event(first.on, EventKind.LOSS_OF_MMR, subject, first.key, episode.loss.certainty.value)
        if episode.restarted_on:
            yield Event(episode.restarted_on, EventKind.TREATMENT_RESTARTED, subject)
        if episode.mmr_regained_on:
            yield Event(episode.mmr_regained_on, EventKind.MMR_REGAINED, subject)
        if episode.dmr_regained_on:
            yield Event(episode.dmr_regained_on, EventKind.DMR_REGAINED, subject)


def _crossings(series: Series, points: Sequence[TimePoint]) -> Iterator[Event]:
    """Each crossing of the MMR and the MR4 line between consecutive time points."""
    in_mmr = in_dmr = False
    for point in points:
        if point.in_mmr != in_mmr:
            in_mmr = point.in_mmr
            yield Event(point.on, EventKind.MMR_GAINED if in_mmr else EventKind.MMR_LOST, series.patient_key, point.key)
        if point.response_class.is_dmr != in_dmr:
            in_dmr = point.response_class.is_dmr
            yield Event(point.on, EventKind.DMR_GAINED if in_dmr else EventKind.DMR_LOST, series.patient_key, point.key)


# --- alerts ------------------------------------------------------------------------------------------------------


def _intentions(
    series: Series, assessed: Sequence[Assessed], points: Sequence[TimePoint], episodes: Sequence[Episode]
) -> Iterator[Intention]:
    for episode in episodes:
        subject = subject_of(series, episode.course)
        yield from _episode_intentions(subject, episode, assessed, points)
    yield from _on_treatment_intentions(series, points)
    missing = [item for item in assessed if Flag.CF_MISSING in item.score.flags]
    if missing:
        latest = missing[-1].result
        yield Intention(
            AlertKind.FACTOR_MISSING, series.patient_key, Certainty.CONFIRMED, latest.key, latest.collected_on
        )


def _episode_intentions(
    subject: str, episode: Episode, assessed: Sequence[Assessed], points: Sequence[TimePoint]
) -> Iterator[Intention]:
    settled_by, settled_on = _settled(episode)
    if episode.kind is StopReason.UNKNOWN:
        yield Intention(
            AlertKind.STOP_REASON_MISSING, subject, Certainty.CONFIRMED, subject, episode.stopped_on,
            settled_by=settled_by, settled_on=settled_on,
        )  # fmt: skip
    baseline = episode.baseline
    was_in_mmr_since = any(p.in_mmr for p in episode.points_off)
    if baseline is not None and not baseline.in_mmr:
        yield Intention(
            AlertKind.NOT_IN_MMR_OFF_TREATMENT, subject, Certainty.SUSPECTED, baseline.key, baseline.on,
            baseline.is_percent, (baseline.on - episode.stopped_on).days, settled_by, settled_on,
        )  # fmt: skip
        if not was_in_mmr_since:
            return
    if episode.loss is not None:
        first = episode.loss.first
        yield Intention(
            AlertKind.LOSS_OF_MMR, subject, episode.loss.certainty, first.key, first.on, first.is_percent,
            (first.on - episode.stopped_on).days, settled_by, settled_on,
        )  # fmt: skip
        return
    doubtful = _doubtful_evidence(episode, assessed, points)
    if doubtful is not None:
        yield Intention(
            AlertKind.LOSS_OF_MMR, subject, Certainty.PROVISIONAL, doubtful.result.key, doubtful.result.collected_on,
            doubtful.score.is_percent, (doubtful.result.collected_on - episode.stopped_on).days, settled_by, settled_on,
        )  # fmt: skip


def _settled(episode: Episode) -> tuple[str, date | None]:
    """What has already been done about an episode: the drug was restarted, or the patient died or was transplanted."""
    if episode.restarted_on is not None:
        return "restart", episode.restarted_on
    if episode.ended_by is not None:
        return episode.ended_by.kind.value, episode.ended_by.observed_on
    return "", None


def _doubtful_evidence(episode: Episode, assessed: Sequence[Assessed], points: Sequence[TimePoint]) -> Assessed | None:
    """The first result off treatment that may be above 0.1 % but is no event: preliminary, poor, marrow, no factor.

    A later evaluable value in MMR answers the doubt.
    """
    last_good_on = max((p.on for p in episode.points_off if p.in_mmr), default=date.min)
    for item in assessed:
        on = item.result.collected_on
        if on <= episode.stopped_on or (episode.restarted_on is not None and on > episode.restarted_on):
            continue
        above = item.score.response_class is ResponseClass.NO_MMR or item.score.may_exceed_mmr
        if above and on >= last_good_on:
            return item
    return None


def _on_treatment_intentions(series: Series, points: Sequence[TimePoint]) -> Iterator[Intention]:
    """MMR lost on treatment, or with no treatment on record, and not regained since."""
    if not points or points[-1].in_mmr:
        return
    held = [p for p in points if p.in_mmr]
    if not held:
        return
    last_held = held[-1]
    first_above = next(p for p in points if p.on > last_held.on)
    tkis = tki_courses(series.courses)
    if not tkis:
        kind, subject = AlertKind.TREATMENT_UNKNOWN, series.patient_key
    else:
        course = next((c for c in tkis if c.covers(last_held.on) and c.covers(first_above.on)), None)
        if course is None:
            return
        kind, subject = AlertKind.LOSS_OF_MMR_ON_TREATMENT, subject_of(series, course)
    yield Intention(kind, subject, Certainty.SUSPECTED, first_above.key, first_above.on, first_above.is_percent)
