"""Times at two landmarks with published cut-offs: doubling at month 2 off treatment, halving at month 3 on it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from monitoring.domain.following.kinetics import Change, Direction, Value, change_between
from monitoring.domain.rules.rule_sets import RuleSet
from monitoring.domain.vocabulary.dates import add_months
from monitoring.domain.vocabulary.reasons import Reason

MONTH_2 = 2
EARLY_HALVING_MONTHS = 3


class MonthTwoClass(StrEnum):
    """The groups of the month-2 landmark (BJH 2021)."""

    FAST = "fast"
    SLOW = "slow"
    NOT_RISING = "not_rising"
    NOT_KNOWN = "not_known"


@dataclass(frozen=True, slots=True)
class MonthTwo:
    """The group of a patient two months after the stop, the change it rests on, and the sample that decided it."""

    group: MonthTwoClass
    change: Change | None
    reason: Reason
    decided_on: date | None = None


def month_two(values: Sequence[Value], stopped_on: date, rules: RuleSet, restarted_on: date | None = None) -> MonthTwo:
    """Doubling time at month 2 off treatment against 12.75 days (BJH 2021, doi 10.1111/bjh.17807).

    The value nearest to two months after the stop (ties: the earlier) against the one before it; a value from before
    the stop counts only within the window, since the rise begins at the stop.
    """
    line, window = "month_2_cut_days", dt.timedelta(days=rules.value("month_2_window_days", int))
    until = restarted_on or date.max
    off = [v for v in values if stopped_on < v.on <= until]
    second = _nearest(off, add_months(stopped_on, MONTH_2), window, window)
    if second is None:
        return MonthTwo(MonthTwoClass.NOT_KNOWN, None, rules.reason(line, "kinetics.month_2.not_known"))
    if not second.detected:
        return MonthTwo(MonthTwoClass.NOT_RISING, None, rules.reason(line, "kinetics.month_2.not_rising"), second.on)
    since = stopped_on - window
    earlier = [v for v in values if since <= v.on < second.on]
    if not earlier:
        return MonthTwo(MonthTwoClass.NOT_KNOWN, None, rules.reason(line, "kinetics.month_2.not_known"))
    return _month_two_of(change_between(max(earlier, key=lambda v: (v.on, v.key)), second, rules), line, rules)


def month_two_windows(stops: Iterable[date], rules: RuleSet) -> list[tuple[date, date]]:
    """From when to when values can decide a group of the month-2 landmark after each of these stops."""
    window = dt.timedelta(days=rules.value("month_2_window_days", int))
    return [(stop - window, add_months(stop, MONTH_2) + window) for stop in stops]


def _month_two_of(change: Change, line: str, rules: RuleSet) -> MonthTwo:
    if change.direction is Direction.REFUSED:
        return MonthTwo(MonthTwoClass.NOT_KNOWN, change, change.reason)
    decided_on = change.second.on
    if change.direction is not Direction.RISING or change.days is None:
        return MonthTwo(MonthTwoClass.NOT_RISING, change, rules.reason(line, "kinetics.month_2.not_rising"), decided_on)
    cut = rules.value(line, Decimal)
    group = MonthTwoClass.FAST if change.days < cut else MonthTwoClass.SLOW
    code = f"kinetics.month_2.{group.value}"
    if change.at_most and group is MonthTwoClass.SLOW:
        group, code = MonthTwoClass.NOT_KNOWN, "kinetics.month_2.undecided"
    return MonthTwo(group, change, rules.reason(line, code, days=_shown(change.days), cut=cut), decided_on)


@dataclass(frozen=True, slots=True)
class EarlyHalving:
    """Halving time from the start of a TKI to 3 months; ``below_cut`` is None where the cut-off does not apply."""

    change: Change | None
    below_cut: bool | None
    reason: Reason


def early_halving_time(values: Sequence[Value], started_on: date, rules: RuleSet) -> EarlyHalving:
    """Halving time over the first 3 months on treatment (Branford 2014, Blood 124:511: 76 days above 10 %)."""
    line = "halving_cut_days"
    before, after, window = (
        dt.timedelta(days=rules.value(name, int))
        for name in ("baseline_days_before", "baseline_days_after", "halving_window_days")
    )
    first = _nearest(values, started_on, before, after)
    if first is None:
        return EarlyHalving(None, None, rules.reason(line, "kinetics.early.no_baseline", since=started_on))
    later = [v for v in values if v.on > first.on]
    second = _nearest(later, add_months(started_on, EARLY_HALVING_MONTHS), window, window)
    if second is None:
        return EarlyHalving(None, None, rules.reason(line, "kinetics.early.no_value", since=started_on))
    change = change_between(first, second, rules)
    if change.direction is Direction.REFUSED:
        return EarlyHalving(change, None, change.reason)
    return _early_of(change, line, rules)


def _early_of(change: Change, line: str, rules: RuleSet) -> EarlyHalving:
    if change.direction is not Direction.FALLING or change.days is None:
        reason = rules.reason(line, "kinetics.early.not_falling", first_on=change.first.on, second_on=change.second.on)
        return EarlyHalving(change, None, reason)
    limit, value = rules.value("halving_applies_above_percent", Decimal), change.second.is_percent
    if value is None or value <= limit:
        reason = rules.reason(line, "kinetics.early.cut_not_asked", limit=limit, second=value)
        return EarlyHalving(change, None, reason)
    cut = rules.value(line, Decimal)
    below = change.days < cut
    code = "kinetics.early.below_cut" if below else "kinetics.early.not_below_cut"
    return EarlyHalving(change, below, rules.reason(line, code, days=_shown(change.days), cut=cut))


def _nearest(values: Iterable[Value], to: date, before: dt.timedelta, after: dt.timedelta) -> Value | None:
    """The value nearest to a day within a window, both edges inclusive; of two equally near, the earlier."""
    first, last = to - before, to + after
    near = [v for v in values if first <= v.on <= last]
    return min(near, key=lambda v: (abs(v.on - to), v.on, v.key)) if near else None


def _shown(days: Decimal) -> Decimal:
    return days.quantize(Decimal("0.1"), ROUND_HALF_UP)
