"""Two ways into the database must agree: plain rows by set-based queries, and every row through the Python judge."""

import csv
import datetime as dt
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.errors import UniqueViolation

from monitoring.intake import loading
from monitoring.intake.plain import SEPARATOR, plain_row_pattern
from monitoring.models import Centre, ClassificationRequest, ImportRun, Laboratory, Patient, PcrResult, Replicate
from monitoring.services.entry import bulk_results
from monitoring.services.entry.bulk_results import PlainOutcome, record_plain_results

pytestmark = pytest.mark.django_db

TODAY = dt.datetime.now(dt.UTC).date()
KEY_COLUMNS = ["laboratory", "accession_number", "patient_id"]
# Per column: words that are mostly plain, then words that are odd in one way or another.
WORDS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "laboratory": (("L1", "L2", "Zentrum Süd", "ZERO"), ("", "1E5", "#N/A", "L\u20281", "l1")),
    "patient_id": (("P1", "P2", "病人3", "BORN"), ("P9", "TWIN", "", "1.5E+10", "#REF!", "YEAR")),
    "centre": (("", "H1"), ("H2", "H3", "h1")),
    "collected_on": (
        ("2020-01-31", "2020-03-01", str(TODAY)),
        ("2020-02-29", "2021-02-29", "2020-01", "2020", str(TODAY.year), "", "2020-04-31", "01.02.2020", "1850-01-01",
         "2199-01-01", "1999-12-31", "2000-01-01", str(TODAY + dt.timedelta(days=1)),
          str(TODAY + dt.timedelta(days=2))),
    ),
    "collected_at": (("",), ("2020-01-31T08:30", "2020-01-31T23:30:00-05:00", "2020-01-31")),
    "received_on": (("", "2020-03-01", str(TODAY)), ("2019-01-01", "2020-03", "x")),
    "received_at": (("",), ("2020-03-02T10:00Z", "2020-03-02")),
    "tested_on": (("", "2020-03-02"), ("2019-12-31", "2020")),
    "issued_at": (("",), ("2020-03-05T10:00Z", "never")),
    "control_gene": (("", "ABL1", "GUSB"), ("abl1", "ABL2")),
    "replicate": (("",), ("1", "2", "3", "0", "100", "x")),
    "bcr_abl1_copies": (
        ("nd", "3", "50", "50000", "0.5", "12.50", ""),
        ("ND", "0", "0,5", "-1", "1,234", "1e3", "05", ".5", "999999999", "1000000000", "Not detected"),
    ),
    "control_gene_copies": (
        ("60000", "45000.5", "0", ""), ("0.5", "32,000", "0.0", "60 000", "9999999999", "nd", "1"),
    ),
    "is_percent": (
        ("", "0.25", "<0.0032", "> 55", "9999.9", "100"),
        ("0,25", "0.25 %", "10000", "0", "≤0.1", "<<1", "0.00", "00.1", "0.0000000001"),
    ),
    "mr_value": (("", "", "4.5", "3", "0"), ("-1", "10", "-3.5", "4,5", "9.999")),
    "reported_class": (("", "MMR", "MR4_5"), ("mmr", "MR3", "MR9")),
    "detected": (("",), ("yes", "no", "NO", "maybe")),
    "limit_of_detection": (("", "0.003"), ("0", "0,003")),
    "limit_of_quantification": (("", "0.010"), ("x",)),
    "method": (("", "rt-qpcr", "dpcr"), ("PCR", "RT-qPCR")),
    "assay": (("", "Ipsogen 2"), ("#VALUE!", "back\\slash", "a" * 101, "tab\there", "line\nbreak")),
    "kit_lot": (("", "K-1"), ("e\u0301", "a" * 61)),
    "run": (("", "R-7"), ("a" * 61, "#N/A")),
    "specimen": (("", "PB", "BM"), ("bm", "urine")),
    "conversion_factor": (("", "0.9", "1", "0.90"), ("0", "100", "0,9", "99.999")),
    "run_valid": (("", "true", "no"), ("TRUE", "perhaps")),
    "status": (("", "final"), ("preliminary", "corrected", "entered_in_error", "done", "Final")),
    "version": (("", "1"), ("2", "0")),
    "reason": (("",), ("recount",)),
}  # fmt: skip
REPLICATE_COLUMNS = ("replicate", "bcr_abl1_copies", "control_gene_copies", "run_valid")


def rows_of_a_record(chance: random.Random, columns: Sequence[str], accession: str, oddness: float) -> list[list[str]]:
    """The rows of one accession: mostly plain cells, mostly agreeing, mostly numbered in order."""

    def word(column: str) -> str:
        plain, odd = WORDS[column]
        return chance.choice(odd if odd and chance.random() < oddness else plain)

    sample = {column: word(column) for column in columns if column != "accession_number"}
    sample["accession_number"] = accession
    rows = []
    for number in range(1, chance.choice((1, 1, 1, 2, 3)) + 1):
        row = dict(sample)
        for column in columns:
            if column in REPLICATE_COLUMNS or (column != "accession_number" and chance.random() < oddness / 4):
                row[column] = word(column)
        if "bcr_abl1_copies" in row and chance.random() < 0.8:  # or else the tubes hardly ever fit each other
            row["bcr_abl1_copies"] = row["bcr_abl1_copies"] or "nd"
        if "replicate" in row and chance.random() < 0.8:
            row["replicate"] = str(number)
        rows.append([row[column] for column in columns])
    if chance.random() < oddness / 4:
        rows[-1] = rows[-1][:-1] if chance.random() < 0.5 else [*rows[-1], "more"]
    return rows


def write_file(path: Path, chance: random.Random, columns: Sequence[str], again: Sequence[list[str]] = ()) -> list[Any]:
    """A file of some records, mixed with rows of an earlier one that come again, now and then with another cell."""
    oddness = chance.choice((0.0, 0.01, 0.05))
    accessions = [*(f"A{n}" for n in range(12)), "2020-17", "12E5", "Ä/1"]
    rows = [row for a in accessions if chance.random() < 0.8 for row in rows_of_a_record(chance, columns, a, oddness)]
    for row in again:
        kept = list(row)
        if chance.random() < 0.2:
            place = chance.randrange(len(kept))
            column = columns[place] if place < len(columns) else "kit_lot"
            kept[place] = chance.choice([w for words in WORDS.get(column, (("A1",), ())) for w in words])
        rows.append(kept)
    if chance.random() < 0.3:
        chance.shuffle(rows)
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([columns, *rows])
    return rows


def stored() -> dict[str, Any]:
    """Everything that the import wrote, without the numbers and times that differ from one run to the next."""
    own = ("id", "public_id", "recorded_at", "supersedes_id")
    results = {
        (row["laboratory__code"], row["accession_number"], row["version"]): {
            k: str(v) for k, v in row.items() if k not in (*own, "laboratory_id")
        }
        for row in PcrResult.objects.values("laboratory__code", *(f.attname for f in PcrResult._meta.concrete_fields))
    }
    tubes = [
        tuple(map(str, row))
        for row in Replicate.objects.values_list(
            "result__laboratory__code", "result__accession_number", "result__version", "number", "bcr_abl1_reported",
            "bcr_abl1_copies", "control_gene_copies", "run_valid",
        )
    ]  # fmt: skip
    return {
        "results": results,
        "tubes": sorted(tubes),
        "owed": set(ClassificationRequest.objects.values_list("patient_id", "bulk", "attempts", "last_error")),
        "laboratories": set(Laboratory.objects.values_list("code", flat=True)),
        "runs": list(ImportRun.objects.order_by("id").values_list("rows", "counts")),
    }


def load_all(files: Sequence[Path], errors: Path, ada: User, options: Sequence[dict[str, Any]]) -> list[Any]:
    """Load the files one after another and say everything that can be seen of it; nothing of it stays."""
    seen: list[Any] = []
    with transaction.atomic():
        for path, option in zip(files, options, strict=True):
            outcome = loading.load_file("results", path, by=ada, errors=errors, **option)
            # Which of two results of one day hears of the other depends on which of them is stored first.
            notes = {
                note: count for note, count in outcome.notes.items() if "of the same patient, laboratory" not in note
            }
            told = (outcome.rows, outcome.actions, outcome.refused_rows, notes, outcome.examples)
            seen.append((told, outcome.created_names, errors.read_text(encoding="utf-8"), stored()))
        transaction.set_rollback(True)
    return seen


@pytest.fixture
def ward(db: None) -> None:
    """People of two centres, two of them with one pseudonym, one born late, one with only a year of birth."""
    here, there = Centre.objects.create(code="H1"), Centre.objects.create(code="H2", time_zone="Asia/Shanghai")
    for name in ("P1", "P2", "病人3"):
        Patient.objects.create(centre=here, patient_id=name)
    for centre in (here, there):
        Patient.objects.create(centre=centre, patient_id="TWIN")
    Patient.objects.create(centre=here, patient_id="BORN", born_on=dt.date(2020, 3, 1))
    Patient.objects.create(centre=there, patient_id="YEAR", born_on=dt.date(2020, 7, 1), born_precision="year")
    Laboratory.objects.create(code="ZERO", zero_means_not_detected=True)


@pytest.mark.slow
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=settings.default.max_examples // (1 if os.environ.get("LONG_FORMS") else 4),
)
@given(seed=st.integers(0, 2**32))
def test_plain_rows_are_stored_and_judged_as_python_does(ward: None, ada: User, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    others = [name for name in WORDS if name not in (*KEY_COLUMNS, "collected_on")]
    share = chance.choice((0.2, 0.5, 1.0))
    columns = [*KEY_COLUMNS, "collected_on", *(name for name in others if chance.random() < share)]
    if chance.random() < 0.8:
        columns += [name for name in ("bcr_abl1_copies", "control_gene_copies") if name not in columns]
    chance.shuffle(columns)
    files = [tmp_path / "first.csv", tmp_path / "second.csv"]
    rows = write_file(files[0], chance, columns)
    write_file(files[1], chance, columns, again=rows)
    options: list[dict[str, Any]] = [
        {"dry_run": chance.random() < 0.2},
        {"dry_run": chance.random() < 0.2, "amend_reason": chance.choice(("", "", "audit"))},
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "PLAIN_CHUNK_RECORDS", chance.choice((3, 10_000)))
        fast = load_all(files, tmp_path / "errors.csv", ada, options)
        patch.setattr(loading, "plain_row_pattern", lambda names: None)
        slow = load_all(files, tmp_path / "errors.csv", ada, options)
    assert fast == slow


def test_clean_rows_are_taken_by_the_queries_and_come_again_unchanged(
    ward: None, ada: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.csv"
    lines = ["laboratory,accession_number,patient_id,collected_on,replicate,bcr_abl1_copies,control_gene_copies"]
    days = [dt.date(2020, 1, 1) + dt.timedelta(days=n) for n in range(50)]
    lines += [f"L{n % 3},A{n},P{n % 2 + 1},{days[n]},{k},nd,{50_000 + k}" for n in range(50) for k in (1, 2)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.setattr(loading, "_load_chunk", None)  # nothing is left for it
    assert loading.load_file("results", path, by=ada).actions == {"created": 50}
    assert loading.load_file("results", path, by=ada).actions == {"unchanged": 50}
    assert (PcrResult.objects.count(), Replicate.objects.count()) == (50, 100)
    assert ClassificationRequest.objects.filter(bulk=True).count() == 2


def test_of_two_results_of_one_day_the_later_hears_of_the_earlier(ward: None, ada: User, tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    head = "laboratory,accession_number,patient_id,collected_on,is_percent\n"
    path.write_text(
        head + "L1,A1,P1,2020-01-01,0.5\nL1,A2,P1,2020-01-01,0.5\nL1,A3,P2,2020-01-01,0.5\n", encoding="utf-8"
    )
    noted = loading.load_file("results", path, by=ada).notes
    assert sorted(note[:8] for note in noted) == ["A1: also", "A2: also"]
    path.write_text(head + "L1,A4,P2,2020-01-01,0.5\n", encoding="utf-8")
    assert [note[:12] for note in loading.load_file("results", path, by=ada).notes] == ["A4: also A3 "]


def test_what_another_import_stored_meanwhile_is_judged_again(
    ward: None, ada: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slower of two imports meets the unique key, and finds its rows stored when it looks again."""
    path = tmp_path / "results.csv"
    head = "laboratory,accession_number,patient_id,collected_on,is_percent\n"
    path.write_text(head + "L1,A1,P1,2020-01-01,0.5\nL1,A2,P1,2020-01-01,0.5\n", encoding="utf-8")
    other = tmp_path / "other.csv"
    other.write_text(head + "L1,A1,P1,2020-01-01,0.5\n", encoding="utf-8")
    tried = []

    def overtaken(*arguments: Any, **options: Any) -> PlainOutcome:
        tried.append(True)
        if len(tried) == 1:
            loading.load_file("results", other, by=ada)
            raise IntegrityError("result_key") from UniqueViolation()
        return record_plain_results(*arguments, **options)

    monkeypatch.setattr(loading, "record_plain_results", overtaken)
    assert loading.load_file("results", path, by=ada).actions == {"created": 1, "unchanged": 1}
    assert PcrResult.objects.count() == 2


@pytest.mark.parametrize(
    ("cells", "plain"),
    [
        (("L", "A1", "2020-01-31", "0.25"), True), (("L", "A1", "2020-02-28", "<0.0032"), True),
        (("L", "A1", "2020-02-29", "0.25"), False), (("L", "A1", "2020-02-30", "0.25"), False),
        (("L", "A1", "2020-04-31", "0.25"), False), (("L", "A1", "2020-13-01", "0.25"), False),
        (("L", "A1", "2020-12-31", "0"), False), (("L", "A1", "2020-12-31", "0.0"), False),
        (("L", "A1", "2020-12-31", "9999.9"), True), (("L", "A1", "2020-12-31", "10000"), False),
        (("L", "12E5", "2020-12-31", "1"), False), (("L", "A\\.", "2020-12-31", "1"), False),
        (("L", "#N/A", "2020-12-31", "1"), False), (("L", "A" * 60, "2020-12-31", "1"), True),
        (("L", "A" * 61, "2020-12-31", "1"), False), (("L", "A\t", "2020-12-31", "1"), False),
        (("L", "A\n", "2020-12-31", "1"), False), (("L", "\u0661", "2020-12-31", "1"), False),
    ],
)  # fmt: skip
def test_what_is_plain(cells: tuple[str, ...], plain: bool) -> None:
    pattern = plain_row_pattern(("laboratory", "accession_number", "collected_on", "is_percent"))
    assert pattern is not None
    assert bool(pattern.fullmatch(SEPARATOR.join(cells))) is plain


def test_without_a_day_of_collection_no_row_is_plain() -> None:
    assert plain_row_pattern(("laboratory", "accession_number", "patient_id", "collected_at")) is None


def rows_that_the_database_looked_at(records: int) -> float:
    """While it decided on so many new records, on tables whose statistics are as they come."""

    def looked_at(node: dict[str, Any]) -> float:
        dropped = node.get("Rows Removed by Join Filter", 0) + node.get("Rows Removed by Filter", 0)
        own = (node["Actual Rows"] + dropped) * node["Actual Loops"]
        return float(own) + sum(looked_at(inner) for inner in node.get("Plans", ()))

    columns = ["laboratory", "accession_number", "patient_id", "collected_on", "bcr_abl1_copies", "control_gene_copies"]
    rows = "".join(
        f"{n}\t1\tL1\tG{records}-{n}\tG{n % 500}\t2020-01-{n % 28 + 1:02}\tnd\t60000\n" for n in range(records)
    )
    with connection.cursor() as cursor:
        bulk_results._take_in(cursor, rows.encode(), columns)
        decide = bulk_results._DECIDE.replace("create temporary", "explain (analyze, format json) create temporary")
        cursor.execute(decide, {"today": TODAY, "store": False, "twins": [], "rejected": [], **bulk_results._bounds()})
        ((plans,),) = cursor.fetchall()
        cursor.execute("select count(*) from plain_record")
        assert cursor.fetchone() == (records,), "what is measured was decided on"
        cursor.execute("drop table plain_row, plain_record")
    return looked_at(plans[0]["Plan"])


def test_the_work_grows_with_the_rows_and_not_with_their_square(ward: None) -> None:
    centre = Centre.objects.get(code="H1")
    Patient.objects.bulk_create(Patient(centre=centre, patient_id=f"G{n}") for n in range(500))
    few, many = rows_that_the_database_looked_at(500), rows_that_the_database_looked_at(5000)
    assert few > 500
    assert many < 12 * few
