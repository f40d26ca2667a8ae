"""Two writers of one key at the same moment: the database lets one through, the other is judged again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.db import IntegrityError
from psycopg.errors import UniqueViolation

TRIES = 3
Recorded = TypeVar("Recorded")


class LostRaceError(Exception):
    """Other writers took the same key each time that this one tried; nothing was stored."""


def is_lost_race(problem: IntegrityError) -> bool:
    """Whether a row with the same key was stored meanwhile, so that no other rule of the database was broken."""
    return isinstance(problem.__cause__, UniqueViolation)


def retry_lost_race(record: Callable[[], Recorded]) -> Recorded:
    """What ``record`` returns; where it loses a race it is called again, and meets what the winner has stored.

    ``record`` is a transaction of its own. Raises ``LostRaceError`` after three lost races.
    """
    for _try in range(TRIES):
        try:
            return record()
        except IntegrityError as problem:
            if not is_lost_race(problem):
                raise
    raise LostRaceError
