"""Readings: kept with every classification, equal to a replay, built for new rules, read once for all cohorts."""

import dataclasses
import datetime as dt
import hashlib
import io
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from cohorts.domain.definition_file import parse_definition
from cohorts.models import Cohort, CohortRun
from cohorts.services import kept_readings
from cohorts.services.definitions import define_cohort
from cohorts.services.kept_readings import KeptReadings, build_some, forget_unused
from cohorts.services.night_queue import owe_night
from cohorts.services.nightly import classify_pending_patients, run_whole_night
from monitoring import clock
from monitoring.domain.course.episodes import DmrRule
from monitoring.domain.course.relapse import LossRule
from monitoring.domain.following.reading import PatientHistory, read_episodes
from monitoring.domain.replay import replay
from monitoring.domain.vocabulary.scale import ResponseClass
from monitoring.models import Centre, Observation, Patient, ReadingRule, Role, StoredReading, TkiCourse
from monitoring.selectors.histories import history_of, load_histories, load_histories_of
from monitoring.selectors.series import load_series
from monitoring.services.classification import readings
from monitoring.services.classification.classification_queue import request_classification
from monitoring.services.classification.ledger import check_ledger
from monitoring.services.settings.demo_logins import DEMO_FOLDER
from tests.nights import recompute

pytestmark = pytest.mark.django_db
STRICT = {"slug": "strict", "event_rule": {"n_consecutive": 2}, "dmr": {"level": "MR4_5", "max_dips": 1}}


@pytest.fixture
def twin(db: None) -> Cohort:
    for kind in ("patients", "treatments", "observations", "results"):
        call_command(f"import_{kind}", str(DEMO_FOLDER / f"{kind}.csv"), stderr=io.StringIO())
    return define_cohort(json.loads((DEMO_FOLDER / "cohort.json").read_text()), by="test")[0]


def classify() -> None:
    classify_pending_patients(before=clock.now() + dt.timedelta(minutes=1))


def test_a_patient_just_replayed_has_the_history_that_the_database_has(twin: Cohort) -> None:
    classify()
    ids = list(Patient.objects.values_list("pk", flat=True))
    loaded = load_series(ids)
    stored = load_histories_of(ids)
    assert len(stored) == 36
    for pk, one in loaded.items():
        assert without_digits(history_of(one, replay(one.series))) == without_digits(stored[pk])


def without_digits(history: PatientHistory) -> PatientHistory:
    """A value is stored with 18 digits; class and doubling group, which readings are made of, are not changed by it."""
    points = tuple(dataclasses.replace(point, is_percent=None) for point in history.points)
    values = tuple(
        dataclasses.replace(v, is_percent=_short(v.is_percent), upper_bound_percent=_short(v.upper_bound_percent))
        for v in history.values
    )
    return dataclasses.replace(history, points=points, values=values)


def _short(number: Decimal | None) -> Decimal | None:
    return None if number is None else Decimal(f"{number:.12e}")


def test_a_reading_that_says_something_else_needs_a_new_version(twin: Cohort) -> None:
    """Rows of the standing version would stay as they are: whoever changes what a reading says raises the version.

    Then the digest below is written anew.
    """
    classify()
    told = [
        tuple(one)
        for history in load_histories()
        for loss, deep in ((LossRule(), DmrRule()), (LossRule(n_consecutive=2), DmrRule(ResponseClass.MR4_5, "first")))
        for one in read_episodes(history, loss, deep)
    ]
    assert len(told) == 72
    digest = hashlib.sha256(repr(sorted(told, key=repr)).encode()).hexdigest()[:16]
    assert (readings.READING_VERSION, digest) == (3, "4179939aa4efd797")


@pytest.mark.parametrize("definition", [None, STRICT])
def test_a_night_over_kept_readings_freezes_what_a_look_back_replays(
    twin: Cohort, definition: dict[str, Any] | None
) -> None:
    cohort = twin if definition is None else define_cohort(definition, by="test")[0]
    kept = recompute(cohort)
    replayed = recompute(cohort, as_of=clock.now().date())
    assert kept.ok
    assert replayed.ok
    assert kept.snapshot == replayed.snapshot  # the digest is of every row
    assert StoredReading.objects.filter(rule__key=_key(cohort)).count() == 36


def _key(cohort: Cohort) -> str:
    definition = parse_definition(cohort.definition)
    return readings.rule_key(definition.event_rule, definition.dmr)


def test_classification_keeps_the_readings_current_and_touches_nothing_that_stays(twin: Cohort) -> None:
    recompute(twin)
    before = dict(StoredReading.objects.values_list("patient_id", "pk"))
    patient = Patient.objects.get(patient_id="P02")
    Observation.objects.create(patient=patient, kind="death", observed_on=dt.date(2024, 12, 30), detail="other")
    request_classification(Patient.objects.values_list("pk", flat=True), bulk=True)
    classify()
    after = dict(StoredReading.objects.values_list("patient_id", "pk"))
    assert {pk for pk in before if before[pk] != after[pk]} == {patient.pk}
    assert StoredReading.objects.get(patient=patient).death_on == dt.date(2024, 12, 30)


def test_a_stop_that_is_taken_back_takes_its_reading_with_it(twin: Cohort) -> None:
    recompute(twin)
    course = TkiCourse.objects.filter(patient__patient_id="P02").order_by("started_on").first()
    assert course is not None
    TkiCourse.objects.filter(patient__patient_id="P02").update(stopped_on=None, stop_reason="")
    request_classification([course.patient_id], bulk=False)
    classify()
    assert not StoredReading.objects.filter(patient__patient_id="P02").exists()


def test_the_audit_notices_a_reading_that_differs_is_missing_or_should_not_be(twin: Cohort) -> None:
    recompute(twin)
    assert [d.what for d in check_ledger()] == []
    first, second, third = StoredReading.objects.order_by("pk")[:3]
    StoredReading.objects.filter(pk=first.pk).update(tki_days=1)
    StoredReading.objects.filter(pk=second.pk).delete()
    StoredReading.objects.filter(pk=third.pk).update(stopped_on=dt.date(1999, 1, 1))
    what = sorted(d.what.partition(" the stop on ")[2].split(" ", 1)[1] for d in check_ledger())
    assert what == ["differs from the replay", "is missing", "is missing", "should not stand"]


def test_a_new_rule_is_built_batch_by_batch_and_a_killed_builder_goes_on(
    twin: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    classify()
    define_cohort(STRICT, by="test")
    rule = ReadingRule.objects.latest("pk")
    assert progress() == (0, 36)
    assert readings.build_next(rule, now=clock.now(), limit=20)
    rule.refresh_from_db()
    assert progress() == (20, 36)
    assert rule.readings.count() == 20

    def killed(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(readings, "write_readings", killed)
    with pytest.raises(KeyboardInterrupt):
        readings.build_next(rule, now=clock.now(), limit=20)
    monkeypatch.undo()
    assert progress() == (20, 36)
    assert not build_some(seconds=60)
    rule.refresh_from_db()
    assert (progress(), rule.readings.count()) == (None, 36)
    assert rule.built_at is not None


def progress() -> tuple[int, int] | None:
    strict = parse_definition(STRICT)
    return readings.progress(strict.event_rule, strict.dmr)


def test_a_page_says_how_far_a_new_definition_is(twin: Cohort, client: Client, member: Callable[..., User]) -> None:
    classify()
    client.force_login(member("anna", Centre.objects.get(code="H1"), Role.ANALYST))
    words = "0 of 36 patients who stopped a drug are read"
    assert words in client.get(f"/cohorts/{twin.slug}/").content.decode()
    build_some(seconds=60)
    assert "patients who stopped a drug are read" not in client.get(f"/cohorts/{twin.slug}/").content.decode()


def test_whoever_is_classified_while_a_rule_is_built_is_read_by_it(twin: Cohort) -> None:
    define_cohort(STRICT, by="test")
    classify()  # nobody is built yet
    assert set(StoredReading.objects.values_list("rule_id", flat=True)) == set(
        ReadingRule.objects.values_list("pk", flat=True)
    )
    ids = set(StoredReading.objects.values_list("pk", flat=True))
    build_some(seconds=60)
    assert set(StoredReading.objects.values_list("pk", flat=True)) == ids
    assert [d.what for d in check_ledger()] == []


def test_one_read_serves_all_cohorts_of_a_night(twin: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    define_cohort({"slug": "tfr", "endpoint": "tfr"}, by="test")
    define_cohort(STRICT, by="test")
    reads: list[str] = []
    load = kept_readings.load_readings

    def counted(rule: ReadingRule) -> Any:
        reads.append(rule.key)
        return load(rule)

    monkeypatch.setattr(kept_readings, "load_readings", counted)
    slot = clock.now() + dt.timedelta(minutes=1)
    owe_night(slot)
    assert run_whole_night(slot, lease_seconds=60) == 3
    assert len(reads) == len(set(reads)) == 2
    assert CohortRun.objects.filter(ok=True).count() == 3
    assert run_whole_night(slot, lease_seconds=60) == 0


def test_readings_that_no_cohort_asks_for_are_forgotten(twin: Cohort) -> None:
    define_cohort(STRICT, by="test")
    classify()
    define_cohort({**STRICT, "event_rule": {"n_consecutive": 1}, "dmr": {}}, by="test")
    assert ReadingRule.objects.count() == 2
    forget_unused()
    assert {rule.key for rule in ReadingRule.objects.all()} == {_key(twin)}
    assert StoredReading.objects.count() == 36


def test_a_registry_without_a_stop_has_columns_without_rows() -> None:
    definition = parse_definition({"slug": "c"})
    columns = KeptReadings().of(definition)
    assert {len(column) for column in columns.values()} == {0}
    assert list(load_histories()) == []
    cohort, _ = define_cohort({"slug": "c"}, by="test")
    run = recompute(cohort)
    assert run.ok
    assert run.snapshot is not None
    assert run.snapshot.figures["counts"]["members"] == 0
