"""Every door that gives figures or finds people tells the same: no single person elsewhere, no number in an address."""

import datetime as dt
import json
import logging
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from cohorts.services.definitions import define_cohort
from monitoring import clock
from monitoring.models import Centre, Patient, Role, TkiCourse
from monitoring.services.classification.classify import classify_pending
from monitoring.services.entry.identities import IdentityFacts
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.records import PatientFacts, record_patients
from monitoring.services.entry.results import record_result
from tests.builders import report
from tests.nights import recompute

Member = Callable[..., User]


@pytest.fixture
def anna(member: Member, centre: Centre) -> Client:
    client = Client()
    client.force_login(member("anna", centre, Role.ANALYST))
    return client


def member_of(centre: Centre, name: str, by: User, day: int) -> None:
    """Somebody who stopped in deep response and was seen some days later."""
    patient = Patient.objects.create(centre=centre, patient_id=name)
    TkiCourse.objects.create(
        patient=patient, drug="imatinib", started_on="2010-01-01", stopped_on="2020-01-01", stop_reason="tfr_attempt"
    )
    seen_on = (dt.date(2020, 6, 1) + dt.timedelta(days=day)).isoformat()
    for accession, on, tubes in (
        (f"a{name}", "2019-12-01", "nd/60000"),
        (f"b{name}", seen_on, "300/60000" if day % 2 else "nd/60000"),
    ):
        record_result(report(accession, on, tubes), patient=patient, by=by, reach=EVERYWHERE, now=clock.now())


def cohort_of(own: int, elsewhere: int, centre: Centre, by: User) -> None:
    other = Centre.objects.create(code="H2")
    for n in range(own + elsewhere):
        member_of(centre if n < own else other, f"=C{n}", by, n)
    classify_pending(now=clock.now())
    cohort, _ = define_cohort({"slug": "c", "title": "All"}, by="test")
    recompute(cohort)


DOORS = ("/", "/cohorts/c/", "/cohorts/c/figures.json", "/api/v1/cohorts/c/snapshot/")


@pytest.mark.parametrize(("own", "elsewhere"), [(0, 19), (6, 19)])
def test_a_few_people_elsewhere_are_told_at_landmarks_only(
    anna: Client, centre: Centre, ada: User, own: int, elsewhere: int
) -> None:
    cohort_of(own, elsewhere, centre, ada)
    for door in DOORS:
        text = anna.get(door).content.decode()
        words = "fewer than 20 members of centres in which you have no role"
        assert ('"few_elsewhere"' if text.startswith("{") else words) in text, door
        assert "curve-data" not in text, door
        assert "risk table" not in text.lower(), door
        assert "landmarks" in text or "Kaplan-Meier estimates" in text, door
        if not text.startswith("{"):
            continue
        figures = json.loads(text)
        assert figures["kaplan_meier"]["points"] == []
        assert figures["kaplan_meier"]["median_months"] is None
        assert figures["follow_up"]["median_months"] is None
        assert figures["table1"] is None
        assert figures["outcomes_after_loss"] is None


@pytest.mark.parametrize(("own", "elsewhere"), [(3, 0), (0, 20)])
def test_own_people_and_twenty_elsewhere_are_told_step_by_step(
    anna: Client, centre: Centre, ada: User, own: int, elsewhere: int
) -> None:
    cohort_of(own, elsewhere, centre, ada)
    assert anna.get(DOORS[3]).json()["kaplan_meier"]["points"]
    for door in DOORS[:2]:
        assert "curve-data" in anna.get(door).content.decode(), door


def test_four_people_elsewhere_are_not_told_at_all_at_any_door(anna: Client, centre: Centre, ada: User) -> None:
    cohort_of(0, 4, centre, ada)
    for door in DOORS:
        text = anna.get(door).content.decode()
        assert ('"few_members"' if text.startswith("{") else "fewer than 5 members") in text, door
        for word in ("landmarks", "Kaplan-Meier estimates", "curve-data", "losses of MMR"):
            assert word not in text, (door, word)


def test_member_rows_hold_no_formula(anna: Client, centre: Centre, ada: User) -> None:
    cohort_of(2, 0, centre, ada)
    rows = anna.get("/cohorts/c/members.csv").content.decode().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["'=C0", "'=C1"]


# --- finding people -------------------------------------------------------------------------------------------------


def test_a_hospital_number_is_found_by_post_only_and_stands_in_no_address_or_log(
    member: Member, centre: Centre, ada: User, caplog: pytest.LogCaptureFixture
) -> None:
    record_patients(
        [PatientFacts("H1", "Q1", {}, IdentityFacts(hospital_number="HN-7351"))],
        by=ada,
        reach=EVERYWHERE,
        now=clock.now(),
    )
    grace, anna = Client(), Client()
    grace.force_login(member("grace", centre, Role.CLINICIAN))
    anna.force_login(member("anna", centre, Role.ANALYST))
    caplog.set_level(logging.DEBUG)
    answer = grace.post("/patients/", {"q": "HN-7351"})
    assert answer.status_code == 200
    assert ">Q1<" in answer.content.decode()
    assert "q=HN" not in answer.content.decode()
    assert ">Q1<" not in grace.get("/patients/?q=HN-7351").content.decode()
    assert ">Q1<" not in anna.post("/patients/", {"q": "HN-7351"}).content.decode()
    grace.get("/nowhere/?q=HN-7351")
    told = [str(record.__dict__) for record in caplog.records if not record.name.startswith("django.db")]
    assert told
    assert not [line for line in told if "7351" in line]


def test_the_beginning_of_a_pseudonym_leads_to_an_address_that_can_be_kept(member: Member, patient: Patient) -> None:
    grace = Client()
    grace.force_login(member("grace", patient.centre, Role.CLINICIAN))
    answer = grace.post("/patients/", {"q": " p ", "state": "alert"})
    assert answer["Location"] == "/patients/?q=p&state=alert"
    assert grace.post("/patients/", {"q": "", "state": "off_treatment"})["Location"] == "/patients/?state=off_treatment"
    assert ">P1<" in grace.get("/patients/?q=p").content.decode()


def test_a_form_that_finds_people_posts(member: Member, centre: Centre) -> None:
    grace = Client()
    grace.force_login(member("grace", centre, Role.CLINICIAN))
    assert '<form method="post" action="/patients/" class="searching"' in grace.get("/patients/").content.decode()
