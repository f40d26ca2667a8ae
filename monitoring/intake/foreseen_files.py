"""What a file that is only tried would mean: the class of each result, and the alerts that it would open or end."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from monitoring.domain.alerting.changes import AlertChanges
from monitoring.domain.scoring.laboratory_report import LaboratoryReport
from monitoring.models import Patient
from monitoring.selectors.foresight import foresee_series
from monitoring.services.entry.foreseen_facts import foresee_for
from monitoring.services.entry.verdicts import RowOutcome, Verdict

BATCH_PATIENTS = 200
SHOWN_ALERTS = 500

# The lines of a result in the file, and the result.
Given = tuple[tuple[int, ...], LaboratoryReport]


@dataclass
class ForeseenFile:
    """The records of a file that would be stored, by patient; then what they mean together.

    ``record`` stores facts of one kind as the file would; it is called within a transaction that is taken back. Results
    need none: they are read beside what is stored.
    """

    record: Callable[[Sequence[Any]], object]
    today: dt.date
    reports: dict[int, list[Given]] = field(default_factory=lambda: defaultdict(list))
    facts: dict[int, list[Any]] = field(default_factory=lambda: defaultdict(list))
    patients: dict[int, Patient] = field(default_factory=dict)

    def take_result(self, lines: tuple[int, ...], patient: Patient, report: LaboratoryReport) -> None:
        """A result that would be stored, with its lines in the file."""
        self.reports[patient.pk].append((lines, report))

    def take_fact(self, patient: Patient, fact: Any) -> None:
        """A course or an observation that would be stored."""
        self.patients[patient.pk] = patient
        self.facts[patient.pk].append(fact)

    def told(self, beat: Callable[[], object]) -> dict[str, Any]:
        """Class and % IS by line of the file, how many of each class, and the alerts; ``beat`` is called in between."""
        lines: dict[int, tuple[str, str]] = {}
        classes: Counter[str] = Counter()
        alerts: list[tuple[str, ...]] = []
        for patient, changes, scored in self._foreseen():
            for of_lines, code, percent in scored:
                classes[code] += 1
                lines.update(dict.fromkeys(of_lines, (code, percent)))
            alerts += _told(patient, changes)
            beat()
        counts = Counter(deed for deed, *_others in alerts)
        return {"lines": lines, "classes": classes, "alerts": alerts[:SHOWN_ALERTS], "counts": counts}

    def _foreseen(self) -> Iterator[tuple[Patient, AlertChanges, list[tuple[tuple[int, ...], str, str]]]]:
        for ids in _batches(list(self.reports)):
            given = {pk: [report for _lines, report in self.reports[pk]] for pk in ids}
            for one in foresee_series(given):
                lines = (of_lines for of_lines, _report in self.reports[one.patient.pk])
                scored = [
                    (of_lines, str(score.response_class), "" if score.is_percent is None else str(score.is_percent))
                    for of_lines, score in zip(lines, one.scores, strict=True)
                ]
                yield one.patient, one.alerts, scored
        for ids in _batches(list(self.facts)):
            facts = [fact for pk in ids for fact in self.facts[pk]]

            def record(facts: Sequence[Any] = facts) -> Verdict:
                self.record(facts)
                return Verdict(RowOutcome.CREATED)

            for foreseen in foresee_for([self.patients[pk] for pk in ids], record, today=self.today):
                assert foreseen.patient is not None
                yield foreseen.patient, foreseen.alerts, []


def _batches(ids: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), BATCH_PATIENTS):
        yield ids[start : start + BATCH_PATIENTS]


def _told(patient: Patient, changes: AlertChanges) -> list[tuple[str, ...]]:
    deeds = (("opened", changes.opened), ("told_again", changes.told_again), ("ended", changes.ended))
    return [
        (deed, patient.patient_id, str(patient.public_id), str(one.kind), str(one.certainty), str(one.evidence_on))
        for deed, found in deeds
        for one in found
    ]
