"""Measure, print a table, and write ``VAR_DIR/bench/latest.json``: ``make bench``.

Everything runs in one go on a scratch database, each figure beside a bare one of the same rows, so that ratios and not
seconds are what to compare between machines.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ["EMBEDDED_PURPOSE"] = "bench"
os.environ["DATABASE_ROLE"] = "owner"

from config import embedded

embedded.provide(announce=True)

import django

django.setup()

from django.conf import settings

from benchmarks.commands import CLASSIFY, empty_database, run, write_files
from benchmarks.figures import Figure
from benchmarks.sending import sending
from benchmarks.serving import serving
from benchmarks.statistics import statistics
from cohorts.models import CohortPublication
from monitoring.domain.scoring.response import score
from monitoring.services.foundation.sessions import own_session
from tests.builders import copies

PATIENTS = int(os.environ.get("BENCH_PATIENTS", "10000"))


def main() -> None:
    """Run all benchmarks at three sizes and print them."""
    figures: list[Figure] = [scoring()]
    for patients in (PATIENTS // 16, PATIENTS // 4, PATIENTS):
        figures += loading(patients)
        show(figures)
    figures += serving()
    show(figures)
    figures += sending()
    figures += statistics()
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
        classified, classify_mib = run("shell", "-v0", "-c", CLASSIFY)
        replayed, replay_mib = run("shell", "-v0", "-c", _OWE_ALL + CLASSIFY)
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


if __name__ == "__main__":
    main()
