"""Clinical dates: known to the day, the month or the year; whole calendar months and completed years."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

DAYS_PER_MONTH = 30.4375


class Precision(StrEnum):
    """How exactly a date is known."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True, order=True)
class PartialDate:
    """A date with its precision: ``2025-03`` stands as 15 March, ``2025`` as 1 July."""

    on: date
    precision: Precision = Precision.DAY

    @property
    def earliest(self) -> date:
        """The first day this date can mean."""
        if self.precision is Precision.YEAR:
            return self.on.replace(month=1, day=1)
        return self.on.replace(day=1) if self.precision is Precision.MONTH else self.on

    @property
    def latest(self) -> date:
        """The last day this date can mean."""
        if self.precision is Precision.YEAR:
            return self.on.replace(month=12, day=31)
        if self.precision is Precision.MONTH:
            return self.on.replace(day=calendar.monthrange(self.on.year, self.on.month)[1])
        return self.on

    def __str__(self) -> str:
        length = {Precision.YEAR: 4, Precision.MONTH: 7, Precision.DAY: 10}[self.precision]
        return self.on.isoformat()[:length]

    def within(self, earliest: date | None = None, latest: date | None = None) -> PartialDate:
        """The same date moved into a known order, as far as its precision leaves room for it."""
        on = self.on
        if earliest is not None and on < earliest <= self.latest:
            on = earliest
        if latest is not None and on > latest >= self.earliest:
            on = latest
        return PartialDate(on, self.precision)


_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")


def parse_date(text: str) -> PartialDate:
    """An ISO date, month or year. Raises ``ValueError`` with the fix in words."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("write the date as 2025-03-10 (or 2025-03, 2025 where no more is known)")
    year, month, day = (int(part) if part else None for part in match.groups())
    assert year is not None
    if not 1900 <= year <= 2200:
        raise ValueError(f"the year {year} cannot be right")
    if month is None:
        return PartialDate(date(year, 7, 1), Precision.YEAR)
    if not 1 <= month <= 12:
        raise ValueError(f"there is no month {month}")
    if day is None:
        return PartialDate(date(year, month, 15), Precision.MONTH)
    try:
        return PartialDate(date(year, month, day))
    except ValueError:
        raise ValueError(f"there is no day {day} in {year}-{month:02d}") from None


def add_months(start: date, months: int) -> date:
    """The same day ``months`` later; the end of a month is clamped (31 January + 1 month is 28 or 29 February)."""
    index = start.year * 12 + start.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(start.day, calendar.monthrange(year, month + 1)[1]))


def months_of(days: int) -> float:
    """Days as months of 30.4375 days."""
    return days / DAYS_PER_MONTH


def completed_years(born_on: date, on: date) -> int:
    """Age in completed years; someone born on 29 February completes a year on 1 March of a common year."""
    return on.year - born_on.year - ((on.month, on.day) < (born_on.month, born_on.day))


@dataclass(frozen=True, slots=True)
class Duration:
    """A length of clinical time that is compared calendar-wise: from ``start`` to ``end``.

    ``uncertain_days`` is the width by which partly known dates could move the length to either side.
    """

    start: date
    end: date
    uncertain_days: int = 0

    @property
    def days(self) -> int:
        return (self.end - self.start).days

    @property
    def months(self) -> float:
        return months_of(self.days)

    def reaches(self, months: int) -> bool | None:
        """Whether the length is at least so many whole calendar months; None where imputed dates straddle it."""
        answer = add_months(self.start, months) <= self.end
        if not self.uncertain_days:
            return answer
        slack = dt.timedelta(days=self.uncertain_days)
        certain = (
            add_months(self.start, months) <= self.end - slack,
            add_months(self.start, months) <= self.end + slack,
        )
        return answer if certain[0] == certain[1] else None
