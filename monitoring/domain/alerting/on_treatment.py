"""Alerts on treatment: MMR lost, a rise of one log, a relapse after a transplant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monitoring.domain.alerting.intention import Closing, Intention
from monitoring.domain.alerting.kinds import AlertKind
from monitoring.domain.course.episodes import Episode, subject_of
from monitoring.domain.course.relapse import Certainty
from monitoring.domain.course.series import FactKind, Series, TimePoint, tki_courses, transplanted_on
from monitoring.domain.following.kinetics import Value
from monitoring.domain.following.resistance import rise_on_treatment


def loss_intentions(series: Series, points: Sequence[TimePoint], episodes: Sequence[Episode]) -> Iterator[Intention]:
    """MMR lost on treatment, or with no treatment on record, and not regained since."""
    held_on = max((p.on for p in points if p.in_mmr), default=None)
    if held_on is None or points[-1].in_mmr or transplanted_on(series.facts):
        return
    above = next(p for p in points if p.on > held_on)
    if any(above in (e.baseline, *e.points_off) and above.on >= e.stopped_on for e in episodes):
        return  # off treatment: the episode has its own alert
    course = next((c for c in tki_courses(series.courses) if c.covers(above.on)), None)
    yield Intention(
        AlertKind.LOSS_OF_MMR_ON_TREATMENT if course else AlertKind.TREATMENT_UNKNOWN,
        subject_of(series, course) if course else series.patient_key,
        _certainty(above, points),
        above.key,
        above.on,
        above.is_percent,
    )


def _certainty(above: TimePoint, points: Sequence[TimePoint]) -> Certainty:
    """Confirmed where there is a later value (all are above 0.1 % too); provisional where a poor sample is the only
    one.
    """
    if any(p.on > above.on for p in points):
        return Certainty.CONFIRMED
    return Certainty.PROVISIONAL if above.low_control else Certainty.SUSPECTED


def rise_intentions(
    series: Series, points: Sequence[TimePoint], values: Sequence[Value], episodes: Sequence[Episode]
) -> Iterator[Intention]:
    """One log above the lowest value under the present treatment while MMR is held. It closes when that no longer
    holds.
    """
    rise = rise_on_treatment(series.courses, points, values, episodes)
    if rise is None:
        return
    closing = None
    stop = next((e.stopped_on for e in episodes if e.stopped_on >= rise.first.on), None)
    if stop is not None:
        closing = Closing("stop", stop)
    elif not points[-1].in_mmr:
        closing = Closing("loss_of_mmr", points[-1].on)
    elif rise.is_over:
        closing = Closing("response_regained", points[-1].on)
    yield Intention(
        AlertKind.RISE_ON_TREATMENT,
        series.patient_key,
        Certainty.CONFIRMED if rise.is_confirmed else Certainty.SUSPECTED,
        rise.first.key,
        rise.first.on,
        rise.first.is_percent,
        closing=closing,
    )


def transplant_intentions(series: Series, points: Sequence[TimePoint]) -> Iterator[Intention]:
    """MMR reached after a transplant and lost again; a TKI that was started since, or death, ends it."""
    transplant = transplanted_on(series.facts)
    after = [p for p in points if transplant is not None and p.on > transplant]
    held_on = max((p.on for p in after if p.in_mmr), default=None)
    above = next((p for p in after if held_on is not None and p.on > held_on), None)
    if above is None:
        return
    started_on = next((c.started_on for c in tki_courses(series.courses) if c.started_on >= above.on), None)
    died_on = next((f.observed_on for f in series.facts if f.kind is FactKind.DEATH), None)
    closing = Closing("restart", started_on) if started_on else Closing("death", died_on) if died_on else None
    yield Intention(
        AlertKind.RELAPSE_AFTER_TRANSPLANT, series.patient_key, _certainty(above, after), above.key, above.on,
        above.is_percent, closing=closing,
    )  # fmt: skip
