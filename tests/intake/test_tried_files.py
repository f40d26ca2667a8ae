"""A file that is only tried says what it would mean, as loading it then does; refused rows come back to be mended."""

import csv
import datetime as dt
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from monitoring import clock
from monitoring.intake.uploads import foreseen_of, forget_old_files, load_upload, refused_rows, verdict_rows
from monitoring.models import Alert, Centre, ImportRun, Patient, PcrResult, ResponseAssessment, Role, TkiCourse
from monitoring.services.classification.classify import classify_pending
from tests.conftest import reporting

pytestmark = pytest.mark.django_db
HEAD = "laboratory,accession_number,patient_id,collected_on,bcr_abl1_copies,control_gene_copies,conversion_factor\n"


@pytest.fixture
def ada(member: Callable[..., User], patient: Patient, centre: Centre) -> Client:
    reporting("LAB", centre)
    client = Client()
    client.force_login(member("ada", centre, Role.TECHNICIAN))
    return client


def give(client: Client, text: str, *, kind: str = "results", dry_run: bool = True, **more: str) -> ImportRun:
    file = SimpleUploadedFile("week 12.csv", text.encode())
    answer = client.post("/imports/", {"kind": kind, "file": file, **({"dry_run": "on"} if dry_run else {}), **more})
    assert answer.status_code == 302, answer.content
    run = ImportRun.objects.latest("pk")
    assert load_upload(run.pk)
    run.refresh_from_db()
    assert not run.problem
    return run


def recent(days: int) -> str:
    return (clock.now().date() - dt.timedelta(days=days)).isoformat()


def stopped(patient: Patient) -> None:
    TkiCourse.objects.create(
        patient=patient, drug="imatinib", started_on="2010-01-01", stopped_on=recent(90), stop_reason="tfr_attempt"
    )


def results(*lines: tuple[str, str, int, str, str]) -> str:
    return HEAD + "".join(f"LAB,{a},{p},{recent(days)},{copies},{control},1\n" for a, p, days, copies, control in lines)


@pytest.mark.parametrize("finality", [True, False])
def test_what_is_foreseen_is_what_loading_then_does(ada: Client, patient: Patient, finality: bool) -> None:
    reporting("LAB", patient.centre).__class__.objects.update(files_are_final=finality)
    stopped(patient)
    other = Patient.objects.create(centre=patient.centre, patient_id="P2")
    stopped(other)
    text = results(
        ("A1", "P1", 80, "nd", "60000"), ("A2", "P1", 40, "60", "50000"), ("A3", "P1", 10, "900", "50000"),
        ("A4", "P2", 80, "nd", "60000"), ("A5", "P2", 10, "4", "50000"), ("A6", "P9", 10, "4", "50000"),
    )  # fmt: skip
    tried = give(ada, text)
    assert (PcrResult.objects.count(), Alert.objects.count(), ResponseAssessment.objects.count()) == (0, 0, 0)
    foreseen = foreseen_of(tried)
    give(ada, text, dry_run=False)
    classify_pending(now=clock.now())
    rows = PcrResult.objects.order_by("accession_number").prefetch_related("assessments")
    classes = [row.assessments.get().response_class for row in rows]
    assert [code for code, _percent in foreseen["lines"].values()] == classes
    assert sum(foreseen["classes"].values()) == len(classes) == 5
    alerts = Alert.objects.filter(patient__isnull=False, state="open").exclude(kind="unverified")
    stand = {("opened", a.patient.patient_id, a.kind, a.certainty) for a in alerts if a.patient}
    assert {(deed, name, kind, certainty) for deed, name, _id, kind, certainty, _on in foreseen["alerts"]} == stand
    assert ("opened", "P1", "loss_of_mmr") in {one[:3] for one in stand}
    again = foreseen_of(give(ada, text))
    assert (again["lines"], again["alerts"]) == ({}, []), "what is stored already means nothing new"


def test_the_page_says_would(ada: Client, patient: Patient) -> None:
    stopped(patient)
    run = give(ada, results(("A1", "P1", 80, "nd", "60000"), ("A2", "P1", 10, "900", "50000")))
    page = " ".join(ada.get(f"/imports/{run.public_id}/").content.decode().split())
    for words in ("would be stored", "no MMR · 1.8 % IS", "loss of MMR off treatment", "would be opened"):
        assert words in page, words
    assert "<td> stored" not in page


def test_a_file_of_stops_says_which_alerts_it_would_open(ada: Client, patient: Patient, member: Any) -> None:
    give(ada, results(("A1", "P1", 80, "nd", "60000"), ("A2", "P1", 10, "900", "50000")), dry_run=False)
    head = "patient_id,drug,started_on,stopped_on,stop_reason\n"
    run = give(ada, f"{head}P1,imatinib,2010-01-01,{recent(90)},tfr_attempt\n", kind="treatments")
    assert not TkiCourse.objects.exists()
    deeds = {(deed, kind) for deed, _patient, _id, kind, *_more in foreseen_of(run)["alerts"]}
    assert ("opened", "loss_of_mmr") in deeds


# --- refused rows ---------------------------------------------------------------------------------------------------


def refused(client: Client, run: ImportRun) -> list[dict[str, str]]:
    answer = client.get(f"/imports/{run.public_id}/refused.csv")
    assert answer.status_code == 200
    assert 'filename="week 12-refused.csv"' in answer["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


def written(rows: list[dict[str, str]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


@pytest.mark.parametrize("dry_run", [True, False])
def test_refused_rows_are_mended_and_given_again(ada: Client, dry_run: bool) -> None:
    text = results(
        ("A1", "P1", 80, "nd", "60000"), ("A2", "P1", 40, "0", "50000"), ("A2", "P1", 40, "6", "50000"),
        ("A3", "P9", 10, "900", "50000"),
    )  # fmt: skip
    run = give(ada, text, dry_run=dry_run)
    rows = refused(ada, run)
    assert [row["accession_number"] for row in rows] == ["A2", "A2", "A3"], "a result is given again whole"
    assert "not detected is not zero" in rows[0]["refused_because"]
    same = give(ada, written(rows))
    assert [row["reason"] for row in verdict_rows(same)] == [
        row["reason"].replace("line 3", "line 2") for row in verdict_rows(run) if row["verdict"] == "refused"
    ]
    rows[0]["bcr_abl1_copies"], rows[2]["patient_id"] = "nd", "P1"
    give(ada, written(rows), dry_run=False)
    assert PcrResult.objects.count() == (2 if dry_run else 3)
    assert ada.get(f"/imports/{same.public_id}/").status_code == 200


def test_a_number_that_only_its_file_made_clear_stays_what_it_was(ada: Client) -> None:
    head = HEAD.replace(",", ";").replace("conversion_factor", "is_percent")
    text = f"{head}LAB;A1;P1;{recent(80)};60;50000;0,25\nLAB;A2;P9;{recent(40)};60;50000;1,500\n"
    rows = refused(ada, give(ada, text))
    assert [row["is_percent"] for row in rows] == ["1.5000"]


def test_several_replicates_in_one_row_come_back_as_rows(ada: Client) -> None:
    head = HEAD.replace("bcr_abl1_copies,control_gene_copies", "bcr_abl1_copies_1,control_gene_copies_1,"
        "bcr_abl1_copies_2,control_gene_copies_2")  # fmt: skip
    rows = refused(ada, give(ada, f"{head}LAB,A1,P9,{recent(80)},60,50000,70,51000,1\n"))
    assert [(row["replicate"], row["bcr_abl1_copies"]) for row in rows] == [("1", "60"), ("2", "70")]
    rows = [{**row, "patient_id": "P1"} for row in rows]
    give(ada, written(rows), dry_run=False)
    assert PcrResult.objects.get().replicates.count() == 2


def test_a_cell_that_a_spreadsheet_would_run_is_text(ada: Client) -> None:
    run = give(ada, "patient_id,centre,family_name\nN1,H9,=HYPERLINK(1)\n", kind="patients")
    assert refused(ada, run)[0]["family_name"] == "'=HYPERLINK(1)"


def test_refused_rows_are_their_givers_alone_and_go_after_a_day(
    ada: Client, member: Callable[..., User], patient: Patient
) -> None:
    run = give(ada, results(("A3", "P9", 10, "900", "50000")))
    other = Client()
    other.force_login(member("otto", patient.centre, Role.TECHNICIAN))
    assert other.get(f"/imports/{run.public_id}/refused.csv").status_code == 404
    assert b"accession_number" not in bytes(run.refused or b""), "sealed"
    forget_old_files(now=clock.now() + dt.timedelta(days=2))
    run.refresh_from_db()
    assert (run.refused, bool(run.foreseen), refused_rows(run)) == (None, True, "")
    assert ada.get(f"/imports/{run.public_id}/refused.csv").status_code == 404
    assert "refused.csv" not in ada.get(f"/imports/{run.public_id}/").content.decode()
    forget_old_files(now=clock.now() + dt.timedelta(days=31))
    run.refresh_from_db()
    assert (run.verdicts, run.foreseen) == (None, None)
    whole = give(ada, results(("A1", "P1", 80, "nd", "60000")))
    assert ada.get(f"/imports/{whole.public_id}/refused.csv").status_code == 404
