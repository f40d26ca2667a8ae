"""The service under fire: its supervisor, a second alertd, and what the harness asks of them."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.faults.chaos.choices import Choices
from tests.faults.chaos.world import POISON, STOPPED_ON, Sample

ROOT = Path(__file__).resolve().parent.parent.parent.parent
WHOLE_SECONDS = 120.0
PASSWORD = "only-for-fire-7"  # of a person in a folder that is thrown away
BEAT = "celery -q -A tasks.celery beat"
# What the supervisor has started, by words of its command line; the parent tells main processes from their children.
PARTS = {
    "web": "gunicorn", "worker classify": "--queues classify", "worker bulk": "--queues import", "alertd": "alertd",
    "watchdog": "watchdog", "beat": BEAT,
}  # fmt: skip
# What is at work for a moment only, whoever has started it.
PASSING = {
    "reader": "monitoring.intake.apart", "upload by alertd": "manage.py load_upload",
    "night by alertd": "manage.py run_night",
}  # fmt: skip
# The parts that a control leaves out.
LEFT_OUT = {"alertd": {"alertd", "standby"}, "beat": {"beat"}}
COHORT = {"slug": "all", "title": "All who stopped"}
_PEOPLE = """
import io
from django.core.management import call_command
from django.contrib.auth.models import User
from monitoring.models import Centre, Laboratory, LaboratoryCentre, Membership
from monitoring import clock
centres = [Centre.objects.create(code=code) for code in ('H1', 'H2')]
laboratory = Laboratory.objects.create(code='LAB', files_are_final=True)
people = [('grace', centres[0], 'example.org'), ('lou', centres[0], 'void.example.org')]
people += [(f'crowd{n}', centres[1], 'example.org') for n in range(CROWD)]
for centre in centres:
    LaboratoryCentre.objects.create(laboratory=laboratory, centre=centre)
for name, centre, host in people:
    person = User.objects.create(username=name, email=f'{name}@{host}')
    Membership.objects.create(user=person, centre=centre, role='clinician', valid_from=clock.now().date())
rosa = User.objects.create_user('rosa', password='PASSWORD')
Membership.objects.create(user=rosa, centre=centres[0], role='technician', valid_from=clock.now().date())
call_command('import_patients', 'FOLDER/patients.csv', stdout=io.StringIO())
call_command('import_treatments', 'FOLDER/treatments.csv', stdout=io.StringIO())
call_command('define_cohort', 'FOLDER/cohort.json', stdout=io.StringIO())
call_command('create_token', 'robot', laboratory='LAB')
"""
# A clock that can be moved: whoever asks for the time without saying which clock finds ours first.
_CLOCK = """
create table chaos_clock (ahead interval);
insert into chaos_clock values ('0');
create function public.clock_timestamp() returns timestamptz volatile language sql as
    'select pg_catalog.clock_timestamp() + (select ahead from public.chaos_clock)';
grant select on chaos_clock to public;
alter database cml set search_path = public, pg_catalog;
"""


@dataclass
class Service:
    """The supervised service in a folder of its own."""

    choices: Choices
    folder: Path
    mail_port: int
    port: int = 0
    night_at: str = ""
    supervisor: subprocess.Popen[bytes] | None = None
    standby: subprocess.Popen[bytes] | None = None
    second_beat: subprocess.Popen[bytes] | None = None
    token: str = ""
    importer: subprocess.Popen[bytes] | None = None
    answers: Counter[str] = field(default_factory=Counter)

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "PYTHONDONTWRITEBYTECODE")}
        chosen = {k: v for k, v in os.environ.items() if k.startswith("CHAOS_")}
        broker = {"REDIS_URL": "redis://127.0.0.1:9/0"} if self.choices.without == "broker" else {}  # nobody is there
        return {**kept, **chosen, **broker, "VAR_DIR": str(self.folder), "PORT": str(self.port),
                **({"NIGHTLY_AT_UTC": self.night_at} if self.night_at else {}), "LOG_FORMAT": "line", "EMAIL_URL": f"smtp://127.0.0.1:{self.mail_port}",
                "DJANGO_SETTINGS_MODULE": "tests.faults.chaos.settings"}  # fmt: skip

    def manage(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *words], cwd=ROOT, env=self.environment(), capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise AssertionError(f"{words}: exit {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout.strip()

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """A part in the background; what it says is in the service's log."""
        with (self.folder / "serve.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *words], cwd=ROOT, env=self.environment(), stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def begin(self, samples: Sequence[Sample], *, poisoned: bool = True) -> None:
        """Tables, people, patients and their stops; then the supervisor, and the second alertd."""
        self.manage("migrate", "-v0")
        names = [*dict.fromkeys(sample.patient for sample in samples), *([POISON] if poisoned else [])]
        patients = [["patient_id", "centre"], *([name, "H2" if name.startswith("C") else "H1"] for name in names)]
        courses = [["patient_id", "drug", "started_on", "stopped_on", "stop_reason"]]
        courses += [[name, "imatinib", "2010-01-01", STOPPED_ON.isoformat(), "tfr_attempt"] for name in names]
        for kind, rows in (("patients", patients), ("treatments", courses)):
            written(self.folder / f"{kind}.csv", rows)
        (self.folder / "cohort.json").write_text(json.dumps(COHORT))
        script = _PEOPLE
        values = {"CROWD": str(self.choices.crowd), "PASSWORD": PASSWORD, "FOLDER": str(self.folder)}
        for name, value in values.items():
            script = script.replace(name, value)
        self.token = self.manage("shell", "-v0", "-c", script).split()[-1]  # one process: each takes seconds to start
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        slot = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)
        self.night_at = f"{slot:%H:%M}"
        self.supervisor = self.start("manage.py", "serve")
        self.keep_standby()
        wait(self.is_whole, WHOLE_SECONDS, "the service did not start")
        if "clock" in self.choices.faults:
            with self.database() as session:
                session.execute(_CLOCK)
                for (pid,) in session.execute("select pid from pg_stat_activity where usename = 'cml_service'"):
                    os.kill(pid, signal.SIGTERM)  # each session begins anew, with that clock
            wait(self.is_whole, WHOLE_SECONDS, "the service did not come back")

    def keep_standby(self) -> None:
        """The second alertd, and the second beat where one is chosen, as another supervisor would keep them."""
        if self.standby is None or self.standby.poll() is not None:
            self.standby = self.start("manage.py", "alertd")
        if self.choices.beats > 1 and (self.second_beat is None or self.second_beat.poll() is not None):
            own = str(self.folder / "second-beat-schedule")
            self.second_beat = self.start("-m", *BEAT.split(), "--loglevel", "WARNING", "--pidfile=", "--schedule", own)

    def end(self) -> None:
        """Kill everything: the data are thrown away, so nobody is asked to stop in order."""
        own = [process for process in (self.supervisor, self.standby, self.second_beat) if process is not None]
        parts = [pid for pids in self.parts().values() for pid in pids] if self.supervisor else []
        servers = [self.folder / "postgres" / "postmaster.pid"]
        with contextlib.suppress(OSError, IndexError):
            servers.append(Path(self.sockets()) / "valkey.pid")
        for pid in (*(process.pid for process in own), *parts, *map(pid_in, servers)):
            with contextlib.suppress(ProcessLookupError):
                if pid is not None:
                    os.kill(pid, signal.SIGKILL)
        subprocess.run(["pkill", "-9", "-f", str(self.folder)], check=False)
        for process in own:
            process.wait(10)

    def database(self, login: str = "owner") -> psycopg.Connection:
        secret = (self.folder / f"postgres-{login}-password").read_text()
        return psycopg.connect(
            f"postgresql://cml_{login}:{secret}@/cml?host={self.sockets()}", autocommit=True, connect_timeout=3
        )

    def sockets(self) -> str:
        """The folder of the servers' sockets."""
        return (self.folder / "postgres" / "postmaster.pid").read_text().splitlines()[4]

    def parts(self) -> dict[str, list[int]]:
        """The process ids of each part: main processes, and their children under ``… child``."""
        assert self.supervisor is not None
        found: dict[str, list[int]] = {}
        processes = list(_processes())
        for pid, parent, words in processes:
            for name, mark in PARTS.items():
                if mark in words and parent == self.supervisor.pid:
                    found.setdefault(name, []).append(pid)
        for pid, parent, words in processes:
            for name in PARTS:
                if parent in found.get(name, []):
                    found.setdefault(f"{name} child", []).append(pid)
            for name, mark in PASSING.items():
                if mark in words:
                    found.setdefault(name, []).append(pid)
        for name, process in (("standby", self.standby), ("second beat", self.second_beat)):
            if process is not None and process.poll() is None:
                found[name] = [process.pid]
        return found

    def is_whole(self) -> bool:
        """Whether every part is there and the service answers."""
        self.keep_standby()
        try:
            with self.database() as session:
                session.execute("select 1")
        except (psycopg.Error, OSError, IndexError):
            return False
        wanted = {*PARTS, "standby"} - LEFT_OUT.get(self.choices.without, set())
        ready = self.send("GET", "/readyz", "", "") == 200 or self.choices.without == "broker"
        return wanted <= self.parts().keys() and ready

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


def pid_in(path: Path) -> int | None:
    """The process whose id stands in a file of a server."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(path.read_text().split()[0])
    return None


@contextlib.contextmanager
def own_folder(choices: Choices) -> Iterator[Path]:
    """A folder that everybody may enter; on a disk of its own where one is to be filled."""
    folder = Path(tempfile.mkdtemp(prefix="cml-chaos-", dir="/tmp"))
    if choices.disk_mib:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={choices.disk_mib}m", "chaos", str(folder)], check=True)
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        if choices.disk_mib:
            subprocess.run(["umount", "-l", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def written(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows(rows)
    return path


def _processes() -> Iterator[tuple[int, int, str]]:
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args=", "-ww"], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        pid, parent, words = line.split(None, 2)
        yield int(pid), int(parent), words


def wait(condition: Callable[[], bool], seconds: float, what: str) -> float:
    """How long it took until it held; raises ``AssertionError`` where it does not."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if condition():
            return time.monotonic() - began
        time.sleep(0.3)
    raise AssertionError(f"{what} within {seconds:.0f} s")
