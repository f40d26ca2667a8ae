"""Those who send results, by API, by file and on a page, and the mail server that takes messages in its own manner."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from tests.faults.chaos.desk import give_all
from tests.faults.chaos.service import ROOT, Service, written
from tests.faults.chaos.world import COLUMNS, Sample
from tests.smtp_stub import Visit, drips, takes_all

POSTING_AT_ONCE = 4
LEAST_ROWS = 20


def post_all(service: Service, samples: Sequence[Sample], seed: int) -> None:
    """Each sample until somebody has answered it; some twice, as two requests, some corrected afterwards."""
    chance = random.Random(seed)
    for sample in samples:
        if sample.first_said is not None:
            _post(service, sample, sample.body(is_first=True), f"{sample.accession}/first")
        for number in range(2 if chance.random() < 0.05 else 1):
            _post(service, sample, sample.body(), f"{sample.accession}/{number}")


def _post(service: Service, sample: Sample, body: str, key: str) -> None:
    wanted = (400, 422) if sample.is_broken else (200, 201, 409)
    status = 0
    while status not in wanted:
        status = service.send("POST", "/api/v1/results/", body, key)
        service.answers[str(status)] += 1
        if status in (400, 401, 403, 404, 422) and status not in wanted:
            raise AssertionError(f"{sample.accession} was refused: {status}")
        time.sleep(0 if status in wanted else 0.3)


def load_all(service: Service, samples: Sequence[Sample], _seed: int) -> None:
    """The samples in files, each until the importer says that it is loaded (exit 0 or 1)."""
    rows_each = max(LEAST_ROWS, len(samples) // 100)
    for start in range(0, len(samples), rows_each):
        rows = [list(COLUMNS), *(sample.row() for sample in samples[start : start + rows_each])]
        path = written(service.folder / f"part-{start}.csv", rows)
        code = -1
        while code not in (0, 1):
            service.importer = subprocess.Popen(
                [sys.executable, "manage.py", "import_results", str(path)], cwd=ROOT, env=service.environment(),
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            code = service.importer.wait()
            service.answers[f"file {code}"] += 1


class Senders:
    """The threads that send, and what went wrong in them."""

    def __init__(
        self,
        service: Service,
        seed: int,
        by_api: Sequence[Sample],
        by_file: Sequence[Sample],
        on_page: Sequence[Sample],
    ) -> None:
        self.failed: list[BaseException] = []
        parts = [by_api[n::POSTING_AT_ONCE] for n in range(POSTING_AT_ONCE)]
        works: list[tuple[Callable[[Service, Sequence[Sample], int], None], Sequence[Sample]]] = [
            *((post_all, part) for part in parts), (load_all, by_file), (give_all, on_page),
        ]  # fmt: skip
        self.threads = [
            threading.Thread(target=self._guarded, args=(work, service, samples, seed), daemon=True)
            for work, samples in works
        ]
        for thread in self.threads:
            thread.start()

    def _guarded(self, work: Callable[..., None], *arguments: object) -> None:
        try:
            work(*arguments)
        except BaseException as problem:  # noqa: BLE001  # told when they are joined
            self.failed.append(problem)

    @property
    def are_at_work(self) -> bool:
        return any(thread.is_alive() for thread in self.threads)

    def join(self, seconds: float) -> None:
        """Wait until all is sent; raises ``AssertionError`` with what went wrong."""
        until = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0.0, until - time.monotonic()))
        if self.failed or self.are_at_work:
            raise AssertionError(f"a sender did not end: {self.failed}")


class MailServer:
    """The manner of a mail server that is busy, drips, hangs or drops now and then, and refuses one host for good."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.down_until = 0.0
        self.is_calm = False
        self.slow_seconds = 0.0
        self.dropped_after_taking = 0

    def __call__(self, visit: Visit, line: str) -> str | None:
        if time.monotonic() < self.down_until:
            return None
        if line == "RCPT" and visit.recipients[0].endswith("@void.example.org"):
            return "550 no such user"
        if line == ".":
            time.sleep(self.slow_seconds)
        if not self.is_calm:
            drawn = self._chance.random()
            if line == "EHLO" and drawn < 0.03:
                return drips(visit, line) if drawn < 0.01 else "421 busy"
            if line == "MAIL" and drawn < 0.01:
                time.sleep(30)
            if line == "." and drawn < 0.01:
                return "451 try again"
            if line == "." and drawn < 0.02:
                self.dropped_after_taking += 1
                return None
        return takes_all(visit, line)
