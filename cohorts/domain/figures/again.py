"""What came after a loss: who is in remission off treatment at a time, and how soon MMR and deep response came back."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from cohorts.domain import survival
from cohorts.domain.definition import Definition
from cohorts.domain.engine import curves, multistate
from cohorts.domain.engine.arrays import Times
from cohorts.domain.figures.descriptions import days_between
from cohorts.domain.figures.whole import later_landmarks
from cohorts.domain.member_table import MemberTable
from cohorts.domain.paths import stays_of
from cohorts.domain.survival import finite
from monitoring.domain.vocabulary.dates import DAYS_PER_MONTH

REGAINED_MONTHS = (3, 6, 12)


def current_remission(members: MemberTable, definition: Definition) -> dict[str, Any] | None:
    """The chance to be off treatment and in MMR at a month, also after a loss and another stop.

    Attempts of one patient are one path, so the cohort must hold first attempts. None where rows hold no paths, as
    those frozen earlier.
    """
    if definition.attempts == "all" or "remission_path" not in members.columns or not len(members):
        return None
    stays = stays_of(members["remission_path"])
    found = multistate.transitions(stays)
    longest = int(stays.end.max()) / DAYS_PER_MONTH if len(stays.end) else 0.0
    again = int((stays.state[stays.to == 0] == 1).sum())
    return {
        "method": "Aalen-Johansen over the states in remission off treatment, not, and dead",
        "variance": "infinitesimal jackknife by patient",
        "transform": definition.transform,
        "level": definition.level,
        "left_remission": int(((stays.state == 0) & (stays.to == 1)).sum()),
        "came_back": again,
        "landmarks": [
            _state_at(stays, found, len(members), months, definition)
            for months in later_landmarks(definition)
            if months <= longest
        ],
    }


def _state_at(
    stays: multistate.Stays, found: multistate.Transitions, members: int, months: int, definition: Definition
) -> dict[str, Any]:
    day = months * DAYS_PER_MONTH
    at = multistate.occupation(stays, found, members, day)
    estimate, se = at.estimate[:1], at.se[:1]
    with np.errstate(divide="ignore", invalid="ignore"):
        of_log = np.where(estimate > 0, (se / estimate) ** 2, np.inf)
    lower, upper = curves.limits(estimate, of_log, transform=definition.transform, level=definition.level)
    here = (stays.start < day) & (stays.end >= day)
    return {
        "months": months,
        "estimate": float(estimate[0]),
        "lower": finite(lower[0]),
        "upper": finite(upper[0]),
        "observed": int(here.sum()),
        "in_remission": int((here & (stays.state == 0)).sum()),
        "dead": float(at.estimate[2]),
    }


def regained(members: MemberTable, definition: Definition) -> dict[str, Any] | None:
    """How soon MMR and deep response came back after treatment was restarted for a loss, from the restart.

    Kaplan–Meier, turned; who was not seen to regain it is observed until last seen. None where rows hold no last day.
    """
    if definition.attempts == "all" or "last_seen_on" not in members.columns:
        return None
    lost = members.of((members["end_reason"] == "loss_of_mmr") & ~np.isnat(members["restarted_on"]))
    return {
        "restarted_after_loss": len(lost),
        **{name: _regained(lost, f"{name}_regained_on", definition) for name in ("mmr", "dmr")},
    }


def _regained(lost: MemberTable, column: str, definition: Definition) -> dict[str, Any]:
    came = days_between(lost["restarted_on"], lost[column])
    seen = days_between(lost["restarted_on"], lost["last_seen_on"])
    event = ~np.isnan(came) & (came >= 0)
    days = np.where(event, came, np.nan_to_num(np.fmax(seen, 0)))
    base: dict[str, Any] = {"regained": int(event.sum()), "observed": len(lost), "landmarks": [], "median_months": None}
    if not len(lost):
        return base
    times = Times(days.astype(np.int64), event)
    limited = survival.kaplan_meier(times, transform=definition.transform, level=definition.level)
    read = (dataclasses.asdict(survival.landmark(limited, times, months)) for months in REGAINED_MONTHS)
    return {
        **base,
        "median_months": dataclasses.asdict(survival.median(limited)),
        "landmarks": [
            {
                "months": one["months"],
                "estimate": 1 - one["estimate"],
                "lower": None if one["upper"] is None else 1 - one["upper"],
                "upper": None if one["lower"] is None else 1 - one["lower"],
                "at_risk": one["at_risk"],
            }
            for one in read
            if one["estimate"] is not None
        ],
    }
