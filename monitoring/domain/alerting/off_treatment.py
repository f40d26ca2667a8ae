"""Alerts of a time off treatment: MMR lost or not held, early signs, a relapse off the scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal

from monitoring.domain.alerting.intention import Closing, Intention
from monitoring.domain.alerting.kinds import AlertKind
from monitoring.domain.course.episodes import Episode, subject_of
from monitoring.domain.course.off_scale import ratios_of, relapse_of
from monitoring.domain.course.relapse import Certainty
from monitoring.domain.course.series import Assessed, Series, StopReason
from monitoring.domain.following.early_signs import early_signs
from monitoring.domain.following.kinetics import Direction, Value, latest_change
from monitoring.domain.rules.rule_sets import rule_set
from monitoring.domain.vocabulary.scale import ResponseClass

KINETICS = "kinetics-ln-ratio.1"


def episode_intentions(
    series: Series, episode: Episode, assessed: Sequence[Assessed], values: Sequence[Value]
) -> Iterator[Intention]:
    """A stop without a reason, a stop without MMR, and MMR lost since (by an event, or provisionally by a doubtful
    result).
    """
    if episode.kind is StopReason.UNKNOWN:
        subject = subject_of(series, episode.course)
        yield Intention(
            AlertKind.STOP_REASON_MISSING, subject, Certainty.CONFIRMED, subject, episode.stopped_on,
            closing=closing_of(episode),
        )  # fmt: skip
    yield from _baseline_intentions(series, episode, assessed)
    yield from _loss_intentions(series, episode, assessed, values)


def _loss_intentions(
    series: Series, episode: Episode, assessed: Sequence[Assessed], values: Sequence[Value]
) -> Iterator[Intention]:
    if episode.loss is not None:
        first = episode.loss.first
        key, on, is_percent = first.key, first.on, first.is_percent
        certainty = episode.loss.certainty
        disputed = any(item.result.key == key and item.score.may_exceed_mmr for item in assessed)
        if disputed and certainty is Certainty.SUSPECTED:
            certainty = Certainty.PROVISIONAL  # the copies of this sample contradict its reported value
    elif (doubtful := _doubtful_evidence(episode, assessed)) is not None:
        key, on, is_percent = doubtful.result.key, doubtful.result.collected_on, doubtful.score.is_percent
        certainty = Certainty.PROVISIONAL
    else:
        return
    yield Intention(
        AlertKind.LOSS_OF_MMR, subject_of(series, episode.course), certainty, key, on, is_percent,
        days_off_treatment=(on - episode.stopped_on).days, highest_percent=_highest_percent(episode, on, assessed),
        doubling_days=_doubling_days(values), closing=closing_of(episode),
    )  # fmt: skip


def _highest_percent(episode: Episode, since: date, assessed: Sequence[Assessed]) -> Decimal | None:
    """The highest value of blood off treatment since a day, preliminary ones included; above a range, its limit."""
    values = [
        item.score.is_percent or item.result.measurement.reported.is_percent
        for item in assessed
        if since <= item.result.collected_on
        and (episode.restarted_on is None or item.result.collected_on <= episode.restarted_on)
        and item.score.response_class is ResponseClass.NO_MMR
        and not item.result.is_bone_marrow
    ]
    return max((value for value in values if value is not None), default=None)


def _doubling_days(values: Sequence[Value]) -> Decimal | None:
    """The doubling time of the last two values; None where they do not rise or cannot be compared."""
    change = latest_change(values, rule_set(KINETICS))
    return change.days if change is not None and change.direction is Direction.RISING else None


def _doubtful_evidence(episode: Episode, assessed: Sequence[Assessed]) -> Assessed | None:
    """The first result off treatment that may be above 0.1 % but is no event: preliminary, poor, marrow, no factor.

    A later evaluable value in MMR answers the doubt.
    """
    last_good_on = max((p.on for p in episode.points_off if p.in_mmr), default=date.min)
    for item in assessed:
        on = item.result.collected_on
        if on <= episode.stopped_on or (episode.restarted_on is not None and on > episode.restarted_on):
            continue
        if _may_be_above(item) and on >= last_good_on:
            return item
    return None


def _may_be_above(item: Assessed) -> bool:
    return item.score.response_class is ResponseClass.NO_MMR or item.score.may_exceed_mmr


def _baseline_intentions(series: Series, episode: Episode, assessed: Sequence[Assessed]) -> Iterator[Intention]:
    """Not in MMR at the stop: by the last evaluable value, or provisionally by a doubtful one of the stop day."""
    baseline = episode.baseline
    if baseline is not None and not baseline.in_mmr:
        certainty = Certainty.PROVISIONAL if baseline.low_control else Certainty.SUSPECTED
        key, on, is_percent = baseline.key, baseline.on, baseline.is_percent
    else:
        of_the_day = (i for i in assessed if i.result.collected_on == episode.stopped_on and _may_be_above(i))
        doubtful = next(of_the_day, None)
        if doubtful is None or any(p.in_mmr for p in episode.points_off):
            return
        certainty = Certainty.PROVISIONAL
        key, on, is_percent = doubtful.result.key, episode.stopped_on, doubtful.score.is_percent
    yield Intention(
        AlertKind.NOT_IN_MMR_OFF_TREATMENT, subject_of(series, episode.course), certainty, key, on, is_percent,
        days_off_treatment=(on - episode.stopped_on).days, closing=closing_of(episode),
    )  # fmt: skip


def early_sign_intentions(series: Series, episode: Episode, values: Sequence[Value]) -> Iterator[Intention]:
    """Early signs while MMR is still held. They close when MMR is lost, the response is back, or the drug is
    restarted.
    """
    if episode.ended_by is not None:
        return
    for early_sign in early_signs(episode, values, rule_set(KINETICS)):
        closing = closing_of(episode)
        if episode.loss is not None:
            closing = Closing("loss_of_mmr", episode.loss.first.on)
        elif early_sign.is_over:
            closing = Closing("response_regained", episode.points_off[-1].on)
        evidence = early_sign.evidence
        yield Intention(
            AlertKind(early_sign.sign.value), subject_of(series, episode.course), Certainty.SUSPECTED, evidence.key,
            evidence.on, evidence.is_percent, days_off_treatment=(evidence.on - episode.stopped_on).days,
            closing=closing,
        )  # fmt: skip


def off_scale_intentions(
    series: Series, assessed: Sequence[Assessed], episodes: Sequence[Episode]
) -> Iterator[Intention]:
    """A relapse of a transcript off the scale, on treatment or off it. A restart closes what was seen before it."""
    relapse = relapse_of(ratios_of(assessed))
    if relapse is None:
        return
    off = next(
        (e for e in episodes if e.stopped_on < relapse.on and (e.restarted_on is None or relapse.on <= e.restarted_on)),
        None,
    )
    yield Intention(
        AlertKind.OFF_SCALE_RELAPSE,
        subject_of(series, off.course) if off else series.patient_key,
        Certainty.SUSPECTED if relapse.is_final else Certainty.PROVISIONAL,
        relapse.key,
        relapse.on,
        days_off_treatment=(relapse.on - off.stopped_on).days if off else None,
        closing=closing_of(off) if off else None,
    )


def closing_of(episode: Episode) -> Closing | None:
    """What has ended the time off: the drug was restarted, or the patient died or was transplanted."""
    if episode.restarted_on is not None:
        return Closing("restart", episode.restarted_on)
    if episode.ended_by is not None:
        return Closing(episode.ended_by.kind.value, episode.ended_by.observed_on)
    return None
