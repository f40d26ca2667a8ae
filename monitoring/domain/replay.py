"""Replay: from a patient's whole series to everything that the service says about the patient.

Nothing is updated step by step. After a late, amended or retracted result the whole series is replayed, and what
differs from the stored ledger is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from monitoring.domain.alerting.intention import Intention
from monitoring.domain.alerting.intentions import standing_intentions
from monitoring.domain.course.episodes import (
    DmrRule,
    Episode,
    find_episodes,
    response_before_stop,
    subject_of,
    tki_duration,
)
from monitoring.domain.course.ledger import Event, events_of
from monitoring.domain.course.off_treatment import Evidence, evidence_of
from monitoring.domain.course.series import Assessed, Series, TimePoint, assess, time_points, tki_courses
from monitoring.domain.scoring.response_rules import EUTOS_2015, ResponseRules


@dataclass(frozen=True, slots=True)
class EpisodeSummary:
    """An episode with the response it started from, as stored for lists and pages."""

    subject_key: str
    episode: Episode
    tki_days: int | None
    dmr_days: int | None
    first_dmr_on: date | None
    evidence: Evidence


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
        episodes=tuple(_summary(series, episode, points, assessed) for episode in episodes),
        events=tuple(sorted(events_of(series, points, episodes))),
        intentions=tuple(standing_intentions(series, assessed, points, episodes)),
        rule_version=rules.version,
    )


def _summary(
    series: Series, episode: Episode, points: Sequence[TimePoint], assessed: Sequence[Assessed]
) -> EpisodeSummary:
    tkis = tki_courses(series.courses)
    response = response_before_stop(
        episode.stopped_on, tkis[0].started_on if tkis else None, points, series.first_dmr_on, DmrRule()
    )
    duration = tki_duration(series.courses, episode.stopped_on)
    return EpisodeSummary(
        subject_key=subject_of(series, episode.course),
        episode=episode,
        tki_days=duration.days if duration else None,
        dmr_days=response.dmr.days if response.dmr else None,
        first_dmr_on=response.first_dmr_on,
        evidence=evidence_of(episode, assessed, series.courses),
    )
