"""The second person's page: lanes, what stands behind a result, verifying what is clear, sending back."""

import dataclasses
import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from monitoring import clock
from monitoring.models import Centre, Patient, PcrResult, ReviewNote, Role, TkiCourse
from monitoring.selectors.waiting import Look, in_lanes, waiting_results
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from tests.builders import report
from tests.conftest import reporting

pytestmark = pytest.mark.django_db


def ago(days: int) -> str:
    return (clock.now().date() - dt.timedelta(days=days)).isoformat()


@pytest.fixture(autouse=True)
def laboratory(centre: Centre) -> None:
    reporting("LAB", centre)


@pytest.fixture
def vera(member: Callable[..., User], centre: Centre) -> Client:
    client = Client()
    client.force_login(member("vera", centre, Role.VERIFIER))
    return client


def known(patient: Patient, ada: User) -> None:
    """A final result, so that the next is not the first."""
    record_result(
        report(f"OLD-{patient.pk}", ago(60), "nd/60000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now()
    )


def wait(
    patient: Patient, by: User, accession: str, tubes: str = "nd/60000", days: int = 5, **more: object
) -> PcrResult:
    shown = report(accession, ago(days), tubes, status="preliminary", **more)
    record_result(shown, patient=patient, by=by, reach=EVERYWHERE, now=clock.now())
    return PcrResult.objects.get(accession_number=accession, superseded_by__isnull=True)


def off_treatment(patient: Patient) -> None:
    TkiCourse.objects.create(
        patient=patient, drug="imatinib", started_on="2010-01-01", stopped_on=ago(90), stop_reason="tfr_attempt"
    )


def looks_of(patient: Patient, accession: str) -> tuple[Look, ...]:
    rows = list(waiting_results(Patient.objects.filter(pk=patient.pk)))
    return next(one.looks for one in in_lanes(rows) if one.result.accession_number == accession)


# --- the lanes ---------------------------------------------------------------------------------------------------


def test_a_plain_result_of_a_known_patient_is_clear(patient: Patient, ada: User) -> None:
    known(patient, ada)
    wait(patient, ada, "W1")
    assert looks_of(patient, "W1") == ()


def test_each_reason_to_look(patient: Patient, ada: User, centre: Centre) -> None:
    wait(patient, ada, "FIRST", days=80)
    assert looks_of(patient, "FIRST") == (Look.FIRST,)
    known(patient, ada)
    wait(patient, ada, "FACTOR", days=50, conversion_factor=Decimal("0.8"))
    assert looks_of(patient, "FACTOR") == (Look.FACTOR,)
    wait(patient, ada, "DOUBLE", days=50, conversion_factor=Decimal("0.8"))
    assert Look.QUESTION in looks_of(patient, "DOUBLE")
    lost = Patient.objects.create(centre=centre, patient_id="P9")
    known(lost, ada)
    off_treatment(lost)
    wait(lost, ada, "LOST", "100/50000")
    assert {Look.NO_MMR_OFF_TREATMENT, Look.ALERT} <= set(looks_of(lost, "LOST"))


def test_a_failed_tube_is_looked_at(vera: Client, patient: Patient, ada: User) -> None:
    known(patient, ada)
    shown = report("TUBE", ago(5), "nd/60000; nd/50000", status="preliminary")
    good, bad = shown.replicates
    shown = dataclasses.replace(shown, replicates=(good, dataclasses.replace(bad, run_valid=False)))
    record_result(shown, patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    assert looks_of(patient, "TUBE") == (Look.FAILED_TUBE,)


def test_the_page_says_what_stands_behind_a_result_and_what_verifying_does(
    vera: Client, patient: Patient, ada: User
) -> None:
    known(patient, ada)
    off_treatment(patient)
    wait(patient, ada, "LOST", "100/50000")
    text = " ".join(vera.get("/verify/").content.decode().split())
    assert "Needs a look" in text
    assert "no MMR off treatment" in text
    assert "100 / 50000" in text.replace("<b>", "")
    assert "MR4.5" in text, "the value before"
    assert f"Off treatment since {ago(90)}." in text
    assert "loss of MMR off treatment (suspected)" in text
    assert "<svg" in text
    assert "Verify all clear" not in text


# --- verifying what is clear -------------------------------------------------------------------------------------


def pressed(page: str) -> list[str]:
    return [part.split('"')[0] for part in page.split('name="clear" value="')[1:]]


def test_all_clear_verifies_what_was_read_and_never_what_needs_a_look(
    vera: Client, patient: Patient, ada: User, centre: Centre
) -> None:
    for n in range(3):
        other = Patient.objects.create(centre=centre, patient_id=f"C{n}")
        known(other, ada)
        wait(other, ada, f"CLEAR{n}")
    first = wait(patient, ada, "FIRST")
    page = vera.get("/verify/").content.decode()
    assert "Verify all clear (3)" in " ".join(page.split())
    chosen = pressed(page)
    assert len(chosen) == 3
    answer = vera.post(
        "/verify/clear/", {"clear": [*chosen, f"{first.public_id}:1", "x", f"{first.public_id}:y"]}, follow=True
    )
    text = " ".join(answer.content.decode().split())
    assert "3 results verified." in text
    assert "Not verified, because it needs a look by now: FIRST." in text
    assert set(PcrResult.objects.filter(status="final", version=2).values_list("accession_number", flat=True)) == {
        "CLEAR0", "CLEAR1", "CLEAR2",
    }  # fmt: skip
    again = vera.post("/verify/clear/", {"clear": chosen}, follow=True).content.decode()
    assert "3 results do not wait any more." in again
    assert PcrResult.objects.filter(version=3).count() == 0


def test_a_row_that_somebody_changed_meanwhile_says_who_and_is_not_verified(
    vera: Client, patient: Patient, ada: User
) -> None:
    known(patient, ada)
    result = wait(patient, ada, "W1")
    chosen = pressed(vera.get("/verify/").content.decode())
    wait(patient, ada, "W1", kit_lot="L2")
    text = vera.post("/verify/clear/", {"clear": chosen}, follow=True).content.decode()
    assert "W1 was changed by ada at" in text
    one = vera.post(f"/results/{result.public_id}/verify/", {"version": 1, "from_lanes": "yes"}, follow=True)
    assert "W1 was changed by ada at" in one.content.decode()
    assert not PcrResult.objects.filter(accession_number="W1", status="final").exists()


def test_what_somebody_entered_is_verified_by_another_and_the_page_says_so(vera: Client, patient: Patient) -> None:
    me = User.objects.get(username="vera")
    known(patient, me)
    wait(patient, me, "OWN")
    text = " ".join(vera.get("/verify/").content.decode().split())
    assert "a second person verifies: you have entered or changed this result yourself" in text
    assert "Verify all clear (0)" in text
    assert "none of these can be verified by you" in text
    assert pressed(text) == []


# --- sending back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "words"), [("sent_back", "sent back"), ("repeat", "repeat asked for")])
def test_a_result_that_is_sent_back_waits_apart_until_it_is_changed(
    vera: Client, patient: Patient, ada: User, kind: str, words: str
) -> None:
    known(patient, ada)
    result = wait(patient, ada, "W1")
    address = f"/results/{result.public_id}/review/"
    assert (
        "Say in a note what is to be done."
        in vera.post(address, {"version": 1, "kind": kind}, follow=True).content.decode()
    )
    assert not ReviewNote.objects.exists()
    vera.post(address, {"version": 1, "kind": kind, "note": "tube 2 looks swapped"})
    text = " ".join(vera.get("/verify/").content.decode().split())
    assert f"{words}: tube 2 looks swapped" in text
    assert "Verify all clear" not in text
    wait(patient, ada, "W1", kit_lot="L2")
    text = vera.get("/verify/").content.decode()
    assert "tube 2 looks swapped" not in text
    assert "Verify all clear" in text
    late = vera.post(address, {"version": 1, "kind": kind, "note": "again"}, follow=True).content.decode()
    assert "W1 was changed by ada at" in late
    assert ReviewNote.objects.count() == 1


def test_an_empty_page_says_when_the_last_was_verified(vera: Client, patient: Patient, ada: User) -> None:
    assert "Nothing to verify." in vera.get("/verify/").content.decode()
    known(patient, ada)
    wait(patient, ada, "W1")
    vera.post("/verify/clear/", {"clear": pressed(vera.get("/verify/").content.decode())})
    assert "The last was verified by vera" in " ".join(vera.get("/verify/").content.decode().split())


def test_the_queries_of_the_page_do_not_grow_with_what_waits(
    vera: Client, patient: Patient, ada: User, centre: Centre
) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert vera.get("/verify/").status_code == 200
        return len(queries)

    def more(numbers: range) -> None:
        for n in numbers:
            other = Patient.objects.create(centre=centre, patient_id=f"C{n}")
            known(other, ada)
            wait(other, ada, f"W{n}", "nd/60000; nd/50000")

    more(range(3))
    asked()
    few = asked()
    more(range(3, 30))
    assert asked() <= few
