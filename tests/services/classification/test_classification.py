"""From what is owed to classes, ledger, episodes and alerts; twice, late, concurrent, poisoned."""

import datetime as dt
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from monitoring import clock
from monitoring.api.explained import reason_json
from monitoring.domain import replay
from monitoring.models import (
    Alert,
    Centre,
    ClassificationRequest,
    ConversionFactor,
    Laboratory,
    Patient,
    ResponseAssessment,
    ResponseEvent,
    TfrEpisode,
    TkiCourse,
)
from monitoring.selectors.why import class_reason
from monitoring.services.alerts.escalation import ActionTaken, act
from monitoring.services.classification import classify
from monitoring.services.classification.classify import ClassificationFailed, classify_pending, reclassify
from monitoring.services.classification.ledger import check_ledger
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from monitoring.services.settings.laboratories import save_setting
from tests.builders import report

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def grace(member: Callable[..., User], centre: Centre) -> User:
    """Somebody must be there to be told; a centre without a clinician is an alert of its own."""
    return member("grace", centre)


@pytest.fixture
def enter(ada: User) -> Callable[..., None]:
    def call(patient: Patient, accession: str, on: dt.date, tubes: str, **more: Any) -> None:
        verdict = record_result(
            report(accession, on.isoformat(), tubes, **more), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now()
        )
        assert not verdict.problems

    return call


@pytest.fixture
def stopped(patient: Patient, enter: Callable[..., None]) -> Patient:
    """A patient who stopped 60 days ago in deep response."""
    TkiCourse.objects.create(
        patient=patient, drug="imatinib", started_on=ago(2000), stopped_on=ago(60), stop_reason="tfr_attempt"
    )
    enter(patient, "BASE", ago(70), "nd/60000")
    return patient


def ago(days: int) -> dt.date:
    return clock.now().date() - dt.timedelta(days=days)


def classify_all() -> None:
    while classify_pending(now=clock.now()):
        pass
    assert list(check_ledger()) == []


def the_alert() -> Alert:
    return Alert.objects.get()


def test_a_loss_opens_one_alert_with_its_facts(stopped: Patient, enter: Callable[..., None]) -> None:
    enter(stopped, "L1", ago(10), "100/50000")
    classify_all()
    alert = the_alert()
    assert (alert.kind, alert.certainty, alert.state, alert.days_off_treatment) == (
        "loss_of_mmr",
        "suspected",
        "open",
        50,
    )
    assert alert.evidence is not None
    assert alert.evidence.accession_number == "L1"
    episode = TfrEpisode.objects.get()
    assert (episode.state, episode.loss_on) == ("loss_of_mmr", ago(10))


def test_twice_is_once(stopped: Patient, enter: Callable[..., None]) -> None:
    enter(stopped, "L1", ago(10), "100/50000")
    classify_all()
    before = (ResponseAssessment.objects.count(), ResponseEvent.objects.count(), the_alert().opened_at)
    reclassify([stopped.pk], now=clock.now())
    assert (ResponseAssessment.objects.count(), ResponseEvent.objects.count(), the_alert().opened_at) == before


def test_a_class_is_stored_with_the_row_that_gave_it(stopped: Patient, enter: Callable[..., None]) -> None:
    enter(stopped, "L1", ago(10), "100/50000")
    classify_all()
    row = ResponseAssessment.objects.select_related("result").get(result__accession_number="L1")
    assert row.decision == {"row": "row 8", "code": "no_mmr", "facts": {"value": "0.2"}}
    reason = class_reason(row, row.result)
    assert (reason.line, reason.values, reason.is_guess) == (
        "row 8", {"response_class": "NO_MMR", "value": Decimal("0.2")}, False,
    )  # fmt: skip


def test_a_class_from_before_rows_were_stored_stands_and_its_row_is_a_marked_guess(
    stopped: Patient, enter: Callable[..., None]
) -> None:
    enter(stopped, "L1", ago(10), "100/50000")
    classify_all()
    ResponseAssessment.objects.update(decision=None)
    reclassify([stopped.pk], now=clock.now())
    row = ResponseAssessment.objects.select_related("result").get(result__accession_number="L1")  # still one
    assert row.decision is None
    reason = class_reason(row, row.result)
    assert (reason.line, reason.is_guess) == ("row 8", True)
    assert reason_json(reason)["line"] == "row 8 (worked out afterwards)"
    assert list(check_ledger()) == []


def test_the_second_value_makes_the_same_alert_more_certain(stopped: Patient, enter: Callable[..., None]) -> None:
    enter(stopped, "L1", ago(20), "100/50000")
    classify_all()
    first = the_alert().public_id
    enter(stopped, "L2", ago(5), "400/50000")
    classify_all()
    assert (the_alert().public_id, the_alert().certainty) == (first, "confirmed")


def test_a_late_older_value_moves_the_loss(stopped: Patient, enter: Callable[..., None]) -> None:
    enter(stopped, "L1", ago(5), "100/50000")
    classify_all()
    enter(stopped, "L0", ago(30), "100/50000")
    classify_all()
    assert TfrEpisode.objects.get().loss_on == ago(30)
    assert the_alert().evidence_key == "LAB/L0/v1"


def test_a_correction_that_undoes_the_loss_withdraws_the_alert_and_retracts_the_line(
    stopped: Patient, enter: Callable[..., None]
) -> None:
    enter(stopped, "L1", ago(10), "100/50000")
    classify_all()
    enter(stopped, "L1", ago(10), "nd/60000", status="corrected", reason="wrong tube")
    classify_all()
    assert (the_alert().state, the_alert().closing_reason) == ("withdrawn", "evidence_gone")
    assert ResponseEvent.objects.filter(retracts__kind="loss_of_mmr").count() == 1
    enter(stopped, "L1", ago(10), "100/50000", status="corrected", reason="it was right")
    classify_all()
    assert Alert.objects.live().get().evidence_key == "LAB/L1/v3"


def test_entered_in_error_takes_the_class_away(stopped: Patient, enter: Callable[..., None]) -> None:
    enter(stopped, "L1", ago(10), "100/50000")
    classify_all()
    enter(stopped, "L1", ago(10), "100/50000", status="entered_in_error", reason="other patient")
    classify_all()
    assert the_alert().state == "withdrawn"
    assert ResponseAssessment.objects.filter(superseded_at__isnull=True).count() == 1


def test_a_recorded_restart_closes_the_alert(stopped: Patient, enter: Callable[..., None]) -> None:
    enter(stopped, "L1", ago(10), "100/50000")
    classify_all()
    TkiCourse.objects.create(patient=stopped, drug="dasatinib", started_on=ago(3))
    reclassify([stopped.pk], now=clock.now())
    assert (the_alert().state, the_alert().closing_reason) == ("closed", "restart")
    assert list(check_ledger()) == []


def test_a_restart_that_is_taken_back_opens_it_again(stopped: Patient, enter: Callable[..., None]) -> None:
    enter(stopped, "L1", ago(10), "100/50000")
    course = TkiCourse.objects.create(patient=stopped, drug="dasatinib", started_on=ago(3))
    classify_all()
    assert not Alert.objects.exists(), "a loss whose restart is on record is history, not news"
    course.delete()
    reclassify([stopped.pk], now=clock.now())
    assert the_alert().state == "open"


def test_what_a_person_has_closed_stays_closed_for_the_same_evidence(
    stopped: Patient, enter: Callable[..., None]
) -> None:
    enter(stopped, "L1", ago(10), "100/50000")
    classify_all()
    person = get_user_model().objects.get(username="ada")
    act(the_alert(), by=person, action=ActionTaken.OTHER, note="moved away", now=clock.now())
    reclassify([stopped.pk], now=clock.now())
    assert the_alert().state == "closed"
    assert list(check_ledger()) == []


def test_evidence_that_becomes_more_certain_comes_back(stopped: Patient, enter: Callable[..., None]) -> None:
    enter(stopped, "L1", ago(20), "10/5000")
    classify_all()
    assert the_alert().certainty == "provisional"
    Alert.objects.update(state="closed", closed_at=clock.now(), closing_reason="acted")
    enter(stopped, "L2", ago(5), "2500/50000")
    classify_all()
    assert (the_alert().state, the_alert().certainty, the_alert().evidence_key) == ("open", "confirmed", "LAB/L1/v1")


def test_older_losses_are_handed_over_together(centre: Centre, enter: Callable[..., None]) -> None:
    for number in range(3):
        patient = Patient.objects.create(centre=centre, patient_id=f"OLD{number}")
        TkiCourse.objects.create(
            patient=patient, drug="imatinib", started_on=ago(2000), stopped_on=ago(400), stop_reason="tfr_attempt"
        )
        enter(patient, f"B{number}", ago(410), "nd/60000")
        enter(patient, f"L{number}", ago(300), "100/50000")
    classify_all()
    (top,) = Alert.objects.live().filter(hand_over__isnull=True)
    assert (top.kind, top.handed_over.count()) == ("hand_over", 3)  # type: ignore[attr-defined]
    for patient in Patient.objects.filter(patient_id__startswith="OLD"):
        TkiCourse.objects.create(patient=patient, drug="imatinib", started_on=ago(200))
    reclassify(list(Patient.objects.values_list("pk", flat=True)), now=clock.now())
    assert not Alert.objects.live().exists()


def test_a_stop_that_became_a_switch_leaves_no_episode(stopped: Patient) -> None:
    classify_all()
    assert TfrEpisode.objects.get().state == "off_treatment"
    TkiCourse.objects.create(patient=stopped, drug="nilotinib", started_on=ago(50))
    reclassify([stopped.pk], now=clock.now())
    assert TfrEpisode.objects.get().state == "void"
    assert list(check_ledger()) == []


def test_a_factor_registered_later_scores_what_had_none(stopped: Patient, enter: Callable[..., None]) -> None:
    enter(stopped, "L1", ago(10), "100/50000", conversion_factor=None)
    classify_all()
    assert set(Alert.objects.values_list("kind", "certainty")) == {
        ("factor_missing", "confirmed"), ("loss_of_mmr", "provisional"),
    }  # fmt: skip
    laboratory = Laboratory.objects.get()
    save_setting(ConversionFactor(laboratory=laboratory, factor=2, valid_from=ago(900)), by="adam")
    classify_all()
    assert Alert.objects.get(kind="factor_missing").state == "withdrawn"
    assert Alert.objects.get(kind="loss_of_mmr").certainty == "suspected"


def test_a_result_that_arrives_while_a_classification_runs_is_owed_its_own(stopped: Patient) -> None:
    classify_all()
    request = ClassificationRequest.objects.create(patient=stopped, bulk=False)
    reclassify([stopped.pk + 1000], now=clock.now())
    assert ClassificationRequest.objects.filter(pk=request.pk).exists()


def test_a_vanished_patient_is_a_normal_ending() -> None:
    assert reclassify([123456], now=clock.now()) == 0


def test_a_poisoned_patient_does_not_hold_up_the_others(
    stopped: Patient, centre: Centre, enter: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Patient.objects.create(centre=centre, patient_id="P9")
    enter(other, "X1", ago(10), "10/50000")
    real = replay.replay

    def poisoned(series: replay.Series, *rules: Any) -> replay.Replay:
        if series.patient_key == str(stopped.public_id):
            raise ArithmeticError("no rule foresaw this")
        return real(series, *rules)

    monkeypatch.setattr(classify, "replay", poisoned)
    now = clock.now()
    for _ in range(5):
        with pytest.raises(ClassificationFailed, match="1 patients"):
            classify_pending(now=now)
        assert classify_pending(now=now) == 0, "it is passed over for a while"
        now += dt.timedelta(hours=7)
    assert ResponseAssessment.objects.filter(result__patient=other).exists()
    waiting = ClassificationRequest.objects.get()
    assert waiting.attempts == 5
    assert "no rule foresaw this" in waiting.last_error
    monkeypatch.undo()
    assert classify_pending(now=now) == 1, "it is never given up"
    assert not ClassificationRequest.objects.exists()


def test_the_number_of_queries_does_not_grow_with_the_patients(
    centre: Centre, enter: Callable[..., None], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    patients = [Patient.objects.create(centre=centre, patient_id=f"Q{n}") for n in range(40)]
    for n, patient in enumerate(patients):
        TkiCourse.objects.create(
            patient=patient, drug="imatinib", started_on=ago(2000), stopped_on=ago(400), stop_reason="tfr_attempt"
        )
        for k in range(4):
            enter(patient, f"Q{n}-{k}", ago(410 - 100 * k), "100/50000" if k == 3 else "nd/60000")
    with django_assert_max_num_queries(45):
        assert reclassify([p.pk for p in patients], now=clock.now()) == 40


@pytest.mark.django_db(transaction=True)
def test_many_at_once_make_one_of_everything(stopped: Patient, enter: Callable[..., None]) -> None:
    enter(stopped, "L1", ago(10), "100/50000")

    def run() -> None:
        reclassify([stopped.pk], now=clock.now())
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Alert.objects.count() == 1
    assert ResponseAssessment.objects.count() == 2
    assert list(check_ledger()) == []


def test_the_self_audit_notices_each_kind_of_difference(stopped: Patient, enter: Callable[..., None]) -> None:
    enter(stopped, "L1", ago(10), "100/50000")
    classify_all()
    ResponseAssessment.objects.filter(result__accession_number="L1").update(response_class="MR4")
    ResponseEvent.objects.create(
        patient=stopped, kind="dmr_lost", subject_key="s", occurred_on=ago(1), rule_version="r"
    )
    TfrEpisode.objects.update(loss_on=None)
    Alert.objects.update(certainty="confirmed")
    words = " ".join(d.what for d in check_ledger())
    for part in ("replay says", "should not stand in the ledger", "differs from the replay", "is confirmed"):
        assert part in words
