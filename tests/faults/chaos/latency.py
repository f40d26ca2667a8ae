"""`make latency`: how long a result takes to be an alert and a mail, at rest and while a large file is read.

Counted from before a result is posted. The service runs under its own supervisor with a mail server that takes all; at
the end it may be left at ordinary work for LATENCY_QUIET_SECONDS, in which the watchdog must find nothing.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.chaos.choices import Choices
from tests.faults.chaos.senders import MailServer
from tests.faults.chaos.service import Service, own_folder, wait, written
from tests.faults.chaos.world import COLUMNS, TODAY, Sample
from tests.smtp_stub import SmtpStub, smtp_stub

LOSSES = int(os.environ.get("LATENCY_LOSSES", "100"))
ROWS = int(os.environ.get("LATENCY_ROWS", "100000"))
QUIET_SECONDS = float(os.environ.get("LATENCY_QUIET_SECONDS", "0"))
LOOK_SECONDS, GIVE_UP_SECONDS = 0.01, 60.0
PAUSE_SECONDS = 0.5  # between two losses
_GOALS = {  # seconds
    "at rest": {"visible_p50": 0.5, "visible_p99": 1.0, "mailed_p99": 5.0},
    "while a file is read": {"visible_p99": 5.0},
}
_VISIBLE = (
    "select 1 from monitoring_alert a join monitoring_patient p on p.id = a.patient_id"
    " where a.kind = 'loss_of_mmr' and p.patient_id = %s"
)


def kept(patient: str, number: int) -> Sample:
    return Sample(f"{patient}-{number}", patient, TODAY - dt.timedelta(days=55 - 12 * number), None)


def lost(patient: str) -> Sample:
    return Sample(f"{patient}-lost", patient, TODAY - dt.timedelta(days=1), 200)


def seen_and_mailed(service: Service, stub: SmtpStub, patient: str) -> tuple[float, float]:
    """Seconds from before the result is posted until its alert stands, and until its mail was taken."""
    sample = lost(patient)
    with service.database() as session:
        began, before = time.monotonic(), len(stub.taken)
        status = service.send("POST", "/api/v1/results/", sample.body(), sample.accession)
        assert status == 201, f"{sample.accession}: {status}"
        while not session.execute(_VISIBLE, [patient]).fetchone():
            assert time.monotonic() - began < GIVE_UP_SECONDS, f"{patient} has no alert"
            time.sleep(LOOK_SECONDS)
        seen = time.monotonic() - began
    while True:
        taken = [at for at, _to, text in stub.taken[before:] if "URGENT" in text]
        if taken:
            return seen, taken[0] - began
        assert time.monotonic() - began < GIVE_UP_SECONDS, f"nobody was told of {patient}"
        time.sleep(LOOK_SECONDS)


def figures_of(times: Sequence[tuple[float, float]]) -> dict[str, float]:
    found: dict[str, float] = {"losses": len(times)}
    for name, values in zip(("visible", "mailed"), zip(*times, strict=True), strict=True):
        centiles = statistics.quantiles(values, n=100, method="inclusive")
        found |= {f"{name}_p50": centiles[49], f"{name}_p99": centiles[98], f"{name}_most": max(values)}
    return {name: round(value, 3) for name, value in found.items()}


def quiet(service: Service, patients: Sequence[str]) -> list[str]:
    """What the watchdog says during ordinary work: a result every five seconds."""
    log = service.folder / "serve.log"
    until = time.monotonic() + QUIET_SECONDS
    for number in range(10**6):
        if time.monotonic() > until:
            break
        sample = kept(patients[number % len(patients)], 3 + number // len(patients) % 2)
        sample = Sample(f"Q{number}", sample.patient, sample.day, None)
        status = service.send("POST", "/api/v1/results/", sample.body(), sample.accession)
        assert status in (201, 409, 422), status  # a second sample of one day is a question
        time.sleep(5)
    return [line for line in log.read_text().splitlines() if "CML monitoring:" in line]


def measure() -> int:
    """One run; returns the exit code."""
    choices = Choices(kills=0, patients=1)
    mail = MailServer(1)
    mail.is_calm = True
    people = {phase: [f"{letter}{n}" for n in range(LOSSES)] for phase, letter in zip(_GOALS, "RF", strict=True)}
    crowd = [f"L{n}" for n in range(ROWS // 4)]
    found: dict[str, dict[str, float]] = {}
    with own_folder(choices) as folder, smtp_stub(mail) as stub:
        service = Service(choices, folder, stub.port)
        try:
            everybody = [name for names in people.values() for name in names]
            service.begin([kept(name, 0) for name in [*everybody, *crowd]], poisoned=False)
            first = [list(COLUMNS), *(kept(name, n).row() for name in everybody for n in range(2))]
            service.manage("import_results", str(written(folder / "first.csv", first)))
            wait(lambda: _owed(service) == 0, 300, "the first results are not classified")
            found["at rest"] = figures_of([_after_a_pause(service, stub, name) for name in people["at rest"]])
            rows = [list(COLUMNS), *(kept(name, n).row() for name in crowd for n in range(4))]
            reader = service.start("manage.py", "import_results", str(written(folder / "large.csv", rows)))
            times, met = [], 0
            for name in people["while a file is read"]:
                met += reader.poll() is None or _owed(service) > 0
                times.append(_after_a_pause(service, stub, name))
            found["while a file is read"] = {**figures_of(times), "rows": len(rows) - 1, "met_the_file": met}
            assert reader.wait(1800) == 0, "the large file was not read"
            wait(lambda: _owed(service) == 0, 900, "the large file was not classified")
            said = quiet(service, crowd) if QUIET_SECONDS else []
        finally:
            service.end()
    missed = [
        f"{phase}: {name} is {found[phase][name]} s, wanted {goal} s"
        for phase, goals in _GOALS.items()
        for name, goal in goals.items()
        if found[phase][name] > goal
    ]
    if not found["while a file is read"]["met_the_file"] > LOSSES / 2:
        missed.append("the file was read before half of the losses were posted: give more LATENCY_ROWS")
    kept_figures = {"on": dt.datetime.now(dt.UTC).date().isoformat(), **found, "quiet_s": QUIET_SECONDS, "said": said}
    if path := os.environ.get("LATENCY_HISTORY"):
        Path(path).write_text(json.dumps(kept_figures) + "\n")
    sys.stdout.write("\n".join([json.dumps(kept_figures), *missed, *said, ""]))
    sys.stdout.write(f"latency: {'FAILED' if missed or said else 'PASSED'}\n")
    return 1 if missed or said else 0


def _after_a_pause(service: Service, stub: SmtpStub, patient: str) -> tuple[float, float]:
    time.sleep(PAUSE_SECONDS)
    return seen_and_mailed(service, stub, patient)


def _owed(service: Service) -> int:
    with service.database() as session:
        row = session.execute("select count(*) from monitoring_classificationrequest").fetchone()
    return int(row[0]) if row else 0


if __name__ == "__main__":
    sys.exit(measure())
