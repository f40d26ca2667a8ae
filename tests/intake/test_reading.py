"""Reading files within bounds: what is too much is refused in words, whatever it is made of, and a run always ends."""

import csv
import datetime as dt
import gzip
import io
import os
import random
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import override_settings

from monitoring import clock
from monitoring.intake import apart, uploads
from monitoring.intake.apart import ApartReader, Limits, ReaderLostError
from monitoring.intake.bounds import LONGEST_LINE
from monitoring.intake.columns import COLUMNS, REQUIRED_COLUMNS
from monitoring.intake.file_problems import FileProblem
from monitoring.intake.tables import open_table
from monitoring.intake.uploads import forget_old_files, load_upload, owed_uploads, take_upload, verdict_rows
from monitoring.models import Centre, ImportRun, JobRun, Patient, PcrResult, Replicate, Role
from tests.conftest import reporting

PATIENTS = COLUMNS["patients"], REQUIRED_COLUMNS["patients"]
HEADER = (
    '<row r="1"><c r="A1" t="inlineStr"><is><t>patient_id</t></is></c><c r="B1" t="inlineStr"><is><t>centre</t>'
    "</is></c></row>"
)
ROW = '<row r="2"><c r="A2"><v>7</v></c><c r="B2"><v>8</v></c></row>'
SHEET = "xl/worksheets/sheet1.xml"


def workbook(path: Path, rows: str = HEADER + ROW, *, before: str = "", after: str = "", doctype: str = "") -> Path:
    """A workbook whose first sheet is written by hand."""
    whole = io.BytesIO()
    openpyxl.Workbook().save(whole)
    sheet = (
        f'{doctype}<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{before}'
        f"<sheetData>{rows}</sheetData>{after}</worksheet>"
    )
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.namelist():
            new.writestr(part, sheet if part == SHEET else old.read(part))
    return path


def read(path: Path) -> list[tuple[int, list[str], str]]:
    return list(open_table(path, *PATIENTS).rows)


NESTED = "<a>" * 5000 + "</a>" * 5000


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ({"rows": HEADER + '<row r="2000000000"><c r="A2000000000"><v>1</v></c></row>'}, "2000000000"),
        ({"rows": HEADER + '<row r="1048577"><c><v>1</v></c></row>'}, "1048577"),
        ({"rows": HEADER + '<row r="0"><c><v>1</v></c></row>'}, "row 0"),
        ({"rows": HEADER + '<row r="2"><c r="XFD2"><v>1</v></c></row>'}, "column 16384"),
        ({"rows": HEADER + ROW + ROW}, "damaged"),
        ({"after": NESTED}, "in a way that no table is"),
        ({"after": '<mergeCells>' + '<mergeCell ref="A1:B2"/>' * 100_001 + "</mergeCells>"}, "in a way"),
        ({"doctype": '<!DOCTYPE a [<!ENTITY b "c">]>'}, "cannot be opened"),
    ],
    ids=["far row", "row after the last", "row 0", "far column", "row twice", "nested", "merged", "entity"],
)  # fmt: skip
def test_a_sheet_that_is_more_than_a_table_is_refused_at_once(tmp_path: Path, parts: dict[str, str], word: str) -> None:
    started = time.process_time()
    with pytest.raises(FileProblem, match=word):
        read(workbook(tmp_path / "f.xlsx", **parts))
    assert time.process_time() - started < 1


def test_what_is_large_and_empty_costs_nothing(tmp_path: Path) -> None:
    empty = "".join(f'<row r="{n}" s="1" customFormat="1"/>' for n in range(3, 20_000))
    path = workbook(
        tmp_path / "f.xlsx", HEADER + ROW + empty, before='<dimension ref="A1:XFD1048576"/>',
        after='<mergeCells><mergeCell ref="A3:XFD1048576"/></mergeCells>',
    )  # fmt: skip
    assert read(path) == [(2, ["7", "8"], None)]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"patient_id,centre\n" + b"x" * (3 * LONGEST_LINE), "bytes"),
        (b"patient_id,centre\n" + b'"\n' + b'","\n' * (LONGEST_LINE // 2), "bytes"),
        (b",".join([b"patient_id", b"centre", *[b"c"] * 100_000]) + b"\n", "columns"),
        (b"patient_id,centre\n" + b'"' * 900_001, "quotation mark"),
    ],
    ids=["endless line", "endless record", "many columns", "many quotes"],
)
def test_a_text_that_does_not_end_is_refused_at_once(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(content)
    started = time.process_time()
    with pytest.raises(FileProblem, match=word):
        read(path)
    assert time.process_time() - started < 2


# --- the reading process ----------------------------------------------------------------------------------------


def large(path: Path) -> Path:
    rows = "".join(f'<row r="{n}"><c><v>{n}</v></c><c><v>8</v></c></row>' for n in range(2, 400_000))
    return workbook(path, HEADER + rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "word"),
    [
        (Limits(cpu_seconds=3), "too long"),
        (Limits(wall_seconds=0.2), "too long"),
        (Limits(memory_bytes=350_000_000), "more memory"),
    ],
    ids=["processor", "wall", "memory"],
)
def test_a_reading_process_that_meets_a_limit_is_told_in_words_and_is_gone(
    tmp_path: Path, limits: Limits, word: str
) -> None:
    if word == "more memory":
        path = workbook(
            tmp_path / "f.xlsx", "".join(['<row r="1">', *(f"<c><v>{n}</v></c>" for n in range(1_500_000)), "</row>"])
        )
    else:
        path = large(tmp_path / "f.xlsx")
    with ApartReader(limits=limits) as reader:
        with pytest.raises(FileProblem, match=word):
            list(reader.open_table(path, *PATIENTS).rows)
        child = reader._child
    assert child is not None
    assert child.returncode is not None


def test_a_reading_process_that_is_killed_is_no_verdict_on_the_file(tmp_path: Path) -> None:
    path = large(tmp_path / "f.xlsx")
    with ApartReader() as reader:
        rows = reader.open_table(path, *PATIENTS).rows
        next(rows)
        assert reader._child is not None
        reader._child.kill()
        with pytest.raises(ReaderLostError):
            list(rows)


def test_a_reading_process_knows_no_secret() -> None:
    assert set(apart._environment()) <= {
        "PATH", "LANG", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"
    }  # fmt: skip


# --- runs -------------------------------------------------------------------------------------------------------


@pytest.fixture
def clerk(member: Callable[..., User], centre: Centre) -> User:
    return member("adam", centre, Role.ADMINISTRATOR)


NAMED = b"patient_id,centre,sex,family_name,given_name,hospital_number\nP1,H1,F,Zhangsan,Quentin,HN-778\n"


def give(by: User, content: bytes, *, name: str = "f.csv", kind: str = "patients", dry_run: bool = True) -> ImportRun:
    return take_upload(kind, name, content, by=by, dry_run=dry_run)


def in_the_table() -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "select r::text, encode(content, 'escape'), encode(verdicts, 'escape') from monitoring_importrun r"
        )
        return repr(cursor.fetchall())


@pytest.mark.django_db
def test_nothing_of_a_file_stands_readable_in_the_table(clerk: User) -> None:
    run = give(clerk, NAMED)
    assert "Zhangsan" not in in_the_table()
    assert load_upload(run.pk)
    kept = in_the_table()
    assert not any(word in kept for word in ("Zhangsan", "Quentin", "HN-778"))
    run.refresh_from_db()
    assert [row["verdict"] for row in verdict_rows(run)] == ["created"]


@pytest.mark.django_db
def test_names_are_repeated_in_no_verdict_and_no_problem(clerk: User) -> None:
    verdicts = uploads._Verdicts("patients")
    verdicts.say(2, "refused", "family_name", "Zhangsan", "Zhangsan is another name")
    assert b"Zhangsan" not in gzip.decompress(verdicts.packed())
    run = give(clerk, b"P1,Zhangsan,Quentin\nP2,Lisi,Bob\n")
    load_upload(run.pk)
    run.refresh_from_db()
    assert "patient_id" in run.problem
    assert "zhangsan" not in run.problem.lower()


@pytest.mark.django_db
def test_a_name_of_a_hundred_chinese_characters_is_read(clerk: User) -> None:
    run = give(clerk, NAMED, name="检" * 100 + ".csv")
    assert load_upload(run.pk)
    run.refresh_from_db()
    assert (run.problem, run.rows) == ("", 1)


@pytest.mark.django_db
def test_files_expire_after_a_day_and_verdicts_after_thirty(clerk: User) -> None:
    run = give(clerk, NAMED)
    load_upload(run.pk)
    assert forget_old_files(now=clock.now() + dt.timedelta(days=29)) == 1
    assert forget_old_files(now=clock.now() + dt.timedelta(days=31)) == 1
    run.refresh_from_db()
    assert (run.content, run.verdicts, verdict_rows(run)) == (None, None, [])


@pytest.mark.django_db
def test_a_file_under_another_key_ends_with_words(clerk: User) -> None:
    run = give(clerk, NAMED)
    with override_settings(IDENTITY_KEY="another key that is long enough to be one"):
        assert load_upload(run.pk)
    run.refresh_from_db()
    assert "give it again" in run.problem


@pytest.mark.django_db
def test_the_third_lost_reader_ends_the_run_with_words(clerk: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_a: object, **_k: object) -> None:
        raise ReaderLostError("killed")

    monkeypatch.setattr(uploads, "load_file", lost)
    run = give(clerk, NAMED)
    assert [load_upload(run.pk) for _ in range(3)] == [False, False, True]
    run.refresh_from_db()
    assert "3 times" in run.problem
    assert owed_uploads(now=clock.now()) == []


@pytest.mark.django_db
def test_three_killed_workers_end_the_run_with_words(clerk: User) -> None:
    run = give(clerk, NAMED)
    past = clock.now() - dt.timedelta(minutes=10)
    JobRun.objects.create(job=f"import:{run.pk}", slot_at=run.started_at, claimed_at=past, lease_until=past, attempts=3)
    assert load_upload(run.pk)
    run.refresh_from_db()
    assert "3 times" in run.problem


@pytest.mark.django_db
def test_the_unforeseen_ends_the_run_with_words_and_is_raised(clerk: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "load_file", lambda *_a, **_k: 1 // 0)
    run = give(clerk, NAMED)
    with pytest.raises(ZeroDivisionError):
        load_upload(run.pk)
    run.refresh_from_db()
    assert "operator" in run.problem
    assert run.finished_at is not None


@pytest.mark.django_db
def test_a_lost_database_is_no_verdict_on_the_file(clerk: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_a: object, **_k: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(uploads, "load_file", lost)
    run = give(clerk, NAMED)
    with pytest.raises(OperationalError):
        load_upload(run.pk)
    run.refresh_from_db()
    assert run.finished_at is None
    assert owed_uploads(now=clock.now() + dt.timedelta(minutes=5)) == [run.pk]


@pytest.mark.django_db
def test_the_lease_is_renewed_while_nothing_is_heard(
    clerk: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "BEAT_SECONDS", 0.01)
    beats: list[int] = []
    path = tmp_path / "f.csv"
    path.write_bytes(NAMED)
    with ApartReader(lambda: beats.append(1)) as reader:
        assert len(list(reader.open_table(path, *PATIENTS).rows)) == 1
    assert len(beats) > 1


# --- mutated files ----------------------------------------------------------------------------------------------

RESULTS = (
    "laboratory",
    "accession_number",
    "patient_id",
    "collected_on",
    "bcr_abl1_copies",
    "control_gene_copies",
    "conversion_factor",
)
ODD = (
    "",
    "\x00",
    "#N/A",
    '"',
    "1e999",
    "-1",
    "2025-02-30",
    "nd",
    "9" * 400,
    "Ａ",
    "\u202e",
    "0",
    "\\N",
    "\\.",
    "\t",
    "'",
    "a,b",
    "1E+05",
)


@pytest.mark.django_db
@pytest.mark.parametrize("sheet", [False, True], ids=["csv", "xlsx"])
def test_no_mutated_row_crashes_or_leaves_half_an_accession(
    centre: Centre, patient: Patient, ada: User, tmp_path: Path, sheet: bool
) -> None:
    reporting("LAB", centre)
    chance = random.Random(7)
    for number in range(26 if os.environ.get("LONG_FORMS") else 1):
        rows = [["LAB", f"{number}-{n // 2}", "P1", "2025-01-01", "60", "52000", "1"] for n in range(200)]
        for row in chance.sample(rows, 120):
            row[chance.randrange(len(row))] = chance.choice(ODD)
        path = tmp_path / f"f{number}"
        raw = number % 3 == 2 and not sheet
        if sheet:
            write_sheet(path, rows)
        elif raw:
            path.write_text("\n".join(",".join(row) for row in [list(RESULTS), *rows]), encoding="utf-8")
        else:
            write_text(path, rows, cut=chance.randrange(8))
        try:
            uploads.load_file("results", path, by=ada)
        except FileProblem:
            continue
        given = Counter(row[1] for row in rows if row[0] == "LAB")
        for result in PcrResult.objects.filter(laboratory__code="LAB", accession_number__startswith=f"{number}-"):
            stored = Replicate.objects.filter(result=result).count()
            assert raw or stored == given[result.accession_number], result.accession_number


def write_text(path: Path, rows: list[list[str]], cut: int) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([list(RESULTS), *rows])
    whole = text.getvalue()
    path.write_text(whole[: len(whole) - cut], encoding="utf-8")


def write_sheet(path: Path, rows: list[list[str]]) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in [list(RESULTS), *rows]:
        sheet.append([cell.replace("\x00", "_") for cell in row])
    book.save(path)
