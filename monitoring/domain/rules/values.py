"""Typed values of rule files: intervals, bands, limits. Each reader raises ``ValueError`` with the fix in words."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from monitoring.domain.vocabulary.dates import add_months
from monitoring.domain.vocabulary.measurement import Transcript
from monitoring.domain.vocabulary.scale import ResponseClass

OPERATORS = (">", ">=", "<", "<=")
LEVELS = ("mandatory", "minimal", "optimal")
CLASSES = (ResponseClass.MMR, ResponseClass.MR4, ResponseClass.MR4_5, ResponseClass.MR5)

Reader = Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Span:
    """Whole calendar months or whole days; weeks are written as days."""

    months: int = 0
    days: int = 0

    def __add__(self, other: Span) -> Span:
        return Span(self.months + other.months, self.days + other.days)

    def after(self, start: date) -> date:
        """The day so long after ``start``; the end of a month is clamped."""
        return add_months(start, self.months) + dt.timedelta(days=self.days)


@dataclass(frozen=True, slots=True)
class Every:
    """An interval between samples. ``until`` is its longer end where a source gives a range (3 to 6 months)."""

    every: Span
    until: Span
    tolerance_days: int


@dataclass(frozen=True, slots=True)
class SamplingPhase:
    """The interval that holds from ``start`` (inclusive) to ``end`` (exclusive; None: no end) after the stop."""

    start: Span
    end: Span | None
    interval: Every


@dataclass(frozen=True, slots=True)
class Band:
    """A range of % IS with its status; an open side is None."""

    status: str
    low: Decimal | None
    low_inclusive: bool
    high: Decimal | None
    high_inclusive: bool


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A status that takes a second value above a limit, so many calendar months after the first."""

    status: str
    above_percent: Decimal
    from_months: int
    to_months: int


@dataclass(frozen=True, slots=True)
class SdRange:
    """Standard deviation of one assay in log10 units from this MR value on (inclusive unless ``exclusive``)."""

    from_mr: Decimal
    exclusive: bool
    sd_log10: Decimal


@dataclass(frozen=True, slots=True)
class Asked:
    """A criterion that a fact answers with yes or no."""

    level: str


@dataclass(frozen=True, slots=True)
class MonthsLimit:
    """A duration in whole calendar months with its operator."""

    level: str
    operator: str
    months: int


@dataclass(frozen=True, slots=True)
class DepthFor:
    """A class held without interruption for a duration."""

    response_class: ResponseClass
    operator: str
    months: int


@dataclass(frozen=True, slots=True)
class DmrLimit:
    """Alternatives of depth and duration; one is enough."""

    level: str
    any_of: tuple[DepthFor, ...]


@dataclass(frozen=True, slots=True)
class DepthLimit:
    """A class that must be reached."""

    level: str
    response_class: ResponseClass


@dataclass(frozen=True, slots=True)
class TranscriptLimit:
    """Transcript types that are accepted."""

    level: str
    accepted: tuple[Transcript, ...]


@dataclass(frozen=True, slots=True)
class DaysLimit:
    """At most so many days; None where the source asks without a number."""

    level: str
    days: int | None


@dataclass(frozen=True, slots=True)
class TestsLimit:
    """So many tests, each at least so many calendar months after the one counted before it."""

    level: str
    tests: int
    months_apart: int


# --- readers of plain values --------------------------------------------------------------------------------------


def a_mapping(raw: object, required: Iterable[str], optional: Iterable[str] = ()) -> Mapping[str, Any]:
    """A JSON object with exactly these keys."""
    required, optional = tuple(required), tuple(optional)
    if not isinstance(raw, dict):
        raise ValueError(f"write an object with {', '.join(required)}")
    missing = [key for key in required if key not in raw]
    if missing:
        raise ValueError(f"{missing[0]!r} is missing; add it")
    unknown = sorted(set(raw) - {*required, *optional})
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not known here; use {', '.join((*required, *optional))}")
    return raw


def a_whole_number(lowest: int = 0) -> Callable[[Any], int]:
    """A whole number, not a truth value, not below ``lowest``."""

    def read(raw: Any) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int) or raw < lowest:
            raise ValueError(f"write a whole number of {lowest} or more instead of {raw!r}")
        return int(raw)

    return read


def a_decimal(raw: Any) -> Decimal:
    """A positive number, exact: JSON digits never pass through a float."""
    if isinstance(raw, bool) or not isinstance(raw, int | Decimal) or raw <= 0:
        raise ValueError(f"write a number above 0 instead of {raw!r}")
    return Decimal(raw)


def a_truth(raw: Any) -> bool:
    """true or false."""
    if not isinstance(raw, bool):
        raise ValueError(f"write true or false instead of {raw!r}")
    return raw


def one_of(*words: str) -> Callable[[Any], str]:
    """One of a few words."""

    def read(raw: Any) -> str:
        if raw not in words:
            raise ValueError(f"write one of {', '.join(words)} instead of {raw!r}")
        return str(raw)

    return read


def a_text(raw: Any) -> str:
    """A text that is not empty."""
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError(f"write a text instead of {raw!r}")
    return raw


def or_null(reader: Reader) -> Reader:
    """The same value, or null where the source says nothing."""
    return lambda raw: None if raw is None else reader(raw)


def names(known: Iterable[str]) -> Callable[[Any], tuple[str, ...]]:
    """A list of different names among those known."""
    known = tuple(known)

    def read(raw: Any) -> tuple[str, ...]:
        if not isinstance(raw, list) or len(set(raw)) != len(raw):
            raise ValueError("write a list of different names")
        return tuple(one_of(*known)(item) for item in raw)

    return read


# --- readers of clinical values -----------------------------------------------------------------------------------


def a_span(raw: Any) -> Span:
    """``{"months": 3}``, ``{"weeks": 2}`` or ``{"days": 10}``."""
    if not isinstance(raw, dict) or len(raw) != 1:
        raise ValueError(f"write one of months, weeks, days, as in {{'months': 3}}, instead of {raw!r}")
    (unit, number), count = next(iter(raw.items())), a_whole_number()
    spans = {"months": lambda: Span(months=count(number)), "weeks": lambda: Span(days=7 * count(number))}
    spans["days"] = lambda: Span(days=count(number))
    if unit not in spans:
        raise ValueError(f"write months, weeks or days instead of {unit!r}")
    return spans[unit]()


def an_interval(raw: Any) -> Every:
    """``{"every": {"months": 3}, "tolerance_days": 14}``, with ``until`` for the longer end of a range."""
    value = a_mapping(raw, ("every", "tolerance_days"), ("until",))
    every = a_span(value["every"])
    if every == Span():
        raise ValueError("an interval of 0 never ends; write at least one day")
    until = a_span(value["until"]) if "until" in value else every
    anchor = date(2001, 1, 1)
    if until.after(anchor) < every.after(anchor):
        raise ValueError("'until' is shorter than 'every'; exchange them")
    return Every(every, until, a_whole_number()(value["tolerance_days"]))


def phases(raw: Any) -> tuple[SamplingPhase, ...]:
    """Intervals after the stop without gaps: the first from 0, each from the end of the one before, the last open."""
    if not isinstance(raw, list) or not raw:
        raise ValueError("write a list of phases with from, to, every, tolerance_days")
    read = []
    for item in raw:
        value = a_mapping(item, ("from", "to", "every", "tolerance_days"), ("until",))
        interval = an_interval({k: v for k, v in value.items() if k not in ("from", "to")})
        end = None if value["to"] is None else a_span(value["to"])
        read.append(SamplingPhase(a_span(value["from"]), end, interval))
    if read[0].start != Span():
        raise ValueError("the first phase must start at 0")
    if any(before.end != after.start for before, after in itertools.pairwise(read)):
        raise ValueError("each phase must start where the one before it ends")
    if read[-1].end is not None:
        raise ValueError("the last phase must be open; write null for 'to'")
    anchor = date(2001, 1, 1)
    if any(p.end is not None and p.end.after(anchor) <= p.start.after(anchor) for p in read):
        raise ValueError("a phase must end after it starts")
    return tuple(read)


def bands(raw: Any) -> tuple[Band, ...]:
    """Ranges of % IS: ``{"status": "warning", ">": 1, "<=": 10}``; they may leave gaps but not overlap."""
    if not isinstance(raw, list) or not raw:
        raise ValueError("write a list of ranges with status and limits")
    read = [_band(item) for item in raw]
    for before, after in itertools.pairwise(read):
        if before.high is None or after.low is None or before.high > after.low:
            raise ValueError("ranges must ascend and not overlap")
        if before.high == after.low and before.high_inclusive and after.low_inclusive:
            raise ValueError(f"{after.low} lies in two ranges; make one of them strict")
    return tuple(read)


def _band(raw: Any) -> Band:
    value = a_mapping(raw, ("status",), OPERATORS)
    if {">", ">="} <= set(value) or {"<", "<="} <= set(value) or len(value) < 2:
        raise ValueError("a range has at most one lower and one upper limit, and at least one of them")
    low = value.get(">", value.get(">="))
    high = value.get("<", value.get("<="))
    return Band(
        a_text(value["status"]),
        None if low is None else a_decimal(low),
        ">=" in value,
        None if high is None else a_decimal(high),
        "<=" in value,
    )


def a_confirmation(raw: Any) -> Confirmation:
    """When a second value gives a status."""
    value = a_mapping(raw, ("status", "above_percent", "from_months", "to_months"))
    first, last = a_whole_number()(value["from_months"]), a_whole_number()(value["to_months"])
    if last < first:
        raise ValueError("'to_months' is before 'from_months'; exchange them")
    return Confirmation(a_text(value["status"]), a_decimal(value["above_percent"]), first, last)


def sd_ranges(raw: Any) -> tuple[SdRange, ...]:
    """SD in log10 units by MR value, ascending from 0."""
    if not isinstance(raw, list) or not raw:
        raise ValueError("write a list of ranges with from_mr and sd_log10")
    read = []
    for item in raw:
        value = a_mapping(item, ("from_mr", "sd_log10"), ("exclusive",))
        start = value["from_mr"]
        if isinstance(start, bool) or not isinstance(start, int | Decimal):
            raise ValueError(f"write an MR value instead of {start!r}")
        read.append(SdRange(Decimal(start), a_truth(value.get("exclusive", False)), a_decimal(value["sd_log10"])))
    if read[0].from_mr != 0 or any(a.from_mr >= b.from_mr for a, b in itertools.pairwise(read)):
        raise ValueError("the ranges must ascend from MR 0")
    return tuple(read)


def _level(value: Mapping[str, Any]) -> str:
    return one_of(*LEVELS)(value["level"])


def a_class(raw: Any) -> ResponseClass:
    """A class of the scale from MMR on."""
    return ResponseClass(one_of(*(c.value for c in CLASSES))(raw))


def asked(raw: Any) -> Asked:
    return Asked(_level(a_mapping(raw, ("level",))))


def months_limit(raw: Any) -> MonthsLimit:
    value = a_mapping(raw, ("level", "op", "months"))
    return MonthsLimit(_level(value), one_of(">", ">=")(value["op"]), a_whole_number(1)(value["months"]))


def dmr_limit(raw: Any) -> DmrLimit:
    value = a_mapping(raw, ("level", "any_of"))
    if not isinstance(value["any_of"], list) or not value["any_of"]:
        raise ValueError("'any_of' must be a list of class, op, months")
    return DmrLimit(_level(value), tuple(_depth_for(item) for item in value["any_of"]))


def _depth_for(raw: Any) -> DepthFor:
    value = a_mapping(raw, ("class", "op", "months"))
    return DepthFor(a_class(value["class"]), one_of(">", ">=")(value["op"]), a_whole_number(1)(value["months"]))


def depth_limit(raw: Any) -> DepthLimit:
    value = a_mapping(raw, ("level", "class"))
    return DepthLimit(_level(value), a_class(value["class"]))


def transcript_limit(raw: Any) -> TranscriptLimit:
    value = a_mapping(raw, ("level", "in"))
    if not isinstance(value["in"], list) or not value["in"]:
        raise ValueError("'in' must be a list of transcript types")
    known = one_of(*(t.value for t in Transcript if t.value))
    return TranscriptLimit(_level(value), tuple(Transcript(known(item)) for item in value["in"]))


def days_limit(raw: Any) -> DaysLimit:
    value = a_mapping(raw, ("level", "days"))
    return DaysLimit(_level(value), None if value["days"] is None else a_whole_number(1)(value["days"]))


def tests_limit(raw: Any) -> TestsLimit:
    value = a_mapping(raw, ("level", "tests", "months_apart"))
    return TestsLimit(_level(value), a_whole_number(1)(value["tests"]), a_whole_number(1)(value["months_apart"]))
