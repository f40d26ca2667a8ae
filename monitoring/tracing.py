"""One id from a request through the tasks it causes into every log line; log lines never carry values of patients."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import re
import traceback
import uuid
from collections.abc import Iterator
from types import TracebackType

from pythonjsonlogger.json import JsonFormatter

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}")
_current: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def current_request_id() -> str:
    """The id of the request that this code works for, empty outside of one."""
    return _current.get()


@contextlib.contextmanager
def working_for(given: str | None = None) -> Iterator[str]:
    """Let everything inside carry this id; one that is missing or odd is replaced by a fresh one."""
    request_id = given if given and _WELL_FORMED.fullmatch(given) else uuid.uuid4().hex
    token = _current.set(request_id)
    try:
        yield request_id
    finally:
        _current.reset(token)


class WithRequestId(logging.Filter):
    """Adds ``request_id`` to every record, and drops Django's request: written out it is the address with its query."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current_request_id()
        record.__dict__.pop("request", None)
        return True


def without_values(exc_info: ExcInfo) -> str:
    """Where an exception came from and of which kind it is; its message may hold a patient's values and is left out."""
    kind, _, trace = exc_info
    frames = "".join(f"  {f.filename}:{f.lineno} {f.name}\n" for f in traceback.extract_tb(trace))
    return f"{frames}{kind.__name__ if kind else ''}"


class LineFormatter(logging.Formatter):
    """One readable line, for a terminal."""

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802  # the name is that of the standard library
        return without_values(ei)


class ObjectFormatter(JsonFormatter):
    """One JSON object a line, for machines."""

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802  # the name is that of the standard library
        return without_values(ei)
