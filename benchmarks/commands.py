"""What every benchmark uses: commands in processes of their own, an empty database, files of made-up patients."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from django.core.management import call_command
from django.db import connection

RESULTS_EACH = int(os.environ.get("BENCH_RESULTS_EACH", "10"))

CLASSIFY = """
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
