"""From patients to rows: which episodes are members, how long each was observed, what ended it, and its factors."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from cohorts.domain.definition import AGES, CATEGORIES, DURATIONS, Definition, Factor
from monitoring.domain.course.episodes import Episode, find_episodes, response_before_stop, tki_duration
from monitoring.domain.course.series import Course, Fact, FactKind, StopReason, TimePoint, tki_courses
from monitoring.domain.following.findings import LONG_GAP_DAYS
from monitoring.domain.vocabulary.dates import Duration, PartialDate, between, completed_years, months_of

NOT_IN_MMR_AT_STOP = "NOT_IN_MMR_AT_STOP"
NO_BASELINE_PCR = "NO_BASELINE_PCR"
NO_PCR_AFTER_STOP = "NO_PCR_AFTER_STOP"
ONLY_BONE_MARROW = "ONLY_BONE_MARROW_AFTER_STOP"
# Members that are counted separately: their remission may not be treatment-free, or not as deep as it seems.
TRANSCRIPT_NEVER_SEEN = "TRANSCRIPT_NEVER_SEEN"
OTHER_DRUG_AFTER_STOP = "OTHER_DRUG_AFTER_STOP"
DMR_ACROSS_GAP = "DMR_ACROSS_GAP"
APART = (TRANSCRIPT_NEVER_SEEN, OTHER_DRUG_AFTER_STOP, DMR_ACROSS_GAP)

_EVENTS = {
    "loss_of_mmr": {"loss_of_mmr"},
    "mrfs": {"loss_of_mmr", "death"},
    "tfr": {"loss_of_mmr", "restart", "death"},
    "tfs": {"loss_of_mmr", "restart", "death", "progression"},
}


@dataclass(frozen=True, slots=True)
class PatientHistory:
    """What the statistics read of one patient.

    ``unseen`` are the days of undetected points of a patient whose transcript is not known and in whom the assay had
    never detected one; ``marrow`` the days of bone marrow samples.
    """

    patient_id: str
    centre: str
    sex: str
    born: PartialDate | None
    diagnosed: PartialDate | None
    transcript: str
    risk_group: str
    first_dmr: PartialDate | None
    courses: tuple[Course, ...]
    facts: tuple[Fact, ...]
    points: tuple[TimePoint, ...]
    unseen: frozenset[date] = frozenset()
    marrow: frozenset[date] = frozenset()

    def until(self, as_of: date) -> PatientHistory:
        """The same patient as known on a day: nothing collected, started, stopped or observed later."""
        return dataclasses.replace(
            self,
            courses=tuple(_course_until(c, as_of) for c in self.courses if c.started_on <= as_of),
            facts=tuple(f for f in self.facts if f.observed_on <= as_of),
            points=tuple(p for p in self.points if p.on <= as_of),
            unseen=frozenset(on for on in self.unseen if on <= as_of),
            marrow=frozenset(on for on in self.marrow if on <= as_of),
        )


def _course_until(course: Course, as_of: date) -> Course:
    """A course whose stop lies later was still running on the day."""
    if course.stopped_on is None or course.stopped_on <= as_of:
        return course
    return dataclasses.replace(course, stopped_on=None, stop_reason=StopReason.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Age:
    """Completed years, with the range that imputed dates leave open."""

    years: int
    lowest: int
    highest: int

    def reaches(self, cut: int) -> bool | None:
        """Whether the age is at least the cut; None where imputed dates straddle it."""
        if self.lowest >= cut:
            return True
        return False if self.highest < cut else None


@dataclass(frozen=True, slots=True)
class After:
    """What followed a loss of MMR."""

    restarted_on: date | None
    restart_drug: str
    mmr_regained_on: date | None
    dmr_regained_on: date | None


@dataclass(frozen=True, slots=True)
class Member:
    """One episode of a cohort: a member with its observation, or excluded with the reason."""

    history: PatientHistory
    attempt: int
    stopped_on: date
    exclusion_reason: str
    end_on: date | None
    event: bool
    end_reason: str
    first_dmr_on: date | None
    dmr: Duration | None
    dmr_run_from: date | None
    apart: tuple[str, ...]  # why this member is also counted separately
    left_censored: bool
    tki: Duration | None
    time_to_dmr: Duration | None
    age_at_diagnosis: Age | None
    age_at_stop: Age | None
    drug_at_stop: str
    after: After
    last_contact_on: date | None
    withdrawal_syndrome: bool

    @property
    def included(self) -> bool:
        return not self.exclusion_reason

    @property
    def days(self) -> int | None:
        return (self.end_on - self.stopped_on).days if self.end_on else None

    @property
    def months(self) -> float | None:
        return months_of(self.days) if self.days is not None else None

    def number(self, name: str) -> float | None:
        """A duration in months or an age in years, None where it is not known (a left-censored one is not)."""
        if name in AGES:
            age: Age | None = getattr(self, name)
            return None if age is None else float(age.years)
        if name == "dmr_months" and self.dmr is None:
            return 0.0
        duration = self._duration(name)
        if duration is None or (self.left_censored and name != "tki_months"):
            return None
        return duration.months

    def reaches(self, name: str, cut: int) -> bool | None:
        """Whether a factor is at least ``cut`` whole calendar months or completed years; None where not known."""
        if name in AGES:
            age: Age | None = getattr(self, name)
            return None if age is None else age.reaches(cut)
        if name == "dmr_months" and self.dmr is None:
            return cut <= 0
        duration = self._duration(name)
        return None if duration is None else self._beyond_doubt(name, duration.reaches(cut))

    def exceeds(self, name: str, cut: int) -> bool | None:
        """Whether a factor is more than ``cut`` whole calendar months or completed years; None where not known."""
        if name in AGES:
            return self.reaches(name, cut + 1)
        if name == "dmr_months" and self.dmr is None:
            return False
        duration = self._duration(name)
        return None if duration is None else self._beyond_doubt(name, duration.exceeds(cut))

    def _beyond_doubt(self, name: str, answer: bool | None) -> bool | None:
        """A left-censored length is a lower bound: it can prove that a cut is reached, never that it is not."""
        if self.left_censored and name != "tki_months" and not answer:
            return None
        return answer

    def category(self, name: str) -> str | None:
        """The level of a category, None where not known."""
        value: str = self.drug_at_stop if name == "drug_at_stop" else getattr(self.history, name)
        return value or None

    def group(self, factor: Factor) -> str | None:
        """The label of the group this member belongs to, None where it is not known."""
        if factor.is_category:
            return self.category(factor.name)
        if factor.cut is None:
            return None
        reached = self.reaches(factor.name, factor.cut)
        return None if reached is None else (f">= {factor.cut}" if reached else f"< {factor.cut}")

    def _duration(self, name: str) -> Duration | None:
        assert name in DURATIONS
        duration: Duration | None = {
            "dmr_months": self.dmr,
            "tki_months": self.tki,
            "time_to_dmr_months": self.time_to_dmr,
        }[name]
        return duration


def build_members(
    histories: Iterable[PatientHistory], definition: Definition, as_of: date, passed_over: Counter[str] | None = None
) -> Iterator[Member]:
    """The rows of a cohort: members and excluded episodes of these patients, as known up to a day.

    ``passed_over`` counts the episodes that are no rows, by the first criterion that they do not meet.
    """
    passed_over = Counter() if passed_over is None else passed_over
    for whole in histories:
        history = whole.until(as_of)
        episodes = find_episodes(history.courses, history.facts, history.points, definition.event_rule)
        asked = _asked(episodes, definition)
        of_kind = sum(e.kind.value in definition.stop_reasons for e in episodes)
        passed_over += Counter({STOP_REASON: len(episodes) - of_kind, ATTEMPTS: of_kind - len(asked)})
        for number, episode in enumerate(asked, start=1):
            member = _member(history, episode, episode.attempt or number, definition)
            not_met, is_known = _first_not_met(member, definition)
            if not_met:
                passed_over[not_met] += 1
            else:
                yield member if is_known else _excluded(member, "MISSING_INCLUSION_CRITERION")


STOP_REASON, ATTEMPTS, STOPPED_ON = "include.stop_reason", "attempts", "include.stopped_on"


def criteria_of(definition: Definition) -> list[str]:
    """The criteria of a definition in the order in which they are asked."""
    names = [name for name in CATEGORIES if name in definition.categories] + list(definition.bounds)
    return [STOP_REASON, ATTEMPTS, STOPPED_ON, *(f"include.{name}" for name in names)]


def _asked(episodes: Sequence[Episode], definition: Definition) -> Sequence[Episode]:
    """The episodes of the stop reasons asked for; ``first`` keeps the first TFR attempt, else the first episode."""
    asked = [e for e in episodes if e.kind.value in definition.stop_reasons]
    if definition.attempts == "all":
        return asked
    attempts = [e for e in asked if e.kind is StopReason.TFR_ATTEMPT]
    return (attempts or asked)[:1]


def _first_not_met(member: Member, definition: Definition) -> tuple[str, bool]:
    """The first inclusion criterion that is not met, empty where none fails, and whether all of them are known."""
    if definition.stopped_from and member.stopped_on < definition.stopped_from:
        return STOPPED_ON, True
    if definition.stopped_to and member.stopped_on > definition.stopped_to:
        return STOPPED_ON, True
    answers: list[tuple[str, bool | None]] = []
    for name in CATEGORIES:
        if name in definition.categories:
            value = member.category(name)
            answers.append((name, None if value is None else value in definition.categories[name]))
    for name, bounds in definition.bounds.items():
        answers.extend((name, _in_bound(member, name, bound, limit)) for bound, limit in bounds.items())
    not_met = next((f"include.{name}" for name, answer in answers if answer is False), "")
    return not_met, all(answer is not None for _name, answer in answers)


def _in_bound(member: Member, name: str, bound: str, limit: int) -> bool | None:
    """Whether a factor is within a bound, by calendar months: 72 months to the day are ``ge`` 72 and not ``gt`` 72."""
    answer = member.reaches(name, limit) if bound in ("ge", "lt") else member.exceeds(name, limit)
    if answer is None or bound in ("ge", "gt"):
        return answer
    return not answer


def _member(history: PatientHistory, episode: Episode, attempt: int, definition: Definition) -> Member:
    stopped_on = episode.stopped_on
    tkis = tki_courses(history.courses)
    elsewhere = history.first_dmr
    before = response_before_stop(
        stopped_on,
        tkis[0].started_on if tkis else None,
        history.points,
        elsewhere.on if elsewhere else None,
        definition.dmr,
    )
    known = {p.on: PartialDate(p.on, p.precision) for p in history.points}
    if elsewhere is not None:
        known.setdefault(elsewhere.on, elsewhere)
    started = PartialDate(tkis[0].started_on, tkis[0].started_precision) if tkis else None
    stopped = PartialDate(stopped_on, episode.course.stopped_precision)
    end_on, event, end_reason = _end_of_observation(episode, history.facts, definition)
    return Member(
        history=history,
        attempt=attempt,
        stopped_on=stopped_on,
        exclusion_reason=_exclusion(history, episode, definition),
        end_on=end_on,
        event=event,
        end_reason=end_reason,
        first_dmr_on=before.first_dmr_on,
        dmr=before.dmr and between(known.get(before.dmr.start, PartialDate(before.dmr.start)), stopped),
        dmr_run_from=before.dmr.start if before.dmr else None,
        apart=tuple(_apart(history, episode, end_on, before.dmr.start if before.dmr else None)),
        left_censored=before.left_censored,
        tki=tki_duration(history.courses, stopped_on),
        time_to_dmr=between(started, known[before.time_to_dmr.end]) if before.time_to_dmr and started else None,
        age_at_diagnosis=_age(history.born, history.diagnosed),
        age_at_stop=_age(history.born, stopped),
        drug_at_stop=episode.course.drug.value,
        after=After(
            episode.restarted_on, episode.restart.drug.value if episode.restart else "", episode.mmr_regained_on,
            episode.dmr_regained_on,
        ),
        last_contact_on=max((f.observed_on for f in history.facts if f.kind is FactKind.LAST_CONTACT), default=None),
        withdrawal_syndrome=any(
            f.kind is FactKind.WITHDRAWAL_SYNDROME and f.observed_on >= stopped_on for f in history.facts
        ),
    )  # fmt: skip


def _age(born: PartialDate | None, at: PartialDate | None) -> Age | None:
    if born is None or at is None:
        return None
    return Age(
        completed_years(born.on, at.on),
        completed_years(born.latest, at.earliest),
        completed_years(born.earliest, at.latest),
    )


def _exclusion(history: PatientHistory, episode: Episode, definition: Definition) -> str:
    baseline = episode.baseline
    window = definition.window_days
    if baseline is None or (window is not None and (episode.stopped_on - baseline.on).days > window):
        return NO_BASELINE_PCR
    if not baseline.response_class.at_least(definition.min_class):
        return NOT_IN_MMR_AT_STOP
    if episode.points_off:
        return ""
    until = episode.restarted_on
    marrow = any(episode.stopped_on < on and (until is None or on <= until) for on in history.marrow)
    return ONLY_BONE_MARROW if marrow else NO_PCR_AFTER_STOP


def _apart(history: PatientHistory, episode: Episode, end_on: date | None, run_from: date | None) -> Iterator[str]:
    """Why the remission of a member may not be treatment-free, or not as deep as it seems."""
    if episode.baseline is not None and episode.baseline.on in history.unseen:
        yield TRANSCRIPT_NEVER_SEEN
    if _other_drug(history.courses, episode.stopped_on, end_on):
        yield OTHER_DRUG_AFTER_STOP
    if run_from is not None and _has_gap(run_from, episode.stopped_on, history.points):
        yield DMR_ACROSS_GAP


def _other_drug(courses: Sequence[Course], stopped_on: date, end_on: date | None) -> bool:
    """Whether a drug against the disease that is no TKI was taken during the observation."""
    return any(
        not c.drug.is_tki
        and (c.stopped_on is None or c.stopped_on > stopped_on)
        and (end_on is None or c.started_on <= end_on)
        for c in courses
    )


def _has_gap(start: date, stopped_on: date, points: Sequence[TimePoint]) -> bool:
    """Whether a run of deep response holds a gap between samples longer than one missed sample explains."""
    days = [start, *(p.on for p in points if start < p.on <= stopped_on), stopped_on]
    return any((later - earlier).days > LONG_GAP_DAYS for earlier, later in pairwise(days))


def _end_of_observation(
    episode: Episode, facts: Sequence[Fact], definition: Definition
) -> tuple[date | None, bool, str]:
    """End date, whether it is the event, and what ended it. An event on the day of a censoring comes first."""
    ends: dict[str, date] = {}
    loss_on = episode.loss.event_on(definition.event_rule) if episode.loss else None
    if loss_on is not None:
        ends["loss_of_mmr"] = loss_on
    # A restart for a loss does not end the observation before the loss is confirmed, unless it is an event itself.
    if episode.restarted_on is not None and (loss_on is None or "restart" in _EVENTS[definition.endpoint]):
        ends["restart"] = episode.restarted_on
    kinds = {FactKind.DEATH: "death", FactKind.ALLOGENEIC_TRANSPLANT: "transplant"}
    if definition.endpoint == "tfs":
        kinds[FactKind.PROGRESSION] = "progression"
    for kind, reason in kinds.items():
        on = min((f.observed_on for f in facts if f.kind is kind and f.observed_on >= episode.stopped_on), default=None)
        if on is not None:
            ends[reason] = on
    if not ends:
        last = episode.points_off[-1].on if episode.points_off else None
        return last, False, "last_evaluable_pcr" if last else ""
    events = _EVENTS[definition.endpoint]
    reason = min(ends, key=lambda r: (ends[r], r not in events, r))
    return ends[reason], reason in events, reason


def _excluded(member: Member, reason: str) -> Member:
    return dataclasses.replace(member, exclusion_reason=reason)
