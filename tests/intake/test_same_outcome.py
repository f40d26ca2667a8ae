"""However the same facts arrive, the outcome is the same: in one file or many, twice, by file or by request, amended
and
amended back. The outcome is what people see: classes, standing events, episodes, live alerts."""

import dataclasses
import datetime as dt
import random
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring import clock
from monitoring.domain.course.series import FactKind, ResultFact, Series, StopReason
from monitoring.domain.scoring.laboratory_report import ReplicateReport
from monitoring.intake.loading import load_file
from monitoring.models import Alert, Patient, PcrResult, ResponseAssessment, Role, TfrEpisode
from monitoring.services.classification.classify import EPISODE_COLUMNS, classify_pending, standing_events
from monitoring.services.classification.ledger import check_ledger
from monitoring.services.entry.amendments import amend_result, retract_result, standing_result
from monitoring.services.entry.reach import EVERYWHERE
from tests.api.test_api import Api
from tests.reference.patients import patients

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

FEW = settings(
    max_examples=max(8, settings().max_examples // 10), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SEEDS = st.integers(0, 2**32)
STOPPED = patients().filter(lambda s: len(s.results) > 2 and any(c.stopped_on for c in s.courses))
RESULTS = (
    "laboratory", "accession_number", "patient_id", "collected_on", "bcr_abl1_copies", "control_gene_copies",
    "is_percent", "conversion_factor", "method", "specimen", "status",
)  # fmt: skip
Rows = dict[str, list[dict[str, str]]]


# --- the same facts as rows of files ------------------------------------------------------------------------------


def until_now(series: Series) -> Series:
    """The same patient with yesterday as the last day of all: what was seen lately calls people."""
    days = [r.collected_on for r in series.results] + [f.observed_on for f in series.facts]
    days += [on for c in series.courses for on in (c.started_on, c.stopped_on) if on is not None]
    by = clock.now().date() - dt.timedelta(days=1) - max(days)
    return dataclasses.replace(
        series,
        results=tuple(dataclasses.replace(r, collected_on=r.collected_on + by) for r in series.results),
        facts=tuple(dataclasses.replace(f, observed_on=f.observed_on + by) for f in series.facts),
        courses=tuple(
            dataclasses.replace(
                c, started_on=c.started_on + by, stopped_on=None if c.stopped_on is None else c.stopped_on + by
            )
            for c in series.courses
        ),
    )


def rows_of(series: Series) -> Rows:
    """A generated patient as the rows of three files."""
    died = [f for f in series.facts if f.kind is FactKind.DEATH][:1]
    facts = [f for f in series.facts if f.kind is not FactKind.DEATH] + died
    return {
        "treatments": [
            {
                "patient_id": "P1", "drug": c.drug.value, "started_on": str(c.started_on),
                "stopped_on": str(c.stopped_on or ""),
                "stop_reason": "" if c.stop_reason is StopReason.UNKNOWN else c.stop_reason.value,
            }
            for c in series.courses
        ],
        "observations": [
            {"patient_id": "P1", "observed_on": str(f.observed_on), "kind": f.kind.value}
            for f in dict.fromkeys(facts)
        ],
        "results": [_result_row(r) for r in series.results],
    }  # fmt: skip


def _result_row(result: ResultFact) -> dict[str, str]:
    m = result.measurement
    values = dict.fromkeys(RESULTS, "") | {
        "laboratory": result.laboratory,
        "accession_number": f"A{result.id}",
        "patient_id": "P1",
        "collected_on": str(result.collected_on),
        "conversion_factor": str(m.conversion_factor),
        "method": m.method.value,
        "specimen": "BM" if result.is_bone_marrow else "PB",
        "status": "preliminary" if result.is_preliminary else "final",
    }
    if m.reported.is_percent is not None:
        return values | {"is_percent": f"{m.reported.comparator.strip('=')}{m.reported.is_percent}"}
    (tube,) = m.readings
    copies = "nd" if tube.bcr_abl1_copies is None else f"{tube.bcr_abl1_copies:f}"
    return values | {"bcr_abl1_copies": copies, "control_gene_copies": str(tube.control_gene_copies)}


def as_request(row: dict[str, str]) -> dict[str, Any]:
    """A row of a results file as the body of a request."""
    tube = {name: row[name] for name in ("bcr_abl1_copies", "control_gene_copies") if row[name]}
    body: dict[str, Any] = {name: text for name, text in row.items() if text and name not in tube}
    return body | {"replicates": [tube]} if tube else body


# --- what people see ----------------------------------------------------------------------------------------------


def classify() -> None:
    while classify_pending(now=clock.now()):
        pass


def outcome() -> dict[str, Any]:
    """Classes, events that stand, episodes and live alerts, whichever version of a result they rest on."""
    classify()
    assert list(check_ledger()) == []
    unversioned = re.compile(r"/v\d+$")
    classes = ResponseAssessment.objects.filter(superseded_at__isnull=True)
    events = [
        e for standing in standing_events(Patient.objects.values_list("pk", flat=True)).values() for e in standing
    ]
    return {
        "classes": set(classes.values_list("result__accession_number", "response_class", "flags", "is_percent")),
        "events": sorted(dataclasses.replace(e, result_key=unversioned.sub("", e.result_key)) for e in events),
        "episodes": set(
            map(repr, TfrEpisode.objects.exclude(state="void").values_list("subject_key", *EPISODE_COLUMNS))
        ),
        "alerts": set(Alert.objects.live().values_list("kind", "subject_key", "certainty")),
    }


class Ward:
    """One patient, and the doors through which facts of the patient arrive."""

    def __init__(self, folder: Path, ada: User, patient: Patient, api: Api) -> None:
        self.folder, self.ada, self.patient, self.api = folder, ada, patient, api

    def load(self, kind: str, rows: Sequence[dict[str, str]], amend_reason: str = "") -> None:
        if not rows:
            return
        path = self.folder / "facts.csv"
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        load_file(kind, path, by=self.ada, amend_reason=amend_reason)

    def load_whole(self, facts: Rows) -> None:
        for kind, rows in facts.items():
            self.load(kind, rows)

    def after(self, deed: Callable[[], None]) -> dict[str, Any]:
        """The outcome of a deed, of which nothing stays."""
        with transaction.atomic():
            deed()
            seen = outcome()
            transaction.set_rollback(True)
        return seen


@pytest.fixture
def ward(tmp_path: Path, ada: User, patient: Patient, member: Callable[..., User]) -> Ward:
    member("grace", patient.centre)
    return Ward(tmp_path, ada, patient, Api(member("ada_t", patient.centre, Role.TECHNICIAN)))


# --- the doors ----------------------------------------------------------------------------------------------------


@FEW
@given(series=STOPPED, seed=SEEDS)
def test_one_import_or_many_in_any_order(ward: Ward, series: Series, seed: int) -> None:
    facts, chance = rows_of(until_now(series)), random.Random(seed)

    def in_parts() -> None:
        parts = [(kind, [row]) for kind, rows in facts.items() for row in rows]
        chance.shuffle(parts)
        while parts:
            kind = parts[0][0]
            part = [p for p in parts if p[0] == kind][: chance.randint(1, 4)]
            parts = [p for p in parts if p not in part]
            ward.load(kind, [row for _, rows in part for row in rows])
            if chance.random() < 0.5:
                classify()

    assert ward.after(in_parts) == ward.after(lambda: ward.load_whole(facts))


@FEW
@given(series=STOPPED, seed=SEEDS)
def test_what_is_delivered_twice_counts_once(ward: Ward, series: Series, seed: int) -> None:
    facts, chance = rows_of(until_now(series)), random.Random(seed)
    once = ward.after(lambda: ward.load_whole(facts))

    def twice() -> None:
        by_request = [row for row in facts["results"] if chance.random() < 0.5]
        for row in by_request:
            answers = [ward.api.post("results/", as_request(row)).status_code for _ in range(2)]
            assert answers in ([201, 200], [400, 400]), answers
            classify()
        ward.load_whole(facts)
        classify()
        ward.load_whole(facts)
        for row in facts["results"]:
            assert ward.api.post("results/", as_request(row)).status_code in (200, 400)

    assert ward.after(twice) == once


@FEW
@given(series=STOPPED, seed=SEEDS)
def test_what_is_amended_and_amended_back_was_never_changed(ward: Ward, series: Series, seed: int) -> None:
    facts, chance = rows_of(until_now(series)), random.Random(seed)
    once = ward.after(lambda: ward.load_whole(facts))

    def there_and_back() -> None:
        ward.load_whole(facts)
        classify()
        for result in PcrResult.objects.filter(status="final").order_by("accession_number"):
            if chance.random() < 0.5:
                _amend_and_undo(ward, result, chance)

    assert ward.after(there_and_back) == once


def _amend_and_undo(ward: Ward, result: PcrResult, chance: random.Random) -> None:
    standing = standing_result(result.public_id)
    assert standing is not None
    original = standing.report
    if chance.random() < 0.5:
        other = dataclasses.replace(
            original, is_percent=None, is_comparator="=", reason="wrong tube",
            replicates=(ReplicateReport(1, Decimal(chance.choice([30, 6_000])), Decimal(60_000)),),
        )  # fmt: skip
        verdict = amend_result(
            standing,
            other,
            patient=ward.patient,
            by=ward.ada,
            reach=EVERYWHERE,
            version=result.version,
            now=clock.now(),
        )
    else:
        verdict = retract_result(
            standing, by=ward.ada, reach=EVERYWHERE, reason="other patient", version=result.version, now=clock.now()
        )
    assert not verdict.problems
    if chance.random() < 0.7:
        classify()
    assert verdict.public_id is not None
    changed = standing_result(verdict.public_id)
    assert changed is not None
    back = dataclasses.replace(original, reason="it was right")
    verdict = amend_result(
        changed, back, patient=ward.patient, by=ward.ada, reach=EVERYWHERE, version=changed.row.version, now=clock.now()
    )
    assert not verdict.problems
    if chance.random() < 0.7:
        classify()


@FEW
@given(series=STOPPED)
def test_a_stop_that_is_moved_and_moved_back_was_never_moved(ward: Ward, series: Series) -> None:
    facts = rows_of(until_now(series))
    once = ward.after(lambda: ward.load_whole(facts))

    def there_and_back() -> None:
        ward.load_whole(facts)
        classify()
        moved = [
            row | {"stopped_on": str(dt.date.fromisoformat(row["stopped_on"]) + dt.timedelta(days=40))}
            for row in facts["treatments"]
            if row["stopped_on"]
        ]
        ward.load("treatments", moved, amend_reason="typing error")
        classify()
        ward.load("treatments", [row for row in facts["treatments"] if row["stopped_on"]], amend_reason="it was right")

    assert ward.after(there_and_back) == once
