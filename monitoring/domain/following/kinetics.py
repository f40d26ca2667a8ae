"""How fast BCR::ABL1 doubles or halves, whether a change is more than assay noise, and when 0.1 % IS would be passed.

Doubling time in days = ln 2 x days / ln(second / first), in % IS of one laboratory, method, control gene and factor
(Branford 2012, Blood 119:4264; register D11, D12, D23). All arithmetic is decimal; what is not known is None with a
reason, never infinity. Times are rounded to a ten-thousandth of a day before they are compared with limits.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal
from enum import StrEnum

from monitoring.domain.course.series import Assessed, Course, time_points
from monitoring.domain.rules.rule_sets import RuleSet
from monitoring.domain.rules.values import SdRange
from monitoring.domain.vocabulary.dates import Precision
from monitoring.domain.vocabulary.measurement import Flag, Method
from monitoring.domain.vocabulary.reasons import FactValue, Reason
from monitoring.domain.vocabulary.scale import ONE_LOG, ControlGene

_LOGS = Context(prec=50)
_LOG_2 = Decimal(2).log10(_LOGS)
KEPT = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Value:
    """One result as kinetics read it. Without ``is_percent``, the value lies at or below ``upper_bound_percent``."""

    on: date
    is_percent: Decimal | None
    detected: bool = True
    upper_bound_percent: Decimal | None = None
    laboratory: str = ""
    method: Method = Method.RT_QPCR
    control_gene: ControlGene = ControlGene.ABL1
    conversion_factor: Decimal | None = None
    is_bone_marrow: bool = False
    is_final: bool = True
    exact_date: bool = True
    key: str = ""
    sd_ranges: tuple[SdRange, ...] = ()
    low_control: bool = False
    taken: tuple[tuple[str, Decimal | None], ...] = ()  # the drugs of that day with their doses in mg, where known


class Direction(StrEnum):
    """How a value changed; refused where the two cannot be compared."""

    RISING = "rising"
    FALLING = "falling"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Change:
    """Two values compared.

    ``days`` is the doubling time of a rise and the halving time of a fall; ``shortest`` and ``longest`` are its 95 %
    limits from the assay SD (``longest`` None: open). ``at_most``: the first value was only a bound, the doubling time
    is at most ``days`` and has no limits. ``is_real``: beyond the reference change value.
    """

    direction: Direction
    days: Decimal | None
    shortest: Decimal | None
    longest: Decimal | None
    at_most: bool
    change_log10: Decimal | None
    reference_change_log10: Decimal | None
    is_real: bool
    first: Value
    second: Value
    reason: Reason


def values_of(assessed: Iterable[Assessed], courses: Sequence[Course]) -> tuple[Value, ...]:
    """One value for each date of a series: evaluable, final, of blood, the worst of the date."""
    by_key = {item.result.key: item for item in assessed}
    return tuple(value_of(by_key[point.key], courses) for point in time_points(by_key.values()))


def value_of(item: Assessed, courses: Sequence[Course]) -> Value:
    """A classed result as kinetics read it, with the drugs taken on its day."""
    score, m = item.score, item.result.measurement
    return Value(
        on=item.result.collected_on,
        is_percent=score.is_percent,
        detected=score.detected,
        upper_bound_percent=score.upper_bound_percent,
        laboratory=item.result.laboratory,
        method=m.method,
        control_gene=m.control_gene,
        conversion_factor=m.conversion_factor,
        is_bone_marrow=item.result.is_bone_marrow,
        is_final=not item.result.is_preliminary,
        exact_date=item.result.precision is Precision.DAY,
        key=item.result.key,
        sd_ranges=item.result.sd_ranges,
        low_control=Flag.LOW_CONTROL in score.flags,
        taken=_taken_on(item.result.collected_on, courses),
    )


def _taken_on(on: date, courses: Sequence[Course]) -> tuple[tuple[str, Decimal | None], ...]:
    """The TKIs of a day; of two doses of a drug on that day, the one that began later."""
    covering = sorted((c for c in courses if c.drug.is_tki and c.covers(on)), key=lambda c: c.started_on)
    return tuple(sorted({c.drug.value: c.dose_mg_per_day for c in covering}.items()))


def _treatment_changed(first: Value, second: Value) -> bool:
    """Whether two values on treatment lie under different drugs or doses; a dose that is not known changes nothing."""
    before, after = dict(first.taken), dict(second.taken)
    if not before or not after:
        return False
    return before.keys() != after.keys() or any(before[d] and after[d] and before[d] != after[d] for d in before)


# --- two values ---------------------------------------------------------------------------------------------------


def change_between(first: Value, second: Value, rules: RuleSet) -> Change:
    """The doubling or halving time of two values, which may be given in either order."""
    first, second = sorted((first, second), key=lambda v: (v.on, v.key))
    refusal = _refusal(first, second, rules)
    if refusal is not None:
        return _no_time(Direction.REFUSED, first, second, refusal)
    start = first.is_percent if first.is_percent is not None else first.upper_bound_percent
    assert start is not None
    assert second.is_percent is not None
    days = (second.on - first.on).days
    facts: dict[str, FactValue] = {"first": start, "second": second.is_percent, "days": days}
    if start == second.is_percent:
        return _no_time(Direction.UNCHANGED, first, second, rules.reason("formula", "kinetics.unchanged", **facts))
    return _timed(first, second, start, second.is_percent, facts, rules)


def latest_change(values: Sequence[Value], rules: RuleSet) -> Change | None:
    """The last value of a series against the one before it; None with fewer than two."""
    ordered = sorted(values, key=lambda v: (v.on, v.key))
    return change_between(ordered[-2], ordered[-1], rules) if len(ordered) > 1 else None


def reference_change_log10(
    first_percent: Decimal, second_percent: Decimal, rules: RuleSet, own: Sequence[SdRange] = ()
) -> Decimal:
    """The difference in log10 units beyond which two values differ by more than noise: 1.96 x root 2 x SD.

    Where the two lie in ranges of different SD, the root of the sum of both squares replaces root 2 x SD. ``own``
    is the SD that the laboratory has measured for its assay; it replaces the SD of the rule set in its range.
    """
    return _noise_log10((first_percent.log10(_LOGS), second_percent.log10(_LOGS)), rules, own)


def _noise_log10(logs: tuple[Decimal, Decimal], rules: RuleSet, own: Sequence[SdRange]) -> Decimal:
    squares = sum((_sd_at(log, rules, own) ** 2 for log in logs), Decimal(0))
    return _LOGS.multiply(rules.value("normal_quantile", Decimal), _LOGS.sqrt(squares))


def sd_log10(is_percent: Decimal, rules: RuleSet, own: Sequence[SdRange] = ()) -> Decimal:
    """The SD of one measurement in log10 units at this value."""
    return _sd_at(is_percent.log10(_LOGS), rules, own)


def _sd_at(log10_percent: Decimal, rules: RuleSet, own: Sequence[SdRange]) -> Decimal:
    measured = {r.from_mr: r for r in own}
    of_rules: tuple[SdRange, ...] = rules.value("sd_log10", tuple)
    ranges = [measured.get(r.from_mr, r) for r in of_rules]
    mr_value = 2 - log10_percent
    fitting = [r for r in ranges if r.from_mr < mr_value or (r.from_mr == mr_value and not r.exclusive)]
    return (fitting or ranges[:1])[-1].sd_log10


def _timed(
    first: Value, second: Value, start: Decimal, end: Decimal, facts: dict[str, FactValue], rules: RuleSet
) -> Change:
    days = (second.on - first.on).days
    logs = start.log10(_LOGS), end.log10(_LOGS)  # half of what a change costs
    change = _LOGS.subtract(logs[1], logs[0])
    noise = _noise_log10(logs, rules, second.sd_ranges)
    at_most = first.is_percent is None
    falling = change < 0
    code = "kinetics.halving" if falling else "kinetics.doubling"
    size = abs(change)
    return Change(
        direction=Direction.FALLING if falling else Direction.RISING,
        days=_time(days, size),
        shortest=None if at_most else _time(days, size + noise),
        longest=None if at_most or size <= noise else _time(days, size - noise),
        at_most=at_most,
        change_log10=_kept(change),
        reference_change_log10=_kept(noise),
        is_real=size > noise,
        first=first,
        second=second,
        reason=rules.reason("formula", f"{code}.at_most" if at_most else code, **facts),
    )


def _time(days: int, size_log10: Decimal) -> Decimal:
    """Days for a factor of two at so many log10 units in so many days."""
    return _kept(_LOGS.divide(_LOGS.multiply(_LOG_2, Decimal(days)), size_log10))


def _kept(number: Decimal) -> Decimal:
    return number.quantize(KEPT, ROUND_HALF_UP, _LOGS)


def _no_time(direction: Direction, first: Value, second: Value, reason: Reason) -> Change:
    return Change(direction, None, None, None, False, None, None, False, first, second, reason)


def _refusal(first: Value, second: Value, rules: RuleSet) -> Reason | None:
    """Why two values are not compared, or None."""
    if first.on == second.on:
        return rules.reason("formula", "kinetics.refused.same_day")
    if not (first.exact_date and second.exact_date):
        return rules.reason("formula", "kinetics.refused.date_not_exact")
    if not (first.is_final and second.is_final):
        return rules.reason("formula", "kinetics.refused.not_final")
    if first.is_bone_marrow != second.is_bone_marrow:
        return rules.reason("method_change", "kinetics.refused.specimen_changed")
    for name, before, after in (
        ("laboratory", first.laboratory, second.laboratory),
        ("method", first.method.value, second.method.value),
        ("control_gene", first.control_gene.value, second.control_gene.value),
        ("factor", first.conversion_factor, second.conversion_factor),
    ):
        if before != after:
            line = "control_gene" if name == "control_gene" else "method_change"
            return rules.reason(line, f"kinetics.refused.{name}_changed", first=before, second=after)
    if first.low_control or second.low_control:
        return _poor(first, second, rules)
    if _treatment_changed(first, second):
        return rules.reason("formula", "kinetics.refused.treatment_changed")
    return _missing(first, second, rules)


def _poor(first: Value, second: Value, rules: RuleSet) -> Reason:
    """Why a poor sample gives no time: the two are discordant if they differ ten-fold or more, else it is too poor."""
    facts: dict[str, FactValue] = {"first": first.is_percent, "second": second.is_percent}
    if first.is_percent and second.is_percent:
        low, high = sorted((first.is_percent, second.is_percent))
        if high >= ONE_LOG * low:
            return rules.reason("formula", "kinetics.refused.discordant", **facts)
    return rules.reason("formula", "kinetics.refused.low_control")


def _missing(first: Value, second: Value, rules: RuleSet) -> Reason | None:
    if not second.detected:
        return rules.reason("formula", "kinetics.refused.second_undetected", on=second.on)
    if second.is_percent is None or second.is_percent <= 0:
        return rules.reason("formula", "kinetics.refused.value_missing", on=second.on)
    start = first.is_percent if first.is_percent is not None else first.upper_bound_percent
    if start is None or start <= 0:
        return rules.reason("formula", "kinetics.refused.value_missing", on=first.on)
    if first.is_percent is None and second.is_percent <= start:
        return rules.reason("formula", "kinetics.refused.below_bound", first=start, second=second.is_percent)
    return None


# --- projection ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Projection:
    """The first day above a limit if a rise goes on unchanged, with the range from the limits of the doubling time.

    ``latest`` None: open. ``at_most``: the doubling time was a bound, the limit is passed on ``on`` or earlier.
    """

    on: date | None
    earliest: date | None
    latest: date | None
    at_most: bool
    reason: Reason


def project_crossing(change: Change, rules: RuleSet) -> Projection:
    """When 0.1 % IS (or the limit of the rule set) would be passed: arithmetic on two values, no forecast of a
    course.
    """
    line, limit = "projection_limit_percent", rules.value("projection_limit_percent", Decimal)
    horizon = rules.value("projection_horizon_days", int)
    value, on = change.second.is_percent, change.second.on
    if value is not None and value > limit:
        reason = rules.reason(line, "kinetics.projection.already_above", limit=limit, on=on)
        return Projection(on, on, on, False, reason)
    if change.direction is not Direction.RISING or value is None or change.days is None:
        return Projection(None, None, None, False, rules.reason(line, "kinetics.projection.not_rising"))
    doublings = _LOGS.divide(_LOGS.subtract(limit.log10(_LOGS), value.log10(_LOGS)), _LOG_2)
    central, earliest, latest = (
        _passed_on(on, time, doublings, horizon) for time in (change.days, change.shortest, change.longest)
    )
    if central is None:
        reason = rules.reason(line, "kinetics.projection.beyond_horizon", limit=limit, days=horizon)
    else:
        reason = rules.reason(line, "kinetics.projection", limit=limit, on=central)
    return Projection(central, earliest, latest, change.at_most, reason)


def _passed_on(on: date, doubling_days: Decimal | None, doublings: Decimal, horizon: int) -> date | None:
    """The first whole day after the limit is reached; None beyond the horizon."""
    if doubling_days is None:
        return None
    days = _kept(_LOGS.multiply(doubling_days, doublings)).to_integral_value(ROUND_FLOOR) + 1
    return on + dt.timedelta(days=int(days)) if days <= horizon else None
