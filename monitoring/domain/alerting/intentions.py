"""All alerts that a course calls for, including those that only an unconfirmed restart, death or transplant would
end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from datetime import date

from monitoring.domain.alerting import off_treatment, on_treatment
from monitoring.domain.alerting.intention import Intention
from monitoring.domain.alerting.kinds import KINDS, AlertKind
from monitoring.domain.course.episodes import Episode, find_episodes
from monitoring.domain.course.relapse import Certainty
from monitoring.domain.course.series import Assessed, Course, Fact, Series, TimePoint
from monitoring.domain.following.kinetics import values_of
from monitoring.domain.vocabulary.measurement import Flag


def standing_intentions(
    series: Series, assessed: Sequence[Assessed], points: Sequence[TimePoint], episodes: Sequence[Episode]
) -> Iterator[Intention]:
    """The alerts that a course calls for now.

    An alert that only an unconfirmed course or observation would end stays open, and those who treat are asked to
    confirm what was recorded.
    """
    by_all_entries = list(_intentions(series, assessed, points, episodes))
    if not series.unconfirmed:
        yield from by_all_entries
        return
    still_open = _open_without_unconfirmed(series, assessed, points)
    ended: dict[str, Intention] = {}
    for intention in by_all_entries:
        kept = still_open.pop((intention.kind, intention.subject_key), None)
        if kept is not None and intention.closing:
            ended[kept.subject_key] = kept
            yield kept
        else:
            yield intention
    for kept in still_open.values():
        ended[kept.subject_key] = kept
        yield kept
    for subject_key in ended:
        yield _to_confirm(subject_key, series.unconfirmed)


def _open_without_unconfirmed(
    series: Series, assessed: Sequence[Assessed], points: Sequence[TimePoint]
) -> dict[tuple[AlertKind, str], Intention]:
    """The alerts of times off treatment that would be open if only what is confirmed were on record."""
    trusted = dataclasses.replace(
        series,
        courses=tuple(course for course in series.courses if course.is_confirmed),
        facts=tuple(fact for fact in series.facts if fact.is_confirmed),
    )
    intentions = _intentions(trusted, assessed, points, find_episodes(trusted.courses, trusted.facts, points))
    return {(i.kind, i.subject_key): i for i in intentions if KINDS[i.kind].ends_with_the_time_off and not i.closing}


def _to_confirm(subject_key: str, unconfirmed: Sequence[Course | Fact]) -> Intention:
    """The question to those who treat, about the latest course or observation that none of them has confirmed."""
    by_day = {_day_of(entry): entry for entry in unconfirmed}
    on = max(by_day)
    latest = by_day[on]
    key = latest.key if isinstance(latest, Course) else f"{latest.kind.value}/{on.isoformat()}"
    return Intention(AlertKind.UNCONFIRMED_TREATMENT, subject_key, Certainty.CONFIRMED, key, on)


def _day_of(entry: Course | Fact) -> date:
    return entry.started_on if isinstance(entry, Course) else entry.observed_on


def _intentions(
    series: Series, assessed: Sequence[Assessed], points: Sequence[TimePoint], episodes: Sequence[Episode]
) -> Iterator[Intention]:
    values = values_of(assessed, series.courses)
    for episode in episodes:
        yield from off_treatment.episode_intentions(series, episode, assessed, values)
        yield from off_treatment.early_sign_intentions(series, episode, values)
    yield from off_treatment.off_scale_intentions(series, assessed, episodes)
    yield from on_treatment.loss_intentions(series, points, episodes)
    yield from on_treatment.rise_intentions(series, points, values, episodes)
    yield from on_treatment.transplant_intentions(series, points)
    yield from _missing_factor(series, assessed)


def _missing_factor(series: Series, assessed: Sequence[Assessed]) -> Iterator[Intention]:
    missing = [item.result for item in assessed if Flag.CF_MISSING in item.score.flags]
    if missing:
        latest = missing[-1]
        yield Intention(
            AlertKind.FACTOR_MISSING, series.patient_key, Certainty.CONFIRMED, latest.key, latest.collected_on
        )
