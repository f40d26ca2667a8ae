"""Amending and retracting on pages: old and new side by side, and every consequence before anything is stored."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from cohorts.services.definitions import define_cohort
from monitoring import clock
from monitoring.models import Alert, Centre, Patient, PcrResult, ResponseAssessment, Role, TkiCourse
from monitoring.services.classification.classify import classify_pending
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from tests.builders import report
from tests.conftest import reporting

pytestmark = pytest.mark.django_db
PREVIEW = {"HX-Request": "true"}
TUBES = {"bcr_abl1_copies_1": "100", "control_gene_copies_1": "50000"}


def stop(patient: Patient) -> None:
    TkiCourse.objects.create(
        patient=patient, drug="imatinib", started_on="2010-01-01", stopped_on=recent(90), stop_reason="tfr_attempt"
    )


def recent(days: int) -> str:
    return (clock.now().date() - dt.timedelta(days=days)).isoformat()


def lost(patient: Patient, by: User) -> PcrResult:
    """A patient of the cohort "all" off treatment, whose second result lost MMR; that result."""
    define_cohort({"slug": "all", "title": "All who stopped"}, by="test")
    stop(patient)
    for accession, days, tube in (("B0", 600, "nd/60000"), ("B1", 91, "nd/60000"), ("E1", 5, "100/50000")):
        record_result(report(accession, recent(days), tube), patient=patient, by=by, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    return PcrResult.objects.get(accession_number="E1")


def cells(**more: str) -> dict[str, str]:
    return {
        "patient_id": "P1", "laboratory": "LAB", "accession_number": "E1", "collected_on": recent(5), "specimen": "PB",
        "control_gene": "ABL1", "conversion_factor": "1", "version": "1", "reason": "", **TUBES, **more,
    }  # fmt: skip


@pytest.fixture
def vera(member: Callable[..., User], patient: Patient, centre: Centre) -> Client:
    reporting("LAB", centre)
    client = Client()
    client.force_login(member("vera", patient.centre, Role.VERIFIER))
    return client


def test_an_amendment_says_old_and_new_and_all_that_follows(vera: Client, patient: Patient, ada: User) -> None:
    result = lost(patient, ada)
    path = f"/results/{result.public_id}/amend/"
    assert "Nothing is changed yet." in vera.post(path, cells(), headers=PREVIEW).content.decode()
    said = vera.post(path, cells(bcr_abl1_copies_1="1"), headers=PREVIEW).content.decode()
    said = " ".join(said.split())
    for words in (
        "100 / 50000", "1 / 50000", "no MMR · 0.2 % IS → <strong>MR4 · 0.006 % IS", "The episode off treatment since",
        "So far:", "Next sample: due", "Recording this ends an alert: loss of MMR off treatment", "All who stopped",
    ):  # fmt: skip
        assert words in said, words
    assert said.count("<tr>") == 4, "one field and one cohort, each under its head"
    assert PcrResult.objects.count() == 3
    assert ResponseAssessment.objects.filter(superseded_at__isnull=False).count() == 0
    assert Alert.objects.get(kind="loss_of_mmr").state == "open"


def test_a_result_given_to_another_patient_changes_both(
    vera: Client, patient: Patient, ada: User, centre: Centre
) -> None:
    result = lost(patient, ada)
    other = Patient.objects.create(centre=centre, patient_id="P2")
    stop(other)
    said = vera.post(f"/results/{result.public_id}/amend/", cells(patient_id="P2"), headers=PREVIEW).content.decode()
    assert "Recording this ends an alert: loss of MMR" in said
    assert "Recording this opens an alert: loss of MMR" in said
    assert said.index("<h2>P1</h2>") < said.index("<h2>P2</h2>")


def test_a_retraction_is_a_page_that_says_what_it_does(vera: Client, patient: Patient, ada: User) -> None:
    result = lost(patient, ada)
    path = f"/results/{result.public_id}/retract/"
    page = vera.get(path).content.decode()
    for words in ("100 / 50000", "counts for nothing", "Recording this ends an alert: loss of MMR", "All who stopped"):
        assert words in page, words
    assert PcrResult.objects.filter(version=2).count() == 0
    assert vera.post(path, {"version": 1, "reason": ""}).status_code == 400
    assert vera.post(path, {"version": 1, "reason": "another person's blood"}).status_code == 302
    assert vera.post(path, {"version": 1, "reason": "another person's blood"}).status_code == 302, "a double click"
    assert PcrResult.objects.filter(version=2).count() == 1
    assert "Nothing was changed." in vera.get(f"/results/{result.public_id}/").content.decode()


def test_somebody_else_was_quicker(vera: Client, patient: Patient, ada: User) -> None:
    result = lost(patient, ada)
    change = cells(bcr_abl1_copies_1="1", reason="pipetted twice")
    assert vera.post(f"/results/{result.public_id}/amend/", change).status_code == 302
    late = vera.post(f"/results/{result.public_id}/amend/", {**change, "bcr_abl1_copies_1": "2"}, headers=PREVIEW)
    assert "version 2 stands by now" in late.content.decode()
    for address in ("amend", "retract"):
        answer = vera.post(f"/results/{result.public_id}/{address}/", {**change, "bcr_abl1_copies_1": "2"})
        assert answer.status_code == 409, address
        assert "version 2 stands by now" in answer.content.decode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"collected_on": "2999-01-01"}, "2999"), ({"accession_number": "E2"}, "the name of a result stays"),
        ({"patient_id": "nobody"}, "is not known"), ({"bcr_abl1_copies_1": "0"}, "not detected is not zero"),
    ],
)  # fmt: skip
def test_what_saving_refuses_the_preview_refuses(
    vera: Client, patient: Patient, ada: User, change: dict[str, str], words: str
) -> None:
    path = f"/results/{lost(patient, ada).public_id}/amend/"
    assert words in vera.post(path, cells(**change), headers=PREVIEW).content.decode()
    saved = vera.post(path, cells(reason="r", **change))
    assert saved.status_code == 400
    assert words in saved.content.decode()


def test_the_questions_to_the_database_do_not_grow_with_the_series(vera: Client, patient: Patient, ada: User) -> None:
    path = f"/results/{lost(patient, ada).public_id}/amend/"

    def asked() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert vera.post(path, cells(bcr_abl1_copies_1="1"), headers=PREVIEW).status_code == 200
        return len(seen)

    vera.post(path, cells(), headers=PREVIEW)
    few = asked()
    for n in range(20):
        record_result(
            report(f"M{n}", recent(88 - n), "nd/60000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now()
        )
    classify_pending(now=clock.now())
    assert asked() == few
