"""The lead of a part of the service of which one copy works while the others wait: a lease in the database.

A leader that is silent for longer than its lease has lost the lead, whether it was killed, frozen or cut off, and knows
it when it wakes: it counts the time since it was last confirmed. Each new leader gets a higher number (the fence), so
that one that was replaced cannot take its lead for its own again. A lease that ends later than any could was written
by a clock that was set back since, and holds nobody up.
"""

from __future__ import annotations

import time

from django.db import connection

LEASE_SECONDS = 30.0


class Lead:
    """One copy's claim to lead the part of this name."""

    def __init__(self, name: str, lease_seconds: float = LEASE_SECONDS) -> None:
        self.name = name
        self._lease_seconds = lease_seconds
        self._fence: int | None = None
        self._confirmed = 0.0  # by this machine's steady clock, taken before the database was asked

    @property
    def is_held(self) -> bool:
        """Whether this copy leads, as far as it can know: its last confirmation is younger than the lease."""
        return self._fence is not None and time.monotonic() - self._confirmed < self._lease_seconds

    def take(self) -> bool:
        """Lead from now on, unless another copy does."""
        asked = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute(
                "insert into monitoring_lead as held (name, fence, until)"
                " values (%(name)s, 1, clock_timestamp() + make_interval(secs => %(lease)s))"
                " on conflict (name) do update set fence = held.fence + 1, until = excluded.until"
                " where held.until < clock_timestamp()"
                " or held.until > clock_timestamp() + make_interval(secs => %(most)s) returning fence",
                {"name": self.name, "lease": self._lease_seconds, "most": 2 * self._lease_seconds},
            )
            row = cursor.fetchone()
        self._fence, self._confirmed = (row[0], asked) if row else (None, 0.0)
        return row is not None

    def keep(self) -> bool:
        """Go on leading; False where the lead has passed to another copy, or its time has run out."""
        asked = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute(
                "update monitoring_lead set until = clock_timestamp() + make_interval(secs => %s)"
                " where name = %s and fence = %s and until >= clock_timestamp()",
                [self._lease_seconds, self.name, self._fence],
            )
            is_kept = bool(cursor.rowcount)
        if is_kept:
            self._confirmed = asked
        else:
            self._fence = None
        return is_kept

    def release(self) -> None:
        """Let the next copy lead at once."""
        with connection.cursor() as cursor:
            cursor.execute(
                "update monitoring_lead set until = clock_timestamp() where name = %s and fence = %s",
                [self.name, self._fence],
            )
        self._fence = None
