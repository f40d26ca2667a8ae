"""Who verifies: what a person enters or changes waits for a second person, whichever door it comes through."""

import datetime as dt
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from monitoring import clock
from monitoring.intake.uploads import load_upload, take_upload
from monitoring.models import Alert, Centre, Laboratory, Membership, Patient, PcrResult, Role, TkiCourse
from monitoring.services.classification.classify import classify_pending
from monitoring.services.classification.ledger import check_ledger
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from monitoring.services.settings.tokens import create_token
from tests.builders import report
from tests.conftest import reporting

pytestmark = pytest.mark.django_db


def days_ago(days: int) -> str:
    return (clock.now().date() - dt.timedelta(days=days)).isoformat()


@pytest.fixture(autouse=True)
def laboratory(centre: Centre) -> Laboratory:
    return reporting("LAB", centre)


@pytest.fixture
def ada_t(member: Callable[..., User], patient: Patient) -> Client:
    return signed_in(member("ada_t", patient.centre, Role.TECHNICIAN))


@pytest.fixture
def vera(member: Callable[..., User], patient: Patient) -> Client:
    return signed_in(member("vera", patient.centre, Role.VERIFIER))


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def body(**more: Any) -> dict[str, Any]:
    return {"laboratory": "LAB", "accession_number": "A1", "patient_id": "P1", "collected_on": days_ago(5),
     "conversion_factor": 1,
            "replicates": [{"bcr_abl1_copies": 60, "control_gene_copies": 52000}], **more}  # fmt: skip


def post(client: Client, path: str, said: Any = None, **headers: str) -> Any:
    return client.post(f"/api/v1/{path}", json.dumps(said or {}), "application/json", headers=headers)


def file_of(client_user: str, *, status: str = "", accession: str = "A1", copies: str = "60", reason: str = "") -> None:
    text = (
        "laboratory,accession_number,patient_id,collected_on,conversion_factor,bcr_abl1_copies,"
        "control_gene_copies,status,reason\n"
    )
    text += f"LAB,{accession},P1,{days_ago(5)},1,{copies},52000,{status},{reason}\n"
    by = User.objects.get(username=client_user)
    run = take_upload("results", "f.csv", text.encode(), by=by, dry_run=False, amend_reason=reason)
    assert load_upload(run.pk)


def standing() -> PcrResult:
    return PcrResult.objects.get(superseded_by__isnull=True)


def amend(client: Client, **change: Any) -> Any:
    result = standing()
    return post(client, f"results/{result.public_id}/amend/", change, **{"If-Match": f'"{result.version}"'})


def verify(client: Client) -> Any:
    result = standing()
    return post(client, f"results/{result.public_id}/verify/", **{"If-Match": f'"{result.version}"'})


ENTERED = {
    "page": lambda ada: ada.post("/bench/single/", {"laboratory": "LAB", "accession_number": "A1", "patient_id": "P1",
     "centre": "H1",
                                             "collected_on": days_ago(5), "conversion_factor": "1",
                                             "bcr_abl1_copies_1": "60",
                                             "control_gene_copies_1": "52000"}),
    "api": lambda ada: post(ada, "results/", body()),
    "api, final": lambda ada: post(ada, "results/", body(status="final")),
    "api, corrected": lambda ada: post(ada, "results/", body(status="corrected", reason="x")),
    "file": lambda ada: file_of("ada_t"),
    "file, final": lambda ada: file_of("ada_t", status="final"),
}  # fmt: skip
FINALISED = {
    "api": lambda ada: post(ada, "results/", body(status="final")),
    "api, corrected": lambda ada: post(ada, "results/", body(status="corrected", reason="x")),
    "api, other content": lambda ada: post(ada, "results/", body(status="corrected", reason="x",
    collected_on=days_ago(6))),
    "api, filled": lambda ada: post(ada, "results/", body(status="final", is_percent=0.115)),
    "file": lambda ada: file_of("ada_t", status="final"),
    "file, corrected": lambda ada: file_of("ada_t", status="corrected", reason="x", copies="61"),
    "file, with a reason": lambda ada: file_of("ada_t", copies="62", reason="read again"),
    "amend": lambda ada: amend(ada, conversion_factor=1.1, reason="x"),
    "amend what was withdrawn": lambda ada: (
        post(ada, f"results/{standing().public_id}/retract/", {"reason": "x"},
        **{"If-Match": f'"{standing().version}"'}),
        amend(ada, conversion_factor=1.1, reason="x"),
    ),
    "verify": verify,
}  # fmt: skip


@pytest.mark.parametrize("finalised", FINALISED)
@pytest.mark.parametrize("entered", ENTERED)
def test_who_entered_a_result_cannot_make_it_final_by_any_door(
    ada_t: Client, vera: Client, entered: str, finalised: str
) -> None:
    Membership.objects.create(user=User.objects.get(username="ada_t"), centre=Centre.objects.get(), role=Role.VERIFIER,
                              valid_from="2020-01-01")  # fmt: skip
    ENTERED[entered](ada_t)
    assert standing().status == "preliminary"
    FINALISED[finalised](ada_t)
    assert standing().status in ("preliminary", "entered_in_error")
    if standing().status == "preliminary":
        assert verify(ada_t).status_code == 409
        assert verify(vera).status_code == 200
        assert standing().status == "final"


@pytest.mark.parametrize("door", ["api, other content", "file, corrected", "file, with a reason", "amend"])
def test_a_change_of_a_final_result_waits_for_somebody_who_has_neither_entered_nor_changed_it(
    ada_t: Client, vera: Client, door: str, member: Callable[..., User], patient: Patient
) -> None:
    ENTERED["page"](ada_t)
    assert verify(vera).status_code == 200
    FINALISED[door](ada_t)
    assert standing().status == "preliminary"
    assert verify(vera).status_code == 200, "to have verified it before is not to have entered it"
    assert (standing().status, bool(standing().reason)) == ("corrected", True)
    amend(vera, conversion_factor=1.2, reason="again")
    assert standing().status == "preliminary"
    assert verify(vera).status_code == 409
    assert verify(signed_in(member("third", patient.centre, Role.VERIFIER))).status_code == 200


def test_a_descriptive_cell_may_be_filled_without_taking_the_result_back(ada_t: Client, vera: Client) -> None:
    ENTERED["page"](ada_t)
    verify(vera)
    assert post(ada_t, "results/", body(status="final", kit_lot="K9", received_on=days_ago(4))).status_code == 200
    assert (standing().status, standing().kit_lot, standing().version) == ("final", "K9", 3)


def test_the_same_final_report_of_a_person_again_changes_nothing_and_says_why(ada_t: Client) -> None:
    post(ada_t, "results/", body(status="final"))
    again = post(ada_t, "results/", body(status="final"))
    assert (again.status_code, again.json()["status"], again.json()["version"]) == (200, "preliminary", 1)


def test_files_of_a_laboratory_that_vouches_for_them_are_final_but_not_what_their_giver_entered(ada_t: Client) -> None:
    Laboratory.objects.update(files_are_final=True)
    file_of("ada_t", accession="B1")
    assert standing().status == "final"
    ENTERED["page"](ada_t)
    file_of("ada_t", status="final")
    assert PcrResult.objects.get(accession_number="A1", superseded_by__isnull=True).status == "preliminary"


def test_the_answer_says_that_a_second_person_verifies(ada_t: Client) -> None:
    answer = post(ada_t, "results/", body(status="final"))
    assert (answer.status_code, answer.json()["status"]) == (201, "preliminary")


# --- a laboratory's own system ------------------------------------------------------------------------------------


def system_token(name: str = "lims", code: str = "LAB") -> str:
    said = io.StringIO()
    call_command("create_token", name, laboratory=code, stdout=said)
    return said.getvalue().strip()


def with_token(token: str) -> Client:
    return Client(headers={"Authorization": f"Token {token}"})


def test_a_laboratorys_system_sends_final_results_of_its_own_laboratory_only(patient: Patient) -> None:
    reporting("OTHER", patient.centre)
    lims = with_token(system_token())
    assert post(lims, "results/", body(status="preliminary")).json()["status"] == "preliminary"
    assert post(lims, "results/", body(status="final")).json()["status"] == "final"
    assert post(lims, "results/", body(laboratory="OTHER")).json()["status"] == "preliminary"
    assert post(lims, "results/", body(accession_number="C1", conversion_factor=2)).json()["status"] == "final"


def test_a_person_is_no_laboratory_system(ada_t: Client) -> None:
    with pytest.raises(CommandError, match="is a person"):
        system_token("ada_t")
    with pytest.raises(CommandError, match="no laboratory"):
        system_token("lims", "NOWHERE")
    assert not User.objects.filter(username="lims").exists()


def test_a_persons_own_token_finalises_nothing(ada_t: Client) -> None:
    own = with_token(create_token(User.objects.get(username="ada_t")))
    assert post(own, "results/", body(status="final")).json()["status"] == "preliminary"


# --- treatment recorded by the laboratory --------------------------------------------------------------------------


@pytest.fixture
def lost(patient: Patient, ada: User, member: Callable[..., User]) -> Alert:
    """An open loss of MMR that the clinicians were told of."""
    member("grace", patient.centre)
    TkiCourse.objects.create(
        patient=patient,
        drug="imatinib",
        started_on=dt.date(2015, 1, 1),
        stopped_on=clock.now().date() - dt.timedelta(days=90),
        stop_reason="tfr_attempt",
    )
    for accession, days, tubes in (("L1", 100, "nd/60000"), ("L2", 9, "100/50000")):
        record_result(
            report(accession, days_ago(days), tubes), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now()
        )
    classify_pending(now=clock.now())
    return Alert.objects.get(kind="loss_of_mmr")


RECORDED: dict[str, tuple[str, dict[str, Any]]] = {
    "a restart": ("treatments", {"drug": "dasatinib", "days": 2}),
    "a restart before the loss": ("treatments", {"drug": "dasatinib", "days": 20}),
    "a switch": ("treatments", {"drug": "dasatinib", "days": 80}),
    "a death": ("observations", {"kind": "death", "days": 2}),
    "a transplant": ("observations", {"kind": "allogeneic_transplant", "days": 2}),
}


def record(client: Client, what: str) -> Any:
    path, said = RECORDED[what]
    on = "started_on" if path == "treatments" else "observed_on"
    given = {name: value for name, value in said.items() if name != "days"}
    return post(client, f"{path}/", {"patient_id": "P1", on: days_ago(said["days"]), **given})


@pytest.mark.parametrize("what", RECORDED)
def test_what_the_laboratory_records_of_a_treatment_ends_no_alert_and_is_told_to_the_clinicians(
    ada_t: Client, lost: Alert, what: str
) -> None:
    told = lost.deliveries.count()
    assert record(ada_t, what).status_code == 201
    classify_pending(now=clock.now())
    lost.refresh_from_db()
    assert (lost.state, lost.deliveries.count()) == ("open", told)
    question = Alert.objects.get(kind="unconfirmed_treatment")
    assert [d.recipient.username for d in question.deliveries.all()] == ["grace"]
    assert not list(check_ledger())
    grace = signed_in(User.objects.get(username="grace"))
    assert "nobody who treats has recorded" in grace.get(f"/alerts/{question.public_id}/").content.decode()
    assert record(grace, what).status_code == 200, "the clinician records the same: that confirms it"
    classify_pending(now=clock.now())
    lost.refresh_from_db()
    question.refresh_from_db()
    assert lost.state in ("closed", "withdrawn")
    assert question.state in ("closed", "withdrawn")
    assert not list(check_ledger())


def test_a_clinicians_restart_closes_the_alert_at_once(lost: Alert) -> None:
    assert record(signed_in(User.objects.get(username="grace")), "a restart").status_code == 201
    classify_pending(now=clock.now())
    lost.refresh_from_db()
    assert lost.state == "closed"
    assert not Alert.objects.filter(kind="unconfirmed_treatment").exists()


def test_acting_on_the_alert_with_the_restart_that_the_laboratory_has_recorded_confirms_it(
    ada_t: Client, lost: Alert
) -> None:
    record(ada_t, "a restart")
    classify_pending(now=clock.now())
    grace = signed_in(User.objects.get(username="grace"))
    said = {"action": "restart", "drug": "dasatinib", "day": days_ago(2), "note": "", "version": lost.version_tag}
    assert grace.post(f"/alerts/{lost.public_id}/act/", said).status_code == 302
    lost.refresh_from_db()
    assert lost.state == "closed"
    assert TkiCourse.objects.get(drug="dasatinib").is_confirmed


def test_the_laboratory_does_not_take_a_stop_away(ada_t: Client, lost: Alert, patient: Patient) -> None:
    course = TkiCourse.objects.get()
    tag = ada_t.get(f"/api/v1/treatments/{course.public_id}/").headers["ETag"]
    change = {"stopped_on": None, "stop_reason": None, "reason": "x"}
    answer = ada_t.patch(f"/api/v1/treatments/{course.public_id}/", json.dumps(change), "application/json",
                         headers={"If-Match": tag})  # fmt: skip
    assert answer.status_code == 400
    assert "clinician or an administrator" in answer.json()["errors"][0]["reason"]
    classify_pending(now=clock.now())
    lost.refresh_from_db()
    assert lost.state == "open"
