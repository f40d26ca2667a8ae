"""What recording something would change for patients, found out by recording it and taking it back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction

from monitoring.domain.alerting.changes import AlertChanges, alert_changes
from monitoring.domain.course.off_treatment import State, standing_of, state_of
from monitoring.domain.following.schedule import SamplePlan
from monitoring.domain.replay import Replay, replay
from monitoring.domain.scoring.response import Score
from monitoring.models import Patient
from monitoring.selectors.series import load_series
from monitoring.services.alerts.plans import plan_of
from monitoring.services.entry.verdicts import RowOutcome, Verdict
from monitoring.services.foundation.races import retry_lost_race


@dataclass(frozen=True, slots=True)
class Standing:
    """A patient as the rules see the stored facts on one day; ``states`` are those of the episodes, by their stop."""

    replayed: Replay
    plan: SamplePlan
    states: Mapping[dt.date, State]

    @property
    def scores(self) -> dict[tuple[str, dt.date], Score]:
        """The score of each result that counts for something, by its name without the version, and its day."""
        return {(a.result.key.rpartition("/")[0], a.result.collected_on): a.score for a in self.replayed.assessed}


@dataclass(frozen=True, slots=True)
class Rescored:
    """A result and its score before and after; None where it is not there, or not on this day."""

    name: str
    on: dt.date
    before: Score | None
    after: Score | None


@dataclass(frozen=True, slots=True)
class ForeseenFacts:
    """The verdict on what is recorded, and a patient before and after it; both None where it is refused."""

    verdict: Verdict
    patient: Patient | None = None
    before: Standing | None = None
    after: Standing | None = None

    @property
    def episodes_begun(self) -> list[dt.date]:
        return sorted(self.after.states.keys() - self.before.states.keys()) if self.after and self.before else []

    @property
    def episodes_gone(self) -> list[dt.date]:
        return sorted(self.before.states.keys() - self.after.states.keys()) if self.after and self.before else []

    @property
    def episodes_changed(self) -> list[tuple[dt.date, State, State]]:
        """The episodes that stand before and after, in another state or for another reason."""
        if self.before is None or self.after is None:
            return []
        both = sorted(self.before.states.keys() & self.after.states.keys())
        pairs = [(on, self.before.states[on], self.after.states[on]) for on in both]
        return [(on, old, new) for on, old, new in pairs if old != new]

    @property
    def rescored(self) -> list[Rescored]:
        if self.before is None or self.after is None:
            return []
        old, new = self.before.scores, self.after.scores
        keys = sorted(old.keys() | new.keys(), key=lambda key: (key[1], key[0]))
        return [Rescored(*key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]

    @property
    def alerts(self) -> AlertChanges:
        if self.before is None or self.after is None:
            return AlertChanges()
        return alert_changes(self.before.replayed.intentions, self.after.replayed.intentions)


def foresee_facts(patient: Patient, record: Callable[[], Verdict], *, today: dt.date) -> ForeseenFacts:
    """What ``record`` would do to this patient. Everything it writes is taken back."""
    return foresee_for([patient], record, today=today)[0]


def foresee_for(patients: Sequence[Patient], record: Callable[[], Verdict], *, today: dt.date) -> list[ForeseenFacts]:
    """What ``record`` would do to each of these patients; the first one alone where it is refused.

    Somebody may record the same at this very moment: then it is asked again, and meets what the other has stored.
    """
    return retry_lost_race(lambda: _foreseen(patients, record, today))


def _foreseen(patients: Sequence[Patient], record: Callable[[], Verdict], today: dt.date) -> list[ForeseenFacts]:
    ids = [patient.pk for patient in patients]
    with transaction.atomic():
        before = _standings(ids, today)
        verdict = record()
        after = {} if verdict.action is RowOutcome.REFUSED else _standings(ids, today)
        transaction.set_rollback(True)
    if not after:
        return [ForeseenFacts(verdict)]
    return [ForeseenFacts(verdict, patient, before[patient.pk], after[patient.pk]) for patient in patients]


def _standings(patient_ids: Sequence[int], today: dt.date) -> dict[int, Standing]:
    found = {}
    for pk, loaded in load_series(patient_ids).items():
        replayed = replay(loaded.series)
        plan = plan_of(loaded, today, replayed.assessed)
        until = plan.slot.latest if plan.slot else None
        standings = (standing_of(one.episode, replayed.assessed, loaded.series.courses) for one in replayed.episodes)
        states = {one.stopped_on: state_of(one, known_until=until, as_of=today) for one in standings}
        found[pk] = Standing(replayed, plan, states)
    return found
