"""One poisoned piece of work does not stop the others: it is rolled back, written down, passed over, and tried again.

The pauses grow from a minute to hours and never end. A database that is away is nobody's fault and goes up. What is
written down names the kind of error and where it came from, never its message, which may hold a patient's values.
"""

from __future__ import annotations

import datetime as dt
import logging
import traceback
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.db.models import QuerySet

from monitoring.models import SetAside, SetAsideKind
from monitoring.selectors.set_aside import now_set_aside

logger = logging.getLogger(__name__)

PAUSES = tuple(dt.timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360))
STEP_PAUSES = tuple(dt.timedelta(seconds=seconds) for seconds in (10, 30, 60, 300))  # a step is the work of everybody
# A connection that broke, a server that ends, is full or is broken; client-side losses carry no state at all.
_LOST_STATES = ("08", "53", "57P", "58")


def is_database_lost(problem: Exception) -> bool:
    """Whether the database itself is away, full or going down, so that no piece of work is to blame."""
    if not isinstance(problem, OperationalError | InterfaceError):
        return False
    state = getattr(problem.__cause__, "sqlstate", None)
    return not state or state.startswith(_LOST_STATES)


def describe(problem: BaseException) -> str:
    """The kind of an error, where it was raised in our own code, and the constraint that refused, without its
    message.
    """
    words = type(problem).__name__
    constraint = getattr(getattr(problem.__cause__, "diag", None), "constraint_name", None)
    if isinstance(problem, DatabaseError) and constraint:
        words += f" ({constraint})"
    ours = [f for f in traceback.extract_tb(problem.__traceback__) if _is_ours(f.filename)]
    if ours:
        words += f" at {Path(ours[-1].filename).relative_to(settings.BASE_DIR)}:{ours[-1].lineno} {ours[-1].name}"
    return words[:300]


def _is_ours(file_name: str) -> bool:
    path = Path(file_name)
    return path.is_relative_to(settings.BASE_DIR) and ".venv" not in path.parts


def passed_over(kind: SetAsideKind, *, now: dt.datetime) -> list[str]:
    """The keys of this kind whose time to be tried again has not come."""
    return list(now_set_aside().filter(kind=kind, retry_at__gt=now).values_list("key", flat=True))


def put(
    kind: SetAsideKind, key: object, error: BaseException | str, *, centre_id: int | None, now: dt.datetime
) -> SetAside:
    """Write down that a piece of work failed, and when it is tried again."""
    words = error if isinstance(error, str) else describe(error)
    with transaction.atomic():
        row, is_new = SetAside.objects.select_for_update().get_or_create(
            kind=kind,
            key=str(key)[:200],
            defaults={
                "centre_id": centre_id, "error": words[:300], "first_at": now, "last_at": now,
                "retry_at": now + pause(kind, 1),
            },
        )  # fmt: skip
        if not is_new:
            row.first_at, row.attempts = (now, 1) if row.settled_at else (row.first_at, row.attempts + 1)
            row.centre_id, row.error, row.last_at, row.settled_at = centre_id, words[:300], now, None
            row.retry_at = now + pause(kind, row.attempts)
            row.save()
    shown = None if isinstance(error, str) else error
    logger.error(
        "%s %s is set aside until %s (attempt %d): %s", kind, row.key, row.retry_at.isoformat(timespec="seconds"),
        row.attempts, words, exc_info=shown,
    )  # fmt: skip
    return row


def pause(kind: SetAsideKind, attempts: int) -> dt.timedelta:
    """How long a piece of work is passed over after so many failures."""
    pauses = STEP_PAUSES if kind == SetAsideKind.STEP else PAUSES
    return pauses[min(attempts, len(pauses)) - 1]


def settle(kind: SetAsideKind, keys: Iterable[object], *, now: dt.datetime) -> int:
    """What was set aside is done, or is not owed any more; returns how many there were."""
    keys = list(keys)
    if not keys:
        return 0
    return now_set_aside().filter(kind=kind, key__in=[str(key) for key in keys]).update(settled_at=now)


def settle_all_but(kind: SetAsideKind, still_owed: Iterable[object], *, now: dt.datetime) -> int:
    """Settle everything of a kind whose time has come and that is not owed any more."""
    due = list(now_set_aside().filter(kind=kind, retry_at__lte=now).values_list("key", flat=True))
    return settle(kind, set(due) - set(map(str, still_owed)), now=now) if due else 0


class Piece(NamedTuple):
    """A piece of work: its row, the key by which it is set aside, and the centre whose administrators are told."""

    pk: int
    key: object
    centre_id: int | None


def work_off(
    kind: SetAsideKind,
    rows: QuerySet[Any, Any],
    work: Callable[[Sequence[int]], int],
    *,
    key: str,
    centre: str,
    limit: int,
    now: dt.datetime,
) -> int:
    """Do the work for the rows that are due, but for those that are passed over; returns the sum of what it returned.

    ``key`` and ``centre`` are the fields that name a row. What was set aside and is not due any more is settled.
    """
    aside = dict(now_set_aside().filter(kind=kind).values_list("key", "retry_at"))
    waiting = [one for one, retry_at in aside.items() if retry_at > now]
    due = rows.exclude(**{f"{key}__in": waiting}) if waiting else rows
    pieces = [Piece(*row) for row in due.values_list("pk", key, centre)[:limit]]
    if len(pieces) < limit:
        settle(kind, aside.keys() - {*waiting, *(str(piece.key) for piece in pieces)}, now=now)
    return _try(kind, pieces, work, known=aside.keys(), now=now)


def _try(
    kind: SetAsideKind,
    pieces: Sequence[Piece],
    work: Callable[[Sequence[int]], int],
    *,
    known: Collection[str],
    now: dt.datetime,
) -> int:
    """All at once; where that fails, one by one, and what fails alone is set aside."""
    if not pieces:
        return 0
    try:
        with transaction.atomic():
            done = work([piece.pk for piece in pieces])
    except Exception as problem:  # whatever it is, it surfaces as the failure of its piece
        if is_database_lost(problem):
            raise
        if len(pieces) == 1:
            put(kind, pieces[0].key, problem, centre_id=pieces[0].centre_id, now=now)
            return 0
        logger.warning("%d of %s failed together (%s), going one by one", len(pieces), kind, type(problem).__name__)
    else:
        settle(kind, {str(piece.key) for piece in pieces} & set(known), now=now)
        return done
    return sum(_try(kind, [piece], work, known=known, now=now) for piece in pieces)
