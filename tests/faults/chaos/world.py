"""The patients of a run and the truth about each of their results."""

from __future__ import annotations

import datetime as dt
import json
import random
from dataclasses import dataclass

from tests.faults.chaos.choices import Choices

TODAY = dt.datetime.now(dt.UTC).date()
STOPPED_ON = TODAY - dt.timedelta(days=60)
POISON = "POISON"  # the patient whose replay raises
COLUMNS = ("laboratory", "accession_number", "patient_id", "collected_on", "bcr_abl1_copies", "control_gene_copies",
           "conversion_factor")  # fmt: skip
CONTROL_COPIES = 50_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One result that is sent, and the truth about it."""

    accession: str
    patient: str
    day: dt.date
    copies: int | None  # of 50,000; None: not detected
    is_broken: bool = False
    first_said: int | None = None  # copies that are said first and corrected afterwards

    @property
    def is_loss(self) -> bool:
        return self.response_class == "NO_MMR"

    @property
    def response_class(self) -> str:
        """CLINICAL_RULES 1: not detected among 32,000 and more is MR4.5; above 0.1 % is no MMR."""
        if self.copies is None:
            return "MR4_5"
        return "NO_MMR" if 100 * self.copies / CONTROL_COPIES > 0.1 else "MMR"

    def row(self) -> list[str]:
        copies = "nd" if self.copies is None else str(self.copies)
        control = "-1" if self.is_broken else str(CONTROL_COPIES)
        return ["LAB", self.accession, self.patient, self.day.isoformat(), copies, control, "1"]

    def body(self, *, is_first: bool = False) -> str:
        copies = self.first_said if is_first else self.copies
        tube = {"bcr_abl1_copies": copies, "control_gene_copies": -1 if self.is_broken else CONTROL_COPIES}
        said: dict[str, object] = {
            "laboratory": "LAB", "accession_number": self.accession, "patient_id": self.patient, "status": "final",
            "collected_on": self.day.isoformat(), "conversion_factor": 1, "replicates": [tube],
        }  # fmt: skip
        if self.first_said is not None and not is_first:
            said |= {"status": "corrected", "reason": "read again"}
        return json.dumps(said)


def made_up(choices: Choices, chance: random.Random) -> list[list[Sample]]:
    """The series of each patient: in MMR at the stop, and in some lost at some sample after it; one in fifty results
    is corrected.
    """
    series = []
    for number in range(choices.patients):
        lost_from = chance.randint(1, 3) if number % choices.lost_every == 0 else 9
        one = []
        for k in range(4):
            copies = 200 if k >= lost_from else chance.choice([None, None, 10])
            first = 25 if chance.random() < 0.02 else None
            day = TODAY - dt.timedelta(days=70 - 15 * k)
            one.append(Sample(f"A{number}-{k}", f"P{number}", day, copies, first_said=first))
        series.append(one)
    return series


def malformed(choices: Choices) -> list[Sample]:
    """Results that must be refused."""
    return [Sample(f"B{n}", "P0", TODAY, None, is_broken=True) for n in range(max(2, choices.patients // 50))]


def crowd(choices: Choices) -> list[Sample]:
    """Patients of another centre with an early sign each, of which every one of the crowd is told."""
    return [
        Sample(f"C{n}-{k}", f"C{n}", TODAY - dt.timedelta(days=70 - 15 * k), (None, None, 10, 40)[k])
        for n in range(40 if choices.crowd else 0)
        for k in range(4)
    ]
