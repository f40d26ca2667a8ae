"""Writing by a business key: every door x every role, in the own centre and against another's keys.

The other centre's results, patients, courses and observations stand under keys that the caller names. Whatever is
answered says nothing of them, and nothing of the other centre changes: rows, classes, alerts, messages.
"""

import contextlib
import datetime as dt
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from monitoring import clock
from monitoring.intake.uploads import load_upload, take_upload, verdict_rows
from monitoring.models import (
    Alert,
    AlertDelivery,
    Centre,
    Laboratory,
    LaboratoryCentre,
    Observation,
    Patient,
    PcrResult,
    ResponseAssessment,
    ResponseEvent,
    Role,
    TfrEpisode,
    TkiCourse,
)
from monitoring.services.classification.classify import classify_pending
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from tests.builders import report
from tests.conftest import reporting

pytestmark = pytest.mark.django_db
T, V, C, A, D = Role.TECHNICIAN, Role.VERIFIER, Role.CLINICIAN, Role.ANALYST, Role.ADMINISTRATOR
OF_A_CENTRE = (
    Patient,
    TkiCourse,
    Observation,
    PcrResult,
    ResponseAssessment,
    ResponseEvent,
    TfrEpisode,
    Alert,
    AlertDelivery,
    Centre,
    Laboratory,
    LaboratoryCentre,
)


def days_ago(days: int) -> str:
    return (clock.now().date() - dt.timedelta(days=days)).isoformat()


@pytest.fixture
def two(ada: User) -> tuple[Patient, Patient]:
    """A patient with an open loss in each of two centres, which share a laboratory."""
    found = []
    for code in ("ONE", "TWO"):
        centre = Centre.objects.create(code=code)
        patient = Patient.objects.create(centre=centre, patient_id="P1", sex="F", born_on=dt.date(1990, 5, 5))
        TkiCourse.objects.create(patient=patient, drug="imatinib", started_on="2015-01-01",
                                 stopped_on=days_ago(90), stop_reason="tfr_attempt")  # fmt: skip
        Observation.objects.create(patient=patient, kind="last_contact", observed_on=days_ago(2), detail="by phone")
        for accession, days, tubes in ((f"{code}-1", 100, "nd/60000"), (f"{code}-2", 9, "100/50000")):
            one = report(accession, days_ago(days), tubes, centre=code, kit_lot="K77")
            record_result(one, patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
        reporting(f"{code}-ONLY", centre)
        found.append(patient)
    classify_pending(now=clock.now())
    assert Alert.objects.filter(kind="loss_of_mmr").count() == 2
    return found[0], found[1]


def of_two(two: tuple[Patient, Patient]) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that stands of the other centre."""
    found = {}
    for model in OF_A_CENTRE:
        rows = model._default_manager.order_by("pk")
        if model in (PcrResult, TkiCourse, Observation, TfrEpisode, ResponseEvent, Alert):
            rows = rows.filter(patient=two[1])
        elif model is ResponseAssessment:
            rows = rows.filter(result__patient=two[1])
        elif model is AlertDelivery:
            rows = rows.filter(alert__patient=two[1])
        elif model is Patient:
            rows = rows.filter(pk=two[1].pk)
        found[model.__name__] = list(rows.values_list())
    return found


# What says the caller has learnt of the other centre's row.
BETRAYALS = ("100", "K77", "1990-05-05", "by phone", "imatinib/", "is stored", "born", "TWO-ONLY")


def own_result(days: int = 8, **more: Any) -> dict[str, Any]:
    """A result of the caller's own patient under a key of the other centre."""
    return {
        "laboratory": "LAB",
        "accession_number": "TWO-2",
        "patient_id": "P1",
        "centre": "ONE",
        "collected_on": days_ago(days),
        "conversion_factor": 1,
        "replicates": [{"bcr_abl1_copies": None, "control_gene_copies": 70001}],
        **more,
    }


TAKING: dict[str, dict[str, Any]] = {
    "take it": {},
    "correct it": {"status": "corrected", "reason": "mixed up"},
    "retract it": {"status": "entered_in_error", "reason": "mixed up"},
    "its very content": {"days": 9, "replicates": [{"bcr_abl1_copies": 100, "control_gene_copies": 50000}]},
    "its patient": {"centre": "TWO"},
    "its patient, retracted": {"centre": "TWO", "status": "entered_in_error", "reason": "x"},
    "a number of its laboratory": {"laboratory": "TWO-ONLY", "accession_number": "NEW-1"},
    "a laboratory that nobody knows": {"laboratory": "NOBODY", "accession_number": "NEW-1"},
    "a later version of it": {"version": 2, "status": "corrected", "reason": "x"},
}  # fmt: skip


def as_file(body: dict[str, Any]) -> bytes:
    """The same as a file of one row."""
    tube = body["replicates"][0]
    cells = {name: str(value) for name, value in body.items() if name != "replicates"}
    cells |= {"bcr_abl1_copies": "nd" if tube["bcr_abl1_copies"] is None else str(tube["bcr_abl1_copies"])}
    cells["control_gene_copies"] = str(tube["control_gene_copies"])
    return (",".join(cells) + "\n" + ",".join(cells.values()) + "\n").encode()


def as_form(body: dict[str, Any]) -> dict[str, str]:
    """The same as the entry page's form."""
    tube = body["replicates"][0]
    cells = {
        name: str(value) for name, value in body.items() if name not in ("replicates", "status", "reason", "version")
    }
    return cells | {"bcr_abl1_copies_1": "u" if tube["bcr_abl1_copies"] is None else str(tube["bcr_abl1_copies"]),
                    "control_gene_copies_1": str(tube["control_gene_copies"])}  # fmt: skip


def post(client: Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(path, json.dumps(body), "application/json")


def doors(client: Client, user: User, body: dict[str, Any]) -> dict[str, str]:
    """What each door of results answers: status and text."""
    answers = {}
    api = post(client, "/api/v1/results/", body)
    answers["api"] = f"{api.status_code} {api.content.decode()}"
    for name, path in (("page", "/bench/single/"), ("preview", "/bench/preview/")):
        page = client.post(path, as_form(body), headers={"HX-Request": "true"})
        text = page.content.decode() if page.status_code != 302 else "stored"
        for typed in as_form(body).values():  # the form shows what was typed
            text = text.replace(f'value="{typed}"', "")
        answers[name] = f"{page.status_code} {text}"
    for dry_run in (True, False):
        for reason in ("", "a reason"):
            run = take_upload("results", "f.csv", as_file(body), by=user, dry_run=dry_run, amend_reason=reason)
            assert load_upload(run.pk)
            run.refresh_from_db()
            rows = verdict_rows(run)
            answers[f"file {dry_run} {reason}"] = "; ".join(f"{r['verdict']} {r['column']} {r['reason']}" for r in rows)
    return answers


@pytest.mark.parametrize("role", [T, V, D, C, A])
@pytest.mark.parametrize("way", TAKING)
def test_nobody_reaches_a_result_of_another_centre_by_its_key(
    two: tuple[Patient, Patient], member: Callable[..., User], role: Role, way: str
) -> None:
    user = member("mallory", two[0].centre, role)
    client = Client()
    client.force_login(user)
    before = of_two(two)
    for door, said in doors(client, user, own_result(**TAKING[way])).items():
        assert ("created" not in said and "amended" not in said and not said.startswith(("200", "201", "302")))\
            or door == "preview" or role not in (T, V, D), (door, said)  # fmt: skip
        for betrayal in BETRAYALS:
            if betrayal not in str(TAKING[way].values()) and door not in ("page", "preview"):
                assert betrayal not in said, (door, betrayal, said)
        if door == "preview" and role in (T, V) and "laboratory" not in way and "version" not in way:
            neutral = ("cannot be used here", "is not known among", "is not one of the available choices")
            assert any(words in said for words in neutral), (door, said)
    classify_pending(now=clock.now())
    assert of_two(two) == before


@pytest.mark.parametrize("way", [w for w in TAKING if w not in ("its patient", "its patient, retracted")])
def test_the_same_words_are_said_at_every_door(
    two: tuple[Patient, Patient], member: Callable[..., User], way: str
) -> None:
    user = member("mallory", two[0].centre, T)
    client = Client()
    client.force_login(user)
    about_laboratory = "laboratory" in way
    words = "no laboratory of this name" if about_laboratory else "cannot be used here"
    for door, said in doors(client, user, own_result(**TAKING[way])).items():
        assert words in said, (door, said)


def test_there_is_no_difference_between_a_foreign_number_and_one_that_nobody_has(
    two: tuple[Patient, Patient], member: Callable[..., User]
) -> None:
    client = Client()
    client.force_login(member("mallory", two[0].centre, T))
    foreign = post(client, "/api/v1/results/", own_result(status="entered_in_error", reason="x"))
    nobody = post(
        client, "/api/v1/results/", own_result(accession_number="NONE-2", status="entered_in_error", reason="x")
    )
    assert foreign.json()["errors"][0]["reason"] == nobody.json()["errors"][0]["reason"]
    labs = [
        post(client, "/api/v1/results/", own_result(laboratory=code, accession_number="Q1")).json()["errors"][0][
            "reason"
        ]
        for code in ("TWO-ONLY", "NOWHERE")
    ]
    for said in labs:
        words, _, names = said.partition("those of your centres are ")
        assert words == "no laboratory of this name reports for the patient's centre; "
        assert set(names.split(", ")) <= {"LAB", "ONE-ONLY"}


RECORDED: dict[str, dict[str, str]] = {
    "patients": {"patient_id": "P1", "centre": "TWO", "sex": "M", "reason": "x"},
    "treatments": {"patient_id": "P1", "centre": "TWO", "drug": "imatinib", "started_on": "2015-01-01",
     "stopped_on": "2016-01-01",
                   "reason": "x"},
    "observations": {"patient_id": "P1", "centre": "TWO", "kind": "death", "observed_on": "2024-01-01", "reason": "x"},
}  # fmt: skip


@pytest.mark.parametrize("role", [T, V, C, D])
@pytest.mark.parametrize("kind", RECORDED)
def test_nobody_reaches_a_row_of_another_centre_by_its_key(
    two: tuple[Patient, Patient], member: Callable[..., User], role: Role, kind: str
) -> None:
    user = member("mallory", two[0].centre, role)
    client = Client()
    client.force_login(user)
    before, body = of_two(two), RECORDED[kind]
    answer = post(client, f"/api/v1/{kind}/", body)
    assert answer.status_code == 400
    nobody = post(client, f"/api/v1/{kind}/", {**body, "centre": "NOWHERE"})
    assert answer.json()["errors"][0]["reason"] == nobody.json()["errors"][0]["reason"]
    cells = {name: value for name, value in body.items() if name != "reason"}
    content = (",".join(cells) + "\n" + ",".join(cells.values()) + "\n").encode()
    for dry_run in (True, False):
        run = take_upload(kind, "f.csv", content, by=user, dry_run=dry_run, amend_reason="x")
        assert load_upload(run.pk)
        run.refresh_from_db()
        assert [row["verdict"] for row in verdict_rows(run)] == ["refused"]
    classify_pending(now=clock.now())
    assert of_two(two) == before


def test_a_result_is_not_given_to_a_patient_of_a_centre_that_its_laboratory_does_not_report_for(
    two: tuple[Patient, Patient], member: Callable[..., User], ada: User
) -> None:
    user = member("vera", two[0].centre, V)
    third = Centre.objects.create(code="THREE")
    Patient.objects.create(centre=third, patient_id="P3")
    user.memberships.create(centre=third, role=V, valid_from="2020-01-01")
    client = Client()
    client.force_login(user)
    result = PcrResult.objects.get(accession_number="ONE-2")
    for patient_id, centre in (("P1", "TWO"), ("P3", "THREE")):
        change = {"patient_id": patient_id, "centre": centre, "reason": "mixed up"}
        answer = client.post(
            f"/api/v1/results/{result.public_id}/amend/", json.dumps(change), "application/json",
            headers={"If-Match": '"1"'}
        )  # fmt: skip
        assert answer.status_code == 400, answer.content
    assert not PcrResult.objects.filter(version=2).exists()


# --- what only the operator makes ---------------------------------------------------------------------------------


def load(tmp_path: Path, kind: str, text: str, **options: Any) -> str:
    path, said = tmp_path / f"{kind}.csv", io.StringIO()
    path.write_text(text, encoding="utf-8")
    with contextlib.suppress(SystemExit):
        call_command(f"import_{kind}", str(path), stderr=said, **options)
    return said.getvalue()


def test_a_command_makes_a_laboratory_says_so_and_lets_it_report_for_the_centres_of_its_results(
    tmp_path: Path, patient: Patient
) -> None:
    rows = "laboratory,accession_number,patient_id,collected_on,conversion_factor,bcr_abl1_copies,control_gene_copies\n"
    said = load(tmp_path, "results", rows + "NEW,A1,P1,2024-01-01,1,nd,60000\n")  # plain
    assert "new: laboratory NEW" in said
    said = load(tmp_path, "results", rows + 'NEW,A2,P1,2024-02-01,1,"10,5",60000\nN2,A2,P1,2024-02-01,1,"10,5",60000\n')
    assert "new: laboratory N2" in said
    pairs = set(LaboratoryCentre.objects.values_list("laboratory__code", "centre__code"))
    assert pairs == {("NEW", "H1"), ("N2", "H1")}


@pytest.mark.parametrize("twin", ["new", "ＮＥＷ", "Ν\u0395W", "N EW"])
@pytest.mark.parametrize("copies", ["10", '"10,5"'], ids=["plain", "judged"])
def test_a_laboratory_that_looks_like_another_is_told_apart_in_words(
    tmp_path: Path, patient: Patient, twin: str, copies: str
) -> None:
    Laboratory.objects.create(code="NEW")
    rows = "laboratory,accession_number,patient_id,collected_on,conversion_factor,bcr_abl1_copies,control_gene_copies\n"
    said = load(tmp_path, "results", rows + f"{twin},A1,P1,2024-01-01,1,{copies},60000\n")
    assert "looks like NEW" in said
    assert not PcrResult.objects.exists()
    assert Laboratory.objects.count() == 1


def test_two_new_laboratories_of_one_file_that_look_alike_are_not_both_made(tmp_path: Path, patient: Patient) -> None:
    rows = "laboratory,accession_number,patient_id,collected_on,conversion_factor,bcr_abl1_copies,control_gene_copies\n"
    said = load(tmp_path, "results", rows + "LabA,A1,P1,2024-01-01,1,10,60000\nLABA,A2,P1,2024-01-02,1,10,60000\n")
    assert "looks like LABA" in said
    assert list(Laboratory.objects.values_list("code", flat=True)) == ["LABA"]


@pytest.mark.parametrize("twin", ["p1", "Ｐ1", "Р1", "P 1"])
def test_a_patient_id_that_looks_like_another_of_the_centre_is_refused_at_every_door(
    tmp_path: Path, patient: Patient, member: Callable[..., User], twin: str
) -> None:
    user = member("grace", patient.centre)
    client = Client()
    client.force_login(user)
    answer = post(client, "/api/v1/patients/", {"patient_id": twin, "centre": "H1"})
    assert answer.status_code == 400
    assert "looks like P1" in answer.json()["errors"][0]["reason"]
    assert "looks like P1" in load(tmp_path, "patients", f"patient_id,centre\n{twin},H1\n")
    course = post(client, "/api/v1/treatments/", {"patient_id": twin, "drug": "imatinib", "started_on": "2020-01-01"})
    assert "looks like P1" in course.json()["errors"][0]["reason"]
    assert Patient.objects.count() == 1
    other = Centre.objects.create(code="H2")
    assert "1 created" in load(tmp_path, "patients", f"patient_id,centre\n{twin},{other.code}\n"), (
        "elsewhere it is free"
    )


def test_two_ids_of_one_file_that_look_alike_are_not_both_made(tmp_path: Path, centre: Centre) -> None:
    said = load(tmp_path, "patients", "patient_id,centre\nQ1,H1\nq1,H1\n")
    assert "looks like Q1" in said
    assert Patient.objects.get().patient_id == "Q1"


def test_a_centre_that_looks_like_another_is_not_made(tmp_path: Path, centre: Centre) -> None:
    assert "looks like H1" in load(tmp_path, "patients", "patient_id,centre\nQ1,h1\n")
    assert Centre.objects.count() == 1
