"""What is read is what was written: files as laboratories and registries really have them, door by door."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from monitoring import clock
from monitoring.domain.course.series import assess
from monitoring.intake.file_problems import FileProblem
from monitoring.intake.loading import FileOutcome, load_file
from monitoring.models import Centre, LateReport, Patient, PcrResult, Role
from monitoring.selectors.series import load_series
from tests.conftest import reporting

pytestmark = pytest.mark.django_db

HEADER = (
    "laboratory", "accession_number", "patient_id", "collected_on", "control_gene", "replicate", "bcr_abl1_copies",
    "control_gene_copies", "conversion_factor", "is_percent",
)  # fmt: skip
Rows = list[list[Any]]


def row(accession: Any, copies: Any = "nd", control: Any = 60000, percent: Any = None, **more: Any) -> list[Any]:
    """A row of one tube under ``HEADER``."""
    values = {
        "laboratory": "LAB", "accession_number": accession, "patient_id": "P1", "collected_on": dt.date(2024, 6, 1),
        "control_gene": "ABL1", "replicate": 1, "bcr_abl1_copies": copies, "control_gene_copies": control,
        "conversion_factor": 1, "is_percent": percent,
    }  # fmt: skip
    return list({**values, **more}.values())


@dataclass
class Door:
    """Loads a file as ``import_results`` does and says what became of it."""

    ada: User
    folder: Path

    def csv(self, text: str | bytes, **options: Any) -> FileOutcome:
        path = self.folder / "results.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load_file("results", path, by=self.ada, **options)

    def rows(self, rows: Rows, **options: Any) -> FileOutcome:
        """As CSV."""
        text = io.StringIO()
        csv.writer(text).writerows([HEADER, *rows])
        return self.csv(text.getvalue(), **options)

    def sheet(self, rows: Rows, touch: Callable[[Any], None] = lambda sheet: None) -> FileOutcome:
        """As a workbook, after somebody has touched its sheet."""
        book = openpyxl.Workbook()
        sheet = book.active
        assert sheet is not None
        for one in ([*HEADER], *rows):
            sheet.append(one)
        touch(sheet)
        path = self.folder / "results.xlsx"
        book.save(path)
        return load_file("results", path, by=self.ada)


@pytest.fixture
def door(ada: User, patient: Patient, centre: Centre, tmp_path: Path) -> Door:
    reporting("LAB", centre)
    return Door(ada, tmp_path)


def classes(patient: Patient) -> dict[str, str]:
    """The class of each accession."""
    (loaded,) = load_series([patient.pk]).values()
    return {a.result.key.split("/")[1]: a.score.response_class.value for a in assess(loaded.series)}


def refusal(outcome: FileOutcome) -> tuple[str, str]:
    """Column and reason of the one refusal."""
    _line, column, _value, reason = outcome.examples[0]
    return column, reason


# --- workbooks ---------------------------------------------------------------------------------------------------


def formatted(cell: str, number_format: str) -> Callable[[Any], None]:
    def touch(sheet: Any) -> None:
        sheet[cell].number_format = number_format

    return touch


def test_a_cell_formatted_as_percent_is_the_percentage_it_shows(door: Door, patient: Patient) -> None:
    door.sheet([row("A1", None, percent=0.005)], formatted("J2", "0.000%"))
    assert PcrResult.objects.get().is_percent == Decimal("0.5")
    assert classes(patient) == {"A1": "NO_MMR"}


@pytest.mark.parametrize("cell", ["G2", "H2", "I2"])
def test_a_percentage_where_none_belongs_is_refused(door: Door, cell: str) -> None:
    outcome = door.sheet([row("A1", 30)], formatted(cell, "0.00%"))
    assert "percentage" in refusal(outcome)[1]
    assert not PcrResult.objects.exists()


@pytest.mark.parametrize(
    ("cell", "number_format", "column"),
    [
        ("H2", "#,##0,", "control_gene_copies"),
        ("H2", '0" nd"', "control_gene_copies"),
        ("J2", '[<0.1]"neg";0.0', "is_percent"),
    ],
)
def test_a_cell_that_shows_something_else_than_its_number_is_refused(
    door: Door, cell: str, number_format: str, column: str
) -> None:
    outcome = door.sheet([row("A1", None, percent=0.05)], formatted(cell, number_format))
    assert refusal(outcome) == (column, "shows something else than the number behind it; write what is shown as text")


def test_the_first_visible_sheet_is_read_and_the_others_are_named(door: Door) -> None:
    def touch(sheet: Any) -> None:
        for title in ("2024", "notes"):
            sheet.parent.create_sheet(title).append(["x"])
        old = sheet.parent.create_sheet("old", 0)
        old.append(list(HEADER))
        old.append(row("OLD"))
        old.sheet_state = "hidden"
        sheet.parent.create_sheet("empty")

    outcome = door.sheet([row("NEW")], touch)
    assert PcrResult.objects.get().accession_number == "NEW"
    said = "\n".join(outcome.notes)
    assert "hidden sheet 'old'" in said
    assert "sheet '2024'" in said
    assert "sheet 'notes'" in said
    assert "empty" not in said


def test_hidden_rows_and_columns_are_read_and_noted(door: Door) -> None:
    def touch(sheet: Any) -> None:
        sheet.row_dimensions[3].hidden = True
        sheet.column_dimensions["I"].hidden = True

    outcome = door.sheet([row("A1"), row("A2", 900, collected_on=dt.date(2024, 7, 1))], touch)
    assert PcrResult.objects.count() == 2
    assert "1 rows that a filter or a person has hidden were read too" in outcome.notes
    assert "the hidden columns I were read too" in outcome.notes


@pytest.mark.parametrize("cell", ["G2", "H2", "I2", "J2", "B2"])
def test_a_formula_without_a_stored_value_is_refused(door: Door, cell: str) -> None:
    def touch(sheet: Any) -> None:
        sheet[cell] = "=1+1"

    outcome = door.sheet([row("A1", 90)], touch)
    assert "formula" in refusal(outcome)[1]
    assert not PcrResult.objects.exists()


@pytest.mark.parametrize(
    ("value", "number_format"),
    [
        (2024061500000120.0, "0"), (202406150000012345, "General"), (12.5, "General"), (123, "00000"), (0.25, "# ?/?"),
        (dt.date(2024, 6, 1), "yyyy-mm-dd"), (True, "General"), (7, '"A"0'),
    ],
)  # fmt: skip
def test_an_identifier_that_a_spreadsheet_has_mangled_is_refused(door: Door, value: Any, number_format: str) -> None:
    outcome = door.sheet([row(value)], formatted("B2", number_format))
    assert refusal(outcome)[0] == "accession_number"
    assert not PcrResult.objects.exists()


@pytest.mark.parametrize("number_format", ["General", "0", "@"])
def test_a_whole_number_that_shows_all_its_digits_is_an_identifier(door: Door, number_format: str) -> None:
    door.sheet([row(240615)], formatted("B2", number_format))
    assert PcrResult.objects.get().accession_number == "240615"


@pytest.mark.parametrize("ranges", [["A2:A3", "B2:B3", "C2:C3", "D2:D3", "E2:E3"], ["B2:B3"]])
def test_cells_merged_over_the_tubes_of_an_accession_are_filled(
    door: Door, patient: Patient, ranges: list[str]
) -> None:
    def touch(sheet: Any) -> None:
        for one in ranges:
            sheet.merge_cells(one)

    door.sheet([row("A1", "nd", 50000), row("A1", 120, 48000, replicate=2)], touch)
    assert PcrResult.objects.get().replicates.count() == 2
    assert classes(patient) == {"A1": "NO_MMR"}


@pytest.mark.parametrize("merged", ["H2:H3", "G2:H2"])
def test_a_number_merged_over_tubes_or_columns_refuses_the_whole_accession(door: Door, merged: str) -> None:
    rows = [row("A1", "nd", 50000), row("A1", 120, 48000, replicate=2)]
    outcome = door.sheet(rows, lambda sheet: sheet.merge_cells(merged))
    assert outcome.refused_rows == 2
    assert not PcrResult.objects.exists()


def test_midnight_is_a_time(door: Door, tmp_path: Path) -> None:
    def touch(sheet: Any) -> None:
        sheet["D1"] = "collected_at"
        sheet["D2"] = dt.datetime(2024, 6, 1)
        sheet["D2"].number_format = "yyyy-mm-dd hh:mm"

    door.sheet([row("A1")], touch)
    assert PcrResult.objects.get().collected_at == dt.datetime(2024, 6, 1, tzinfo=dt.UTC)


def test_midnight_in_a_column_of_days_is_the_day(door: Door) -> None:
    def touch(sheet: Any) -> None:
        sheet["D2"] = dt.datetime(2024, 6, 1)
        sheet["D2"].number_format = "yyyy-mm-dd hh:mm"

    door.sheet([row("A1")], touch)
    assert PcrResult.objects.get().collected_on == dt.date(2024, 6, 1)


# --- no half accession -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", ["rows", "sheet"])
@pytest.mark.parametrize("lacking", [{"accession_number": ""}, {"laboratory": ""}])
def test_a_row_without_its_key_refuses_the_accession_above_it(door: Door, load: str, lacking: dict[str, str]) -> None:
    orphan = row("A1", 120, 48000, **{"replicate": 2, **lacking})
    rows = [
        row("A0"),
        row("A1", "nd", 50000, collected_on=dt.date(2024, 6, 2)),
        orphan,
        row("A2", collected_on=dt.date(2024, 6, 3)),
    ]
    outcome = getattr(door, load)(rows)
    assert set(PcrResult.objects.values_list("accession_number", flat=True)) == {"A0", "A2"}
    assert outcome.refused_rows == 2
    assert any("line 4 does not name its accession" in reason for *_, reason in outcome.examples)


# --- missing and failed are not negative -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("copies", "control"), [("", ""), ("", "0"), ("nd", "0"), ("nd", ""), ("", "60000"), ("nd", "60000")]
)
def test_a_failed_run_is_a_complete_statement(door: Door, patient: Patient, copies: str, control: str) -> None:
    outcome = door.csv(
        "laboratory,accession_number,patient_id,collected_on,bcr_abl1_copies,control_gene_copies,run_valid\n"
        f"LAB,A1,P1,2024-06-01,{copies},{control},false\n"
    )
    assert not outcome.refused_rows
    assert classes(patient) == {"A1": "INVALID"}


def test_a_final_failure_replaces_a_preliminary_negative(door: Door, patient: Patient) -> None:
    header = (
        "laboratory,accession_number,patient_id,collected_on,bcr_abl1_copies,control_gene_copies,run_valid,status\n"
    )
    door.csv(header + "LAB,A1,P1,2024-06-01,nd,60000,,preliminary\n")
    assert classes(patient) == {"A1": "MR4_5"}
    outcome = door.csv(header + "LAB,A1,P1,2024-06-01,,,false,final\n")
    assert any("replaces" in note for note in outcome.notes)
    assert classes(patient) == {"A1": "INVALID"}


# --- words and numbers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["TND", "阴性", "n.d.", "Undetectable"])
@pytest.mark.parametrize("column", ["bcr_abl1_copies", "is_percent", "detected"])
def test_a_word_for_not_detected_is_taken_in_every_column_with_a_note(
    door: Door, patient: Patient, word: str, column: str
) -> None:
    outcome = door.csv(
        f"laboratory,accession_number,patient_id,collected_on,control_gene_copies,{column}\n"
        f"LAB,A1,P1,2024-06-01,60000,{word}\n"
    )
    assert classes(patient) == {"A1": "MR4_5"}
    assert any(repr(word) in note for note in outcome.notes)


@pytest.mark.parametrize("word", ["-", "NA", "null", "0", "<3", "<LOD", "No Ct"])
def test_what_could_mean_something_else_is_refused_with_the_fix(door: Door, word: str) -> None:
    outcome = door.rows([row("A1", word)])
    assert "nd" in refusal(outcome)[1]
    assert not PcrResult.objects.exists()


def test_a_file_that_shows_its_decimal_mark_is_read_by_it(door: Door, patient: Patient) -> None:
    door.rows(
        [row("A1", "52.000", "60000"), row("A2", "nd", "48.000", conversion_factor="0,85", collected_on="2024-07-01")]
    )
    stored = dict(PcrResult.objects.values_list("accession_number", "replicates__control_gene_copies"))
    assert stored == {"A1": 60000, "A2": 48000}
    assert PcrResult.objects.get(accession_number="A1").replicates.get().bcr_abl1_copies == 52000


@pytest.mark.parametrize("load", ["rows", "sheet"])
def test_a_mark_before_three_digits_is_refused_where_nothing_shows_what_it_is(door: Door, load: str) -> None:
    rows = [row("A1", "nd", "52.000", conversion_factor=None)]
    if load == "sheet":
        rows.append(row("A2", 9, 50000.5, conversion_factor=0.85, collected_on=dt.date(2024, 7, 1)))
    outcome = getattr(door, load)(rows)
    assert refusal(outcome) == ("control_gene_copies", "is it 52000 or 52.000? Write 52000 or 52.0000")


@pytest.mark.parametrize(
    ("named", "expected"), [("MR4.5", "MR4_5"), ("MMR", "MMR"), ("NO_MMR", "NO_MMR"), ("MR2", "NO_MMR")]
)
def test_a_result_that_only_names_a_class_is_stored_as_reported(
    door: Door, patient: Patient, named: str, expected: str
) -> None:
    door.csv(f"laboratory,accession_number,patient_id,collected_on,reported_class\nLAB,A1,P1,2024-06-01,{named}\n")
    (loaded,) = load_series([patient.pk]).values()
    (found,) = assess(loaded.series)
    assert found.score.response_class.value == expected
    assert "SENSITIVITY_UNKNOWN" in found.score.flags
    assert found.score.is_percent is None


def test_a_limit_that_proves_less_than_the_copies_is_said(door: Door) -> None:
    outcome = door.csv(
        "laboratory,accession_number,patient_id,collected_on,bcr_abl1_copies,control_gene_copies,limit_of_detection\n"
        "LAB,A1,P1,2024-06-01,nd,10000,0.03\n"
    )
    assert any("0.03 % proves MMR" in note for note in outcome.notes)


# --- dialects ----------------------------------------------------------------------------------------------------

PLAIN = (
    "laboratory,accession_number,patient_id,collected_on,bcr_abl1_copies,control_gene_copies,assay\nLAB,A1,P1,"
    "2024-06-01,60,50000,Größe 定量\n"
)
CHINESE = PLAIN.replace("Größe ", "")


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (PLAIN.replace(",", ";"), "semicolons"),
        (PLAIN.replace(",", "\t"), "tabs"),
        (PLAIN.encode("utf-16"), "UTF-16"),
        (b"\xfe\xff" + PLAIN.encode("utf-16-be"), "UTF-16"),
        (CHINESE.encode("gb18030"), "GB18030"),
        ("sep=,\n" + PLAIN, ""),
        ("sep=;\n" + PLAIN.replace(",", ";"), "semicolons"),
        (PLAIN.replace("\n", "\r"), ""),
        (PLAIN.replace("\n", "\r\n"), ""),
        ("\ufeff\ufeff" + PLAIN, ""),
        ('"' + PLAIN.replace(",", '";"').replace("\n", '"\n"').rstrip('"'), "semicolons"),
        ("* Instrument = QS5\n* End = 12:01\n\n[Results]\n" + PLAIN, "3 lines above the header in line 5"),
    ],
    ids=["semicolon", "tab", "utf-16", "utf-16-be", "gb18030", "sep", "sep semicolon", "cr", "crlf", "two marks",
         "quoted header", "preamble"],
)  # fmt: skip
def test_a_dialect_that_can_be_read_in_one_way_is_read_and_noted(door: Door, content: str | bytes, note: str) -> None:
    outcome = door.csv(content)
    assert PcrResult.objects.get().assay_name.endswith("定量")
    assert note in "\n".join(outcome.notes)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (PLAIN.replace(" 定量", "").encode("latin-1"), "is not UTF-8"),
        (PLAIN.encode("utf-16-le"), "UTF-16"),
        ("LAB,A0,P1,2024-05-01,nd,50000,x\n" + PLAIN, "line 1 stands above the header"),
        ("accession_number,laboratory,patient_id,bcr_abl1_copies_1,abl1_1\nA1,LAB,P1,nd,5\n", "one row a replicate"),
    ],
    ids=["latin-1", "utf-16 without mark", "row above", "wide with other names"],
)
def test_what_can_be_read_in_two_ways_is_refused_by_the_name_of_the_cause(
    door: Door, content: str | bytes, word: str
) -> None:
    with pytest.raises(FileProblem, match=word):
        door.csv(content)


def test_several_replicates_in_one_row_are_read_as_rows(door: Door, patient: Patient) -> None:
    outcome = door.csv(
        "laboratory,accession_number,patient_id,collected_on,bcr_abl1_copies_1,control_gene_copies_1,"
        "bcr_abl1_copies_2,control_gene_copies_2,conversion_factor\n"
        "LAB,A1,P1,2024-06-01,nd,50000,120,48000,1\nLAB,A2,P1,2024-07-01,nd,50000,,,1\n"
    )
    tubes = [r.replicates.count() for r in PcrResult.objects.order_by("accession_number")]
    assert tubes == [2, 1]
    assert classes(patient) == {"A1": "NO_MMR", "A2": "MR4_5"}
    assert any("several replicates" in note for note in outcome.notes)


@pytest.mark.parametrize(
    ("zone", "day"),
    [("", dt.date(2024, 6, 2)), ("Europe/Berlin", dt.date(2024, 6, 2)), ("America/New_York", dt.date(2024, 6, 1))],
)
def test_the_written_offset_decides_the_day_until_somebody_has_set_the_zone(
    door: Door, centre: Centre, zone: str, day: dt.date
) -> None:
    Centre.objects.update(time_zone=zone)
    door.csv(
        "laboratory,accession_number,patient_id,collected_at,bcr_abl1_copies,control_gene_copies\n"
        "LAB,A1,P1,2024-06-02T07:30+08:00,9,60000\n"
    )
    assert PcrResult.objects.get().collected_on == day


# --- the other doors ---------------------------------------------------------------------------------------------


@pytest.fixture
def api(centre: Centre, door: Door, member: Callable[..., User]) -> Callable[..., Any]:
    client = Client()
    client.force_login(member("tess", centre, Role.TECHNICIAN))

    def post(**values: Any) -> Any:
        body = {
            "laboratory": "LAB",
            "accession_number": "A1",
            "patient_id": "P1",
            "collected_on": "2024-06-01",
            **values,
        }
        return client.post("/api/v1/results/", body, content_type="application/json")

    return post


def test_in_json_only_null_beside_a_control_number_is_not_detected(api: Callable[..., Any]) -> None:
    for empty in ({"replicates": [{"bcr_abl1_copies": "", "control_gene_copies": 60000}]},
                  {"bcr_abl1_copies": "", "control_gene_copies": 60000},
                  {"replicates": [{"bcr_abl1_copies": None}]},
                  {"replicates": [{"control_gene_copies": 60000}]}):  # fmt: skip
        assert api(**empty).status_code == 400
    assert api(replicates=[{"bcr_abl1_copies": None, "control_gene_copies": 60000}]).status_code == 201
    assert not PcrResult.objects.get().replicates.get().bcr_abl1_copies


@pytest.mark.parametrize("value", [{"run_valid": False}, {"replicates": [{"run_valid": False}]}])
def test_a_failed_run_is_complete_in_json_too(api: Callable[..., Any], patient: Patient, value: dict[str, Any]) -> None:
    assert api(**value).status_code == 201
    assert classes(patient) == {"A1": "INVALID"}


def test_json_numbers_have_a_decimal_point_and_texts_are_read_as_cells(api: Callable[..., Any]) -> None:
    refused = api(replicates=[{"bcr_abl1_copies": None, "control_gene_copies": "52.000"}])
    assert refused.status_code == 400
    assert "52000 or 52.000" in refused.json()["errors"][0]["reason"]
    stored = api(replicates=[{"bcr_abl1_copies": 123.456, "control_gene_copies": 52000}], conversion_factor=1)
    assert stored.status_code == 201
    assert PcrResult.objects.get().replicates.get().bcr_abl1_copies == Decimal("123.456")
    words = api(accession_number="A2", replicates=[{"bcr_abl1_copies": "未检出", "control_gene_copies": 52000}]).json()
    assert any("未检出" in note for note in words["notes"])
    assert any("also A1" in note for note in words["notes"])


def test_an_older_report_is_kept_and_said_in_json(api: Callable[..., Any]) -> None:
    tube = {"replicates": [{"bcr_abl1_copies": 9, "control_gene_copies": 60000}]}
    api(version=2, status="corrected", reason="x", **tube)
    answer = api(version=1, replicates=[{"bcr_abl1_copies": 600, "control_gene_copies": 60000}])
    assert answer.status_code == 200
    assert any("older" in note for note in answer.json()["notes"])
    assert LateReport.objects.count() == 1


def test_the_score_command_reads_the_same_dialects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("accession_number;bcr_abl1_copies;control_gene_copies;conversion_factor\nX1;阴性;52.000;0,85\n")
    call_command("score", path)
    assert "X1,,,MR4_5" in capsys.readouterr().out


def test_the_clock_of_this_file_is_after_its_samples() -> None:
    assert clock.now().date() > dt.date(2024, 7, 1)


# --- a page writes back what it does not show --------------------------------------------------------------------

WHOLE = (
    "laboratory,accession_number,patient_id,collected_at,received_at,tested_on,issued_at,control_gene,replicate,"
    "bcr_abl1_copies,control_gene_copies,run_valid,method,assay,kit_lot,specimen,conversion_factor,is_percent,mr_value,"
    "reported_class,detected,limit_of_detection,limit_of_quantification,version\n"
)
STORED = [
    f"LAB,A1,P1,2024-06-01T08:30,2024-06-02T09:00,2024-06-03,2024-06-04T10:00,GUSB,{n},{tube},dpcr,Kit A,L1,PB,0.8,"
    "0.5,,MMR,yes,0.003,0.005,2\n"
    for n, tube in enumerate(("60.123,52000,true", "nd,123.456,false", ",48000,true"), start=1)
]


@pytest.mark.parametrize(
    "lines",
    [
        STORED[:2],
        ["LAB,A1,P1,2024-06-01T08:30,,,,ABL1,1,,,,,,,,,,,MR4.5,,,,\n"],
        ["LAB,A1,P1,2024-06-01T08:30,,,,ABL1,1,,,,,,,,,,,,no,0.003,,\n"],
        ["LAB,A1,P1,2024-06-01T08:30,,,,ABL1,1,,,false,,,,,,,,,,,,\n"],
        ["LAB,A1,P1,2024-06-01T08:30,,,,ABL1,1,,,,,,,,,<0.0032,,,yes,,,\n"],
        ["LAB,A1,P1,2024-06-01T08:30,,,,ABL1,1,,,,,,,,,,4.5,,,,,\n"],
    ],
    ids=["whole", "class only", "detected by limit", "failed run", "below", "mr value"],
)  # fmt: skip
def test_amending_one_cell_on_the_page_keeps_every_other(
    door: Door, centre: Centre, member: Callable[..., User], lines: list[str]
) -> None:
    outcome = door.csv(WHOLE + "".join(lines))
    assert not outcome.refused_rows, outcome.examples
    before = PcrResult.objects.get()
    client = Client()
    client.force_login(member("tess", centre, Role.TECHNICIAN))
    address = f"/results/{before.public_id}/amend/"
    page = client.get(address)
    form = {name: field.value() for name, field in ((f.html_name, f) for f in page.context["form"])}
    sent = {name: value for name, value in form.items() if value not in (None, False)}
    answer = client.post(address, {**sent, "kit_lot": "L2", "reason": "the lot was wrong", "version": before.version})
    assert answer.status_code == 302, answer.context["form"].errors
    after = PcrResult.objects.get(version=2)
    changed = {"id", "version", "supersedes_id", "status", "reason", "recorded_at", "recorded_by_id", "kit_lot"}
    for field in PcrResult._meta.concrete_fields:
        if field.attname not in changed:
            assert getattr(after, field.attname) == getattr(before, field.attname), field.attname
    tubes = [
        list(
            r.replicates.order_by("number").values_list(
                "number", "bcr_abl1_copies", "control_gene_copies", "run_valid", "bcr_abl1_reported"
            )
        )
        for r in (before, after)
    ]
    assert tubes[0] == tubes[1]


def test_the_page_of_a_result_says_what_is_missing_late_or_doubled(
    door: Door, centre: Centre, member: Callable[..., User]
) -> None:
    head = "laboratory,accession_number,patient_id,collected_on,bcr_abl1_copies,control_gene_copies,run_valid,version\n"
    door.csv(head + "LAB,A1,P1,2024-06-01,,,false,2\nLAB,A2,P1,2024-06-01,9,60000,,\n")
    door.csv(head + "LAB,A1,P1,2024-06-01,600,60000,,1\n")
    client = Client()
    client.force_login(member("tess", centre, Role.TECHNICIAN))
    pages = {
        r.accession_number: client.get(f"/results/{r.public_id}/").content.decode() for r in PcrResult.objects.all()
    }
    assert "not counted" in pages["A1"]
    assert "not detected" not in pages["A1"]
    assert "never in force" in pages["A1"]
    assert "600/60000" in pages["A1"]
    assert "A2 of the same patient" in pages["A1"]
    assert "A1 of the same patient" in pages["A2"]
