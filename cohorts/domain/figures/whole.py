"""Figures of the cohort as a whole: who is in it, proportions, the curve, its area, and the follow-up."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
from scipy import stats

from cohorts.domain import survival
from cohorts.domain.definition import Definition
from cohorts.domain.engine import curves
from cohorts.domain.engine.arrays import Ints, Times
from cohorts.domain.figures.descriptions import counts
from cohorts.domain.member_table import APART, ENDS, MemberTable
from cohorts.domain.members import criteria_of
from monitoring.domain.vocabulary.dates import DAYS_PER_MONTH

LANDMARK_MONTHS = (3, 6, 12, 24, 36, 48, 60)
CONDITIONAL_MONTHS = (6, 12, 24)
MEAN_MONTHS = 36


def read_apart(members: MemberTable) -> list[dict[str, Any]]:
    """Members whose remission may not be treatment-free, or not as deep, by reason: their number and events."""
    return [
        {
            "reason": reason,
            "members": int(members[reason].sum()),
            "events": int(members["event"][members[reason]].sum()),
        }
        for reason in APART
        if members[reason].any()
    ]


def flow(table: MemberTable, definition: Definition, passed_over: Mapping[str, int]) -> list[dict[str, Any]]:
    """From all times off treatment to the members: how many each criterion excludes, and how many are left."""
    left = len(table) + sum(passed_over.values())
    steps: list[dict[str, Any]] = [{"criterion": "episodes", "excluded": 0, "left": left}]
    taken = [(name, passed_over.get(name, 0)) for name in criteria_of(definition)]
    for name, number in [*taken, *exclusions(table).items()]:
        left -= number
        steps.append({"criterion": name, "excluded": number, "left": left})
    return steps


def exclusions(table: MemberTable) -> dict[str, int]:
    """Episodes that are no members, by reason."""
    return counts(table["exclusion_reason"][~table.included])


def crude(members: MemberTable, definition: Definition) -> dict[str, Any]:
    """Who is still in remission at the last observation, and what ended it for the others; death ends it too."""
    ended = {reason: int((members["end_reason"] == reason).sum()) for reason in ENDS}
    kept = len(members) - sum(ended.values())
    lower, upper = survival.exact_binomial(kept, len(members), definition.level)
    return {
        "in_remission": kept,
        "ended": {reason: number for reason, number in ended.items() if number},
        "members": len(members),
        "proportion": kept / len(members) if len(members) else None,
        "lower": lower,
        "upper": upper,
        "method": "crude proportion at the last observation, Clopper-Pearson",
    }


def drop_outs_as_failures(table: MemberTable, definition: Definition, cutoff: date) -> list[dict[str, Any]]:
    """The rate that counts every drop-out, and every episode without PCR after the stop, as a failure (ENEST).

    A landmark counts only those who stopped at least that long before the end of the data: to have had less time is no
    failure.
    """
    counted = table.members
    if definition.landmark_months is None:
        counted = table.of(table.included | (table["exclusion_reason"] == "NO_PCR_AFTER_STOP"))
    had = (np.datetime64(cutoff, "D") - counted["stopped_on"]).astype(np.int64) / DAYS_PER_MONTH
    observed = np.where(counted.included, counted["days"], -1) / DAYS_PER_MONTH
    rates = []
    for months in later_landmarks(definition):
        had_time = had >= months
        free = had_time & (observed >= months) & ~(counted["event"] & (observed <= months))
        kept, total = int(free.sum()), int(had_time.sum())
        lower, upper = survival.exact_binomial(kept, total, definition.level)
        rates.append(
            {"months": months, "in_remission": kept, "total": total, "proportion": kept / total if total else None,
             "lower": lower, "upper": upper}
        )  # fmt: skip
    return rates


def clusters(members: MemberTable, definition: Definition) -> Ints | None:
    """The patient of each row, where several attempts of one patient may stand in the cohort."""
    return None if definition.attempts == "first" else members.patients


def kaplan_meier(members: MemberTable, definition: Definition) -> dict[str, Any]:
    """The curve with its landmarks, median and area, and the curves of those who were free of the event for a while.

    Where other ends than the event occur it is cause-specific: they censor it.
    """
    patients = clusters(members, definition)
    base: dict[str, Any] = {
        "transform": definition.transform,
        "level": definition.level,
        "variance": "Greenwood" if patients is None else "robust by patient; a descriptive curve of attempts",
        "cause_specific": bool((~members["event"] & np.isin(members["end_reason"], ENDS)).any()),
    }
    if not len(members):
        nothing = {"estimate": None, "lower": None, "upper": None}
        return {**base, "landmarks": [], "median_months": nothing, "points": [], "reason": "no members"}
    times = members.times
    limited = survival.kaplan_meier(times, transform=definition.transform, level=definition.level, clusters=patients)
    return {
        **base,
        "landmarks": landmarks(limited, times, definition),
        "median_months": dataclasses.asdict(survival.median(limited)),
        "restricted_mean": restricted_mean(limited, definition) if patients is None else None,
        "conditional": _conditional(times, definition) if patients is None else [],
        "points": points_of(limited),
    }


def later_landmarks(definition: Definition, after: int = 0) -> list[int]:
    """The months at which figures are read: later than ``after``, and than the landmark of the definition."""
    return [months for months in LANDMARK_MONTHS if months > max(after, definition.landmark_months or 0)]


def landmarks(
    limited: survival.LimitedCurve, times: Times, definition: Definition, after: int = 0
) -> list[dict[str, Any]]:
    """The curve at each landmark later than ``after`` months."""
    found = [survival.landmark(limited, times, months) for months in later_landmarks(definition, after)]
    return [{k: v for k, v in dataclasses.asdict(one).items() if k != "reason" or v} for one in found]


def points_of(limited: survival.LimitedCurve) -> list[dict[str, Any]]:
    curve = limited.curve
    columns = (curve.days, curve.estimate, limited.lower, limited.upper, curve.at_risk, curve.events, curve.censored)
    names = ("days", "estimate", "lower", "upper", "at_risk", "events", "censored")
    return [dict(zip(names, row, strict=True)) for row in zip(*(column.tolist() for column in columns), strict=True)]


def restricted_mean(limited: survival.LimitedCurve, definition: Definition) -> dict[str, Any]:
    """Mean months free of the event among the first 36, a reason where nobody was observed that long."""
    base: dict[str, Any] = {
        "months": MEAN_MONTHS,
        "method": "area under the curve, Greenwood, normal interval",
    }
    nothing = {"estimate": None, "se": None, "lower": None, "upper": None}
    if (definition.landmark_months or 0) >= MEAN_MONTHS:
        return {**base, **nothing, "reason": "everybody was free of the event so long: that is the landmark"}
    try:
        area = curves.restricted_mean(limited.curve, MEAN_MONTHS * DAYS_PER_MONTH)
    except ValueError:
        longest = limited.curve.longest / DAYS_PER_MONTH
        return {**base, **nothing, "reason": f"longest observed time is {longest:.1f} months"}
    return {**base, **_with_normal_limits(area.days / DAYS_PER_MONTH, area.se / DAYS_PER_MONTH, definition.level)}


def _with_normal_limits(estimate: float, se: float, level: float) -> dict[str, float]:
    width = float(stats.norm.ppf(0.5 + level / 2)) * se
    return {"estimate": estimate, "se": se, "lower": estimate - width, "upper": estimate + width}


def difference_of_means(first: dict[str, Any], second: dict[str, Any], level: float) -> dict[str, Any] | None:
    """The difference of two restricted means, second minus first; None where one of them is not known."""
    if first["estimate"] is None or second["estimate"] is None:
        return None
    se = float(np.hypot(first["se"], second["se"]))
    apart = second["estimate"] - first["estimate"]
    p = float(2 * stats.norm.sf(abs(apart) / se)) if se else None
    return {"months": MEAN_MONTHS, **_with_normal_limits(apart, se, level), "p": p}


def _conditional(times: Times, definition: Definition) -> list[dict[str, Any]]:
    """For those free of the event for so long: the chance to be so at later landmarks."""
    found = []
    for months in CONDITIONAL_MONTHS:
        if months <= (definition.landmark_months or 0):
            continue
        later = curves.given_free_until(times, months * DAYS_PER_MONTH)
        if not len(later):
            continue
        limited = survival.kaplan_meier(later, transform=definition.transform, level=definition.level)
        found.append(
            {"from_months": months, "members": len(later), "landmarks": landmarks(limited, later, definition, months)}
        )
    return found


def follow_up(members: MemberTable, definition: Definition) -> dict[str, Any]:
    """Median follow-up by reverse Kaplan–Meier: the censorings are the events."""
    median: dict[str, Any] = {"estimate": None, "lower": None, "upper": None}
    if len(members):
        turned = survival.kaplan_meier(members.times.reversed(), transform=definition.transform, level=definition.level)
        median = dataclasses.asdict(survival.median(turned))
    return {
        "median_months": median["estimate"], "lower": median["lower"], "upper": median["upper"],
        "method": "reverse Kaplan-Meier",
    }  # fmt: skip
