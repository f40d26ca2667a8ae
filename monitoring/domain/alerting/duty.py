"""Hours in which a centre works: when so many of them have passed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from zoneinfo import ZoneInfo

_LONGEST_SEARCH_DAYS = 400


@dataclass(frozen=True, slots=True)
class Duty:
    """The working days (1 Monday to 7 Sunday) and hours of a centre, on the clocks of its time zone."""

    days: Collection[int]
    opens_at: dt.time
    closes_at: dt.time
    zone: ZoneInfo

    def after(self, start: dt.datetime, hours: float) -> dt.datetime | None:
        """When so many working hours have passed since ``start``; None where the centre never works.

        A day on which the clocks change is as long as it is.
        """
        left = dt.timedelta(hours=hours)
        first = start.astimezone(self.zone).date()
        for ahead in range(_LONGEST_SEARCH_DAYS):
            day = first + dt.timedelta(days=ahead)
            if day.isoweekday() not in self.days:
                continue
            # In UTC: a difference on the clocks of one zone would not see them change.
            opens = max(self._at(day, self.opens_at), start)
            open_for = self._at(day, self.closes_at) - opens
            if open_for >= left:
                return opens + left
            left -= max(open_for, dt.timedelta())
        return None

    def _at(self, day: dt.date, time: dt.time) -> dt.datetime:
        return dt.datetime.combine(day, time, self.zone).astimezone(dt.UTC)
