"""The service under requests: POSTs beside a bare view, the way from a POST to its alert, pages and lists, memory."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client as TestClient

from benchmarks.figures import Figure
from monitoring import clock
from monitoring.models import Centre, Laboratory, LaboratoryCentre, Membership, Patient, TkiCourse
from monitoring.services.foundation.sessions import own_session
from monitoring.services.settings.tokens import create_token

POSTS = int(os.environ.get("BENCH_POSTS", "800"))
CLIENTS = 4
RATE_PER_SECOND, RATE_SECONDS = 50, 20
MARGIN = 300  # ids are given in an order in which they need not become visible
WORKER = [sys.executable, "-m", "celery", "-q", "-A", "tasks.celery", "worker", "--without-gossip", "--without-mingle",
          "--concurrency", "1", "--loglevel", "ERROR"]  # fmt: skip


def serving() -> list[Figure]:
    """All figures of the running service, on the data that stands in the database."""
    call_command("collectstatic", verbosity=0, interactive=False)
    token, patients, laboratory = prepare()
    figures = []
    with web("benchmarks.bare") as port:
        bare = posts(port, token, "/bare/", lambda n: bare_body(n, patients, laboratory))
    with web("config.wsgi") as port:
        ours = posts(port, token, "/api/v1/results/", lambda n: body(f"P{n}", patients[n % len(patients)]))
    with contextlib.ExitStack() as running:
        port, pids = running.enter_context(service())
        settle()
        busy = posts(port, token, "/api/v1/results/", lambda n: body(f"Q{n}", patients[n % len(patients)]))
        figures += [
            Figure("bare DRF create view", bare, "POST/s", f"{CLIENTS} clients, two web processes"),
            Figure("POST /api/v1/results/", ours, "POST/s", f"{100 * ours / bare:.0f} % of the bare view"),
            Figure("the same while workers and alertd classify", busy, "POST/s", f"{100 * busy / bare:.0f} %"),
        ]
        settle()
        figures += from_post_to_alert(port, token)
        figures += pages(port, token)
        figures += memory(pids)
    return figures


# --- setting up --------------------------------------------------------------------------------------------------


def prepare() -> tuple[str, list[Patient], Laboratory]:
    """A person with every role in every centre, and patients to post for."""
    user = User.objects.create_user("bench")
    centre = Centre.objects.create(code="BENCH")
    for one in Centre.objects.all():
        for role in ("technician", "clinician", "analyst", "administrator"):
            Membership.objects.create(user=user, centre=one, role=role, valid_from="2020-01-01")
    patients = Patient.objects.bulk_create([Patient(centre=centre, patient_id=f"POST{n}") for n in range(200)])
    laboratory = Laboratory.objects.create(code="BENCHLAB")
    LaboratoryCentre.objects.create(laboratory=laboratory, centre=centre)
    return create_token(user), patients, laboratory


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """One process of the service, ended with the block."""
    not_tonight = (clock.now() + timedelta(hours=1)).strftime("%H:%M")  # the night is measured apart
    environment = {
        **os.environ, "DATABASE_ROLE": "cml_app", "LOG_FORMAT": "line", "LOG_LEVEL": "ERROR",
        "NIGHTLY_AT_UTC": not_tonight,
    }  # fmt: skip
    child = subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield child
    finally:
        os.killpg(child.pid, signal.SIGTERM)
        child.wait(20)


@contextlib.contextmanager
def web(module: str) -> Iterator[int]:
    """A web server of two processes, as `make run` starts it."""
    port = free_port()
    words = [sys.executable, "-m", "gunicorn", f"{module}:application", "--bind", f"127.0.0.1:{port}", "--workers", "2",
             "--threads", "4"]  # fmt: skip
    with process(*words):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            time.sleep(0.1)
        yield port


@contextlib.contextmanager
def service() -> Iterator[tuple[int, dict[str, int]]]:
    """Web, both workers and alertd; the port and the process ids."""
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(web("config.wsgi"))
        classify = stack.enter_context(process(*WORKER, "--queues", "classify", "--hostname", "c@%h"))
        bulk = stack.enter_context(process(*WORKER, "--queues", "import,stats,housekeeping", "--hostname", "b@%h"))
        alertd = stack.enter_context(process(sys.executable, "manage.py", "alertd"))
        time.sleep(6)
        yield port, {"worker (classify)": classify.pid, "worker (bulk)": bulk.pid, "alertd": alertd.pid}


# --- posting -----------------------------------------------------------------------------------------------------


def body(accession: str, patient: Patient, copies: int = 60) -> dict[str, Any]:
    return {
        "laboratory": "BENCHLAB", "accession_number": accession, "patient_id": patient.patient_id,
        "collected_on": (clock_today() - timedelta(days=3)).isoformat(), "conversion_factor": 1,
        "replicates": [{"bcr_abl1_copies": copies, "control_gene_copies": 52000}, {"bcr_abl1_copies": 44,
        "control_gene_copies": 48000}],
    }  # fmt: skip


def bare_body(n: int, patients: list[Patient], laboratory: Laboratory) -> dict[str, Any]:
    return {
        "laboratory": laboratory.pk, "accession_number": f"BARE{n}", "patient": patients[n % len(patients)].pk,
        "collected_on": "2025-03-10", "conversion_factor": "1",
        "replicates": [{"number": 1, "bcr_abl1_copies": 60, "control_gene_copies": 52000}, {"number": 2,
        "bcr_abl1_copies": 44, "control_gene_copies": 48000}],
    }  # fmt: skip


_TODAY: list[Any] = []


def clock_today() -> Any:
    """Today, asked once."""
    if not _TODAY:
        _TODAY.append(clock.now().date())
    return _TODAY[0]


class Client:
    """One kept-alive connection with a token."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": f"Token {token}", "Content-Type": "application/json", "Host": "localhost"}

    def ask(self, method: str, path: str, content: Any = None) -> bytes:
        """The answer; anything but success ends the benchmark."""
        self._connection.request(method, path, json.dumps(content) if content is not None else None, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 201):
            raise SystemExit(f"{method} {path}: {answer.status} {text[:300]!r}")
        return text


def posts(port: int, token: str, path: str, make: Callable[[int], dict[str, Any]]) -> float:
    """Accepted POSTs per second from a few clients at once, after a warm-up."""
    bodies = [make(n) for n in range(POSTS + 40)]
    warm = Client(port, token)
    for content in bodies[POSTS:]:
        warm.ask("POST", path, content)

    def send(share: list[dict[str, Any]]) -> None:
        client = Client(port, token)
        for content in share:
            client.ask("POST", path, content)

    threads = [threading.Thread(target=send, args=(bodies[n:POSTS:CLIENTS],)) for n in range(CLIENTS)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return POSTS / (time.perf_counter() - started)


def settle() -> None:
    """Wait until nothing is owed."""
    until = time.monotonic() + 120
    while time.monotonic() < until and count("select count(*) from monitoring_classificationrequest"):
        time.sleep(0.2)


def count(query: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return int(cursor.fetchone()[0])


def from_post_to_alert(port: int, token: str) -> list[Figure]:
    """Losses posted at a steady rate: when the class and the alert of each can be read by somebody else."""
    total = RATE_PER_SECOND * RATE_SECONDS
    centre = Centre.objects.get(code="BENCH")
    patients = Patient.objects.bulk_create([Patient(centre=centre, patient_id=f"LOSS{n}") for n in range(total)])
    stop = clock_today() - timedelta(days=90)
    TkiCourse.objects.bulk_create(
        [TkiCourse(patient=p, drug="imatinib", started_on="2015-01-01", stopped_on=stop,
        stop_reason="tfr_attempt") for p in patients]
    )  # fmt: skip
    sent: dict[int, float] = {}
    seen: dict[str, dict[int, float]] = {"class": {}, "alert": {}}
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(patients[0].pk, seen, done))
    watcher.start()
    threads = [
        threading.Thread(target=_post_steadily, args=(port, token, patients[n::CLIENTS], n, sent))
        for n in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until = time.monotonic() + 60
    while time.monotonic() < until and min(map(len, seen.values())) < total:
        time.sleep(0.1)
    done.set()
    watcher.join()
    figures = []
    for what, found in seen.items():
        if len(found) < total:
            raise SystemExit(f"{what}: {len(found)} of {total} seen")
        waits = sorted(1000 * (found[pk] - sent[pk]) for pk in sent)
        label = f"POST to {what} visible, {RATE_PER_SECOND} losses/s for {RATE_SECONDS} s"
        figures += [
            Figure(f"{label}, p50", statistics.median(waits), "ms"),
            Figure(f"{label}, p99", waits[int(len(waits) * 0.99)], "ms"),
        ]
    return figures


def _post_steadily(port: int, token: str, patients: list[Patient], offset: int, sent: dict[int, float]) -> None:
    client = Client(port, token)
    started = time.monotonic() + offset / RATE_PER_SECOND
    for n, patient in enumerate(patients):
        time.sleep(max(0.0, started + n * CLIENTS / RATE_PER_SECOND - time.monotonic()))
        sent[patient.pk] = time.monotonic()
        client.ask("POST", "/api/v1/results/", body(f"L{patient.pk}", patient, copies=6000))


def _watch(first: int, seen: dict[str, dict[int, float]], done: threading.Event) -> None:
    """Read what another session can see, every 50 ms: rows after those that have been seen for some time."""
    queries = {
        "class": "select a.id, r.patient_id from monitoring_responseassessment a join monitoring_pcrresult r "
                 "on r.id = a.result_id where a.id > %s and r.patient_id >= %s",
        "alert": "select id, patient_id from monitoring_alert where id > %s and kind = 'loss_of_mmr' "
                 "and patient_id >= %s",
    }  # fmt: skip
    newest = dict.fromkeys(queries, 0)
    with own_session(autocommit=True) as session:
        while not done.is_set():
            for what, query in queries.items():
                rows = session.execute(query.encode(), [newest[what] - MARGIN, first]).fetchall()
                at = time.monotonic()
                for pk, patient in rows:
                    newest[what] = max(newest[what], pk)
                    seen[what].setdefault(patient, at)
            time.sleep(0.05)


# --- reading -----------------------------------------------------------------------------------------------------

LISTS = (
    "/api/v1/results/?page_size=50", "/api/v1/results/?ordering=collected_on", "/api/v1/results/?patient_id=B000007",
    "/api/v1/results/?response_class=MR4", "/api/v1/patients/?page_size=200", "/api/v1/episodes/?lost=true",
    "/api/v1/alerts/?open=true", "/api/v1/cohorts/bench/snapshot/",
)  # fmt: skip
PAGES = ("/", "/patients/", "/patients/?state=off_treatment", "/alerts/", "/verify/", "/cohorts/bench/")


def pages(port: int, token: str) -> list[Figure]:
    """How long lists and pages take on all the data, median of some."""
    results = count("select count(*) from monitoring_pcrresult")
    client = Client(port, token)
    figures = [
        Figure(f"GET {path}, {results:,} results", median_ms(lambda path=path: client.ask("GET", path)), "ms")
        for path in LISTS
    ]
    browser = signed_in(port)
    return figures + [
        Figure(f"page {path}, {results:,} results", median_ms(lambda path=path: browser.ask("GET", path)), "ms")
        for path in PAGES
    ]


def signed_in(port: int) -> Client:
    """A browser's connection: a session cookie instead of a token."""

    session = TestClient()
    session.force_login(User.objects.get(username="bench"))
    client = Client(port, "")
    client._headers = {"Cookie": f"sessionid={session.cookies['sessionid'].value}", "Host": "localhost"}
    return client


def median_ms(deed: Callable[[], object], times: int = 7) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        deed()
        taken.append(1000 * (time.perf_counter() - started))
    return statistics.median(taken)


def memory(pids: dict[str, int]) -> list[Figure]:
    """Resident memory of each process and its children, after the work above."""
    figures = []
    for name, pid in pids.items():
        mebibytes = sum(_resident_mib(one) for one in (pid, *_children(pid)))
        figures.append(Figure(f"memory: {name} with its child", mebibytes, "MiB"))
    for line in subprocess.run(
        ["pgrep", "-f", "gunicorn config.wsgi"], capture_output=True, text=True, check=False
    ).stdout.split():
        figures.append(Figure("memory: web, one process", _resident_mib(int(line)), "MiB"))
    return figures


def _resident_mib(pid: int) -> float:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="utf-8") as handle:
        for line in handle:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _children(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]
