"""Replay: a patient's whole series in, everything the service says about the patient out.

Nothing is ever incremented. A late, amended or retracted result is just another series, and the difference between
what this function says and what stands in the ledger is what gets written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

from monitoring.domain.course.episodes import DmrRule, Episode, find_episodes, response_before_stop, tki_duration
from monitoring.domain.course.off_scale import ratios_of, relapse_of
from monitoring.domain.course.off_treatment import Evidence, evidence_of
from monitoring.domain.course.relapse import Certainty
from monitoring.domain.course.series import (
    Assessed,
    Course,
    Fact,
    FactKind,
    Series,
    StopReason,
    TimePoint,
    assess,
    time_points,
    tki_courses,
    transplanted_on,
)
from monitoring.domain.following.early_signs import early_signs
from monitoring.domain.following.kinetics import Direction, Value, latest_change, values_of
from monitoring.domain.following.resistance import rise_on_treatment
from monitoring.domain.rules.rule_sets import rule_set
from monitoring.domain.scoring.response import EUTOS_2015, ResponseRules
from monitoring.domain.vocabulary.measurement import Flag
from monitoring.domain.vocabulary.scale import ResponseClass


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
    RISE_ON_TREATMENT = "rise_on_treatment"
    RELAPSE_AFTER_TRANSPLANT = "relapse_after_transplant"
    TREATMENT_UNKNOWN = "treatment_unknown"
    STOP_REASON_MISSING = "stop_reason_missing"
    FACTOR_MISSING = "factor_missing"
    DETECTABLE_AGAIN = "detectable_again"
    LOSS_OF_MR4 = "loss_of_mr4"
    FAST_DOUBLING = "fast_doubling"
    FLUCTUATION = "fluctuation"
    OFF_SCALE_RELAPSE = "off_scale_relapse"
    UNVERIFIED = "unverified"
    SUSPICIOUS_VALUE = "suspicious_value"
    MILESTONE_FAILED = "milestone_failed"
    NO_MMR_AFTER_RESTART = "no_mmr_after_restart"
    OVERDUE_SAMPLE = "overdue_sample"
    OVERDUE_RESULT = "overdue_result"
    NO_RESTART = "no_restart"
    LOSS_IN_PREGNANCY = "loss_in_pregnancy"
    HAND_OVER = "hand_over"
    NO_EVIDENCE = "no_evidence"
    LOST_TO_FOLLOW_UP = "lost_to_follow_up"
    NO_CLINICIAN = "no_clinician"
    UNCONFIRMED_TREATMENT = "unconfirmed_treatment"
    SET_ASIDE = "set_aside"


KINETICS = "kinetics-ln-ratio.1"
EARLY_SIGNS = (AlertKind.DETECTABLE_AGAIN, AlertKind.LOSS_OF_MR4, AlertKind.FAST_DOUBLING, AlertKind.FLUCTUATION)
# A loss that goes on rising is told again when it passes these, in % IS.
RISE_LINES_PERCENT = (1, 10)


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
    highest_percent: Decimal | None = None
    doubling_days: Decimal | None = None
    settled_by: str = ""
    settled_on: date | None = None

    @property
    def level_percent(self) -> int:
        """The highest of the lines 1 % and 10 % that the values since have passed, 0 for none: each is told anew."""
        return max((line for line in RISE_LINES_PERCENT if (self.highest_percent or 0) > line), default=0)


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
        events=tuple(sorted(_events(series, points, episodes))),
        intentions=tuple(_standing_intentions(series, assessed, points, episodes)),
        rule_version=rules.version,
    )


def subject_of(series: Series, course: Course) -> str:
    """The subject of everything an episode raises: the drug course whose stop opened it."""
    return f"{series.patient_key}/{course.key}"


def _summary(
    series: Series, episode: Episode, points: Sequence[TimePoint], assessed: Sequence[Assessed]
) -> EpisodeSummary:
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
        evidence=evidence_of(episode, assessed, series.courses),
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


# What a restart, a death or a transplant ends.
OFF_TREATMENT = (
    AlertKind.LOSS_OF_MMR, AlertKind.NOT_IN_MMR_OFF_TREATMENT, AlertKind.OFF_SCALE_RELAPSE, *EARLY_SIGNS,
)  # fmt: skip


def _standing_intentions(
    series: Series, assessed: Sequence[Assessed], points: Sequence[TimePoint], episodes: Sequence[Episode]
) -> Iterator[Intention]:
    """What should stand. What only an unconfirmed course or observation would end goes on, and asks for a look at it."""
    whole = list(_intentions(series, assessed, points, episodes))
    if not series.unconfirmed:
        yield from whole
        return
    trusted = dataclasses.replace(
        series,
        courses=tuple(course for course in series.courses if course.is_confirmed),
        facts=tuple(fact for fact in series.facts if fact.is_confirmed),
    )
    without = _intentions(trusted, assessed, points, find_episodes(trusted.courses, trusted.facts, points))
    going_on = {(i.kind, i.subject_key): i for i in without if i.kind in OFF_TREATMENT and not i.settled_by}
    ended: dict[str, Intention] = {}
    for intention in whole:
        kept = going_on.pop((intention.kind, intention.subject_key), None)
        if kept is not None and intention.settled_by:
            ended[kept.subject_key] = kept
            yield kept
        else:
            yield intention
    for kept in going_on.values():
        ended[kept.subject_key] = kept
        yield kept
    for subject_key in ended:
        yield _to_confirm(subject_key, series.unconfirmed)


def _to_confirm(subject_key: str, unconfirmed: Sequence[Course | Fact]) -> Intention:
    """The question to those who treat: the latest of what would end an alert and nobody of them has recorded."""
    days = {_day_of(one): one for one in unconfirmed}
    on = max(days)
    latest = days[on]
    key = latest.key if isinstance(latest, Course) else f"{latest.kind.value}/{on.isoformat()}"
    return Intention(AlertKind.UNCONFIRMED_TREATMENT, subject_key, Certainty.CONFIRMED, key, on)


def _day_of(one: Course | Fact) -> date:
    return one.started_on if isinstance(one, Course) else one.observed_on


def _intentions(
    series: Series, assessed: Sequence[Assessed], points: Sequence[TimePoint], episodes: Sequence[Episode]
) -> Iterator[Intention]:
    values = values_of(assessed, series.courses)
    for episode in episodes:
        subject = subject_of(series, episode.course)
        yield from _episode_intentions(subject, episode, assessed, values)
        yield from _early_signs(subject, episode, values)
    yield from _off_scale_intentions(series, assessed, episodes)
    yield from _on_treatment_intentions(series, points, episodes)
    yield from _rise_intentions(series, points, values, episodes)
    yield from _transplant_intentions(series, points)
    missing = [item for item in assessed if Flag.CF_MISSING in item.score.flags]
    if missing:
        latest = missing[-1].result
        yield Intention(
            AlertKind.FACTOR_MISSING, series.patient_key, Certainty.CONFIRMED, latest.key, latest.collected_on
        )


def _doubling_days(values: Sequence[Value]) -> Decimal | None:
    """How fast the last two values rise, None where they do not or cannot be compared."""
    change = latest_change(values, rule_set(KINETICS))
    return change.days if change is not None and change.direction is Direction.RISING else None


def _episode_intentions(
    subject: str, episode: Episode, assessed: Sequence[Assessed], values: Sequence[Value]
) -> Iterator[Intention]:
    settled_by, settled_on = _settled(episode)
    if episode.kind is StopReason.UNKNOWN:
        yield Intention(
            AlertKind.STOP_REASON_MISSING, subject, Certainty.CONFIRMED, subject, episode.stopped_on,
            settled_by=settled_by, settled_on=settled_on,
        )  # fmt: skip
    yield from _baseline_intentions(subject, episode, assessed)
    if episode.loss is not None:
        first = episode.loss.first
        disputed = any(item.result.key == first.key and item.score.may_exceed_mmr for item in assessed)
        certainty = episode.loss.certainty
        if disputed and certainty is Certainty.SUSPECTED:
            certainty = Certainty.PROVISIONAL  # the copies of this sample contradict its reported value
        yield Intention(
            AlertKind.LOSS_OF_MMR, subject, certainty, first.key, first.on, first.is_percent,
            (first.on - episode.stopped_on).days, _highest_percent(episode, first.on, assessed), _doubling_days(values), settled_by, settled_on,
        )  # fmt: skip
        return
    doubtful = _doubtful_evidence(episode, assessed)
    if doubtful is not None:
        yield Intention(
            AlertKind.LOSS_OF_MMR, subject, Certainty.PROVISIONAL, doubtful.result.key, doubtful.result.collected_on,
            doubtful.score.is_percent, (doubtful.result.collected_on - episode.stopped_on).days,
            _highest_percent(episode, doubtful.result.collected_on, assessed), _doubling_days(values), settled_by, settled_on,
        )  # fmt: skip


def _highest_percent(episode: Episode, since: date, assessed: Sequence[Assessed]) -> Decimal | None:
    """The highest value of blood off treatment since a day, preliminary ones included; above a range is its limit."""
    values = [
        item.score.is_percent or item.result.measurement.reported.is_percent
        for item in assessed
        if since <= item.result.collected_on
        and (episode.restarted_on is None or item.result.collected_on <= episode.restarted_on)
        and item.score.response_class is ResponseClass.NO_MMR
        and not item.result.is_bone_marrow
    ]
    return max((value for value in values if value is not None), default=None)


def _early_signs(subject: str, episode: Episode, values: Sequence[Value]) -> Iterator[Intention]:
    """What is seen while MMR is still held; over when the response is back, or when the drug is."""
    if episode.ended_by is not None:
        return
    for found in early_signs(episode, values, rule_set(KINETICS)):
        settled_by, settled_on = _settled(episode)
        if episode.loss is not None:
            settled_by, settled_on = "loss_of_mmr", episode.loss.first.on
        elif found.is_over:
            settled_by, settled_on = "response_regained", episode.points_off[-1].on
        yield Intention(
            AlertKind(found.sign.value), subject, Certainty.SUSPECTED, found.evidence.key, found.evidence.on,
            found.evidence.is_percent, (found.evidence.on - episode.stopped_on).days, None, None, settled_by, settled_on,
        )  # fmt: skip


def _baseline_intentions(subject: str, episode: Episode, assessed: Sequence[Assessed]) -> Iterator[Intention]:
    """Not in MMR at the stop: by the last evaluable value, or provisionally by a doubtful one of the stop day."""
    settled_by, settled_on = _settled(episode)
    baseline = episode.baseline
    if baseline is not None and not baseline.in_mmr:
        certainty = Certainty.PROVISIONAL if baseline.low_control else Certainty.SUSPECTED
        yield Intention(
            AlertKind.NOT_IN_MMR_OFF_TREATMENT, subject, certainty, baseline.key, baseline.on,
            baseline.is_percent, (baseline.on - episode.stopped_on).days, None, None, settled_by, settled_on,
        )  # fmt: skip
        return
    doubtful = next((i for i in assessed if i.result.collected_on == episode.stopped_on and _may_be_above(i)), None)
    if doubtful is not None and not any(p.in_mmr for p in episode.points_off):
        yield Intention(
            AlertKind.NOT_IN_MMR_OFF_TREATMENT, subject, Certainty.PROVISIONAL, doubtful.result.key, episode.stopped_on,
            doubtful.score.is_percent, 0, None, None, settled_by, settled_on,
        )  # fmt: skip


def _may_be_above(item: Assessed) -> bool:
    return item.score.response_class is ResponseClass.NO_MMR or item.score.may_exceed_mmr


def _settled(episode: Episode) -> tuple[str, date | None]:
    """What has already been done about an episode: the drug was restarted, or the patient died or was transplanted."""
    if episode.restarted_on is not None:
        return "restart", episode.restarted_on
    if episode.ended_by is not None:
        return episode.ended_by.kind.value, episode.ended_by.observed_on
    return "", None


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


def _off_scale_intentions(
    series: Series, assessed: Sequence[Assessed], episodes: Sequence[Episode]
) -> Iterator[Intention]:
    """A transcript off the scale that relapses, on treatment or off it; a restart settles what was seen before it."""
    found = relapse_of(ratios_of(assessed))
    if found is None:
        return
    off = next(
        (e for e in episodes if e.stopped_on < found.on and (e.restarted_on is None or found.on <= e.restarted_on)),
        None,
    )
    settled_by, settled_on = _settled(off) if off else ("", None)
    yield Intention(
        AlertKind.OFF_SCALE_RELAPSE, subject_of(series, off.course) if off else series.patient_key,
        Certainty.SUSPECTED if found.is_final else Certainty.PROVISIONAL, found.key, found.on, None, (found.on - off.stopped_on).days if off else None,
        None, None, settled_by, settled_on,
    )  # fmt: skip


def _on_treatment_intentions(
    series: Series, points: Sequence[TimePoint], episodes: Sequence[Episode]
) -> Iterator[Intention]:
    """MMR lost on treatment, or with no treatment on record, and not regained since."""
    held_on = max((p.on for p in points if p.in_mmr), default=None)
    if held_on is None or points[-1].in_mmr or transplanted_on(series.facts):
        return
    above = next(p for p in points if p.on > held_on)
    if any(above in (e.baseline, *e.points_off) and above.on >= e.stopped_on for e in episodes):
        return  # off treatment: the episode's own alert
    course = next((c for c in tki_courses(series.courses) if c.covers(above.on)), None)
    certainty = Certainty.PROVISIONAL if above.low_control else Certainty.SUSPECTED
    if any(p.on > above.on for p in points):
        certainty = Certainty.CONFIRMED  # each value since is above 0.1 % too
    yield Intention(
        AlertKind.LOSS_OF_MMR_ON_TREATMENT if course else AlertKind.TREATMENT_UNKNOWN,
        subject_of(series, course) if course else series.patient_key,
        certainty,
        above.key,
        above.on,
        above.is_percent,
    )


def _rise_intentions(
    series: Series, points: Sequence[TimePoint], values: Sequence[Value], episodes: Sequence[Episode]
) -> Iterator[Intention]:
    """A log above the lowest value under the present treatment while MMR is held; over when it is not so any more."""
    found = rise_on_treatment(series.courses, points, values, episodes)
    if found is None:
        return
    settled_by, settled_on = "", None
    stop = next((e.stopped_on for e in episodes if e.stopped_on >= found.first.on), None)
    if stop is not None:
        settled_by, settled_on = "stop", stop
    elif not points[-1].in_mmr:
        settled_by, settled_on = "loss_of_mmr", points[-1].on
    elif found.is_over:
        settled_by, settled_on = "response_regained", points[-1].on
    yield Intention(
        AlertKind.RISE_ON_TREATMENT, series.patient_key,
        Certainty.CONFIRMED if found.is_confirmed else Certainty.SUSPECTED, found.first.key, found.first.on,
        found.first.is_percent, settled_by=settled_by, settled_on=settled_on,
    )  # fmt: skip


def _transplant_intentions(series: Series, points: Sequence[TimePoint]) -> Iterator[Intention]:
    """MMR reached after a transplant and lost again; a TKI that was started since, or death, settles it."""
    transplant = transplanted_on(series.facts)
    after = [p for p in points if transplant is not None and p.on > transplant]
    held_on = max((p.on for p in after if p.in_mmr), default=None)
    above = next((p for p in after if held_on is not None and p.on > held_on), None)
    if above is None:
        return
    started_on = next((c.started_on for c in tki_courses(series.courses) if c.started_on >= above.on), None)
    died_on = next((f.observed_on for f in series.facts if f.kind is FactKind.DEATH), None)
    settled_by, settled_on = ("restart", started_on) if started_on else ("death", died_on) if died_on else ("", None)
    sure = any(p.on > above.on for p in after)
    yield Intention(
        AlertKind.RELAPSE_AFTER_TRANSPLANT, series.patient_key,
        Certainty.CONFIRMED if sure else Certainty.PROVISIONAL if above.low_control else Certainty.SUSPECTED,
        above.key, above.on, above.is_percent, settled_by=settled_by, settled_on=settled_on,
    )  # fmt: skip
