"""Measure, print a table, and write ``VAR_DIR/bench/latest.json``: ``make bench``.

Everything runs in one go on a scratch database, each figure beside a bare one of the same rows, so that ratios and not
seconds are what to compare between machines.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ["EMBEDDED_PURPOSE"] = "bench"
os.environ["DATABASE_ROLE"] = "owner"

from config import embedded

embedded.provide(announce=True)

import django

django.setup()

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from benchmarks.figures import Figure
from benchmarks.serving import serving
from cohorts.models import CohortPublication
from monitoring.domain.scoring.response import score
from monitoring.services.foundation.sessions import own_session
from tests.builders import copies

PATIENTS = int(os.environ.get("BENCH_PATIENTS", "10000"))
RESULTS_EACH = int(os.environ.get("BENCH_RESULTS_EACH", "10"))


def main() -> None:
    """Run all benchmarks at three sizes and print them."""
    figures: list[Figure] = [scoring()]
    for patients in (PATIENTS // 16, PATIENTS // 4, PATIENTS):
        figures += loading(patients)
        show(figures)
    figures += serving()
    show(figures)
    report = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "measured_on": date.today().isoformat(),  # noqa: DTZ011  # a label
        "figures": [asdict(f) for f in figures],
    }
    target = Path(settings.VAR_DIR).with_name("var") / "bench" / "latest.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def show(figures: list[Figure]) -> None:
    """The table so far."""
    for figure in figures:
        print(f"{figure.name:78} {figure.value:12,.1f} {figure.unit:10} {figure.beside}")  # noqa: T201  # the table is the product
    print(flush=True)  # noqa: T201  # the table is the product


def seconds(deed: Callable[[], object]) -> float:
    """How long a deed takes."""
    started = time.perf_counter()
    deed()
    return time.perf_counter() - started


def scoring() -> Figure:
    """Pure scoring, no database."""
    measurements = [copies(f"{n % 900 + 3}/60000; nd/50000") for n in range(20_000)]
    took = seconds(lambda: [score(m) for m in measurements])
    return Figure("score, two replicates", len(measurements) / took, "results/s")


def loading(patients: int) -> list[Figure]:
    """Import, classification and the night of one size, from an empty database."""
    empty_database()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = write_files(folder, patients)
        bare = bare_copy(folder / "results.csv")
        run("import_patients", str(folder / "patients.csv"))
        run("import_treatments", str(folder / "treatments.csv"))
        took, import_mib = run("import_results", str(folder / "results.csv"))
        again, again_mib = run("import_results", str(folder / "results.csv"))
        classified, classify_mib = run("shell", "-v0", "-c", _CLASSIFY)
        replayed, replay_mib = run("shell", "-v0", "-c", _OWE_ALL + _CLASSIFY)
        (folder / "c.json").write_text('{"slug": "bench", "title": "Bench", "factors": [{"name": "sex"}]}')
        run("define_cohort", str(folder / "c.json"))
        night, night_mib = run("recompute_cohorts")
        check_cohort(patients)
    label = f"{patients:,} patients, {rows:,} results"
    return [
        Figure(
            f"import_results, {label}",
            rows / took,
            "rows/s",
            f"{took / bare:.0f} x COPY of the same rows; {import_mib:.0f} MiB",
        ),
        Figure(
            f"import_results again, {label}", rows / again, "rows/s", f"{again / bare:.0f} x COPY; {again_mib:.0f} MiB"
        ),
        Figure(f"classification, {label}", rows / classified, "results/s", f"{classify_mib:.0f} MiB"),
        Figure(
            f"replay of everything again, {label}",
            rows / replayed,
            "results/s",
            f"{replay_mib:.0f} MiB",
        ),
        Figure(
            f"recompute_cohorts, {label}",
            night,
            "s",
            f"{patients / night:,.0f} episodes/s, start included; {night / bare:.0f} x COPY of the results; "
            f"{night_mib:.0f} MiB",
        ),
    ]


def check_cohort(patients: int) -> None:
    """What was measured is a cohort with people and events, or the figure says nothing."""
    counts = CohortPublication.objects.select_related("snapshot").get(cohort__slug="bench").snapshot.figures["counts"]
    if counts["members"] < patients / 2 or not patients / 6 < counts["events"] < patients / 2:
        raise AssertionError(f"the cohort that was measured has {counts} of {patients} patients")


_OWE_ALL = """
from monitoring.models import Patient
from monitoring.services.classification.classification_queue import request_classification
request_classification(Patient.objects.values_list("pk", flat=True), bulk=True)
"""

_CLASSIFY = """
from monitoring import clock
from monitoring.services.classification.classify import classify_pending
while classify_pending(now=clock.now()):
    pass
"""


def run(*words: str) -> tuple[float, float]:
    """A management command in a process of its own, as the application's role: seconds, and its largest size in MiB."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            [sys.executable, "manage.py", *words],
            env={**os.environ, "DATABASE_ROLE": "cml_app"},
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        largest = 0.0
        while child.poll() is None:
            largest = max(largest, peak_mib(child.pid))
            time.sleep(0.05)
        if child.returncode:
            errors.seek(0)
            raise SystemExit(f"{words}: {errors.read().decode()}")
    return time.perf_counter() - started, largest


def peak_mib(pid: int) -> float:
    """The largest resident size of a process so far; what its parent held before it started does not count."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="utf-8") as handle:
        for line in handle:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def empty_database() -> None:
    """The schema and nothing in it."""
    with connection.cursor() as cursor:
        cursor.execute("drop schema public cascade; create schema public")
    call_command("migrate", verbosity=0)


def bare_copy(path: Path) -> float:
    """The same rows into a bare table of texts."""
    header, _, body = path.read_text(encoding="utf-8").partition("\n")
    columns = ", ".join(f"{name} text" for name in header.split(","))
    with own_session() as session:
        session.execute(f"create temporary table bare ({columns})".encode())
        started = time.perf_counter()
        with session.cursor().copy("copy bare from stdin (format csv)") as copy:
            copy.write(body)
        return time.perf_counter() - started


def write_files(folder: Path, patients: int) -> int:
    """Synthetic patients with a plausible decline who stopped halfway, a third of them lost MMR; returns the
    results.
    """
    stop = date(2008, 3, 1) + timedelta(days=90 * (RESULTS_EACH // 2) + 40)
    chance = random.Random(1)  # the same data each time
    lines = {
        "patients": ["patient_id,centre,sex,birth_date"],
        "treatments": ["patient_id,drug,started_on,stopped_on,stop_reason"],
        "results": [
            "laboratory,accession_number,patient_id,collected_on,bcr_abl1_copies,control_gene_copies,conversion_factor"
        ],
    }
    for n in range(patients):
        lines["patients"].append(f"B{n:06d},C{n % 20},{'FM'[n % 2]},19{50 + n % 50}-01-01")
        lines["treatments"].append(f"B{n:06d},imatinib,2008-02-01,{stop},tfr_attempt")
        for k in range(RESULTS_EACH):
            on = date(2008, 3, 1) + timedelta(days=90 * k + n % 30)
            copies = "nd" if k > 6 and chance.random() < 0.8 else str(max(3, int(50_000 * 0.25**k)))
            if n % 3 == 0 and k > RESULTS_EACH // 2 + n % 4:
                copies = "300"  # 0.2 to 1.4 %
            lines["results"].append(
                f"LAB{n % 20},A{n}-{k},B{n:06d},{on},{copies},{chance.randint(20_000, 120_000)},0.9"
            )
    for name, rows in lines.items():
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return patients * RESULTS_EACH


if __name__ == "__main__":
    main()
