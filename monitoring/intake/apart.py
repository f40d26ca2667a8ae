"""Reading a file in a process of its own, with limits of processor time, memory and wall time.

``ApartReader`` starts ``python -m monitoring.intake.apart`` and passes its rows on. The child has no database and no
secret: it gets a path and writes JSON lines. It reports what is wrong with the file; where it is killed by a limit, the
message is made here. It is a plain process because workers may not have children of ``multiprocessing``.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import django
from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from monitoring.intake.bounds import PAGE
from monitoring.intake.file_problems import FileProblem, Wrong
from monitoring.intake.headers import Row
from monitoring.intake.tables import Table, open_table

BLOCK_ROWS, BLOCK_CHARACTERS = 200, 200_000
PIPE_BYTES = 1 << 18
BEAT_SECONDS = 5.0
_OUT_OF_MEMORY = 71  # the exit code of a child that could not get more memory


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one file may take."""

    cpu_seconds: int = 120
    memory_bytes: int = 1_000_000_000
    wall_seconds: float = 600


class ReaderLostError(Exception):
    """The reading process ended for a reason that does not lie in the file: the file may be read again."""


class ApartReader:
    """Reads one file in a child process, which never outlives the ``with`` block.

    ``beat`` is called every few seconds while reading, so that a lease can be renewed; it may raise to end it.
    """

    def __init__(self, beat: Callable[[], None] = lambda: None, limits: Limits | None = None) -> None:
        self._beat = beat
        self._limits = limits or Limits()
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ApartReader:
        return self

    def __exit__(self, *_error: object) -> None:
        self._end()

    def open_table(self, path: Path, columns: Sequence[str], required: Sequence[str]) -> Table:
        """As ``tables.open_table``, read by the child."""
        task = {
            "path": str(path), "columns": list(columns), "required": list(required),
            "language": translation.get_language() or "en", "locale_paths": [str(p) for p in settings.LOCALE_PATHS],
            "limits": asdict(self._limits),
        }  # fmt: skip
        self._child = child = subprocess.Popen(
            [sys.executable, "-m", __name__, json.dumps(task)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=settings.BASE_DIR,
            env=_environment(),
        )
        assert child.stdout is not None
        messages = self._messages(child, child.stdout)
        head = next(messages)
        notes: list[str] = []
        return Table(tuple(head["names"]), _rows(messages, notes), notes, typed=head["typed"])

    def _messages(self, child: subprocess.Popen[bytes], pipe: IO[bytes]) -> Iterator[dict[str, Any]]:
        """The messages of the child up to its last. Raises for a refused file and for a child that died."""
        for line in self._lines(pipe):
            message: dict[str, Any] = json.loads(line)
            if "problem" in message:
                raise FileProblem(message["problem"])
            yield message
            if "notes" in message:
                return
        raise self._died(child)

    def _lines(self, pipe: IO[bytes]) -> Iterator[bytes]:
        """The lines of the pipe while it is open, giving up at the wall time."""
        descriptor, rest = pipe.fileno(), b""
        until = time.monotonic() + self._limits.wall_seconds
        next_beat = time.monotonic() + BEAT_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while True:
                now = time.monotonic()
                if now >= until:
                    raise _took_too_long()
                if now >= next_beat:
                    self._beat()
                    next_beat = now + BEAT_SECONDS
                if not selector.select(max(0.0, min(until, next_beat) - now)):
                    continue
                block = os.read(descriptor, PIPE_BYTES)
                if not block:
                    return
                *whole, rest = (rest + block).split(b"\n")
                yield from whole

    def _died(self, child: subprocess.Popen[bytes]) -> Exception:
        try:
            code = child.wait(timeout=BEAT_SECONDS)
        except subprocess.TimeoutExpired:
            return ReaderLostError("the reading process closed its output and went on")
        if code == -signal.SIGXCPU:
            return _took_too_long()
        if code in (_OUT_OF_MEMORY, -signal.SIGABRT, -signal.SIGSEGV):
            return FileProblem(_("Reading the file needs more memory than it may have; save the sheet as CSV."))
        return ReaderLostError(f"the reading process ended with {code}")

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        if child.stdout is not None:
            child.stdout.close()
        child.wait()


def _took_too_long() -> FileProblem:
    return FileProblem(_("Reading the file took too long; save the sheet as CSV, or give it in parts."))


def _rows(messages: Iterator[dict[str, Any]], notes: list[str]) -> Iterator[Row]:
    """The rows that the child sends, one after the other; its notes come last."""
    for message in messages:
        for line, cells, wrong in message.get("rows", ()):
            yield line, cells, Wrong(*wrong) if wrong else None
        notes += message.get("notes", ())


def _environment() -> dict[str, str]:
    """No setting and no secret. The threads of a linear algebra library alone would use up the memory limit."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


# --- in the child ------------------------------------------------------------------------------------------------


def _main(task: dict[str, Any]) -> int:
    limits = task["limits"]
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CPU, limits["cpu_seconds"], limits["cpu_seconds"] + 2)
    _limit(resource.RLIMIT_AS, limits["memory_bytes"])
    settings.configure(USE_I18N=True, LOCALE_PATHS=task["locale_paths"], LANGUAGE_CODE="en", INSTALLED_APPS=[])
    django.setup()
    try:
        with translation.override(task["language"]):
            _tell(Path(task["path"]), task["columns"], task["required"])
    except MemoryError:
        return _OUT_OF_MEMORY
    except BrokenPipeError:  # the parent stopped reading, or has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _limit(what: int, soft: int, hard: int | None = None) -> None:
    """Lower a limit; a limit that is lower already stays."""
    _soft, highest = resource.getrlimit(what)
    hard_limit = soft if hard is None else hard
    top = hard_limit if highest == resource.RLIM_INFINITY else min(hard_limit, highest)
    resource.setrlimit(what, (min(soft, top), top))


def _tell(path: Path, columns: Sequence[str], required: Sequence[str]) -> None:
    try:
        table = open_table(path, columns, required, PAGE)
        _say({"names": table.names, "typed": table.typed})
        block: list[Row] = []
        size = 0
        for row in table.rows:
            block.append(row)
            size += sum(map(len, row[1]))
            if len(block) >= BLOCK_ROWS or size > BLOCK_CHARACTERS:
                _say({"rows": block})
                block, size = [], 0
        _say({"rows": block})
        _say({"notes": table.notes})
    except FileProblem as problem:
        _say({"problem": problem.reason})


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(_main(json.loads(sys.argv[1])))
