"""The statistics: rows to figures beside R, and a night over kept readings, in CPU seconds."""

from __future__ import annotations

import datetime as dt
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
from django.db import connection
from django.db.models import Model

from benchmarks.commands import CLASSIFY, empty_database, run, write_files
from benchmarks.figures import Figure
from cohorts.domain import witness
from cohorts.domain.definition_file import parse_definition
from cohorts.domain.figures.compute import compute_figures
from cohorts.domain.member_table import MemberTable
from cohorts.domain.members import cohort_of
from cohorts.domain.readings import DATES, FLAGS, NUMBER, NUMBERS, TEXTS, Column
from cohorts.models import CohortPublication
from monitoring.models import Observation, Patient, PcrResult, ReadingRule, ResponseAssessment, StoredReading, TkiCourse
from monitoring.services.classification.classification_queue import request_classification

ROWS = [int(n) for n in os.environ.get("BENCH_ROWS", "20000,100000,1000000").split(",")]
NIGHT_EPISODES = [int(n) for n in os.environ.get("BENCH_NIGHT_EPISODES", "10000,100000").split(",")]
LARGE_NIGHTS = [int(n) for n in os.environ.get("BENCH_LARGE_NIGHTS", "1000000").split(",")]
DEFINITION = parse_definition(
    {
        "slug": "bench",
        "factors": [
            {"name": "dmr_months", "cut": 72},
            {"name": "tki_months", "cut": 100},
            {"name": "sex"},
            {"name": "dmr_months"},
        ],
        "cox": ["dmr_months_72", "tki_months_100", "sex"],
    }
)


def statistics() -> list[Figure]:
    """Rows to figures at each size, then nights at each size."""
    figures = [figure for rows in ROWS for figure in rows_to_figures(rows)]
    figures += [figure for episodes in NIGHT_EPISODES for figure in nights(episodes)]
    return figures + [figure for episodes in LARGE_NIGHTS for figure in large_nights(episodes)]


# --- rows to figures ---------------------------------------------------------------------------------------------


def rows_to_figures(rows: int) -> list[Figure]:
    """All figures of so many members: our engine, the engine with its second witness, and R."""
    table = members(rows)
    events = int(table["event"].sum())
    if len(table.members) != rows or not rows / 4 < events < rows / 2:
        raise AssertionError(f"{len(table.members)} members and {events} events of {rows} rows")
    found: dict[str, object] = {}

    def compute() -> None:
        found.update(compute_figures(table, DEFINITION, dt.date(2026, 1, 1)))

    with without_witness():
        alone = cpu_seconds(compute)
    both = cpu_seconds(compute)
    of_r = r_seconds(table)
    beside = f"{events:,} events; R {of_r:.2f} s" if of_r else f"{events:,} events; R is not installed"
    label = f"rows to figures, {rows:,} members"
    return [
        Figure(f"{label}, our engine", alone, "CPU s", beside),
        Figure(f"{label}, with lifelines as second witness", both, "CPU s", beside),
    ]


def cpu_seconds(deed: Callable[[], object]) -> float:
    """What a deed costs this process."""
    started = time.process_time()
    deed()
    return time.process_time() - started


@contextmanager
def without_witness() -> Iterator[None]:
    """The engine by itself."""

    def nothing(*_arguments: object) -> None:
        pass

    with mock.patch.multiple(witness, confirm_curve=nothing, confirm_log_rank=nothing, confirm_cox=nothing):
        yield


def members(rows: int) -> MemberTable:
    """Readings of as many people, a shorter deep response losing more often, some dying; the same each time."""
    chance = np.random.default_rng(1)
    deep = chance.integers(0, 4000, rows)
    treated = deep + chance.integers(100, 3000, rows)
    loss = chance.exponential(np.exp(7.9 + 0.0002 * deep))
    death, seen = chance.exponential(12_000, rows), chance.integers(30, 3000, rows)
    stop = np.datetime64("2010-01-01", "D") + chance.integers(0, 2000, rows)
    columns: dict[str, Column] = {name: np.full(rows, "", dtype=object) for name in TEXTS}
    columns |= {name: np.full(rows, np.datetime64("NaT", "D")) for name in DATES}
    columns |= {name: np.zeros(rows, bool) for name in FLAGS}
    columns |= {name: np.full(rows, np.nan, NUMBER) for name in NUMBERS}
    columns["patient_id"] = np.array([f"P{n:07d}" for n in range(rows)], dtype=object)
    columns["centre"][:], columns["drug_at_stop"][:], columns["baseline_class"][:] = "H1", "imatinib", "MR4_5"
    columns["stop_reason"][:] = "tfr_attempt"
    columns["sex"] = np.array(["F", "M"], dtype=object)[chance.integers(0, 2, rows)]
    columns["attempt"] = np.ones(rows)
    columns["stopped_on"] = columns["baseline_on"] = stop
    columns["last_off_on"] = stop + seen
    ends = np.minimum(np.minimum(loss, death), seen).astype(int) + 1
    columns["loss_on"] = np.where(loss <= np.minimum(death, seen), stop + ends, np.datetime64("NaT", "D"))
    columns["death_on"] = np.where(death < np.minimum(loss, seen), stop + ends, np.datetime64("NaT", "D"))
    for name, days in (("dmr", deep), ("tki", treated), ("time_to_dmr", chance.integers(100, 2000, rows))):
        columns[f"{name}_days"] = days.astype(float)
        columns[f"{name}_least"] = columns[f"{name}_most"] = 2 * (days // 30.4375) + 1
    age = chance.integers(5, 80, rows).astype(float)
    for name in ("age_at_diagnosis", "age_at_stop"):
        columns[name] = columns[f"{name}_least"] = columns[f"{name}_most"] = age
    table, _passed_over = cohort_of(columns, DEFINITION)
    return table


def r_seconds(table: MemberTable) -> float | None:
    """What R needs for the same figures; None where it is not installed."""
    if shutil.which("Rscript") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        dead = table["end_reason"] == "death"
        status = np.where(table["event"], 1, np.where(dead, 2, 0))
        groups = [table.groupings[name].codes for name in ("dmr_months_72", "tki_months_100", "sex")]
        rows = np.column_stack([table["days"], status, *groups, table["dmr_months"]])
        header = "days,status,dmr,tki,male,months"
        np.savetxt(path, rows, fmt="%.10g", delimiter=",", header=header, comments="")
        script = Path(__file__).with_name("statistics.R")
        done = subprocess.run(["Rscript", str(script), str(path)], capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1])


# --- a night -----------------------------------------------------------------------------------------------------


def nights(episodes: int) -> list[Figure]:
    """From the database to a published snapshot: the first night builds, the next one reads, on one 1 % changed."""
    empty_database()
    fill(episodes)
    define()
    before_read, _mib = child_seconds("shell", "-v0", "-c", IMPORT_READER)
    read, _mib = child_seconds("shell", "-v0", "-c", READ)
    start, _mib = child_seconds("shell", "-v0", "-c", "import cohorts.services.nightly")
    first, first_mib = child_seconds("recompute_cohorts")
    check(episodes)
    unchanged, unchanged_mib = child_seconds("recompute_cohorts")
    change_one_percent()
    classified, _mib = child_seconds("shell", "-v0", "-c", CLASSIFY)
    changed, changed_mib = child_seconds("recompute_cohorts")
    check_moved()
    label, reading = f"{episodes:,} episodes", read - before_read
    beyond = first - unchanged - reading
    return [
        Figure(
            f"first night, {label}",
            first,
            "CPU s",
            f"reading every series {reading:.1f}, a night {unchanged:.1f}, so the readings"
            f" {episodes / beyond:,.0f} episodes/s; {first_mib:.0f} MiB",
        ),
        Figure(f"unchanged night, {label}", unchanged, "CPU s", f"start {start:.1f}; {unchanged_mib:.0f} MiB"),
        Figure(
            f"night after 1 % changed, {label}",
            changed,
            "CPU s",
            f"start {start:.1f}; {changed_mib:.0f} MiB; their classification took {classified:.1f} before",
        ),
    ]


def large_nights(episodes: int) -> list[Figure]:
    """Nights of a registry of which only the readings are there: what a night reads, and nothing else."""
    empty_database()
    fill(SEED_PATIENTS)
    define()
    child_seconds("recompute_cohorts")
    copies = episodes // SEED_PATIENTS - 1
    copy_of(Patient, copies, new_texts=["patient_id", "look"])
    copy_of(StoredReading, copies, of={"patient_id": Patient})
    first, _mib = child_seconds("recompute_cohorts")
    check(episodes)
    with connection.cursor() as cursor:
        cursor.execute("update monitoring_storedreading set death_on = stopped_on + 1 where patient_id % 100 = 0")
    changed, changed_mib = child_seconds("recompute_cohorts")
    check_moved()
    label = f"night after 1 % changed, {episodes:,} readings"
    return [Figure(label, changed, "CPU s", f"{changed_mib:.0f} MiB; the night before, of all new rows, {first:.1f}")]


IMPORT_READER = "from monitoring.selectors.histories import load_histories"
READ = f"""
{IMPORT_READER}
assert sum(1 for _history in load_histories())
"""


def define() -> None:
    """A cohort with a cut, a category and a model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.json"
        path.write_text(
            '{"slug": "bench", "factors": [{"name": "dmr_months", "cut": 12}, {"name": "sex"}], "cox": ["sex"]}'
        )
        run("define_cohort", str(path))


def check_moved() -> None:
    """The night that was measured published what changed."""
    if CohortPublication.objects.get().snapshot.figures["moved_by"] != ["data"]:
        raise AssertionError("the changed night published nothing")


def child_seconds(*words: str) -> tuple[float, float]:
    """What a command costs its own process, and its largest size in MiB; the database server is not counted."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _took, mib = run(*words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, mib


def check(episodes: int) -> None:
    """What was measured is a cohort with people and events, or the figure says nothing."""
    counts = CohortPublication.objects.get().snapshot.figures["counts"]
    if counts["members"] < episodes * 2 / 3 or not episodes / 5 < counts["events"] < episodes / 2:
        raise AssertionError(f"the cohort that was measured has {counts} of {episodes} episodes")
    if StoredReading.objects.count() != episodes or ReadingRule.objects.get().built_at is None:
        raise AssertionError("the readings are not whole")


SEED_PATIENTS = 1000


def fill(episodes: int) -> None:
    """As many classified patients: a thousand through the real doors, the others as copies of their rows."""
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), SEED_PATIENTS)
        for kind in ("patients", "treatments", "results"):
            run(f"import_{kind}", str(Path(folder) / f"{kind}.csv"))
    run("shell", "-v0", "-c", CLASSIFY)
    copies = episodes // SEED_PATIENTS - 1
    if copies:
        copy_of(Patient, copies, new_texts=["patient_id", "look"])
        copy_of(TkiCourse, copies, of={"patient_id": Patient})
        copy_of(PcrResult, copies, of={"patient_id": Patient}, new_texts=["accession_number"])
        copy_of(ResponseAssessment, copies, of={"result_id": PcrResult})
    with connection.cursor() as cursor:
        cursor.execute("analyze")


SHIFT = 10_000_000


def copy_of(
    model: type[Model], copies: int, of: Mapping[str, type[Model]] | None = None, new_texts: Sequence[str] = ()
) -> None:
    """Every row again so many times with new ids: the k-th copy of a row points at the k-th copies of others."""
    columns = [field.column for field in model._meta.concrete_fields]

    def value(column: str) -> str:
        if column == "public_id":
            return "gen_random_uuid()"
        if column == "id" or column in (of or {}):
            return f"{column} + k::bigint * {SHIFT}"
        return f"{column} || '-' || k" if column in new_texts else column

    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"insert into {table} ({', '.join(columns)}) select {', '.join(map(value, columns))}"
            f" from {table}, generate_series(1, {copies}) k where id < {SHIFT}"
        )


def change_one_percent() -> None:
    """One patient in a hundred died, and is classified anew."""
    changed = [pk for pk in Patient.objects.values_list("pk", flat=True) if pk % 100 == 0]
    died = dt.date(2024, 1, 1)
    Observation.objects.bulk_create([Observation(patient_id=pk, kind="death", observed_on=died) for pk in changed])
    request_classification(changed, bulk=True)
