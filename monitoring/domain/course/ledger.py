"""The lines of the ledger of response events: crossings of MMR and MR4, and what followed each stop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from monitoring.domain.course.episodes import Episode, subject_of
from monitoring.domain.course.series import Series, TimePoint


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


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """One line of the ledger; two events are the same when all of this is the same."""

    on: date
    kind: EventKind
    subject_key: str
    result_key: str = ""
    certainty: str = ""


def events_of(series: Series, points: Sequence[TimePoint], episodes: Sequence[Episode]) -> Iterator[Event]:
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
