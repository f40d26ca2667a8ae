"""Workers killed and the broker flushed in the middle of an import: nothing stays unclassified, nothing differs."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction

from monitoring import clock
from monitoring.models import Centre, ClassificationRequest, Patient, PcrResult, ResponseAssessment
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from monitoring.services.settings.demo_logins import DEMO_FOLDER
from tests.builders import report
from tests.processes import ROOT, WORKER, command, environment, kill_group, running, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("broker")]

LONG = os.environ.get("LONG_FORMS") == "1"
KILLS, FLUSHES = (20, 5) if LONG else (4, 2)
RECOVERY_SECONDS = 120


def flush_broker() -> None:
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.flushdb()
    client.close()


def test_killed_workers_and_a_flushed_broker_lose_nothing(tmp_path: Path) -> None:
    chance = random.Random(11)
    for kind in ("patients", "treatments", "observations"):
        command(f"import_{kind}", str(DEMO_FOLDER / f"{kind}.csv"))
    faults = ["kill"] * KILLS + ["flush"] * FLUSHES
    chance.shuffle(faults)
    header, *rows = (DEMO_FOLDER / "results.csv").read_text().splitlines(keepends=True)
    share = len(rows) // len(faults) + 1
    beat = (
        sys.executable,
        "-m",
        "celery",
        "-q",
        "-A",
        "tasks.celery",
        "beat",
        "--pidfile=",
        "-s",
        str(tmp_path / "schedule"),
    )
    with running(*beat, log=tmp_path / "beat.log"):
        worker = None
        for number, fault in enumerate(faults):
            if worker is None:
                worker = subprocess.Popen(
                    list(WORKER), cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )  # fmt: skip
            part = tmp_path / f"part{number}.csv"
            part.write_text(header + "".join(rows[number * share : (number + 1) * share]))
            loading = subprocess.Popen(
                [sys.executable, "manage.py", "import_results", str(part)], cwd=ROOT, env=environment(),
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
            time.sleep(chance.uniform(0.5, 3.5))
            if fault == "kill":
                kill_group(worker, signal.SIGKILL)
                worker.wait()
                worker = None
            else:
                flush_broker()
            assert loading.wait(60) == 0
        if worker is not None:
            kill_group(worker, signal.SIGKILL)
            worker.wait()
        with running(*WORKER, log=tmp_path / "worker.log"):
            wait_until(lambda: not ClassificationRequest.objects.exists(), RECOVERY_SECONDS, "patients are still owed")
    assert PcrResult.objects.count() == len(rows)
    assert "0 differences" in command("check_response_ledger").stderr


def test_an_import_that_was_killed_leaves_whole_results_and_finishes_when_run_again(tmp_path: Path) -> None:
    for kind in ("patients", "treatments"):
        command(f"import_{kind}", str(DEMO_FOLDER / f"{kind}.csv"))
    path = str(DEMO_FOLDER / "results.csv")
    loading = subprocess.Popen(
        [sys.executable, "manage.py", "import_results", path], cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL
    )
    wait_until(lambda: PcrResult.objects.exists() or loading.poll() is not None, 30, "nothing was stored")
    loading.kill()
    loading.wait()
    assert not PcrResult.objects.filter(replicates__isnull=True).exists()
    command("import_results", path)
    assert PcrResult.objects.count() == 1712
    assert "1712 unchanged" in command("import_results", path).stderr


def test_a_hint_alone_brings_a_saved_result_to_its_class(tmp_path: Path) -> None:
    # No beat runs here, so no sweep does: only the hint after the commit can.
    patient = Patient.objects.create(centre=Centre.objects.create(code="H1"), patient_id="P1")
    by = get_user_model().objects.create_user("ada")
    with running(*WORKER, log=tmp_path / "worker.log"):
        for number in range(3):
            with transaction.atomic():
                record_result(report(f"A{number}"), patient=patient, by=by, reach=EVERYWHERE, now=clock.now())
            wanted = ResponseAssessment.objects.filter(result__accession_number=f"A{number}")
            wait_until(wanted.exists, 40, "not classified")
