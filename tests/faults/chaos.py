"""The whole service under fire: `make chaos`. Its parts are killed, frozen and flushed while results arrive.

Real processes under the real supervisor, with throw-away data and a mail server of our own. What must be there in the
end is decided before anything is sent; the checker reads the database and the mail server's log and calls no code of
the service. CHAOS_KILLS and CHAOS_SEED choose the run, CHAOS_WITHOUT leaves a guarantee out (a control that must fail).
The last line is the verdict.
"""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.smtp_stub import SmtpStub, smtp_stub

ROOT = Path(__file__).resolve().parent.parent.parent
KILLS = int(os.environ.get("CHAOS_KILLS", "20"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
WITHOUT = os.environ.get("CHAOS_WITHOUT", "")
PATIENTS = int(os.environ.get("CHAOS_PATIENTS", str(max(40, 2 * KILLS))))
VISIBLE_SECONDS, SENT_SECONDS, WHOLE_SECONDS = 30.0, 45.0, 120.0
TODAY = dt.datetime.now(dt.UTC).date()
# What the supervisor has started, by words of its command line; the parent tells main processes from their children.
PARTS = {
    "web": "gunicorn", "worker classify": "--queues classify", "worker bulk": "--queues import", "alertd": "alertd",
    "watchdog": "watchdog", "beat": "celery -q -A tasks.celery beat",
}  # fmt: skip
FAULTS = (
    "web", "web child", "worker classify", "worker classify child", "worker bulk", "alertd", "alertd frozen", "beat",
    "watchdog", "broker", "flush", "backend", "postmaster", "importer",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sample:
    """One result that is sent, and the truth about it."""

    accession: str
    patient: str
    day: dt.date
    copies: int | None  # of 50,000; None: not detected
    is_broken: bool = False

    @property
    def is_loss(self) -> bool:
        return self.copies is not None and 100 * self.copies / 50_000 > 0.1

    def row(self) -> list[str]:
        copies = "nd" if self.copies is None else str(self.copies)
        return [
            "LAB",
            self.accession,
            self.patient,
            self.day.isoformat(),
            copies,
            "-1" if self.is_broken else "50000",
            "1",
        ]

    def body(self) -> str:
        _lab, _accession, _patient, _day, copies, control, _factor = self.row()
        tube = {"bcr_abl1_copies": None if copies == "nd" else int(copies), "control_gene_copies": int(control)}
        said = {"laboratory": "LAB", "accession_number": self.accession, "patient_id": self.patient, "status": "final",
                "collected_on": self.day.isoformat(), "conversion_factor": 1, "replicates": [tube]}  # fmt: skip
        return json.dumps(said)


COLUMNS = ("laboratory", "accession_number", "patient_id", "collected_on", "bcr_abl1_copies", "control_gene_copies",
           "conversion_factor")  # fmt: skip


def made_up(chance: random.Random) -> list[list[Sample]]:
    """The series of each patient: in MMR at the stop, and in every third lost at some sample after it."""
    series = []
    for number in range(PATIENTS):
        lost_from = chance.randint(1, 3) if number % 3 == 0 else 9
        days = [TODAY - dt.timedelta(days=70 - 15 * k) for k in range(4)]
        copies = [200 if k >= lost_from else None for k in range(4)]
        samples = enumerate(zip(days, copies, strict=True))
        series.append([Sample(f"A{number}-{k}", f"P{number}", day, found) for k, (day, found) in samples])
    return series


@dataclass
class Service:
    """The supervised service in a folder of its own."""

    folder: Path
    mail_port: int
    port: int = 0
    supervisor: subprocess.Popen[bytes] | None = None
    token: str = ""
    importer: subprocess.Popen[bytes] | None = None
    done: Counter[str] = field(default_factory=Counter)

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "PYTHONDONTWRITEBYTECODE")}
        return {**kept, "VAR_DIR": str(self.folder), "PORT": str(self.port), "LOG_FORMAT": "line", "CHAOS": "1",
                "EMAIL_URL": f"smtp://127.0.0.1:{self.mail_port}"}  # fmt: skip

    def manage(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *words], cwd=ROOT, env=self.environment(), capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"{words}: exit {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout.strip()

    def begin(self, series: list[list[Sample]]) -> None:
        """Tables, people, patients and their stops; then the supervisor."""
        self.manage("migrate", "-v0")
        self.manage("shell", "-v0", "-c", _PEOPLE)
        patients = [["patient_id", "centre"], *([one[0].patient, "H1"] for one in series)]
        stop = (TODAY - dt.timedelta(days=60)).isoformat()
        courses = [["patient_id", "drug", "started_on", "stopped_on", "stop_reason"]]
        courses += [[one[0].patient, "imatinib", "2010-01-01", stop, "tfr_attempt"] for one in series]
        for kind, rows in (("patients", patients), ("treatments", courses)):
            self.manage(f"import_{kind}", str(_written(self.folder / f"{kind}.csv", rows)))
        self.token = self.manage("create_token", "robot", "--laboratory", "LAB").split()[-1]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        log = (self.folder / "serve.log").open("ab")
        self.supervisor = subprocess.Popen(
            [sys.executable, "manage.py", "serve"], cwd=ROOT, env=self.environment(), stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        wait(self.is_whole, WHOLE_SECONDS, "the service did not start")

    def end(self) -> None:
        if self.supervisor is not None:
            self.supervisor.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.supervisor.wait(40)
        subprocess.run(["pkill", "-9", "-f", str(self.folder)], check=False)

    def database(self) -> psycopg.Connection:
        secret = (self.folder / "postgres-owner-password").read_text()
        sockets = next(iter(self._sockets()))
        return psycopg.connect(
            f"postgresql://cml_owner:{secret}@/cml?host={sockets}", autocommit=True, connect_timeout=3
        )

    def _sockets(self) -> Iterator[str]:
        text = (self.folder / "postgres" / "postmaster.pid").read_text().splitlines()
        yield text[4]

    def parts(self) -> dict[str, list[int]]:
        """The process ids of each part: main processes, and their children under ``… child``."""
        found: dict[str, list[int]] = {}
        assert self.supervisor is not None
        for pid, parent, words in _processes():
            for name, mark in PARTS.items():
                if mark in words and str(self.port) and parent == self.supervisor.pid:
                    found.setdefault(name, []).append(pid)
        for pid, parent, _words in _processes():
            for name in PARTS:
                if parent in found.get(name, []):
                    found.setdefault(f"{name} child", []).append(pid)
        return found

    def is_whole(self) -> bool:
        """Whether every part is there and the service answers."""
        wanted = PARTS.keys() - {WITHOUT}
        try:
            with self.database() as session:
                session.execute("select 1")
        except (psycopg.Error, OSError, IndexError):
            return False
        return wanted <= self.parts().keys() and self.send("GET", "/readyz", "", "") == 200

    def send(self, method: str, path: str, body: str, key: str) -> int:
        """One request; the status, or 0 where nobody knows what became of it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=8)
        headers = {"Authorization": f"Token {self.token}", "Content-Type": "application/json", "Idempotency-Key": key}
        try:
            connection.request(method, path, body or None, headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()


_PEOPLE = """
from django.contrib.auth.models import User
from monitoring.models import Centre, Laboratory, LaboratoryCentre, Membership
from monitoring import clock
centre = Centre.objects.create(code='H1')
laboratory = Laboratory.objects.create(code='LAB')
LaboratoryCentre.objects.create(laboratory=laboratory, centre=centre)
person = User.objects.create(username='grace', email='grace@example.org')
Membership.objects.create(user=person, centre=centre, role='clinician', valid_from=clock.now().date())
"""


def _written(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows(rows)
    return path


def _processes() -> Iterator[tuple[int, int, str]]:
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args=", "-ww"], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        pid, parent, words = line.split(None, 2)
        yield int(pid), int(parent), words


def wait(condition: object, seconds: float, what: str) -> float:
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if condition():  # type: ignore[operator]  # a function without arguments
            return time.monotonic() - began
        time.sleep(0.3)
    raise AssertionError(f"{what} within {seconds:.0f} s")


# --- those who send ----------------------------------------------------------------------------------------------


def post_all(service: Service, samples: list[Sample], chance: random.Random) -> None:
    """Each sample until somebody has answered it; some twice, as two requests."""
    for sample in samples:
        for number in range(2 if chance.random() < 0.05 else 1):
            wanted = (400, 422) if sample.is_broken else (200, 201, 409)
            status = 0
            while status not in wanted:
                status = service.send("POST", "/api/v1/results/", sample.body(), f"{sample.accession}/{number}")
                if status in (400, 401, 403, 404, 422) and status not in wanted:
                    raise AssertionError(f"{sample.accession} was refused: {status}")
                time.sleep(0 if status in wanted else 0.3)
            service.done["posted"] += 1


def load_all(service: Service, samples: list[Sample], chance: random.Random) -> None:
    """The samples in files of twenty, each until the importer says that it is loaded (exit 0 or 1)."""
    for start in range(0, len(samples), 20):
        rows = [list(COLUMNS), *(sample.row() for sample in samples[start : start + 20])]
        path = _written(service.folder / f"part-{start}.csv", rows)
        code = -1
        while code not in (0, 1):
            service.importer = subprocess.Popen(
                [sys.executable, "manage.py", "import_results", str(path)], cwd=ROOT, env=service.environment(),
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            code = service.importer.wait()
        service.done["files"] += 1


# --- the one who kills -------------------------------------------------------------------------------------------


def strike(service: Service, fault: str, chance: random.Random) -> bool:
    """Do one fault; returns whether there was anything to hit."""
    if fault == "flush":
        return _broker(service, "FLUSHALL")
    if fault == "broker":
        return _broker(service, "SHUTDOWN", "NOSAVE")
    if fault == "postmaster":
        return _kill(int((service.folder / "postgres" / "postmaster.pid").read_text().split()[0]))
    if fault == "backend":
        with contextlib.suppress(psycopg.Error), service.database() as session:
            rows = session.execute(
                "select pid from pg_stat_activity where usename = 'cml_service' and pid <> pg_backend_pid()"
            ).fetchall()
            return bool(rows) and _kill(chance.choice(rows)[0])
        return False
    if fault == "importer":
        return service.importer is not None and service.importer.poll() is None and _kill(service.importer.pid)
    found = service.parts().get(fault.removesuffix(" frozen"), [])
    if not found:
        return False
    pid = chance.choice(found)
    if fault.endswith("frozen"):
        if not _kill(pid, signal.SIGSTOP):
            return False
        time.sleep(4)
        return _kill(pid, signal.SIGCONT)
    return _kill(pid)


def _kill(pid: int, number: signal.Signals = signal.SIGKILL) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _broker(service: Service, *words: str) -> bool:
    address = next(iter(service._sockets())) + "/valkey.sock"
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as session:
        session.settimeout(3)
        session.connect(address)
        session.sendall((" ".join(words) + "\r\n").encode())
        session.recv(100)
        return True
    return False


# --- the checker -------------------------------------------------------------------------------------------------


def told(stub: SmtpStub) -> set[str]:
    """The ids of the alerts of which an urgent message was taken."""
    texts = (text for _at, _to, text in list(stub.taken) if "URGENT" in text)
    return {found for text in texts for found in re.findall(r"/alerts/([0-9a-f-]{36})/", text)}


def differences(service: Service, series: list[list[Sample]], stub: SmtpStub, kills: int) -> list[str]:
    """Everything that is not as it must be, from the rows and the mail server's log alone."""
    sent = {sample.accession: sample for one in series for sample in one if not sample.is_broken}
    with service.database() as session:
        stored = session.execute(
            "select r.accession_number, a.response_class from monitoring_pcrresult r left join"
            " monitoring_responseassessment a on a.result_id = r.id and a.superseded_at is null"
            " where not exists (select 1 from monitoring_pcrresult n where n.supersedes_id = r.id)"
        ).fetchall()
        alerts = session.execute(
            "select p.patient_id, a.public_id::text, a.state from monitoring_alert a join monitoring_patient p"
            " on p.id = a.patient_id where a.kind = 'loss_of_mmr'"
        ).fetchall()
    found = []
    times = Counter(accession for accession, _class in stored)
    found += [f"result {a} is lost" for a in sent if not times[a]]
    found += [f"result {a} stands {n} times" for a, n in times.items() if n > 1]
    found += [f"result {a} was refused and is stored" for a in times if a not in sent]
    for accession, stored_class in stored:
        if accession in sent and (stored_class == "NO_MMR") != sent[accession].is_loss:
            found.append(f"result {accession} has the class {stored_class}")
    wanted = {one[0].patient for one in series if any(sample.is_loss for sample in one)}
    by_patient = Counter(patient for patient, _id, state in alerts if state in ("open", "acknowledged"))
    found += [f"the loss of {patient} has no alert" for patient in wanted if not by_patient[patient]]
    found += [f"{patient} has {n} alerts" for patient, n in by_patient.items() if n > 1 or patient not in wanted]
    reached = told(stub)
    found += [f"nobody was told of the loss of {patient}" for patient, alert, _s in alerts if alert not in reached]
    repeats = len(stub.keys()) - len(set(stub.keys()))
    if repeats > 1 + kills / 50:
        found.append(f"{repeats} messages were repeated, {kills} kills")
    return found


def run() -> int:
    """One run; returns the exit code."""
    chance = random.Random(SEED)
    series = made_up(chance)
    folder = Path(tempfile.mkdtemp(prefix="cml-chaos-", dir="/tmp"))
    folder.chmod(0o755)
    hits: Counter[str] = Counter()
    over = threading.Event()
    with smtp_stub() as stub:
        service = Service(folder, stub.port)
        try:
            service.begin(series)
            order = [sample for one in series for sample in one]
            chance.shuffle(order)
            half = len(order) // 2
            broken = [Sample(f"B{n}", "P0", TODAY, None, is_broken=True) for n in range(max(2, PATIENTS // 50))]
            failed: list[BaseException] = []

            def guarded(work: object, samples: list[Sample]) -> None:
                try:
                    work(service, samples, random.Random(SEED))  # type: ignore[operator]  # one of the two above
                except BaseException as problem:  # noqa: BLE001  # told below
                    failed.append(problem)

            senders = [
                threading.Thread(target=guarded, args=(post_all, [*order[:half], *broken]), daemon=True),
                threading.Thread(target=guarded, args=(load_all, order[half:]), daemon=True),
            ]
            for sender in senders:
                sender.start()
            if WITHOUT:
                threading.Thread(target=_leave_out, args=(service, over), daemon=True).start()
            struck: list[tuple[float, str]] = []
            while sum(hits.values()) < KILLS:
                time.sleep(chance.uniform(0.4, 1.6))
                fault = chance.choice(FAULTS)
                with contextlib.suppress(OSError, ValueError, IndexError):
                    hits[fault] += (hit := strike(service, fault, chance))
                    struck += [(time.monotonic(), fault)] * hit
            for sender in senders:
                sender.join(300)
            if failed or any(sender.is_alive() for sender in senders):
                raise AssertionError(f"a sender did not end: {failed}")
            whole = wait(service.is_whole, WHOLE_SECONDS, "the service is not whole again")
            began, seen = time.monotonic(), 0.0
            while (missing := differences(service, series, stub, KILLS)) and time.monotonic() - began < SENT_SECONDS:
                if not any("no alert" in words or "class" in words for words in missing):
                    seen = seen or time.monotonic() - began
                time.sleep(0.5)
            took = time.monotonic() - began
            seen = seen or took
        finally:
            over.set()
            service.end()
            shutil.rmtree(folder, ignore_errors=True)
    verdict = "FAILED" if missing else "PASSED"
    if not missing and seen > VISIBLE_SECONDS:
        verdict = "FAILED"
        missing = [f"the last alert was visible after {seen:.0f} s"]
    losses = sum(any(sample.is_loss for sample in one) for one in series)
    for key, times in Counter(stub.keys()).items():
        if times > 1:  # which fault was near says why
            came = [at for at, _to, text in stub.taken if f"X-Alert-Delivery: {key}" in text]
            near = [f"{fault} {at - came[0]:+.1f} s" for at, fault in struck if came[0] - 5 < at < came[-1]]
            missing.append(f"  {key[-20:]} came again after {came[-1] - came[0]:.1f} s; {', '.join(near)}")
    for words in missing[:40]:
        sys.stdout.write(f"{words}\n")
    sys.stdout.write(
        f"hit: {dict(hits)}; {service.done['posted']} posted, {service.done['files']} files; whole after {whole:.0f} s,"
        f" visible {seen:.1f} s and told {took:.1f} s later; {len(stub.keys()) - len(set(stub.keys()))} repeats\n"
        f"chaos: {KILLS} kills, seed {SEED}, {4 * PATIENTS} results, {losses} losses"
        f"{f', without {WITHOUT}' if WITHOUT else ''}: {verdict}\n"
    )
    return 0 if verdict == "PASSED" else 1


def _leave_out(service: Service, over: threading.Event) -> None:
    """Take a guarantee away: a part that is killed whenever it comes, or the index that allows one open alert."""
    while not over.wait(0.2):
        if WITHOUT == "index":
            with contextlib.suppress(psycopg.Error, OSError, IndexError), service.database() as session:
                session.execute("drop index if exists alert_one_open")
        else:
            for pid in service.parts().get(WITHOUT, []):
                _kill(pid)


if __name__ == "__main__":
    sys.exit(run())
