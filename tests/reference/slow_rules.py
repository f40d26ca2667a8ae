"""The clinical rules a second time: slow, obvious, and read from the written rules instead of from the product.

Days are walked one at a time, sets of days stand for courses, percentages are fractions, and the numbers of a rule set
are read from its file as they stand. Nothing here calls what decides in the product; only its records of facts are
read. The comments name the section of the written rules that a function restates.

Left out on purpose: several tubes in one result, other control genes than ABL1, atypical transcripts, missing factors,
dates known to the month or year, tolerated dips in a run of deep response.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from monitoring.domain.course.series import Course, FactKind, ResultFact, Series

RULE_FILES = Path(__file__).parents[2] / "monitoring" / "domain" / "rules" / "rulesets"
ONE_DAY = dt.timedelta(days=1)
CLASSES = ["NO_MMR", "MMR", "MR4", "MR4_5", "MR5"]  # from the shallowest to the deepest
LIMITS = {"MMR": Fraction("0.1"), "MR4": Fraction("0.01"), "MR4_5": Fraction("0.0032"), "MR5": Fraction("0.001")}
DMR = ("MR4", "MR4_5", "MR5")


@functools.cache
def numbers_of(rule_id: str) -> dict[str, Any]:
    """The values of a shipped rule file, name by name; where our sources are silent, those of the set that stands
    in.
    """
    raw = json.loads((RULE_FILES / f"{rule_id}.json").read_text(encoding="utf-8"), parse_float=Decimal)
    own = {name: parameter.get("value") for name, parameter in raw["parameters"].items()}
    lent = numbers_of(raw["where_silent"]) if "where_silent" in raw else {}
    return own | {name: lent[name] for name in raw.get("not_in_our_sources", []) if name in lent}


# --- one result (sections 1.2 to 1.4) -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """What one result says. ``bound`` is where an undetected or unquantified value lies below at the most."""

    kind: str
    percent: Fraction | None = None
    poor: bool = False
    detected: bool = False
    bound: Fraction | None = None
    above: Fraction | None = None


def class_by_value(percent: Fraction) -> str:
    """Section 1.2: 0.1 % is MMR, 0.01 % is MR4, 0.0032 % is MR4.5, 0.001 % is MR5."""
    return [kind for kind in CLASSES if kind == "NO_MMR" or percent <= LIMITS[kind]][-1]


def class_by_control(copies: Decimal) -> str:
    """Section 1.3: what so many ABL1 copies can prove."""
    if copies < 10_000:
        return "INEVALUABLE_MR4"
    if copies < 32_000:
        return "MR4"
    return "MR4_5" if copies < 100_000 else "MR5"


def shallower_of(*kinds: str) -> str:
    return min(kinds, key=CLASSES.index)


def score_of(result: ResultFact) -> Found:
    """Section 1.4 for one ABL1 tube, or for a kit that reports a percentage without copies."""
    said = result.measurement.reported
    if said.is_percent is not None:
        value = Fraction(said.is_percent)
        if said.comparator == "<":  # row 12
            kind = class_by_value(value) if value <= LIMITS["MMR"] else "INEVALUABLE_MR4"
            return Found(kind, detected=True, bound=value)
        if said.comparator == ">":  # row 13
            kind = "NO_MMR" if value >= LIMITS["MMR"] else "INEVALUABLE_MR4"
            return Found(kind, detected=True, above=value)
        return Found(class_by_value(value), value, detected=True)  # row 14
    (tube,) = result.measurement.readings
    control = tube.control_gene_copies
    assert control is not None
    if control == 0:
        return Found("INVALID")  # row 1
    factor = result.measurement.conversion_factor
    assert factor is not None
    by_control, poor = class_by_control(control), control < 10_000
    if tube.bcr_abl1_copies is None:  # rows 3 to 6; at most 3 copies were missed
        return Found(by_control, bound=None if poor else 300 * Fraction(factor) / Fraction(control))
    percent = 100 * max(Fraction(tube.bcr_abl1_copies), Fraction(3)) * Fraction(factor) / Fraction(control)
    kind = class_by_value(percent)
    if kind in DMR:  # rows 10 and 11
        kind = "MMR" if poor else shallower_of(kind, by_control)
    return Found(kind, percent, poor, detected=True)


@dataclass(frozen=True)
class Day:
    """One date of a series: its worst evaluable class, from which result, and whether only poor samples say so."""

    on: date
    kind: str
    poor: bool
    result: ResultFact
    found: Found


def days_of(results: Sequence[ResultFact]) -> list[Day]:
    """Evaluable, final results of blood; those of one date are one time point and the worst class stands (1.4).

    Of results with the same class a good sample stands before a poor one, then the higher value, then the earlier key.
    """
    days = []
    for on in sorted({r.collected_on for r in results}):
        that_day = [(score_of(r), r) for r in results if r.collected_on == on]
        counting = [(f, r) for f, r in that_day if f.kind in CLASSES and not r.is_preliminary and not r.is_bone_marrow]
        if not counting:
            continue
        worst = shallower_of(*(f.kind for f, _ in counting))
        standing = [(f, r) for f, r in counting if f.kind == worst]
        standing = [(f, r) for f, r in standing if not f.poor] or standing
        highest = max(f.percent or 0 for f, _ in standing)
        found, result = min(((f, r) for f, r in standing if (f.percent or 0) == highest), key=lambda pair: pair[1].key)
        days.append(Day(on, worst, found.poor, result, found))
    return days


def only_unproven(day: Day, kind: str) -> bool:
    """A value as deep as the class from a sample too poor to prove it: it neither shows the class nor its loss
    (1.3).
    """
    return day.poor and day.found.percent is not None and day.found.percent <= LIMITS[kind]


# --- calendar -----------------------------------------------------------------------------------------------------


def months_after(start: date, months: int) -> date:
    """Walk on until so many month ends have passed and the day of the month, or the month's last day, is reached."""
    day, passed = start, 0
    while passed < months:
        day += ONE_DAY
        passed += day.day == 1
    while months and day.day < start.day and (day + ONE_DAY).day != 1:
        day += ONE_DAY
    return day


def span_after(start: date, span: dict[str, int]) -> date:
    """``{"months": 3}``, ``{"weeks": 2}`` or ``{"days": 10}`` after a day."""
    ((unit, number),) = span.items()
    if unit == "months":
        return months_after(start, number)
    return start + number * {"weeks": 7, "days": 1}[unit] * ONE_DAY


# --- courses and episodes (CONTRACT, section 6.2) -----------------------------------------------------------------

END_OF_TIME = date(2030, 1, 1)  # later than any day of a generated series


@dataclass(frozen=True)
class Taken:
    """One drug without a day's pause, from its first to its last day; ``last`` None while it is taken."""

    first: date
    last: date | None
    reason: str
    key: str

    def on(self, day: date) -> bool:
        return self.first <= day and (self.last is None or day <= self.last)


def drug_runs(courses: Sequence[Course]) -> list[Taken]:
    """Doses of one drug that follow within a day are one course; interferon is no TKI.

    An open course ended when a later one of its drug began. The run carries the reason and key of its last part.
    """
    runs = []
    for drug in sorted({c.drug.value for c in courses} - {"interferon"}):
        parts = sorted(
            (c for c in courses if c.drug.value == drug), key=lambda c: (c.started_on, c.stopped_on or date.max, c.key)
        )
        days: dict[date, Course] = {}  # the last part that covers each day
        for part in parts:
            nexts = [c.started_on for c in parts if c.started_on > part.started_on]
            last = part.stopped_on or (min(nexts) if nexts else END_OF_TIME)
            day = part.started_on
            while day <= last:
                days[day] = part
                day += ONE_DAY
        for day in sorted(days):
            if day - ONE_DAY in days:
                continue
            last = day
            while last + ONE_DAY in days:
                last += ONE_DAY
            part = days[last]
            reason = "unknown" if last == END_OF_TIME else part.stop_reason.value
            runs.append(Taken(day, None if last == END_OF_TIME else last, reason, part.key))
    return sorted(runs, key=lambda t: (t.first, t.last or date.max, t.key))


@dataclass(frozen=True)
class Off:
    """One time off treatment, with what the rules say of it."""

    stopped_on: date
    reason: str
    restarted_on: date | None
    attempt: int
    lost_on: date | None
    certainty: str
    mmr_regained_on: date | None
    dmr_regained_on: date | None
    ended_by: str
    first_dmr_on: date | None
    dmr_days: int | None
    tki_days: int
    class_at_stop: str


def off_days(days: Sequence[Day], stopped_on: date, restarted_on: date | None) -> list[Day]:
    """After the stop and not after a restart."""
    return [d for d in days if d.on > stopped_on and not (restarted_on and d.on > restarted_on)]


def loss_in(off: Sequence[Day], restarted_on: date | None) -> tuple[date | None, str]:
    """First value above 0.1 % off treatment, and whether the next value or a restart before it agrees.

    One from a poor sample is an event only if the next evaluable one is above too or the drug is restarted first (1.4).
    """
    for day in off:
        later = [d for d in off if d.on > day.on]
        agreed = later[0].kind == "NO_MMR" if later else restarted_on is not None
        if day.kind == "NO_MMR" and (agreed or not day.poor):
            return day.on, "confirmed" if agreed else "suspected"
    return None, ""


def episodes_of(series: Series) -> list[Off]:
    """A stop opens an episode when no other TKI goes on and none starts within 28 days, or MMR is lost before it
    does.
    """
    runs, days = drug_runs(series.courses), days_of(series.results)
    tki_days = {
        run.first + n * ONE_DAY for run in runs for n in range(((run.last or END_OF_TIME) - run.first).days + 1)
    }
    found = []
    for stop in sorted({run.last for run in runs if run.last is not None}):
        if stop + ONE_DAY in tki_days and any(r.on(stop) and r.on(stop + ONE_DAY) for r in runs):
            continue
        restart = min((r.first for r in runs if r.first > stop), default=None)
        before_restart = loss_in(off_days(days, stop, restart), restart)[0]
        if restart and (restart - stop).days <= 28 and not (before_restart and before_restart < restart):
            continue
        found.append((stop, restart, best_reason([r for r in runs if r.last == stop])))
    attempts = [stop for stop, _, reason in found if reason == "tfr_attempt"]
    return [
        _off(series, days, tki_days, stop, restart, reason, attempts.index(stop) + 1 if stop in attempts else 0)
        for stop, restart, reason in found
    ]


def best_reason(stopped: Sequence[Taken]) -> str:
    """Of drugs stopped on one day an attempt counts first, then any stated reason of the drug taken longest."""
    reasons = [r.reason for r in sorted(stopped, key=lambda r: (r.first, r.key))]
    if "tfr_attempt" in reasons:
        return "tfr_attempt"
    return next((r for r in reasons if r != "unknown"), "unknown")


def _off(
    series: Series, days: list[Day], tki_days: set[date], stop: date, restart: date | None, reason: str, attempt: int
) -> Off:
    ends = [
        f
        for f in series.facts
        if f.kind in (FactKind.DEATH, FactKind.ALLOGENEIC_TRANSPLANT)
        and f.observed_on >= stop
        and not (restart and f.observed_on >= restart)
    ]
    first_ends = {f.kind.value for f in ends if f.observed_on == min(e.observed_on for e in ends)}
    ended_by = max(first_ends, default="")  # of a death and a transplant on one day, the death
    transplanted = [f.observed_on for f in ends if f.kind is FactKind.ALLOGENEIC_TRANSPLANT]
    counting = [d for d in days if all(d.on <= on for on in transplanted)]
    lost_on, certainty = loss_in(off_days(counting, stop, restart), restart)
    after = [d for d in counting if lost_on and restart and d.on > restart]
    first_dmr_on, dmr_days = deep_before(days, stop, series.first_dmr_on)
    return Off(
        stopped_on=stop,
        reason=reason,
        restarted_on=restart,
        attempt=attempt,
        lost_on=lost_on,
        certainty=certainty,
        mmr_regained_on=min((d.on for d in after if d.kind != "NO_MMR"), default=None),
        dmr_regained_on=min((d.on for d in after if d.kind in DMR), default=None),
        ended_by=ended_by,
        first_dmr_on=first_dmr_on,
        dmr_days=dmr_days,
        tki_days=len([d for d in tki_days if d <= stop]) - 1,  # from a day to the next day is one day
        class_at_stop=next((d.kind for d in reversed(days) if d.on <= stop), ""),
    )


def deep_before(days: Sequence[Day], stop: date, elsewhere: date | None) -> tuple[date | None, int | None]:
    """First deep response ever, and the days of the run of deep values that ends with the last one before the stop.

    A deep response reached elsewhere before our first result began there.
    """
    before = [d for d in days if d.on <= stop]
    run: list[Day] = []
    for day in before:
        run = [*run, day] if day.kind in DMR else []
    known_elsewhere = elsewhere if elsewhere and before and elsewhere < before[0].on else None
    first = known_elsewhere or min((d.on for d in before if d.kind in DMR), default=None)
    if not run:
        return first, None
    began = known_elsewhere if known_elsewhere and len(run) == len(before) else run[0].on
    return first, (stop - began).days


# --- where a patient stands on a day ------------------------------------------------------------------------------


def known_up_to(series: Series, as_of: date) -> Series:
    """What a reader of that day could know: a stop that lies ahead is not known yet."""
    courses = [
        Course(c.key, c.drug, c.started_on)
        if c.stopped_on is None or c.stopped_on > as_of
        else Course(c.key, c.drug, c.started_on, c.stopped_on, c.stop_reason)
        for c in series.courses
        if c.started_on <= as_of
    ]
    return Series(
        series.patient_key,
        tuple(r for r in series.results if r.collected_on <= as_of),
        tuple(courses),
        tuple(f for f in series.facts if f.observed_on <= as_of),
        series.first_mmr_on,
        series.first_dmr_on,
    )


def phase_on(series: Series, as_of: date) -> tuple[str, date, bool] | None:
    """On, off or restarted, since when, and whether MMR had been lost; the day of the stop is the first day off."""
    known = known_up_to(series, as_of)
    runs, episodes = drug_runs(known.courses), episodes_of(known)
    grafted = [f.observed_on for f in known.facts if f.kind is FactKind.ALLOGENEIC_TRANSPLANT]
    if grafted and all(r.first <= max(grafted) for r in runs):
        return "transplanted", max(grafted), False
    if not runs:
        return None
    if not episodes:
        return "on", min(r.first for r in runs), False
    last = episodes[-1]
    if last.restarted_on:
        return "restarted", last.restarted_on, last.lost_on is not None
    return "off", last.stopped_on, False


def is_day_off(episodes: Sequence[Off], day: date) -> bool:
    return any(e.stopped_on < day and (e.restarted_on is None or day <= e.restarted_on) for e in episodes)


# --- loss by protocol (section 5.2) -------------------------------------------------------------------------------


def protocol_event(days: Sequence[Day], stop: date, restart: date | None, rule_id: str) -> tuple[date, str] | None:
    """The date of the event of a protocol and the class that was lost."""
    rule = numbers_of(rule_id)
    off = off_days(days, stop, restart)
    events = []
    if rule["n_consecutive"] == 1:
        lost_on, _ = loss_in(off, restart)
        events = [(lost_on, "MMR")] if lost_on else []
    else:
        for day in off:
            later = [d for d in off if d.on > day.on]
            confirmed_on = _second_value(later, days, restart, rule["restart_confirms"])
            if later and rule["max_gap_days"] and (later[0].on - day.on).days > rule["max_gap_days"]:
                confirmed_on = None
            if day.kind == "NO_MMR" and confirmed_on:
                events.append((day.on if rule["date_of_event"] == "first" else confirmed_on, "MMR"))
    level = rule["confirmed_loss_of"]
    if level:
        telling = [d for d in off if not only_unproven(d, level)]
        for n, day in enumerate(telling[1:], start=1):
            if shallow(telling[n - 1], level) and shallow(day, level):
                events.append((telling[n - 1].on if rule["date_of_event"] == "first" else day.on, level))
    first_on = min((on for on, _ in events), default=None)
    return next(((on, lost) for on, lost in events if on == first_on), None)


def _second_value(later: Sequence[Day], days: Sequence[Day], restart: date | None, by_restart: bool) -> date | None:
    """What confirms: the next value off treatment, a restart before it, or one above within 28 days after the
    restart.
    """
    if later:
        return later[0].on if later[0].kind == "NO_MMR" else None
    if restart is None or by_restart:
        return restart
    return min((d.on for d in days if 0 < (d.on - restart).days <= 28 and d.kind == "NO_MMR"), default=None)


def shallow(day: Day, kind: str) -> bool:
    return CLASSES.index(day.kind) < CLASSES.index(kind)


# --- the next sample (section 5.1 and the rule file) --------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """The next sample: its state on a day, the window, and the days of samples whose result is awaited or late."""

    state: str
    earliest: date | None = None
    due: date | None = None
    latest: date | None = None
    awaited: tuple[date, ...] = ()
    late: tuple[date, ...] = ()


def plan_on(series: Series, as_of: date, rule_id: str) -> Plan:
    """The next sample under a schedule, walking from day to day."""
    rule, known = numbers_of(rule_id), known_up_to(series, as_of)
    if _plan_ended(known):
        return Plan("ended")
    phase = phase_on(series, as_of)
    if phase is None:
        return Plan("no_plan")
    days = days_of(known.results)
    counted_from = max([phase[1], *(d.on for d in days)])
    interval = _interval(days, phase, counted_from, rule)
    mutated = _mutated_since(known, days, phase, as_of)
    if mutated is not None and not _repeated(days, phase, counted_from):
        start = max(counted_from, mutated)
        usual = _interval(days, phase, start, rule)
        counted_from = start
        interval = FOUR_WEEKS if span_after(start, usual["every"]) > start + 21 * ONE_DAY else usual
    earliest, due, latest = _window(counted_from, interval)
    awaited = _awaited(known, rule)
    late = tuple(on for on in awaited if (as_of - on).days > rule["result_overdue_days"])
    state = _state_by_walking(as_of, (earliest, latest), counted_from)
    on_its_way = [on for on in awaited if on > counted_from]
    if on_its_way and as_of <= _window(on_its_way[-1], interval)[2]:
        state = "overdue_result" if late else "awaiting_result"
    if (as_of - _last_record(known)).days > rule["followed_within_days"]:
        late = ()
        state = "not_followed" if state.startswith("overdue") else state
    return Plan(state, earliest, due, latest, awaited, late)


def _plan_ended(known: Series) -> bool:
    """Death and withdrawn consent end it; a transfer or a loss to follow-up until the patient is seen again."""
    seen = [r.collected_on for r in known.results]
    seen += [f.observed_on for f in known.facts if f.kind in (FactKind.LAST_CONTACT, FactKind.SAMPLE_TAKEN)]
    for fact in known.facts:
        if fact.kind in (FactKind.DEATH, FactKind.CONSENT_WITHDRAWN):
            return True
        left = fact.kind in (FactKind.TRANSFER, FactKind.LOST_TO_FOLLOW_UP)
        if left and not any(on > fact.observed_on for on in seen):
            return True
    return False


def _interval(days: Sequence[Day], phase: tuple[str, date, bool], start: date, rule: dict[str, Any]) -> dict[str, Any]:
    name, since, after_loss = phase
    last = days[-1] if days else None
    if name == "transplanted":
        return dict(rule["on_treatment_until_mmr"])
    if name != "off":
        in_mmr = last is not None and last.kind != "NO_MMR" and not (after_loss and last.on <= since)
        where = "on_treatment" if name == "on" else "after_restart"
        usual = dict(rule[f"{where}_{'in_mmr' if in_mmr else 'until_mmr'}"])
        repeated = _repeated(days, phase, start)
        return FOUR_WEEKS if repeated and span_after(start, usual["every"]) > start + 21 * ONE_DAY else usual
    regular = _regular(start, since, rule["off_treatment"])
    lost = _lost_off(days, since)
    shorter = rule.get(f"after_{lost}") if lost else None
    if shorter and span_after(start, shorter["every"]) <= span_after(start, regular["every"]):
        return dict(shorter)
    monthly: dict[str, Any] = {"every": {"months": 1}, "tolerance_days": 7}
    if _comes_and_goes(days, since, start) and span_after(start, regular["every"]) > months_after(start, 1):
        return monthly
    return regular


def _comes_and_goes(days: Sequence[Day], since: date, start: date) -> bool:
    """MR4 was there, was seen lost off treatment within the last six months, and is there again."""
    off = [*[d for d in days if d.on <= since][-1:], *[d for d in days if d.on > since]]
    if not off or off[-1].kind not in DMR:
        return False
    telling = [d for d in off if d.kind in DMR or not only_unproven(d, "MR4")]
    lost = [day.on for before, day in pairwise(telling) if before.kind in DMR and day.kind not in DMR]
    return bool(lost) and start < months_after(lost[-1], 6)


FOUR_WEEKS: dict[str, Any] = {"every": {"days": 21}, "tolerance_days": 7}


def _repeated(days: Sequence[Day], phase: tuple[str, date, bool], start: date) -> bool:
    """On treatment the last sample shows MMR lost, or MMR a log above the lowest of its assay under the treatment."""
    name, since, _ = phase
    if name not in ("on", "restarted") or not days or days[-1].on != start:
        return False
    if days[-1].kind == "NO_MMR":
        return any(d.kind != "NO_MMR" for d in days if d.on >= since)
    good = [d for d in days if d.on > since and not d.poor]
    if not good or good[-1].found.percent is None or good[-1].kind == "NO_MMR":
        return False
    return any(
        good[-1].found.percent >= 10 * _level(d) for d in good[:-1] if _assay(d.result) == _assay(good[-1].result)
    )


def _level(day: Day) -> Fraction:
    if day.found.percent is not None:
        return day.found.percent
    return LIMITS.get(day.kind, Fraction(10**9))


def _assay(result: ResultFact) -> tuple[str, str, str]:
    return result.laboratory, result.measurement.method.value, result.measurement.control_gene.value


def _mutated_since(known: Series, days: Sequence[Day], phase: tuple[str, date, bool], as_of: date) -> date | None:
    """A mutation recorded on treatment, under the present drug and not before the last sample."""
    name, since, _ = phase
    if name not in ("on", "restarted"):
        return None
    starts = [t.first for t in drug_runs(known.courses) if t.on(as_of)]
    after = max([since, *starts, *([days[-1].on] if days else [])])
    found = [f.observed_on for f in known.facts if f.kind is FactKind.MUTATION and f.observed_on >= after]
    return max(found) if found else None


def _regular(start: date, stop: date, phases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The run of the table in which the interval starts; a sample within the tolerance of its end opens the next
    run.
    """
    for phase in phases:
        if phase["to"] is None or start + phase["tolerance_days"] * ONE_DAY < span_after(stop, phase["to"]):
            return dict(phase)
    raise AssertionError("the last run is open")


def _lost_off(days: Sequence[Day], since: date) -> str:
    """MMR where the last value is above 0.1 %; MR4 where it was there at the stop or since and the last shows it
    lost.
    """
    if not days:
        return ""
    last = days[-1]
    if last.kind == "NO_MMR":
        return "loss_of_mmr"
    at_stop = [d for d in days if d.on <= since][-1:]
    had_mr4 = any(d.kind in DMR for d in [*at_stop, *(d for d in days if d.on > since)])
    return "loss_of_mr4" if had_mr4 and last.kind not in DMR and not only_unproven(last, "MR4") else ""


def _window(start: date, interval: dict[str, Any]) -> tuple[date, date, date]:
    tolerance = interval["tolerance_days"] * ONE_DAY
    due, longest = span_after(start, interval["every"]), span_after(start, interval.get("until", interval["every"]))
    return due - tolerance, due, longest + tolerance


def _state_by_walking(as_of: date, window: tuple[date, date], start: date) -> str:
    """Planned until the window opens, due until it closes, then overdue."""
    day, state = min(start, as_of), "planned"
    while day <= as_of:
        if day == window[0]:
            state = "due"
        if day == window[1] + ONE_DAY:
            state = "overdue_sample"
        day += ONE_DAY
    return state


def _awaited(known: Series, rule: dict[str, Any]) -> tuple[date, ...]:
    """Recorded samplings and preliminary results that no final result has answered."""
    final = [r.collected_on for r in known.results if not r.is_preliminary]
    taken = [f.observed_on for f in known.facts if f.kind is FactKind.SAMPLE_TAKEN]
    open_days = {on for on in taken if not any(f >= on - rule["sample_match_days"] * ONE_DAY for f in final)}
    preliminary = [r.collected_on for r in known.results if r.is_preliminary]
    return tuple(sorted(open_days | {on for on in preliminary if not any(f >= on for f in final)}))


def _last_record(known: Series) -> date:
    days = [c.started_on for c in known.courses] + [c.stopped_on for c in known.courses if c.stopped_on]
    return max([*days, *(r.collected_on for r in known.results), *(f.observed_on for f in known.facts)])


# --- milestones (section 3) ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mark:
    """One milestone: its month (None: any time), status, and the day of the sample that it rests on."""

    month: int | None
    status: str
    sample_on: date | None


def marks_on(series: Series, as_of: date, rule_id: str) -> list[Mark]:
    """The milestones of a set, read by what was known on a day."""
    rule, known = numbers_of(rule_id), known_up_to(series, as_of)
    runs, episodes = drug_runs(known.courses), episodes_of(known)
    if not runs:
        return []
    start = min(r.first for r in runs)
    samples = [d for d in days_of(known.results) if d.on >= start and not is_day_off(episodes, d.on)]
    marks = []
    for month in (3, 6, 12, 18):
        if rule[f"month_{month}"] is None:
            continue
        due, window = months_after(start, month), rule["milestone_window_days"]
        sample = _nearest(samples, due, window)
        if sample is not None:
            status = _band(rule[f"month_{month}"], sample)
            if month == 3 and _again_above(samples, sample, rule["confirm_month_3"]):
                status = rule["confirm_month_3"]["status"]
        elif is_day_off(episodes, due):
            status = "off_treatment"
        else:
            status = "not_yet_due" if (as_of - due).days <= window else "no_sample"
        marks.append(Mark(month, status, sample.on if sample else None))
    if rule["any_time"] is not None:
        marks.append(_any_time(series, as_of, rule, start, samples, episodes))
    return marks


def _nearest(samples: Sequence[Day], due: date, window: int) -> Day | None:
    """Walk away from the day, each distance first backwards: of two equally near samples the earlier counts."""
    by_day = {d.on: d for d in samples}
    for distance in range(window + 1):
        for on in (due - distance * ONE_DAY, due + distance * ONE_DAY):
            if on in by_day:
                return by_day[on]
    return None


def _band(bands: Sequence[dict[str, Any]], sample: Day) -> str:
    """The status for which every value that the result leaves open agrees."""
    edges = {Fraction(number) for band in bands for word, number in band.items() if word != "status"}
    edges |= set(LIMITS.values()) | {Fraction(55), Fraction("0.05")}
    little = Fraction(1, 10**9)
    probes = {edge + step for edge in edges for step in (-little, Fraction(0), little)} | {Fraction(10**6)}
    statuses = {_band_of(bands, p) for p in probes if _possible(sample, p)} if sample.found.percent is None else set()
    statuses = statuses or {_band_of(bands, sample.found.percent or Fraction(0))}
    return statuses.pop() if len(statuses) == 1 else "undecided"


def _possible(sample: Day, percent: Fraction) -> bool:
    """Whether a result without a number may be this value: below the limit of its class, or above the range."""
    if sample.kind == "NO_MMR":
        return percent > (sample.found.above or LIMITS["MMR"])
    return percent < LIMITS[sample.kind]


def _band_of(bands: Sequence[dict[str, Any]], percent: Fraction) -> str:
    tests = {
        ">": lambda p, n: p > n, ">=": lambda p, n: p >= n, "<": lambda p, n: p < n, "<=": lambda p, n: p <= n,
    }  # fmt: skip
    for band in bands:
        if all(tests[word](percent, Fraction(number)) for word, number in band.items() if word != "status"):
            return str(band["status"])
    return "unassigned"


def _surely_above(sample: Day, limit: Decimal) -> bool:
    if sample.found.percent is not None:
        return sample.found.percent > Fraction(limit)
    return sample.kind == "NO_MMR" and (sample.found.above or LIMITS["MMR"]) >= Fraction(limit)


def _again_above(samples: Sequence[Day], sample: Day, rule: dict[str, Any] | None) -> bool:
    """Above the limit again in the first sample of the months that the source names."""
    if rule is None or not _surely_above(sample, rule["above_percent"]):
        return False
    first, last = (months_after(sample.on, rule[name]) for name in ("from_months", "to_months"))
    later = [s for s in samples if first <= s.on <= last]
    return bool(later) and _surely_above(later[0], rule["above_percent"])


def _any_time(
    series: Series, as_of: date, rule: dict[str, Any], start: date, samples: list[Day], episodes: list[Off]
) -> Mark:
    """The worst of the last value, a loss of MMR on treatment and a mutation on record."""
    opens = months_after(start, rule["any_time_after_months"])
    if is_day_off(episodes, as_of):
        return Mark(None, "off_treatment", None)
    said = [_band(rule["any_time"], samples[-1])] if samples and samples[-1].on > opens else []
    held = [s.on for s in samples if s.kind != "NO_MMR"]
    lost = [s.on for s in samples if held and s.on > held[-1]]
    if rule["loss_of_mmr"] and lost and not any(held[-1] <= e.stopped_on < lost[0] for e in episodes):
        said.append(rule["loss_of_mmr"])
    mutated = [f for f in series.facts if f.kind is FactKind.MUTATION and start <= f.observed_on <= as_of]
    if rule["mutation"] and mutated:
        said.append(rule["mutation"])
    if not said:
        return Mark(None, "not_yet_due" if as_of <= opens else "no_sample", None)
    order = ["undecided", "unassigned", *rule["statuses"]]
    return Mark(None, max(said, key=order.index), samples[-1].on if samples else None)


# --- kinetics (section 7.1) ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rise:
    """Two values: the days between them and the ratio; ``at_most`` where the first was only a bound."""

    days: int
    ratio: Fraction
    at_most: bool

    def doubles_within(self, limit: Decimal) -> bool:
        """Whether the doubling time is below a limit: 2 ** (days / limit) < ratio, in whole numbers."""
        numerator, denominator = Fraction(limit).as_integer_ratio()
        return 2 ** (self.days * denominator) < self.ratio**numerator

    def doubling_days(self) -> float:
        """ln 2 x days / ln(ratio); of a fall, the halving time."""
        return abs(math.log(2) * self.days / math.log(self.ratio))


def drugs_on(courses: Sequence[Course], day: date) -> set[str]:
    """The TKIs that were taken on a day."""
    taken = [c for c in courses if c.drug.is_tki and c.started_on <= day]
    return {c.drug.value for c in taken if c.stopped_on is None or day <= c.stopped_on}


def rise_between(first: Day, second: Day, courses: Sequence[Course]) -> Rise | None:
    """Two good values of one laboratory, method, gene, factor and drug; None where they cannot be compared."""
    one, other = first.result, second.result
    if first.poor or second.poor:
        return None
    before, after = drugs_on(courses, first.on), drugs_on(courses, second.on)
    if before and after and before != after:
        return None
    if one.laboratory != other.laboratory or one.measurement.method != other.measurement.method:
        return None
    if one.measurement.conversion_factor != other.measurement.conversion_factor:
        return None
    start = first.found.percent if first.found.percent is not None else first.found.bound
    if second.found.percent is None or start is None:
        return None
    if first.found.percent is None and second.found.percent <= start:
        return None
    return Rise((second.on - first.on).days, second.found.percent / start, first.found.percent is None)


def month_two_group(
    days: Sequence[Day], stop: date, restart: date | None, rule_id: str, courses: Sequence[Course]
) -> str:
    """Section 5.3 A3: the value nearest to two months off treatment against the one before it and 12.75 days."""
    rule = numbers_of(rule_id)
    window = rule["month_2_window_days"]
    second = _nearest(off_days(days, stop, restart), months_after(stop, 2), window)
    if second is None:
        return "not_known"
    if not second.found.detected:
        return "not_rising"
    before = [d for d in days if d.on < second.on and (stop - d.on).days <= window]
    rise = rise_between(before[-1], second, courses) if before else None
    if rise is None:
        return "not_known"
    if rise.ratio <= 1:
        return "not_rising"
    if rise.doubles_within(rule["month_2_cut_days"]):
        return "fast"
    return "not_known" if rise.at_most else "slow"
