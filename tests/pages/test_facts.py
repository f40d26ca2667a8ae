"""Patients, drugs and observations entered on pages: what is foreseen, stored, refused, and by whom."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from psycopg.errors import UniqueViolation

from monitoring import clock
from monitoring.models import (
    Centre,
    ClassificationRequest,
    Membership,
    MonitoringPlan,
    Observation,
    Patient,
    Role,
    TfrEpisode,
    TkiCourse,
)
from monitoring.services.classification.classify import classify_pending
from monitoring.services.entry.foreseen_facts import foresee_facts
from monitoring.services.entry.verdicts import RowOutcome, Verdict

pytestmark = pytest.mark.django_db
PREVIEW = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def grace(client: Client, centre: Centre, member: Callable[..., User]) -> Client:
    client.force_login(member("grace", centre))
    return client


@pytest.fixture
def patient(centre: Centre) -> Patient:
    return Patient.objects.create(centre=centre, patient_id="N1", recorded_at=clock.now())


def registered(centre: Centre, **more: str) -> dict[str, str]:
    return {"centre": centre.code, "patient_id": "N7", "sex": "F", "birth_date": "2001-05-04",
            "diagnosed_on": "2012-02-29", **more}  # fmt: skip


def test_a_patient_is_registered_and_opened(grace: Client, centre: Centre) -> None:
    answer = grace.post(reverse("new-patient"), registered(centre, hospital_number="4711", family_name="Roe"))
    stored = Patient.objects.get(patient_id="N7")
    assert answer["Location"] == reverse("patient", args=[stored.public_id])
    assert (stored.diagnosed_on, stored.sex) == (dt.date(2012, 2, 29), "F")
    assert "Roe" in grace.get(answer["Location"]).content.decode()


def test_who_is_likely_known_is_said_while_typing_and_nothing_is_stored(grace: Client, centre: Centre) -> None:
    grace.post(reverse("new-patient"), registered(centre))
    twin = registered(centre, patient_id="N8")
    answer = grace.post(reverse("new-patient"), twin, **PREVIEW)
    assert "N8 has the sex, birth and diagnosis of N7" in answer.content.decode()
    assert not Patient.objects.filter(patient_id="N8").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"patient_id": ""}, "Patient (pseudonym)"),
        ({"birth_date": "31/02/2001"}, "31/02/2001"),
        ({"diagnosed_on": "2999-01-01"}, "Diagnosed on"),
        ({"patient_id": "N1"}, "is known in this centre"),
        ({"centre": "ELSEWHERE"}, "Centre"),
    ],
)
def test_a_patient_is_refused_beside_the_field(
    grace: Client, centre: Centre, patient: Patient, given: dict[str, str], words: str
) -> None:
    answer = grace.post(reverse("new-patient"), registered(centre) | given)
    assert answer.status_code == 400
    page = answer.content.decode()
    assert 'id="problems"' in page
    assert words in page
    assert Patient.objects.count() == 1


def test_of_a_stop_the_episode_and_the_next_sample_are_foreseen_and_then_come_true(
    grace: Client, patient: Patient
) -> None:
    address = reverse("new-course", args=[patient.public_id])
    started = {"drug": "imatinib", "started_on": "2015-01-01"}
    assert grace.post(address, started).status_code == 302
    course = TkiCourse.objects.get()
    page = grace.get(f"{address}?course={course.pk}").content.decode()
    assert 'value="2015-01-01"' in page
    stopped_on = clock.now().date() - dt.timedelta(days=10)
    stop = {**started, "stopped_on": stopped_on.isoformat(), "stop_reason": "tfr_attempt"}
    words = grace.post(address, stop, **PREVIEW).content.decode()
    assert f"An episode off treatment begins on {stopped_on}" in words
    assert "Next sample: due" in words
    course.refresh_from_db()
    assert course.stopped_on is None, "foreseen is not stored"
    assert grace.post(address, stop).status_code == 302
    while classify_pending(now=clock.now()):
        pass
    assert TfrEpisode.objects.get().stopped_on == stopped_on
    assert f"due {MonitoringPlan.objects.get().due_on}" in words


def test_what_contradicts_is_refused_until_a_reason_is_given(grace: Client, patient: Patient) -> None:
    address = reverse("new-course", args=[patient.public_id])
    course = {"drug": "imatinib", "started_on": "2015-01-01", "stopped_on": "2020-03-01"}
    grace.post(address, {**course, "stop_reason": "tfr_attempt"})
    answer = grace.post(address, {**course, "stop_reason": "intolerance"})
    assert answer.status_code == 400
    assert TkiCourse.objects.get().stop_reason == "tfr_attempt"
    answer = grace.post(address, {**course, "stop_reason": "intolerance", "reason": "read again"})
    assert answer.status_code == 302
    assert TkiCourse.objects.get().stop_reason == "intolerance"


@pytest.mark.parametrize("name", ["new-patient", "new-course", "new-observation"])
def test_an_empty_form_is_answered_with_what_is_missing(grace: Client, patient: Patient, name: str) -> None:
    answer = grace.post(reverse(name, args=[] if name == "new-patient" else [patient.public_id]))
    assert answer.status_code == 400
    assert 'id="problems"' in answer.content.decode()


def test_sent_twice_it_is_stored_once_and_said(grace: Client, patient: Patient) -> None:
    address = reverse("new-observation", args=[patient.public_id])
    seen = {"kind": "withdrawal_syndrome", "observed_on": "2024-02-29", "grade": "2"}
    grace.post(address, seen)
    answer = grace.post(address, seen, follow=True)
    assert "nothing changed" in answer.content.decode()
    assert (Observation.objects.get().observed_on, Observation.objects.get().grade) == (dt.date(2024, 2, 29), 2)


def test_a_preview_asks_nobody_to_classify(grace: Client, patient: Patient) -> None:
    address = reverse("new-observation", args=[patient.public_id])
    grace.post(address, {"kind": "pregnancy", "observed_on": "2024-02-29"}, **PREVIEW)
    assert not Observation.objects.exists()
    assert not ClassificationRequest.objects.exists()


def test_whoever_reads_a_centre_and_records_in_another_writes_only_there(
    client: Client, centre: Centre, patient: Patient, member: Callable[..., User]
) -> None:
    elsewhere = Centre.objects.create(code="ELSE")
    anna = member("anna", centre, Role.ANALYST)
    Membership.objects.create(user=anna, centre=elsewhere, role=Role.CLINICIAN, valid_from=clock.now().date())
    client.force_login(anna)
    address = reverse("new-course", args=[patient.public_id])
    assert client.post(address, {"drug": "imatinib", "started_on": "2015-01-01"}).status_code == 403
    answer = client.post(reverse("new-patient"), registered(centre))
    assert answer.status_code == 400
    assert not Patient.objects.filter(patient_id="N7").exists()
    assert "record the stop" not in client.get(reverse("patient", args=[patient.public_id])).content.decode()


# --- find --------------------------------------------------------------------------------------------------------


def test_any_part_of_a_pseudonym_is_found_and_the_only_hit_is_opened(grace: Client, centre: Centre) -> None:
    wanted = Patient.objects.create(centre=centre, patient_id="CN-0022-X", recorded_at=clock.now())
    answer = grace.post(reverse("find"), {"q": "22-x"})
    assert answer["Location"] == reverse("patient", args=[wanted.public_id])
    words = grace.post(reverse("find"), {"q": "0022"}, HTTP_X_FRAGMENT="1").content.decode()
    assert "CN-0022-X" in words
    assert "<html" not in words


def test_nobody_finds_what_another_centre_has(grace: Client) -> None:
    other = Centre.objects.create(code="OTHER")
    Patient.objects.create(centre=other, patient_id="SECRET1", recorded_at=clock.now())
    assert "SECRET1" not in grace.post(reverse("find"), {"q": "SECRET"}).content.decode()


def test_a_hospital_number_is_found_by_who_may_name_and_by_nobody_else(
    grace: Client, centre: Centre, member: Callable[..., User]
) -> None:
    grace.post(reverse("new-patient"), registered(centre, hospital_number="HN 4711"))
    assert grace.post(reverse("find"), {"q": "HN 4711"}).status_code == 302
    grace.force_login(member("anna", centre, Role.ANALYST))
    assert "Nothing of your centres" in grace.post(reverse("find"), {"q": "HN 4711"}).content.decode()


def test_finding_asks_the_same_number_of_questions_whatever_is_stored(grace: Client, centre: Centre) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            grace.post(reverse("find"), {"q": "Q"}, HTTP_X_FRAGMENT="1")
        return len(queries)

    Patient.objects.create(centre=centre, patient_id="Q0", recorded_at=clock.now())
    few = asked()
    for n in range(1, 12):
        Patient.objects.create(centre=centre, patient_id=f"Q{n}", recorded_at=clock.now())
    assert asked() == few
    assert "There are more" in grace.post(reverse("find"), {"q": "Q"}, HTTP_X_FRAGMENT="1").content.decode()


@pytest.mark.parametrize("typed", ["", "\x00", "%", "_", "'; drop table x; --", "a" * 500, "搜索"])
def test_whatever_is_typed_is_answered(grace: Client, typed: str) -> None:
    assert grace.post(reverse("find"), {"q": typed}).status_code in (200, 302)


def test_the_menu_says_where_one_is(grace: Client, patient: Patient) -> None:
    page = grace.get(reverse("patient", args=[patient.public_id])).content.decode()
    assert page.count('aria-current="true"') == 1
    assert grace.get(reverse("patients")).content.decode().count('aria-current="page"') == 1
    assert "Operations" not in page, "a clinician is shown no door that stays closed"


def test_a_preview_that_meets_what_is_recorded_at_this_moment_is_asked_again(patient: Patient) -> None:
    """The form is saved while its last preview is still on its way: both insert the same key."""
    fact = {"patient": patient, "kind": "pregnancy", "observed_on": "2020-01-01"}
    asked: list[int] = []

    def record() -> Verdict:
        asked.append(1)
        if len(asked) == 1:
            lost = IntegrityError("somebody else was quicker")
            lost.__cause__ = UniqueViolation()
            raise lost
        Observation.objects.create(**fact)
        return Verdict(RowOutcome.CREATED)

    foreseen = foresee_facts(patient, record, today=clock.now().date())
    assert (len(asked), foreseen.verdict.action) == (2, RowOutcome.CREATED)
    assert not Observation.objects.exists()


# --- what is known of a patient -----------------------------------------------------------------------------------

PARTS = {"risk_score": "elts", "spleen_cm": "10", "platelets_e9_per_l": "400", "blasts_percent": "2"}


def known(**more: str) -> dict[str, str]:
    return {"sex": "F", "birth_date": "1962-02-28", "diagnosed_on": "2012-02-29", **more}


def test_a_risk_score_is_computed_from_its_parts_while_they_are_typed(grace: Client, patient: Patient) -> None:
    path = reverse("patient-record", args=[patient.public_id])
    said = grace.post(path, known(**PARTS), **PREVIEW).content.decode()
    assert "ELTS 1.7868" in said
    assert "intermediate" in said
    patient.refresh_from_db()
    assert patient.risk_group == ""
    assert grace.post(path, known(**PARTS)).status_code == 302
    patient.refresh_from_db()
    assert (patient.risk_score, patient.risk_group, patient.spleen_cm) == ("elts", "intermediate", 10)
    page = grace.get(path).content.decode()
    assert 'value="400"' in page
    assert "ELTS intermediate" in grace.get(reverse("patient", args=[patient.public_id])).content.decode()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"risk_score": ""}, "say which score is computed"),
        ({"blasts_percent": ""}, "a score is computed from all of its parts"),
        ({"birth_date": "1962"}, "the day is needed to compute a score"),
        ({"birth_date": ""}, "the day is needed to compute a score"),
        ({"risk_group": "low"}, "contradicts the parts, which give intermediate (1.7868)"),
        ({"platelets_e9_per_l": "0"}, "Platelets"), ({"spleen_cm": "100"}, "Spleen"),
        ({"blasts_percent": "many"}, "Blasts"),
    ],
)  # fmt: skip
def test_parts_that_give_no_score_are_refused_beside_their_field(
    grace: Client, patient: Patient, given: dict[str, str], words: str
) -> None:
    path = reverse("patient-record", args=[patient.public_id])
    for more in (PREVIEW, {}):
        assert words in grace.post(path, known(**{**PARTS, **given}), **more).content.decode()
    patient.refresh_from_db()
    assert (patient.risk_score, patient.spleen_cm) == ("", None)


def test_a_transcript_is_changed_for_a_reason_and_its_consequence_is_said(grace: Client, patient: Patient) -> None:
    path = reverse("patient-record", args=[patient.public_id])
    assert grace.post(path, known(transcript="e14a2")).status_code == 302
    refused = grace.post(path, known(transcript="e1a2"))
    assert refused.status_code == 400
    assert "e14a2" in refused.content.decode()
    assert (
        "No alert changes."
        in grace.post(path, known(transcript="e1a2", reason="typed wrong"), **PREVIEW).content.decode()
    )
    assert grace.post(path, known(transcript="e1a2", reason="typed wrong")).status_code == 302
    patient.refresh_from_db()
    assert patient.transcript == "e1a2"
    assert ClassificationRequest.objects.filter(patient=patient).exists()
