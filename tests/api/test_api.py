"""The REST API: every verb, conflict, precondition, repeated request, filter and boundary of centres."""

import datetime as dt
import json
import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client

from monitoring import clock
from monitoring.api.problems import answer
from monitoring.api.result_shapes import AmendIn, ResultIn
from monitoring.intake.columns import RESULT_COLUMNS
from monitoring.models import Alert, Centre, Laboratory, Membership, Patient, PcrResult, Role, TkiCourse
from monitoring.services.alerts.escalation import acknowledge
from monitoring.services.classification.classify import classify_pending, reclassify
from monitoring.services.settings.tokens import create_token
from tests.conftest import reporting

pytestmark = pytest.mark.django_db


class Api:
    """A program with a token."""

    def __init__(self, user: User) -> None:
        self.client = Client(headers={"Authorization": f"Token {create_token(user)}"})

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/v1/{path}", query)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.generic(
            method, f"/api/v1/{path}", json.dumps(body) if body is not None else "", "application/json", headers=given
        )

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("POST", path, body, **headers)


@pytest.fixture(autouse=True)
def laboratory(centre: Centre) -> Laboratory:
    """A laboratory in which nobody verifies: what is sent is final. The other kind: test_finality.py."""
    return reporting("LAB", centre, verification_required=False)


@pytest.fixture
def technician(member: Callable[..., User], patient: Patient) -> Api:
    return Api(member("ada_t", patient.centre, Role.TECHNICIAN))


@pytest.fixture
def verifier(member: Callable[..., User], patient: Patient) -> Api:
    return Api(member("vera_t", patient.centre, Role.VERIFIER))


@pytest.fixture
def clinician(member: Callable[..., User], patient: Patient) -> Api:
    return Api(member("grace_t", patient.centre))


@pytest.fixture
def stranger(member: Callable[..., User]) -> Api:
    return Api(member("mallory_t", Centre.objects.create(code="H2"), Role.VERIFIER))


def body(**more: Any) -> dict[str, Any]:
    return {
        "laboratory": "LAB",
        "accession_number": "A1",
        "patient_id": "P1",
        "collected_on": "2025-03-10",
        "conversion_factor": 1,
        "replicates": [{"bcr_abl1_copies": 60, "control_gene_copies": 52000}, {"bcr_abl1_copies": 44,
        "control_gene_copies": 48000}],
        **more,
    }  # fmt: skip


def off_treatment(patient: Patient) -> None:
    TkiCourse.objects.create(
        patient=patient,
        drug="imatinib",
        started_on="2010-01-01",
        stopped_on=clock.now().date() - dt.timedelta(days=90),
        stop_reason="tfr_attempt",
    )


def recent(days: int = 5) -> str:
    return (clock.now().date() - dt.timedelta(days=days)).isoformat()


# --- results ----------------------------------------------------------------------------------------------------


def test_a_result_is_stored_repeated_and_contradicted(technician: Api) -> None:
    first = technician.post("results/", body())
    assert first.status_code == 201
    said = first.json()
    assert (said["version"], said["classification"], said["assessment"]) == (1, "pending", None)
    assert first.headers["ETag"] == '"1"'
    again = technician.post("results/", body())
    assert (again.status_code, again.json()["id"]) == (200, said["id"])
    other = technician.post("results/", body(collected_on="2025-03-11"))
    assert other.status_code == 409
    assert other.headers["Content-Type"] == "application/problem+json"
    assert other.json()["id"] == said["id"]
    assert other.json()["errors"][0]["field"] == "collected_on"
    classify_pending(now=clock.now())
    done = technician.get(f"results/{said['id']}/").json()
    assert done["classification"] == "done"
    assert done["assessment"]["response_class"] == "NO_MMR"
    assert done["assessment"]["is_percent"] == 0.104


def test_null_copies_are_not_detected_and_numbers_keep_their_digits(technician: Api) -> None:
    tubes = [
        {"bcr_abl1_copies": None, "control_gene_copies": 18000},
        {"bcr_abl1_copies": "nd", "control_gene_copies": "17000"},
    ]
    assert technician.post("results/", body(replicates=tubes)).status_code == 201
    classify_pending(now=clock.now())
    result = PcrResult.objects.get()
    assert [t.bcr_abl1_copies for t in result.replicates.all()] == [None, None]
    assert result.assessments.get().response_class == "MR4_5"
    raw = (
        '{"laboratory":"LAB","accession_number":"A2","patient_id":"P1","collected_on":"2025-04",'
        '"is_percent":0.100000000000000001}'
    )
    answer = technician.client.generic("POST", "/api/v1/results/", raw, "application/json")
    assert answer.status_code == 201
    assert str(PcrResult.objects.get(accession_number="A2").is_percent) == "0.100000000000000001"
    assert answer.json()["collected_on"] == "2025-04"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"laboratory": ""}, "laboratory"),
        ({"collected_on": "10.03.2025"}, "collected_on"),
        ({"collected_on": "2199-01-01"}, "collected_on"),
        ({"patient_id": "nobody"}, "patient_id"),
        ({"replicates": []}, "replicates"),
        ({"replicates": [1]}, "replicates"),
        ({"replicates": [{"bcr_abl1_copies": -1, "control_gene_copies": 5}]}, "bcr_abl1_copies"),
        ({"replicates": [{"bcr_abl1_copies": 0, "control_gene_copies": 5}]}, "bcr_abl1_copies"),
        ({"colected_on": "2025-01-01"}, "colected_on"),
        ({"accession_number": "A\x00B"}, "accession_number"),
        ({"kit_lot": "\ud800"}, "kit_lot"),
        ({"laboratory": ["LAB"]}, "laboratory"),
        ({"conversion_factor": True}, "conversion_factor"),
        ({"bcr_abl1_copies": 5}, "bcr_abl1_copies"),
    ],
)
def test_bad_input_names_the_field_and_stores_nothing(technician: Api, change: dict[str, Any], field: str) -> None:
    answer = technician.post("results/", body(**change))
    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["field"] == field
    assert answer.json()["errors"][0]["reason"]
    assert not PcrResult.objects.exists()


@pytest.mark.parametrize(
    ("raw", "status"),
    [("{", 400), ("[]", 400), ("NaN", 400), ('{"a": NaN}', 400), ("[" * 100_000, 400), ('"\xff"', 400),
     ('{"accession_number": "' + "x" * 1_100_000 + '"}', 413)],
)  # fmt: skip
def test_bodies_that_are_no_object_are_refused(technician: Api, raw: str, status: int) -> None:
    answer = technician.client.generic("POST", "/api/v1/results/", raw.encode("latin-1"), "application/json")
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_amend_verify_and_retract_need_the_version_that_was_read(technician: Api, verifier: Api) -> None:
    made = technician.post("results/", body(status="preliminary")).json()
    path = f"results/{made['id']}/"
    assert verifier.post(path + "verify/").status_code == 428
    assert technician.post(path + "verify/", If_Match='"1"').status_code == 403
    assert verifier.post(path + "verify/", If_Match='"2"').status_code == 412
    verified = verifier.post(path + "verify/", If_Match='"1"')
    assert (verified.status_code, verified.json()["status"], verified.json()["version"]) == (200, "final", 2)
    assert verifier.post(path + "verify/", If_Match='"2"').status_code == 409
    assert technician.post(path + "amend/", {"is_percent": 0.2}, If_Match='"2"').status_code == 400, "a reason"
    amended = technician.post(
        path + "amend/", {"replicates": [{"bcr_abl1_copies": 6, "control_gene_copies": 60000}],
        "reason": "tube mixed up"},
        If_Match='"2"',
    )  # fmt: skip
    assert (amended.json()["status"], amended.json()["version"]) == ("corrected", 3)
    assert amended.json()["collected_on"] == "2025-03-10", "what is left out stays"
    emptied = technician.post(path + "amend/", {"conversion_factor": None, "reason": "not ours"}, If_Match='"3"')
    assert emptied.json()["conversion_factor"] is None
    gone = verifier.post(path + "retract/", {"reason": "another person's blood"}, If_Match='"4"')
    assert (gone.json()["status"], gone.json()["version"]) == ("entered_in_error", 5)
    assert PcrResult.objects.count() == 5


def test_who_entered_a_result_does_not_verify_it(member: Callable[..., User], patient: Patient) -> None:
    both = member("both", patient.centre, Role.TECHNICIAN)
    Membership.objects.create(user=both, centre=patient.centre, role=Role.VERIFIER, valid_from="2020-01-01")
    api = Api(both)
    made = api.post("results/", body(status="preliminary")).json()
    answer = api.post(f"results/{made['id']}/verify/", If_Match='"1"')
    assert answer.status_code == 409
    assert "second person" in answer.json()["detail"]


def test_a_result_moves_to_another_patient_by_amendment(technician: Api, patient: Patient) -> None:
    other = Patient.objects.create(centre=patient.centre, patient_id="P2")
    made = technician.post("results/", body()).json()
    moved = technician.post(
        f"results/{made['id']}/amend/", {"patient_id": "P2", "reason": "wrong label"}, If_Match='"1"'
    )
    assert moved.json()["patient"] == str(other.public_id)
    classify_pending(now=clock.now())
    assert patient.results.get().assessments.filter(superseded_at__isnull=True).count() == 0


# --- repeated requests ------------------------------------------------------------------------------------------


def test_a_repeated_request_with_its_key_has_one_effect_and_the_same_answer(technician: Api) -> None:
    first = technician.post("results/", body(), Idempotency_Key="k1")
    again = technician.post("results/", body(), Idempotency_Key="k1")
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["ETag"] == first.headers["ETag"]
    assert technician.post("results/", body(accession_number="A2"), Idempotency_Key="k1").status_code == 422
    assert PcrResult.objects.count() == 1
    assert technician.post("results/", body(accession_number="A3"), Idempotency_Key="").status_code == 400


def test_a_refused_request_may_come_again_under_its_key(technician: Api, patient: Patient) -> None:
    wrong = body(patient_id="P9")
    assert technician.post("results/", wrong, Idempotency_Key="k2").status_code == 400
    Patient.objects.create(centre=patient.centre, patient_id="P9")
    assert technician.post("results/", wrong, Idempotency_Key="k2").status_code == 201


# --- patients, courses, observations ----------------------------------------------------------------------------


def test_patients_are_recorded_completed_and_changed(technician: Api) -> None:
    made = technician.post("patients/", {"patient_id": "N1", "centre": "H1", "birth_year": 2005})
    assert made.status_code == 201
    assert (made.json()["birth_date"], made.json()["birth_year"]) == (None, 2005)
    completed = technician.post("patients/", {"patient_id": "N1", "centre": "H1", "sex": "F"})
    assert (completed.status_code, completed.json()["sex"]) == (200, "F")
    assert technician.post("patients/", {"patient_id": "N1", "centre": "H1", "sex": "M"}).status_code == 409
    path, tag = f"patients/{made.json()['id']}/", completed.headers["ETag"]
    assert technician.send("PATCH", path, {"sex": "M"}, If_Match=tag).json()["errors"][0]["field"] == "reason"
    changed = technician.send(
        "PATCH", path, {"sex": "M", "transcript": "e14a2", "reason": "typing error"}, If_Match=tag
    )
    assert (changed.json()["sex"], changed.json()["transcript"]) == ("M", "e14a2")
    assert technician.send("PATCH", path, {"sex": "F", "reason": "x"}, If_Match=tag).status_code == 412
    assert technician.send("PATCH", path, {"sex": "F", "reason": "x"}).status_code == 428
    assert technician.post("patients/", {"patient_id": "N2", "centre": "H77"}).json()["errors"][0]["field"] == "centre"


def test_a_stop_is_recorded_changed_and_taken_back(clinician: Api, patient: Patient) -> None:
    made = clinician.post("treatments/", {"patient_id": "P1", "drug": "imatinib", "started_on": "2015-01-01"})
    assert made.status_code == 201
    path = f"treatments/{made.json()['id']}/"
    stopped = clinician.send(
        "PATCH", path, {"stopped_on": "2020-02-29", "stop_reason": "tfr_attempt"}, If_Match=made.headers["ETag"]
    )
    assert stopped.json()["stopped_on"] == "2020-02-29"
    classify_pending(now=clock.now())
    assert clinician.get("episodes/").json()["results"][0]["stopped_on"] == "2020-02-29"
    early = clinician.send("PATCH", path, {"stopped_on": "2014-01-01", "reason": "x"}, If_Match=stopped.headers["ETag"])
    assert early.json()["errors"][0]["field"] == "stopped_on"
    back = clinician.send(
        "PATCH",
        path,
        {"stopped_on": None, "stop_reason": None, "reason": "never stopped"},
        If_Match=stopped.headers["ETag"],
    )
    assert back.json()["stopped_on"] is None
    classify_pending(now=clock.now())
    assert clinician.get("episodes/").json()["count"] == 0


def test_observations_are_recorded_and_changed(clinician: Api, patient: Patient) -> None:
    made = clinician.post(
        "observations/", {"patient_id": "P1", "kind": "withdrawal_syndrome", "observed_on": "2020-03", "grade": 2}
    )
    assert (made.status_code, made.json()["observed_on"]) == (201, "2020-03")
    changed = clinician.send(
        "PATCH", f"observations/{made.json()['id']}/", {"grade": 3, "reason": "worse"}, If_Match=made.headers["ETag"]
    )
    assert changed.json()["grade"] == 3
    assert (
        clinician.post("observations/", {"patient_id": "P1", "kind": "flu", "observed_on": "2020"}).status_code == 400
    )


# --- alerts -----------------------------------------------------------------------------------------------------


@pytest.fixture
def alert(technician: Api, clinician: Api, patient: Patient) -> Alert:
    off_treatment(patient)
    assert technician.post("results/", body(collected_on=recent())).status_code == 201
    classify_pending(now=clock.now())
    return Alert.objects.get()


def test_an_alert_is_read_acknowledged_and_answered(clinician: Api, technician: Api, alert: Alert) -> None:
    path = f"alerts/{alert.public_id}/"
    shown = clinician.get(path)
    assert (shown.json()["kind"], shown.json()["certainty"], shown.json()["is_percent"]) == (
        "loss_of_mmr",
        "suspected",
        0.104,
    )
    assert Alert.objects.get().state == "open", "reading acknowledges nothing"
    tag = shown.headers["ETag"]
    assert technician.post(path + "acknowledge/", {}, If_Match=tag).status_code == 403
    assert clinician.post(path + "acknowledge/", {}).status_code == 428
    seen = clinician.post(path + "acknowledge/", {"note": "called"}, If_Match=tag)
    assert (seen.json()["state"], seen.json()["acknowledged_by"]) == ("acknowledged", "grace_t")
    assert clinician.post(path + "acknowledge/", {}, If_Match=tag).status_code == 412, "the double click"
    tag = seen.headers["ETag"]
    assert clinician.post(path + "act/", {"action": "repeat"}, If_Match=tag).status_code == 409, "a day is needed"
    answer = clinician.post(
        path + "act/", {"action": "restart", "drug": "dasatinib", "started_on": recent(0)}, If_Match=tag
    )
    assert answer.json()["state"] == "closed"
    assert clinician.get("treatments/", drug="dasatinib").json()["count"] == 1


def test_a_withdrawn_alert_does_not_come_back_on_the_same_evidence(
    clinician: Api, alert: Alert, patient: Patient
) -> None:
    tag = clinician.get(f"alerts/{alert.public_id}/").headers["ETag"]
    gone = clinician.post(f"alerts/{alert.public_id}/withdraw/", {"reason": "sample of another study"}, If_Match=tag)
    assert gone.json()["state"] == "withdrawn"
    reclassify([patient.pk], now=clock.now())
    assert not Alert.objects.live().exists()


def test_a_rise_above_one_and_ten_percent_is_told_again(
    clinician: Api, technician: Api, alert: Alert, patient: Patient
) -> None:
    acknowledge(alert, by=User.objects.get(username="grace_t"), note="", now=clock.now())
    for accession, percent, level in (("B1", "0.9", 0), ("B2", "1.5", 1), ("B3", "12", 10)):
        technician.post(
            "results/",
            body(
                accession_number=accession,
                collected_on=recent(3 - len(accession) + 1),
                replicates=None,
                is_percent=percent,
            ),
        )
        before = Alert.objects.get().round
        classify_pending(now=clock.now())
        alert = Alert.objects.get()
        assert alert.level_percent == level
        # 0.9 confirms the loss (a new certainty); 1.5 and 12 pass a line each.
        assert alert.round == before + 1
        assert alert.state == "open"
    assert clinician.get(f"alerts/{alert.public_id}/").json()["highest_percent"] == 12


# --- lists ------------------------------------------------------------------------------------------------------


def test_lists_are_pages_with_filters_and_flat_queries(
    technician: Api, patient: Patient, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    for n in range(12):
        technician.post("results/", body(accession_number=f"N{n}", collected_on=f"2024-{n + 1:02}-05"))
    classify_pending(now=clock.now())
    with django_assert_max_num_queries(10):
        small = technician.get("results/", page_size=2).json()
    with django_assert_max_num_queries(10):
        large = technician.get("results/", page_size=200).json()
    assert (small["count"], len(small["results"]), len(large["results"])) == (12, 2, 12)
    assert small["previous"] is None
    assert "page=2" in small["next"]
    found = technician.get("results/", collected_from="2024-11-01", ordering="collected_on").json()["results"]
    assert [r["collected_on"] for r in found] == ["2024-11-05", "2024-12-05"]
    assert technician.get("results/", response_class="MR4").json()["count"] == 0
    assert technician.get("results/", patient_id="P1", laboratory="LAB").json()["count"] == 12
    for wrong in (
        {"colected_from": "2024"},
        {"collected_from": "x"},
        {"ordering": "secret"},
        {"ordering": ","},
        {"ordering": "collected_on,"},
        {"ordering": "-"},
        {"patient": "7"},
        {"patient_id": "a\x00"},
        {"recorded_from": "0001-01-01T00:00:00+14:00"},
    ):
        answer = technician.get("results/", **wrong)
        assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json"), wrong
    assert technician.get("results/", page=99).status_code == 404


@pytest.mark.parametrize("path", ["patients", "treatments", "observations", "episodes", "alerts", "cohorts"])
def test_every_list_has_one_shape(clinician: Api, path: str) -> None:
    assert set(clinician.get(f"{path}/").json()) == {"count", "next", "previous", "results"}


# --- who may ----------------------------------------------------------------------------------------------------


def test_nobody_gets_in_without_a_valid_token(client: Client, technician: Api, ada: User) -> None:
    assert client.get("/api/v1/results/").status_code == 401
    assert client.get("/api/v1/results/", headers={"Authorization": "Token wrong"}).status_code == 401
    assert Api(ada).get("results/").status_code == 403, "an account without a role"
    ada.is_active = False
    ada.save()
    assert Api(ada).get("results/").status_code == 401
    user = User.objects.get(username="ada_t")
    user.api_tokens.update(revoked_at=clock.now())
    assert technician.get("results/").status_code == 401


def test_a_session_needs_its_csrf_token(technician: Api) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(username="ada_t"))
    assert client.get("/api/v1/results/").status_code == 200
    answer = client.post("/api/v1/results/", json.dumps(body()), "application/json")
    assert (answer.status_code, answer.headers["Content-Type"]) == (403, "application/problem+json")


def test_another_centres_objects_are_not_found_and_not_counted(
    technician: Api, stranger: Api, alert: Alert, patient: Patient
) -> None:
    result = PcrResult.objects.get()
    course = TkiCourse.objects.get()
    episode = patient.episodes.get()
    for path in ("patients", "treatments", "results", "episodes", "alerts"):
        assert technician.get(f"{path}/").json()["count"] == 1
        assert stranger.get(f"{path}/").json()["count"] == 0
        assert stranger.get(f"{path}/", patient_id="P1").json()["count"] == 0
    for address in (f"patients/{patient.public_id}/", f"results/{result.public_id}/", f"treatments/{course.public_id}/",
                    f"episodes/{episode.public_id}/", f"alerts/{alert.public_id}/"):  # fmt: skip
        assert stranger.get(address).status_code == 404
    for verb in ("verify", "amend", "retract"):
        assert stranger.post(f"results/{result.public_id}/{verb}/", {"reason": "x"}, If_Match="*").status_code == 404
    assert stranger.send("PATCH", f"patients/{patient.public_id}/", {"sex": "F"}, If_Match="*").status_code == 404
    assert stranger.post("results/", body(accession_number="Z9")).status_code == 400
    Patient.objects.create(centre=Centre.objects.get(code="H2"), patient_id="P1")
    reporting("LAB", Centre.objects.get(code="H2"))
    taken = stranger.post("results/", body())
    assert (taken.status_code, "id" in taken.json()) == (400, False)
    assert [e["field"] for e in taken.json()["errors"]] == ["accession_number"]


def test_an_analyst_reads_and_never_writes(member: Callable[..., User], patient: Patient) -> None:
    analyst = Api(member("anna_t", patient.centre, Role.ANALYST))
    assert analyst.get("results/").status_code == 200
    for path in ("results/", "patients/", "treatments/", "observations/"):
        assert analyst.post(path, body()).status_code == 403


def test_ids_that_are_none_and_addresses_that_are_none_are_problems(technician: Api, client: Client) -> None:
    for path in ("results/7/", "alerts/x/", "cohorts/none/", "cohorts/none/snapshot/", "nowhere/"):
        answer = technician.get(path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json"), path
    assert technician.send("DELETE", "results/").status_code == 405
    assert technician.client.post("/api/v1/results/", "a=b", "application/x-www-form-urlencoded").status_code == 415


# --- the file ---------------------------------------------------------------------------------------------------


def test_the_documented_fields_are_the_columns_of_the_file() -> None:
    assert set(ResultIn().fields) == {*RESULT_COLUMNS, "replicates"}
    assert set(AmendIn().fields) <= {*RESULT_COLUMNS, "replicates"}


def test_answers_have_the_documented_fields(technician: Api, clinician: Api, alert: Alert) -> None:
    schema = json.loads(technician.client.get("/api/schema/").content)
    shapes = schema["components"]["schemas"]
    for path, name in (("results", "ResultOut"), ("patients", "PatientOut"), ("treatments", "TreatmentOut"),
                       ("episodes", "EpisodeOut"), ("alerts", "AlertOut")):  # fmt: skip
        (row,) = clinician.get(f"{path}/").json()["results"]
        assert set(row) == set(shapes[name]["properties"]), path
    assert set(clinician.get("results/").json()["results"][0]["assessment"]) == set(
        shapes["AssessmentOut"]["properties"]
    )


def test_the_documentation_page_is_ours_and_needs_a_role(technician: Api, client: Client) -> None:
    assert client.get("/api/docs/").status_code == 302
    page = technician.client
    page.force_login(User.objects.get(username="ada_t"))
    text = page.get("/api/docs/").content.decode()
    assert not re.search(r"https?://", text)
    assert "<script>" not in text


def test_a_zero_of_a_laboratory_that_means_not_detected_is_understood(technician: Api) -> None:
    Laboratory.objects.update(zero_means_not_detected=True)
    tubes = [{"bcr_abl1_copies": 0, "control_gene_copies": 40000}]
    assert technician.post("results/", body(replicates=tubes)).status_code == 201


def test_offsets_that_no_database_knows_are_brought_to_utc(technician: Api) -> None:
    assert technician.get("results/", recorded_from="2024-01-01T00:00:00+23:59").status_code == 200
    assert technician.get("alerts/", opened_to="2024-01-01T00:00:00-23:59").status_code == 200


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (psycopg.errors.DeadlockDetected(), "Another change was made at the same moment"),
        (psycopg.OperationalError(), "The database does not answer"),
    ],
)
def test_a_change_that_the_database_could_not_make_says_why(cause: psycopg.Error, words: str) -> None:
    problem = OperationalError("the statement failed")
    problem.__cause__ = cause
    found = answer(problem, {})
    assert found is not None
    assert found.status_code == 503
    assert words in found.data["detail"]
    assert "nothing" in found.data["detail"]
