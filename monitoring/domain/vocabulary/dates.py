"""Clinical dates: known to the day, the month or the year; whole calendar months and completed years."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
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
    """A date with its precision: ``2025-03`` is kept as 15 March, ``2025`` as 1 July."""

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

    @property
    def as_imputed(self) -> date:
        """The day that the written date stands for before ``within`` moved it."""
        return {Precision.YEAR: date(self.on.year, 7, 1), Precision.MONTH: self.on.replace(day=15)}.get(
            self.precision, self.on
        )

    def __str__(self) -> str:
        length = {Precision.YEAR: 4, Precision.MONTH: 7, Precision.DAY: 10}[self.precision]
        return self.on.isoformat()[:length]

    def within(self, earliest: date | None = None, latest: date | None = None) -> PartialDate:
        """The same date moved between two known dates, as far as its precision allows."""
        on = self.on
        if earliest is not None and on < earliest <= self.latest:
            on = earliest
        if latest is not None and on > latest >= self.earliest:
            on = latest
        return PartialDate(on, self.precision)


class DateProblem(ValueError):
    """A text that is not a date: ``code`` and ``values`` say why, so that the reason can be translated."""

    def __init__(self, code: str, words: str, **values: object) -> None:
        super().__init__(words % values)
        self.code = code
        self.values = values


_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")


def parse_date(text: str) -> PartialDate:
    """An ISO date, month or year. Raises ``DateProblem`` with the fix in words."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise DateProblem("form", "write the date as 2025-03-10 (or 2025-03, 2025 where no more is known)")
    year, month, day = (int(part) if part else None for part in match.groups())
    assert year is not None
    if not 1900 <= year <= 2200:
        raise DateProblem("year", "the year %(year)s cannot be right", year=year)
    if month is None:
        return PartialDate(date(year, 7, 1), Precision.YEAR)
    if not 1 <= month <= 12:
        raise DateProblem("month", "there is no month %(month)s", month=month)
    if day is None:
        return PartialDate(date(year, month, 15), Precision.MONTH)
    try:
        return PartialDate(date(year, month, day))
    except ValueError:
        raise DateProblem("day", "there is no day %(day)s in %(month)s", day=day, month=f"{year}-{month:02d}") from None


SHORTEST_MONTH_DAYS = 28


def add_months(start: date, months: int) -> date:
    """The same day ``months`` later; the end of a month is clamped (31 January + 1 month is 28 or 29 February)."""
    index = start.year * 12 + start.month - 1 + months
    year, month = divmod(index, 12)
    if start.day <= SHORTEST_MONTH_DAYS:  # nothing to clamp: most days, and this is asked for every sample
        return date(year, month + 1, start.day)
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

    ``shortest`` and ``longest`` are the shortest and the longest length that partly known dates allow. Where they
    answer a question differently, the answer is None.
    """

    start: date
    end: date
    shortest: Duration | None = None
    longest: Duration | None = None

    @property
    def days(self) -> int:
        return (self.end - self.start).days

    @property
    def months(self) -> float:
        return months_of(self.days)

    @property
    def half_months(self) -> int:
        """Twice the whole calendar months, plus one where days are left over: it orders lengths calendar-wise."""
        months = whole_months(self)
        return 2 * months + (add_months(self.start, months) < self.end)

    def reaches(self, months: int) -> bool | None:
        """Whether the length is at least so many whole calendar months; None where partly known dates allow both."""
        return self._agreed(lambda length: add_months(length.start, months) <= length.end)

    def exceeds(self, months: int) -> bool | None:
        """Whether the length is more than so many whole calendar months; None where partly known dates allow both."""
        return self._agreed(lambda length: add_months(length.start, months) < length.end)

    def _agreed(self, question: Callable[[Duration], bool]) -> bool | None:
        answers = {question(length) for length in (self, self.shortest, self.longest) if length is not None}
        return answers.pop() if len(answers) == 1 else None


def between(start: PartialDate, end: PartialDate) -> Duration:
    """The length between two dates, with the shortest and the longest that their precision allows."""
    if start.precision is Precision.DAY and end.precision is Precision.DAY:
        return Duration(start.on, end.on)
    shortest_end = max(end.earliest, start.latest)
    return Duration(start.on, end.on, Duration(start.latest, shortest_end), Duration(start.earliest, end.latest))


def whole_months(length: Duration) -> int:
    """The whole calendar months of a length."""
    start, end = length.start, length.end
    months = (end.year - start.year) * 12 + end.month - start.month
    return months if add_months(start, months) <= end else months - 1
