"""Competing risks: the cumulative incidence of the event beside its cause-specific curve."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from cohorts.domain.definition import Definition
from cohorts.domain.engine import competing
from cohorts.domain.engine.arrays import Floats, Ints
from cohorts.domain.estimates import NotEstimable
from cohorts.domain.figures.whole import later_landmarks
from cohorts.domain.member_table import ENDS, Grouping, MemberTable
from cohorts.domain.survival import finite
from monitoring.domain.vocabulary.dates import DAYS_PER_MONTH


def how_ended(members: MemberTable) -> Ints:
    """0 censored, 1 the event of the endpoint, 2 ended by something else, after which the event cannot come."""
    other = ~members["event"] & np.isin(members["end_reason"], ENDS)
    return np.where(members["event"], competing.EVENT, np.where(other, competing.COMPETING, competing.CENSORED))


def competing_risks(members: MemberTable, definition: Definition) -> dict[str, Any] | None:
    """The cumulative incidence of the event and of what competes with it; None where nothing does.

    Rows of one patient are not independent, so several attempts have no estimate.
    """
    ended = how_ended(members)
    if not (ended == competing.COMPETING).any() or definition.attempts == "all":
        return None
    reasons = members["end_reason"][ended == competing.COMPETING]
    return {
        "method": "Aalen-Johansen",
        "variance": "Aalen",
        "transform": definition.transform,
        "level": definition.level,
        "competing": {reason: int((reasons == reason).sum()) for reason in ENDS if (reasons == reason).any()},
        "event": _incidence(members, ended, competing.EVENT, definition),
        "competing_event": _incidence(members, ended, competing.COMPETING, definition),
    }


def _incidence(members: MemberTable, ended: Ints, of: int, definition: Definition) -> dict[str, Any]:
    found = competing.cumulative_incidence(members["days"], ended, of)
    lower, upper = competing.incidence_limits(
        found.estimate, found.variance, transform=definition.transform, level=definition.level
    )
    longest = int(members["days"].max()) / DAYS_PER_MONTH

    def read(months: float) -> dict[str, Any]:
        at_risk = int((members["days"] >= months * DAYS_PER_MONTH).sum())
        if months > longest:
            return {"months": months, "estimate": None, "lower": None, "upper": None, "at_risk": at_risk}
        step = found.position(months * DAYS_PER_MONTH)
        estimate = float(found.estimate[step]) if step >= 0 else 0.0
        limits = (finite(lower[step]), finite(upper[step])) if step >= 0 else (None, None)
        return {"months": months, "estimate": estimate, "lower": limits[0], "upper": limits[1], "at_risk": at_risk}

    names = ("days", "estimate", "lower", "upper", "at_risk", "events")
    columns = (found.days, found.estimate, lower, upper, found.at_risk, found.events)
    points = zip(*(column.tolist() for column in columns), strict=True)
    return {
        "events": int((ended == of).sum()),
        "landmarks": [read(months) for months in later_landmarks(definition)],
        "points": [dict(zip(names, row, strict=True)) for row in points],
    }


def gray(members: MemberTable, grouping: Grouping) -> dict[str, Any] | None:
    """Gray's test of the groups; None where nothing competes or a group is missing."""
    ended, known = how_ended(members), grouping.known
    if not (ended == competing.COMPETING).any():
        return None
    test = competing.gray_test(members["days"][known], ended[known], grouping.codes[known])
    return dataclasses.asdict(test) if test else None


def fine_gray(members: MemberTable, columns: Floats) -> competing.FineGrayFit | None:
    """The model of the subdistribution hazard; None where nothing competes or it is not estimable."""
    ended = how_ended(members)
    if not (ended == competing.COMPETING).any():
        return None
    try:
        return competing.fit_fine_gray(members["days"], ended, columns)
    except NotEstimable:
        return None
