"""What recording a fact about a patient would change, found out by recording it and taking it back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction

from monitoring.domain.alerting.intention import Intention
from monitoring.domain.following.schedule import SamplePlan
from monitoring.domain.replay import Replay, replay
from monitoring.models import Patient
from monitoring.selectors.series import load_series
from monitoring.services.alerts.plans import plan_of
from monitoring.services.entry.verdicts import RowOutcome, Verdict


@dataclass(frozen=True, slots=True)
class Standing:
    """A patient as the rules see the stored facts on one day."""

    replayed: Replay
    plan: SamplePlan

    @property
    def stops(self) -> set[dt.date]:
        """The days on which an episode off treatment began."""
        return {summary.episode.stopped_on for summary in self.replayed.episodes}

    @property
    def alerts(self) -> dict[tuple[str, str], Intention]:
        """The alerts that stand, by kind and subject."""
        return {(i.kind.value, i.subject_key): i for i in self.replayed.intentions if not i.closing}


@dataclass(frozen=True, slots=True)
class ForeseenFacts:
    """The verdict on the facts, and the patient before and after them; both None where they are refused."""

    verdict: Verdict
    before: Standing | None = None
    after: Standing | None = None

    @property
    def episodes_begun(self) -> list[dt.date]:
        return sorted(self.after.stops - self.before.stops) if self.after and self.before else []

    @property
    def episodes_gone(self) -> list[dt.date]:
        return sorted(self.before.stops - self.after.stops) if self.after and self.before else []

    @property
    def opened(self) -> list[Intention]:
        if self.before is None or self.after is None:
            return []
        return [one for key, one in self.after.alerts.items() if key not in self.before.alerts]

    @property
    def ended(self) -> list[Intention]:
        if self.before is None or self.after is None:
            return []
        return [one for key, one in self.before.alerts.items() if key not in self.after.alerts]


def foresee_facts(patient: Patient, record: Callable[[], Verdict], *, today: dt.date) -> ForeseenFacts:
    """What ``record`` would do to this patient. Everything it writes is taken back."""
    with transaction.atomic():
        before = _standing(patient, today)
        verdict = record()
        after = None if verdict.action is RowOutcome.REFUSED else _standing(patient, today)
        transaction.set_rollback(True)
    return ForeseenFacts(verdict, before, after) if after else ForeseenFacts(verdict)


def _standing(patient: Patient, today: dt.date) -> Standing:
    loaded = load_series([patient.pk])[patient.pk]
    replayed = replay(loaded.series)
    return Standing(replayed, plan_of(loaded, today, replayed.assessed))
