"""The import commands through the front door: every kind of bad file, amendments, dry runs, the same file twice."""

import csv
import datetime as dt
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from monitoring.models import (
    Centre,
    ClassificationRequest,
    ImportRun,
    Laboratory,
    Observation,
    Patient,
    PatientIdentity,
    PcrResult,
    Replicate,
    TkiCourse,
)
from monitoring.services.entry.identities import read_identity

pytestmark = pytest.mark.django_db
PATIENTS = "patient_id,centre,sex,birth_date\nP1,H1,F,2001-02-03\nP2,H1,M,2002-03-04\n"
RESULTS = (
    "laboratory,accession_number,patient_id,collected_on,replicate,bcr_abl1_copies,control_gene_copies,"
    "conversion_factor\n"
)


class Door:
    """Runs import commands on texts and remembers what was refused."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = ""

    def __call__(self, kind: str, content: str | bytes | Path, *options: str) -> int:
        path = content if isinstance(content, Path) else self.folder / f"{kind}.csv"
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif isinstance(content, bytes):
            path.write_bytes(content)
        out, err = io.StringIO(), io.StringIO()
        try:
            call_command(
                f"import_{kind}",
                str(path),
                "--errors",
                str(self.folder / "errors.csv"),
                *options,
                stdout=out,
                stderr=err,
            )
            code = 0
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        except CommandError as problem:
            code = problem.returncode
            err.write(str(problem))
        self.said = err.getvalue()
        return code

    @property
    def errors(self) -> list[dict[str, str]]:
        return list(csv.DictReader((self.folder / "errors.csv").read_text(encoding="utf-8").splitlines()))


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


@pytest.fixture
def known(door: Door) -> Door:
    assert door("patients", PATIENTS) == 0
    return door


# --- files as a whole -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["patients", "treatments", "observations", "results"])
@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"\n\n", "no header"),
        (b"colour,size\n1,2\n", "header needs the column"),
        ("patient_id,centre,kind,observed_on,drug,started_on,laboratory,accession_number,sx\n", "not known"),
        (PATIENTS.encode("utf-16-le"), "UTF-16"),
        (b"patient_id,centr\xe9\nP1,H1\n", "line 1 is not UTF-8"),
        (b"PK\x03\x04 this is no workbook", "XLSX"),
        (b'patient_id,"centre\n' + b"x" * 200_000, "CSV"),
    ],
    ids=[
        "empty",
        "blank",
        "other header",
        "unknown column",
        "utf-16",
        "latin-1",
        "half xlsx",
        "enormous cell",
    ],
)
def test_an_unusable_file_is_named_with_the_fix_and_stores_nothing(
    door: Door, kind: str, content: str | bytes, word: str
) -> None:
    assert door(kind, content) == 2
    assert word in door.said
    assert not Patient.objects.exists()
    assert not ImportRun.objects.exists()


def test_a_missing_file_and_a_folder_are_told_apart(door: Door, tmp_path: Path) -> None:
    assert door("patients", tmp_path / "absent.csv") == 2
    assert "no such file" in door.said
    assert door("patients", tmp_path) == 2
    assert "a folder" in door.said


def test_an_unknown_user_and_an_unwritable_error_file_are_wrong_usage(door: Door) -> None:
    assert door("patients", PATIENTS, "--by", "nobody") == 2
    assert door("patients", PATIENTS, "--errors", "/nowhere/e.csv") == 2
    assert not Patient.objects.exists()


def test_a_byte_order_mark_and_upper_case_headers_are_accepted(door: Door) -> None:
    assert door("patients", ("\ufeff" + PATIENTS.replace("patient_id", "Patient_ID")).encode()) == 0
    assert Patient.objects.count() == 2


def test_a_row_that_was_cut_off_is_refused_and_the_others_stand(door: Door) -> None:
    assert door("patients", PATIENTS + "P3,H1") == 1
    assert "cut off" in door.errors[0]["reason"]
    assert door.errors[0]["row"] == "4"
    assert Patient.objects.count() == 2


def test_a_misspelled_column_is_suggested(door: Door) -> None:
    assert door("patients", "patient_id,centre,birthdate\nP1,H1,2001-01-01\n") == 2
    assert "did you mean birth_date?" in door.said


def test_a_workbook_is_read_like_a_file(door: Door, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["patient_id", "centre", "sex", "birth_date", "birth_year", None, None])
    sheet.append([17, "H1", "F", dt.date(2001, 2, 3), None])
    sheet.append(["P2", "H1", "M", dt.datetime(2002, 3, 4), 2002])
    book.save(tmp_path / "patients.xlsx")
    assert door("patients", tmp_path / "patients.xlsx") == 0
    assert set(Patient.objects.values_list("patient_id", "born_on")) == {
        ("17", dt.date(2001, 2, 3)), ("P2", dt.date(2002, 3, 4)),
    }  # fmt: skip
    whole = (tmp_path / "patients.xlsx").read_bytes()
    (tmp_path / "half.xlsx").write_bytes(whole[: len(whole) // 2])
    assert door("patients", tmp_path / "half.xlsx") == 2
    with zipfile.ZipFile(tmp_path / "other.xlsx", "w") as archive:
        archive.writestr("readme.txt", "no sheet in here")
    assert door("patients", tmp_path / "other.xlsx") == 2


# --- patients, courses, observations -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "column", "word"),
    [
        ("P3,H1,W,", "sex", "known are F, M, X"),
        (",H1,F,", "patient_id", "is needed"),
        ("P3,,F,", "centre", "is needed"),
        ("1.67683E+15,H1,F,", "patient_id", "digits are lost"),
        ("P3,H1,F,03.02.2001", "birth_date", "2025-03-10"),
        ("P3,H1,F,2001-02-30", "birth_date", "no day 30"),
        ("P1,H1,F,2001-02-04", "birth_date", "2001-02-03 is stored"),
        ("P\u200b3,H1,F,", "patient_id", "invisible"),
    ],
)
def test_a_refused_patient_names_column_and_fix(known: Door, row: str, column: str, word: str) -> None:
    assert known("patients", "patient_id,centre,sex,birth_date\n" + row + "\nP4,H2,F,\n") == 1
    assert (known.errors[0]["row"], known.errors[0]["column"]) == ("2", column)
    assert word in known.errors[0]["reason"]
    assert Patient.objects.filter(patient_id="P4").exists()


def test_the_same_file_twice_changes_nothing(known: Door) -> None:
    events = Patient.pgh_event_model.objects.count()  # type: ignore[attr-defined]
    assert known("patients", PATIENTS) == 0
    assert "2 unchanged" in known.said
    assert Patient.pgh_event_model.objects.count() == events  # type: ignore[attr-defined]


def test_an_empty_cell_is_filled_and_a_difference_needs_a_reason(known: Door) -> None:
    changed = "patient_id,centre,transcript,sex\nP1,H1,e14a2,M\nP2,H1,e13a2,\n"
    assert known("patients", changed) == 1
    assert Patient.objects.get(patient_id="P2").transcript == "e13a2"
    assert Patient.objects.get(patient_id="P1").transcript == ""
    assert known("patients", changed, "--amend", "checked in the notes") == 0
    assert Patient.objects.get(patient_id="P1").sex == "M"
    event = Patient.pgh_event_model.objects.order_by("pgh_id").last()  # type: ignore[attr-defined]
    assert event.pgh_context["reason"] == "checked in the notes"
    assert event.pgh_context["by"] == "import"


def test_names_stand_apart_encrypted_and_a_hospital_number_belongs_to_one_person(door: Door) -> None:
    columns = "patient_id,centre,hospital_number,family_name,given_name\n"
    assert door("patients", columns + "P1,H1,00123,Doe,Jane\nP2,H1,00123,Roe,Ann\n") == 1
    assert "belongs to patient P1" in door.errors[0]["reason"]
    identity = read_identity(Patient.objects.get(patient_id="P1"))
    assert identity is not None
    assert identity.family_name == "Doe"
    assert b"Doe" not in bytes(PatientIdentity.objects.get().encrypted)


def test_partial_dates_and_their_known_order(known: Door) -> None:
    assert (
        known(
            "treatments", "patient_id,drug,started_on,stopped_on,stop_reason\nP1,imatinib,2010-03-20,2010-03,switch\n"
        )
        == 0
    )
    course = TkiCourse.objects.get()
    assert (course.stopped_on, course.stopped_precision) == (dt.date(2010, 3, 20), "month")


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("P9,imatinib,2010-01-01,,", "patient_id"), ("P1,imatinip,2010-01-01,,", "drug"),
        ("P1,imatinib,,,", "started_on"), ("P1,imatinib,2010-01-02,2010-01-01,", "stopped_on"),
        ("P1,imatinib,2010-01-01,,tfr_attempt", "stop_reason"), ("P1,other,2010-01-01,,", "drug_text"),
        ("P1,imatinib,2010-01-01,2011-01-01,boredom", "stop_reason"),
    ],
)  # fmt: skip
def test_a_refused_course_names_its_column(known: Door, row: str, column: str) -> None:
    assert known("treatments", "patient_id,drug,started_on,stopped_on,stop_reason\n" + row + "\n") == 1
    assert known.errors[0]["column"] == column
    assert not TkiCourse.objects.exists()


def test_a_patient_of_two_centres_needs_the_centre(known: Door) -> None:
    assert known("patients", "patient_id,centre\nP1,H2\n") == 0
    row = "patient_id,observed_on,kind\nP1,2020-01-01,last_contact\n"
    assert known("observations", row) == 1
    assert "is known in H1, H2" in known.errors[0]["reason"]
    assert known("observations", "patient_id,centre,observed_on,kind\nP1,H2,2020-01-01,last_contact\n") == 0
    assert Observation.objects.get().patient.centre.code == "H2"


def test_a_death_needs_a_known_cause_word(known: Door) -> None:
    assert known("observations", "patient_id,observed_on,kind,detail\nP1,2020-01-01,death,traffic\n") == 1
    assert known("observations", "patient_id,observed_on,kind,detail\nP1,2020-01-01,death,other\n") == 0


# --- results ----------------------------------------------------------------------------------------------------


def test_rows_of_one_accession_are_one_result_wherever_they_stand(known: Door) -> None:
    rows = "LAB,A1,P1,2020-01-01,1,50,50000,1\nLAB,B1,P2,2020-01-01,1,nd,60000,1\nLAB,A1,P1,2020-01-01,2,60,40000,1\n"
    assert known("results", RESULTS + rows) == 0
    assert PcrResult.objects.count() == 2
    assert Replicate.objects.filter(result__accession_number="A1").count() == 2
    assert ClassificationRequest.objects.filter(bulk=True).values("patient_id").distinct().count() == 2


def test_one_bad_replicate_refuses_its_whole_accession_and_no_other(known: Door) -> None:
    rows = "LAB,A1,P1,2020-01-01,1,50,50000,1\nLAB,A1,P1,2020-01-01,2,many,40000,1\nLAB,B1,P2,2020-01-01,1,nd,60000,1\n"
    assert known("results", RESULTS + rows) == 1
    assert [(e["row"], e["column"]) for e in known.errors] == [("2", "accession_number"), ("3", "bcr_abl1_copies")]
    assert list(PcrResult.objects.values_list("accession_number", flat=True)) == ["B1"]


@pytest.mark.parametrize(
    ("row", "column", "word"),
    [
        ("LAB,A1,P1,2020-01-01,1,0,50000,1", "bcr_abl1_copies", "write nd"),
        ("LAB,A1,P1,2020-01-01,1,,50000,1", "bcr_abl1_copies", "write a number, or nd"),
        ("LAB,A1,P1,2020-01-01,1,50,,1", "control_gene_copies", "needed to make a ratio"),
        ("LAB,A1,P1,2020-01-01,1,-5,50000,1", "bcr_abl1_copies", "not a plain number"),
        ("LAB,A1,P1,2020-01-01,1,NaN,50000,1", "bcr_abl1_copies", "write nd"),
        ("LAB,A1,P1,2020-01-01,1,inf,50000,1", "bcr_abl1_copies", "not a plain number"),
        ("LAB,A1,P1,2020-01-01,1,1e400,50000,1", "bcr_abl1_copies", "not a plain number"),
        ("LAB,A1,P1,2020-01-01,1,99999999999,50000,1", "bcr_abl1_copies", "too large"),
        ("LAB,A1,P1,2020-01-01,1,5,50000,0", "conversion_factor", "cannot be 0"),
        ("LAB,A1,P1,2020-01-01,1,5,50000,250", "conversion_factor", "too large"),
        ("LAB,A1,P1,2020-01-01,x,5,50000,1", "replicate", "whole number"),
        ("LAB,A1,P9,2020-01-01,1,5,50000,1", "patient_id", "import the patient first"),
        ("LAB,A1,P1,,1,5,50000,1", "collected_on", "is needed"),
        ("LAB,A1,P1,2199-01-01,1,5,50000,1", "collected_on", "not come yet"),
        ("LAB,A1,P1,1999-01-01,1,5,50000,1", "collected_on", "was born"),
        (",A1,P1,2020-01-01,1,5,50000,1", "laboratory", "is needed"),
        ("LAB,1.67683E+15,P1,2020-01-01,1,5,50000,1", "accession_number", "digits are lost"),
    ],
)
def test_a_refused_result_names_column_and_fix(known: Door, row: str, column: str, word: str) -> None:
    assert known("results", RESULTS + row + "\n") == 1
    assert known.errors[0]["column"] == column
    assert word in known.errors[0]["reason"]
    assert not PcrResult.objects.exists()


def test_rows_of_an_accession_must_agree(known: Door) -> None:
    rows = "LAB,A1,P1,2020-01-01,1,50,50000,1\nLAB,A1,P1,2020-01-02,2,60,40000,1\n"
    assert known("results", RESULTS + rows) == 1
    assert "must agree" in known.errors[1]["reason"]


@pytest.mark.parametrize(
    ("cell", "percent", "comparator"),
    [
        ('"0,25"', "0.25", "="),
        ("<0.0032", "0.0032", "<"),
        ("0.25 %", "0.25", "="),
        ("> 55", "55", ">"),
        ("0.10", "0.10", "="),
    ],
)
def test_spellings_of_a_percentage_are_understood_and_reported(
    known: Door, cell: str, percent: str, comparator: str
) -> None:
    assert (
        known(
            "results", f"laboratory,accession_number,patient_id,collected_on,is_percent\nLAB,A1,P1,2020-01-01,{cell}\n"
        )
        == 0
    )
    stored = PcrResult.objects.get()
    assert (str(stored.is_percent), stored.is_comparator) == (percent, comparator)
    if "," in cell or "%" in cell:
        assert "read as" in known.said


def test_zero_percent_is_refused_unless_the_laboratory_means_not_detected(known: Door) -> None:
    row = (
        "laboratory,accession_number,patient_id,collected_on,is_percent,limit_of_detection\nLAB,A1,P1,2020-01-01,0,"
        "0.003\n"
    )
    assert known("results", row) == 1
    assert "write nd" in known.errors[0]["reason"]
    Laboratory.objects.update_or_create(code="LAB", defaults={"zero_means_not_detected": True})
    assert known("results", row) == 0
    assert PcrResult.objects.get().detected is False


def test_a_dry_run_says_the_same_and_stores_nothing(known: Door) -> None:
    rows = "NEWLAB,A1,P1,2020-01-01,1,50,50000,1\nNEWLAB,A2,P9,2020-01-01,1,50,50000,1\n"
    assert known("results", RESULTS + rows, "--dry-run") == 1
    assert "dry run, nothing stored" in known.said
    assert "1 created" in known.said
    assert len(known.errors) == 1
    assert not PcrResult.objects.exists()
    assert not Laboratory.objects.exists()
    assert known("patients", "patient_id,centre\nP7,NEWCENTRE\n", "--dry-run") == 0
    assert not Centre.objects.filter(code="NEWCENTRE").exists()


def test_amendments_by_status_and_by_option(known: Door) -> None:
    columns = RESULTS.strip() + ",status,reason\n"
    assert known("results", columns + "LAB,A1,P1,2020-01-01,1,50,50000,1,,\n") == 0
    assert known("results", columns + "LAB,A1,P1,2020-01-01,1,60,50000,1,,\n") == 1
    assert known("results", columns + "LAB,A1,P1,2020-01-01,1,60,50000,1,corrected,\n") == 1
    assert known("results", columns + "LAB,A1,P1,2020-01-01,1,60,50000,1,corrected,recount\n") == 0
    assert known("results", columns + "LAB,A1,P1,2020-01-01,1,70,50000,1,,\n", "--amend", "audit") == 0
    assert list(PcrResult.objects.order_by("version").values_list("version", "status", "reason")) == [
        (1, "final", ""), (2, "corrected", "recount"), (3, "corrected", "audit"),
    ]  # fmt: skip
    assert known("results", columns + "LAB,A1,P1,2020-01-01,1,50,50000,1,,\n") == 0, "the first file again"
    assert PcrResult.objects.count() == 3


def test_times_with_zone_decide_the_clinical_day(known: Door) -> None:
    Centre.objects.filter(code="H1").update(time_zone="Asia/Shanghai")
    columns = "laboratory,accession_number,patient_id,collected_at,is_percent\n"
    assert known("results", columns + "LAB,A1,P1,2020-01-01T20:00:00Z,0.2\nLAB,A2,P1,2020-01-01T23:30,0.2\n") == 0
    assert [d.day for d in PcrResult.objects.order_by("accession_number").values_list("collected_on", flat=True)] == [
        2,
        1,
    ]


def test_what_was_loaded_is_on_record(known: Door) -> None:
    run = ImportRun.objects.get()
    assert (run.kind, run.rows, run.counts["created"], run.by.username) == ("patients", 2, 2, "import")
    assert len(run.sha256) == 64
    assert run.finished_at is not None


def test_the_queries_of_a_chunk_do_not_grow_with_its_rows(
    known: Door, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    days = (dt.date(2013, 1, 1) + dt.timedelta(days=n) for n in range(900))
    rows = "".join(f"LAB,N{n},P{n % 2 + 1},{day},1,nd,{50000 + n},1\n" for n, day in enumerate(days))
    with django_assert_max_num_queries(35):
        assert known("results", RESULTS + rows) == 0
    assert PcrResult.objects.count() == 900


# --- what a hostile reader of files tried ------------------------------------------------------------------------


def test_a_wrong_byte_is_told_with_its_line(door: Door) -> None:
    assert door("patients", b"patient_id,centre\nP1,H1\nP\xe9,H1\n") == 2
    assert "line 3 is not UTF-8" in door.said
    assert not Patient.objects.exists()


def test_an_unclosed_quotation_mark_swallows_no_rows(known: Door) -> None:
    columns = "laboratory,accession_number,patient_id,collected_on,is_percent,kit_lot\n"
    assert known("results", columns + 'LAB,A1,P1,2020-01-01,0.1,"abc\nLAB,A2,P1,2020-02-01,0.1,\n') == 2
    assert "quotation mark is not closed" in known.said
    assert known("results", columns + 'LAB,A1,P1,2020-01-01,0.1,"abc\nLAB,A2,P1,2020-02-01,0.1,"\n') == 1
    assert "line break" in known.errors[0]["reason"]
    assert not PcrResult.objects.exists()


def test_the_error_file_may_not_be_the_source(door: Door, tmp_path: Path) -> None:
    path = tmp_path / "self.csv"
    path.write_text(PATIENTS)
    assert door("patients", path, "--errors", str(path)) == 2
    assert path.read_text() == PATIENTS


def test_a_partly_known_start_is_one_course_however_its_stop_is_learnt(known: Door) -> None:
    columns = "patient_id,drug,started_on,stopped_on,stop_reason\n"
    assert known("treatments", columns + "P1,imatinib,2021-06,,\n") == 0
    assert known("treatments", columns + "P1,imatinib,2021-06,2021-06-02,intolerance\n") == 0
    assert known("treatments", columns + "P1,imatinib,2021-06,,\n") == 0
    course = TkiCourse.objects.get()
    assert (course.started_on, course.started_precision, course.stopped_on) == (
        dt.date(2021, 6, 2),
        "month",
        dt.date(2021, 6, 2),
    )


def test_a_more_exact_date_completes_and_a_less_exact_one_changes_nothing(known: Door) -> None:
    assert known("patients", "patient_id,centre,birth_year,diagnosed_on\nP1,H1,2001,2015\n") == 0
    assert known("patients", "patient_id,centre,diagnosed_on\nP1,H1,2015-07-01\n") == 0
    patient = Patient.objects.get(patient_id="P1")
    assert (patient.born_on, patient.diagnosed_on, patient.diagnosed_precision) == (
        dt.date(2001, 2, 3), dt.date(2015, 7, 1), "day",
    )  # fmt: skip
    assert (
        known(
            "observations",
            "patient_id,observed_on,kind\nP1,2019,withdrawal_syndrome\nP1,2019-07-01,withdrawal_syndrome\n",
        )
        == 0
    )
    assert Observation.objects.get().observed_precision == "day"


def test_a_day_known_to_the_year_lies_before_today(known: Door) -> None:
    year = dt.datetime.now(dt.UTC).year
    assert (
        known("results", f"laboratory,accession_number,patient_id,collected_on,is_percent\nLAB,A1,P1,{year},0.2\n") == 0
    )
    assert known("treatments", f"patient_id,drug,started_on\nP1,imatinib,{year}\n") == 0
    today = dt.datetime.now(dt.UTC).date()
    assert PcrResult.objects.get().collected_on <= today
    assert TkiCourse.objects.get().started_on <= today


def test_an_amendment_back_to_an_earlier_content_is_an_amendment(known: Door) -> None:
    columns = RESULTS.strip() + ",status,reason\n"
    for patient_id, option in (("P1", ()), ("P2", ("--amend", "moved")), ("P1", ("--amend", "back"))):
        assert known("results", columns + f"LAB,A1,{patient_id},2020-01-01,1,50,50000,1,,\n", *option) == 0
    assert PcrResult.objects.get(version=3).patient.patient_id == "P1"
    for copies, reason in (("60", "one"), ("50", "two"), ("60", "three")):
        assert known("results", columns + f"LAB,A1,P1,2020-01-01,1,{copies},50000,1,corrected,{reason}\n") == 0
    assert Replicate.objects.get(result__version=6).bcr_abl1_copies == 60
    assert known("results", columns + "LAB,A1,P1,2020-01-01,1,60,50000,1,corrected,one\n") == 0
    assert PcrResult.objects.count() == 6, "an earlier message, sent again"


def test_a_withdrawal_needs_no_values(known: Door) -> None:
    assert known("results", RESULTS + "LAB,A1,P1,2020-01-01,1,50,50000,1\n") == 0
    columns = "laboratory,accession_number,patient_id,collected_on,status,reason\n"
    assert known("results", columns + "LAB,A1,P1,2020-01-01,entered_in_error,other person\n") == 0
    assert PcrResult.objects.get(version=2).status == "entered_in_error"


def test_names_are_completed_and_never_replaced_without_a_reason(door: Door) -> None:
    columns = "patient_id,centre,hospital_number,family_name\n"
    assert door("patients", columns + "I1,MUC,777,Abel\nI1,MUC,777,\n") == 0
    assert door("patients", columns + "I1,MUC,,Zorn\n") == 1
    assert door.errors[0]["column"] == "family_name"
    assert "Abel" not in door.errors[0]["reason"]
    assert door("patients", columns + "I1,MUC,,Abel\n") == 0
    identity = read_identity(Patient.objects.get())
    assert identity is not None
    assert (identity.hospital_number, identity.family_name) == ("777", "Abel")


def test_one_impossible_row_never_takes_its_chunk_with_it(known: Door) -> None:
    columns = "laboratory,accession_number,patient_id,collected_on,mr_value,received_on,issued_at,status,reason\n"
    good = "LAB,A1,P1,2020-01-02,3.5,2020-01-03,,,\n"
    rows = "LAB,A2,P1,2020-01-01,-4.5,,,,\nLAB,A3,P1,2020-01-01,3,,0001-01-01T00:00+14:00,,\n"
    assert known("results", columns + good + rows) == 1
    assert [e["column"] for e in known.errors] == ["mr_value", "issued_at"]
    assert PcrResult.objects.count() == 1
    late = "LAB,A1,P1,2020-01-05,3.5,,,corrected,typing\nLAB,A4,P1,2020-01-05,3.5,,,,\n"
    assert known("results", columns + late) == 1
    assert "correct both dates together" in known.errors[0]["reason"]
    assert PcrResult.objects.filter(accession_number="A4").exists()


def test_spellings_of_one_letter_are_one_identifier(known: Door) -> None:
    assert known("patients", "patient_id,centre\nMu\u0308,H1\n") == 0
    rows = "LAB,Mu\u0308,M\u00fc,2020-01-01,1,50,50000,1\nLAB,M\u00fc,Mu\u0308,2020-01-01,2,60,40000,1\n"
    assert known("results", RESULTS + rows) == 0
    assert Replicate.objects.count() == 2


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("patients", "patient_id,centre,birth_date\nP8,H1,2099-01-01\n"),
        ("patients", "patient_id,centre,birth_year,diagnosed_on\nP8,H1,2020,2015-01-01\n"),
        ("treatments", "patient_id,drug,started_on\nP1,imatinib,2099-03-10\n"),
        ("treatments", "patient_id,drug,started_on\nP1,imatinib,1940-01-01\n"),
        ("observations", "patient_id,observed_on,kind\nP1,2099-01-01,death\n"),
        ("observations", "patient_id,observed_on,kind\nP1,2020-01-01,death\nP1,2020-01-02,death\n"),
        (
            "results",
            "laboratory,accession_number,patient_id,collected_on,tested_on,is_percent\nL,A,P1,2020-01-01,1999-01-01,"
            "1\n",
        ),
        (
            "results",
            "laboratory,accession_number,patient_id,collected_on,control_gene_copies,is_percent\nL,A,P1,2020-01-01,"
            '"32,000",1\n',
        ),
        ("results", "laboratory,accession_number,patient_id,collected_on,is_percent\nL,#REF!,P1,2020-01-01,1\n"),
    ],
)
def test_days_that_cannot_be_and_numbers_that_can_be_two_are_refused(known: Door, kind: str, row: str) -> None:
    assert known(kind, row) == 1
    assert len(known.errors) == 1


def test_a_small_number_of_a_workbook_is_a_plain_number(known: Door, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["laboratory", "accession_number", "patient_id", "collected_on", "is_percent"])
    sheet.append(["LAB", "A1", "P1", dt.date(2020, 1, 1), 0.00001])
    book.save(tmp_path / "r.xlsx")
    assert known("results", tmp_path / "r.xlsx") == 0
    assert str(PcrResult.objects.get().is_percent) == "0.00001"


def test_a_dry_run_names_what_would_be_new(known: Door) -> None:
    assert known("results", RESULTS + "NEWLAB,A1,P1,2020-01-01,1,50,50000,1\n", "--dry-run") == 0
    assert "new: laboratory NEWLAB" in known.said


def test_a_missing_line_end_is_mentioned(known: Door) -> None:
    assert known("patients", PATIENTS.rstrip("\n")) == 0
    assert "no line end" in known.said


def test_one_person_under_two_ids_is_noted_and_shown(door: Door, client: Client, member: Callable[..., User]) -> None:
    head = "patient_id,centre,sex,birth_date,diagnosed_on\n"
    assert door("patients", f"{head}P1,H1,F,2001-02-03,2010-01-05\nP2,H1,F,2001-02-03,2010-01-06\n") == 0
    assert "one person twice" not in door.said
    assert door("patients", f"{head}P3,H1,F,2001-02-03,2010-01-05\nQ1,H2,F,2001-02-03,2010-01-05\n", "--dry-run") == 0
    assert "P3 has the sex, birth and diagnosis of P1: one person twice?" in door.said
    assert "Q1 has the sex, birth and diagnosis of a patient of another centre" in door.said  # whose is not told
    assert door("patients", f"{head}P3,H1,F,2001-02-03,2010-01-05\nQ1,H2,F,2001-02-03,2010-01-05\n") == 0
    assert Patient.objects.count() == 4, "a note refuses nothing"
    client.force_login(member("grace", Centre.objects.get(code="H1")))
    page = client.get(f"/patients/{Patient.objects.get(patient_id='P3').public_id}/").content.decode()
    assert "Perhaps the same person" in page
    assert "P1 (" in page
    assert "Q1 (" not in page
    assert "P2 (" not in page


def test_a_birth_known_to_the_year_makes_no_double(door: Door) -> None:
    head = "patient_id,centre,sex,birth_year,diagnosed_on\n"
    door("patients", f"{head}P1,H1,F,2001,2010-01-05\n")
    door("patients", f"{head}P2,H1,F,2001,2010-01-05\n")
    assert "one person twice" not in door.said
