"""Cells into values: what is accepted, what is normalised, and the words for what is refused."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from monitoring.domain.text.plain_text import odd_characters
from monitoring.domain.vocabulary.bounds import BOUNDS, Bounds
from monitoring.domain.vocabulary.dates import DateProblem, PartialDate, parse_date
from monitoring.intake.not_detected import is_doubtful, means_detected, means_not_detected
from monitoring.intake.numbers import NotANumber, in_one_width, read_number, unmistakable
from monitoring.wording.unknown import nearest

_MANGLED = re.compile(r"\d+([.,]\d+)?E\+?\d+", re.IGNORECASE)
_SHEET_ERROR = re.compile(r"#(N/A|REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!)")
EARLIEST_YEAR, LATEST_YEAR = 1900, 2200
# No place on earth is further from UTC; PostgreSQL itself ends at 16 hours.
MOST_HOURS_FROM_UTC = 14
_COMPARATOR = re.compile(r"(<=|=<|>=|=>|[<>≤≥])\s*")
_PERCENT_LIMITS = ("limit_of_detection", "limit_of_quantification")


def _date_words(problem: DateProblem) -> str:
    """What is wrong with a date, in the reader's language."""
    words = {
        "form": _("write the date as 2025-03-10 (or 2025-03, 2025 where no more is known)"),
        "year": _("the year %(year)s cannot be right"),
        "month": _("there is no month %(month)s"),
        "day": _("there is no day %(day)s in %(month)s"),
    }
    return words[problem.code] % problem.values


class CellProblem(Exception):
    """A cell that cannot be used: which column, what it holds, and the fix."""

    def __init__(self, column: str, value: str, reason: str) -> None:
        super().__init__(f"{column}: {value!r}: {reason}")
        self.column = column
        self.value = value
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant in UTC, and the day on which it was at its place."""

    at: dt.datetime
    day: dt.date


class Cells:
    """The cells of one row, read with the column's name in every refusal and every change noted.

    ``decimal_mark`` is the mark that the whole file has shown, empty where it has shown none.
    """

    def __init__(self, cells: dict[str, str], decimal_mark: str = "") -> None:
        self._cells = cells
        self._decimal_mark = decimal_mark
        self.notes: list[str] = []

    def text(self, column: str, *, required: bool = False, longest: int = 200) -> str:
        """A text, empty where nothing is given."""
        value = self._cells.get(column, "")
        if not value and not required:  # most columns of most files
            return ""
        if "\n" in value or "\r" in value:
            raise CellProblem(column, value[:60], _("holds a line break; is a quotation mark missing?"))
        if _SHEET_ERROR.fullmatch(value):
            raise CellProblem(column, value, _("is an error of the spreadsheet, not a value"))
        if required and not value:
            raise CellProblem(column, "", _("is needed"))
        if len(value) > longest:
            reason = _("has %(length)s characters; at most %(longest)s are kept") % {
                "length": len(value),
                "longest": longest,
            }
            raise CellProblem(column, value[:60] + "…", reason)
        return value

    def identifier(self, column: str, *, required: bool = True) -> str:
        """An identifier is text; one that a spreadsheet has turned into a number is refused."""
        value = self.text(column, required=required, longest=60)
        if _MANGLED.fullmatch(value):
            reason = _(
                "this is how a spreadsheet writes a long number and the digits are lost; export the column as text"
            )
            raise CellProblem(column, value, reason)
        if odd_characters(value):
            raise CellProblem(column, value, _("holds an invisible control character"))
        return value

    def choice(self, column: str, known: Iterable[str], *, default: str = "", required: bool = False) -> str:
        """One of the known words, whatever its case."""
        value = self.text(column, required=required)
        if not value:
            return default
        by_lower = {word.lower(): word for word in known if word}
        if value.lower() in by_lower:
            return by_lower[value.lower()]
        meant = nearest(value.lower(), by_lower)
        if meant is not None:
            reason = _("is not known; did you mean %(near)s?") % {"near": by_lower[meant]}
        else:
            reason = _("is not known; known are %(known)s") % {"known": ", ".join(by_lower.values())}
        raise CellProblem(column, value, reason)

    def boolean(self, column: str) -> bool | None:
        """``true``/``false`` or ``yes``/``no``; None where nothing is given."""
        word = self.choice(column, ("true", "false", "yes", "no"))
        return None if not word else word in ("true", "yes")

    def detection(self, column: str) -> bool | None:
        """Whether the laboratory says that it detected the transcript: yes, no, or a word that means one of them."""
        value = self.text(column)
        if means_not_detected(value) or means_detected(value):
            detected = means_detected(value)
            self._note(column, value, "yes" if detected else "no")
            return detected
        return self.boolean(column)

    def day(self, column: str, *, required: bool = False) -> PartialDate | None:
        """A date, month or year."""
        value = self.text(column, required=required)
        if not value:
            return None
        try:
            return parse_date(value)
        except DateProblem as problem:
            raise CellProblem(column, value, _date_words(problem)) from None

    def exact_day(self, column: str) -> dt.date | None:
        """A date that must be known to the day."""
        date = self.day(column)
        if date is not None and date.precision != "day":
            raise CellProblem(column, self.text(column), _("the day is needed here"))
        return date.on if date else None

    def instant(self, column: str, zone: ZoneInfo | None) -> dt.datetime | None:
        """A date with a time, in UTC, read as by ``moment``."""
        moment = self.moment(column, zone)
        return moment.at if moment else None

    def moment(self, column: str, zone: ZoneInfo | None) -> Moment | None:
        """A date with a time. Without an offset it is the centre's local time, and UTC where no zone is known.

        The day is that at the centre; where the centre has no time zone yet, the day as written.
        """
        value = self.text(column)
        if not value:
            return None
        try:
            instant = dt.datetime.fromisoformat(value)
        except ValueError:
            raise CellProblem(column, value, _("write date and time as 2025-03-10T08:30")) from None
        if not EARLIEST_YEAR <= instant.year <= LATEST_YEAR:
            raise CellProblem(column, value, _("the year %(year)s cannot be right") % {"year": instant.year})
        if len(value) <= 10:
            raise CellProblem(
                column, value, _("the time is missing; write it as 2025-03-10T08:30, or use the date column")
            )
        written_day = instant.date()
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=zone or dt.UTC)
        elif abs(instant.utcoffset() or dt.timedelta()) > dt.timedelta(hours=MOST_HOURS_FROM_UTC):
            reason = _("the offset from UTC cannot be right; it is at most %(hours)s hours")
            raise CellProblem(column, value, reason % {"hours": MOST_HOURS_FROM_UTC})
        return Moment(instant.astimezone(dt.UTC), instant.astimezone(zone).date() if zone else written_day)

    def number(self, column: str, *, bounds: Bounds | None = None, zero: bool = False) -> Decimal | None:
        """A number within the bounds of its column; a spelling other than the plain one is noted.

        Without ``zero`` the number 0 is refused: an unknown value is left empty.
        """
        value = self.text(column, longest=60)
        if not value:
            return None
        bounds = bounds or BOUNDS[column]
        text = self._without_percent_sign(column, value, value) if column in _PERCENT_LIMITS else value
        number = self._number(column, value, text, bounds)
        if number == 0 and not zero:
            raise CellProblem(column, value, _("cannot be 0; leave it empty where it is not known"))
        return self._within(column, value, number, bounds)

    def whole_number(self, column: str, *, limit: int) -> int | None:
        """A whole number from 1."""
        value = in_one_width(self.text(column))
        if not value:
            return None
        if not value.isascii() or not value.isdigit() or not 1 <= int(value) < limit:
            raise CellProblem(column, value, _("write a whole number from 1 to %(most)s") % {"most": limit - 1})
        return int(value)

    def percentage(self, column: str, *, bounds: Bounds | None = None) -> tuple[Decimal | None, str]:
        """A percentage with its comparator: ``0.25``, ``0,25 %``, ``<0.0032``, ``> 55``, ``<=0.01``.

        Callers check for a word that means not detected before.
        """
        value = self.text(column)
        if not value:
            return None, "="
        rest = in_one_width(value)
        sign = _COMPARATOR.match(rest)
        rest = rest[sign.end() :] if sign else rest
        comparator = "=" if sign is None else "<" if sign[1] in ("<", "≤", "<=", "=<") else ">"
        bounds = bounds or BOUNDS[column]
        self._refuse_doubtful_word(column, value, rest)
        number = self._number(column, value, self._without_percent_sign(column, value, rest), bounds)
        if number == 0:
            reason = _("not detected is not zero; leave it empty and write nd in bcr_abl1_copies")
            raise CellProblem(column, value, reason)
        return self._within(column, value, number, bounds), comparator

    def copies(self, column: str, *, bounds: Bounds | None = None) -> tuple[Decimal | None, bool]:
        """BCR::ABL1 copies, and whether the cell holds a report; ``nd`` is a report without copies."""
        value = self.text(column)
        if not value:
            return None, False
        if means_not_detected(value):
            self._note(column, value, "nd")
            return None, True
        if _COMPARATOR.match(in_one_width(value)):
            reason = _(
                "a limit is no count: write nd where nothing was detected, and the limit in %% IS in "
                "limit_of_detection, or as <0.0032 in is_percent"
            )  # fmt: skip
            raise CellProblem(column, value, reason % {})
        self._refuse_doubtful_word(column, value, value)
        bounds = bounds or BOUNDS[column]
        number = self._number(column, value, value, bounds)
        if number == 0:
            raise CellProblem(column, value, _("not detected is not zero; write nd"))
        return self._within(column, value, number, bounds), True

    def copy_number(self, column: str, *, bounds: Bounds | None = None) -> Decimal | None:
        """A number of copies, 0 included."""
        value = self.text(column, longest=60)
        if not value:
            return None
        bounds = bounds or BOUNDS[column]
        return self._within(column, value, self._number(column, value, value, bounds), bounds)

    @staticmethod
    def _refuse_doubtful_word(column: str, value: str, rest: str) -> None:
        if is_doubtful(rest):
            reason = _("write nd if it was looked for and not detected; leave the cell empty if it was not measured")
            raise CellProblem(column, value, reason)

    def _without_percent_sign(self, column: str, value: str, rest: str) -> str:
        rest = in_one_width(rest).strip()
        if not rest.endswith("%"):
            return rest
        rest = rest[:-1].strip()
        read = {"column": column, "value": repr(value), "number": rest}
        self.notes.append(_("%(column)s: %(value)s read as %(number)s %%") % read)
        return rest

    @staticmethod
    def _within(column: str, value: str, number: Decimal, bounds: Bounds) -> Decimal:
        if number >= bounds.limit:
            reason = _("is too large; less than %(limit)s is expected") % {"limit": bounds.limit}
            raise CellProblem(column, value, reason)
        if number < bounds.least:
            raise CellProblem(column, value, _("is too small; %(least)s or more is expected") % {"least": bounds.least})
        return number

    def _number(self, column: str, value: str, text: str, bounds: Bounds) -> Decimal:
        try:
            read = read_number(text, bounds, decimal_mark=self._decimal_mark, negative=bounds.least < 0)
        except NotANumber as problem:
            raise CellProblem(column, value, _number_words(problem)) from None
        if read.normalised:
            self._note(column, value, format(read.number, "f"))
        return read.number

    def _note(self, column: str, value: str, read: str) -> None:
        """Note how a cell was read, where that differs from how it was written."""
        if value.casefold() != read:
            values = {"column": column, "value": repr(value), "number": read}
            self.notes.append(_("%(column)s: %(value)s read as %(number)s") % values)


def _number_words(problem: NotANumber) -> str:
    """Why a text is no number, in the reader's language, with the fix."""
    if problem.code == "ambiguous":
        values = {**problem.values, "plain": unmistakable(Decimal(problem.values["decimal"]))}
        return _("is it %(whole)s or %(decimal)s? Write %(whole)s or %(plain)s") % values
    if problem.code == "digits":
        return _("has more digits than any laboratory prints")
    return _("is not a plain number; write it as 0.25")
