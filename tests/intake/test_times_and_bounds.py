"""Times and numbers at the edge of what can be: the same at the page, the API, the file and the command."""

import datetime as dt
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from monitoring import clock
from monitoring.domain.vocabulary.bounds import BOUNDS
from monitoring.intake.columns import RESULT_COLUMNS
from monitoring.intake.uploads import load_upload, take_upload, verdict_rows
from monitoring.models import Patient, PcrResult, Role, TkiCourse
from tests.conftest import reporting

pytestmark = pytest.mark.django_db
STEP = Decimal("0.0000001")


def days_ago(days: int) -> str:
    return (clock.now().date() - dt.timedelta(days=days)).isoformat()


@pytest.fixture
def user(member: Callable[..., User], patient: Patient) -> User:
    reporting("LAB", patient.centre, verification_required=False)
    return member("ada_t", patient.centre, Role.TECHNICIAN)


def row(**more: str) -> dict[str, str]:
    return {"laboratory": "LAB", "accession_number": "A1", "patient_id": "P1", "collected_on": days_ago(5),
     "conversion_factor": "1",
            "bcr_abl1_copies": "60", "control_gene_copies": "52000", **more}  # fmt: skip


def by_api(user: User, cells: dict[str, str], tmp_path: Path) -> str:
    client = Client()
    client.force_login(user)
    said = {name: value for name, value in cells.items() if value}  # an empty cell is a member left out
    answer = client.post("/api/v1/results/", json.dumps(said), "application/json")
    assert answer.status_code in (200, 201, 400)
    return " ".join(f"{e['field']} {e['reason']}" for e in answer.json().get("errors", []))


def as_csv(cells: dict[str, str]) -> str:
    return ",".join(cells) + "\n" + ",".join(cells.values()) + "\n"


def by_file(user: User, cells: dict[str, str], tmp_path: Path) -> str:
    run = take_upload("results", "f.csv", as_csv(cells).encode(), by=user, dry_run=False)
    assert load_upload(run.pk)
    run.refresh_from_db()
    return " ".join(f"{one['column']} {one['reason']}" for one in verdict_rows(run))


def by_command(user: User, cells: dict[str, str], tmp_path: Path) -> str:
    path, said = tmp_path / "f.csv", io.StringIO()
    path.write_text(as_csv(cells))
    try:
        call_command("import_results", str(path), stderr=said)
    except SystemExit:
        return said.getvalue()
    return ""


def by_page(user: User, cells: dict[str, str], tmp_path: Path) -> str:
    client = Client()
    client.force_login(user)
    form = {name: value for name, value in cells.items() if not name.endswith("copies")}
    form |= {f"{name}_1": value for name, value in cells.items() if name.endswith("copies")}
    answer = client.post("/bench/single/", form)
    return "" if answer.status_code == 302 else answer.content.decode()


DOORS = [by_api, by_file, by_command, by_page]
ON_THE_PAGE = {
    "bcr_abl1_copies",
    "control_gene_copies",
    "is_percent",
    "mr_value",
    "conversion_factor",
    "limit_of_detection",
}


def cells_for(column: str, value: Decimal) -> dict[str, str]:
    cells = row(**{column: format(value, "f")})
    if column in ("is_percent", "mr_value"):
        cells |= {"bcr_abl1_copies": "", "control_gene_copies": ""}
    return cells


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("column", [c for c in BOUNDS if c in RESULT_COLUMNS])
def test_a_number_outside_its_bounds_is_refused_alike_at_every_door(
    user: User, tmp_path: Path, door: Callable[..., str], column: str
) -> None:
    if door is by_page and column not in ON_THE_PAGE:
        return
    bounds = BOUNDS[column]
    assert "is too large" in door(user, cells_for(column, bounds.limit), tmp_path)
    if bounds.least > 0:
        assert "is too small" in door(user, cells_for(column, bounds.least - STEP), tmp_path)
    assert not PcrResult.objects.exists()
    inside = bounds.least if column != "control_gene_copies" else Decimal(1)
    assert door(user, cells_for(column, inside), tmp_path) == "" or door is by_file
    assert PcrResult.objects.count() == 1


def test_a_dose_has_bounds_too(user: User, member: Callable[..., User], patient: Patient) -> None:
    client = Client()
    client.force_login(user)
    course = {"patient_id": "P1", "drug": "imatinib", "started_on": "2020-01-01"}
    for dose in ("0.01", "5000", "400000"):
        answer = client.post("/api/v1/treatments/", json.dumps({**course, "dose_mg_per_day": dose}), "application/json")
        assert answer.status_code == 400
    assert not TkiCourse.objects.exists()


# --- times --------------------------------------------------------------------------------------------------------

INSTANTS = ("collected_at", "received_at", "issued_at")


@pytest.mark.parametrize("door", [by_api, by_file, by_command])
@pytest.mark.parametrize("column", INSTANTS)
@pytest.mark.parametrize("offset", ["-23:59", "+23:59", "+14:01", "-14:01", "+99:99", "+08:00:00.5"])
def test_an_odd_offset_is_refused_and_the_other_rows_are_loaded(
    user: User, tmp_path: Path, door: Callable[..., str], column: str, offset: str
) -> None:
    said = door(user, row(**{column: f"{days_ago(5)}T08:30{offset}"}), tmp_path)
    assert not said.strip() or column in said
    for stored in PcrResult.objects.all():  # a fraction of a second is odd and harmless
        assert offset == "+08:00:00.5", stored
    if door is not by_api:
        path = tmp_path / "two.csv"
        bad = row(accession_number="B1", received_at=f"{days_ago(5)}T08:30-23:59")
        good = row(accession_number="B2", received_at="")
        path.write_text(",".join(bad) + "\n" + ",".join(bad.values()) + "\n" + ",".join(good.values()) + "\n")
        with pytest.raises(SystemExit):
            call_command("import_results", str(path), stderr=io.StringIO())
        assert not PcrResult.objects.filter(accession_number="B1").exists()
        assert PcrResult.objects.filter(accession_number="B2").count() == 1


@pytest.mark.parametrize(("column", "written", "stored"), [
    ("received_at", "T23:30+08:00", "T15:30:00+00:00"), ("issued_at", "T08:30-10:00", "T18:30:00+00:00"),
    ("received_at", "T08:30", "T08:30:00+00:00"),
])  # fmt: skip
def test_an_instant_is_kept_in_utc(user: User, tmp_path: Path, column: str, written: str, stored: str) -> None:
    assert by_api(user, row(**{column: days_ago(5) + written}), tmp_path) == ""
    assert getattr(PcrResult.objects.get(), column).isoformat() == days_ago(5) + stored


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("column", ["received_on", "tested_on", "received_at", "issued_at"])
@pytest.mark.parametrize("days", [6, 7, -2, -400])
def test_what_happens_to_a_sample_lies_between_its_collection_and_now(
    user: User, tmp_path: Path, door: Callable[..., str], column: str, days: int
) -> None:
    if door is by_page and column.endswith("_at"):
        return
    if door is by_api and column == "issued_at" and days == 6:
        return  # the evening before in one time zone is the morning of the day in another
    written = days_ago(days) + ("T01:00" if column.endswith("_at") else "")
    said = door(user, row(**{column: written}), tmp_path)
    assert "before the collection" in said or "has not come yet" in said
    assert not PcrResult.objects.exists()


@pytest.mark.parametrize("column", ["received_on", "tested_on"])
def test_tomorrow_is_left_for_time_zones(user: User, tmp_path: Path, column: str) -> None:
    for door in (by_file, by_command):
        door(user, row(**{column: days_ago(-1)}), tmp_path)
    assert PcrResult.objects.count() == 1
