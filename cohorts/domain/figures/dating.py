"""How much the date of a loss and the choice of a cut matter: figures that show what a decision was worth."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from cohorts.domain import survival, witness
from cohorts.domain.definition import Definition, Factor
from cohorts.domain.engine.arrays import Ints, Times
from cohorts.domain.engine.cutoffs import MOST_ROWS, best_cut
from cohorts.domain.figures.descriptions import days_between
from cohorts.domain.figures.whole import landmarks, later_landmarks
from cohorts.domain.member_table import MemberTable
from monitoring.domain.vocabulary.dates import DAYS_PER_MONTH

MOST_FOR_INTERVALS = 2_000


def dating_of_losses(members: MemberTable, definition: Definition) -> dict[str, Any] | None:
    """The curve with losses dated at the first positive sample, between the two, and at the last negative one.

    Beside them an estimate that takes the interval for what it is (Turnbull). None without a loss among the events, or
    where attempts of one patient stand together.
    """
    lost = members["event"] & (members["end_reason"] == "loss_of_mmr")
    if not lost.any() or definition.attempts == "all":
        return None
    negative = days_between(members["stopped_on"], members["last_negative_on"])
    # A last negative sample at or before the stop leaves the whole time off treatment open.
    earliest = np.where(lost, np.nan_to_num(np.maximum(negative, 0)), members["days"]).astype(np.int64)
    middle = np.where(lost, (earliest + members["days"]) // 2, members["days"])
    dated = {"first_positive": members["days"], "midpoint": middle, "last_negative": earliest}
    return {
        **{name: _curve(Times(days, members["event"]), definition) for name, days in dated.items()},
        "interval_censored": _interval_censored(members, earliest, definition),
    }


def _curve(times: Times, definition: Definition) -> dict[str, Any]:
    limited = survival.kaplan_meier(times, transform=definition.transform, level=definition.level)
    return {
        "landmarks": landmarks(limited, times, definition),
        "median_months": dataclasses.asdict(survival.median(limited)),
    }


def _interval_censored(members: MemberTable, earliest: Ints, definition: Definition) -> dict[str, Any]:
    """Estimates without interval at the landmarks; between two steps of the estimate the upper end is given."""
    if len(members) > MOST_FOR_INTERVALS:
        return {"landmarks": [], "reason": f"more than {MOST_FOR_INTERVALS} members"}
    latest = np.where(members["event"], members["days"], np.inf)
    months = [m for m in later_landmarks(definition) if m * DAYS_PER_MONTH <= members["days"].max()]
    found = witness.turnbull(earliest.astype(float), latest, [m * DAYS_PER_MONTH for m in months])
    return {"landmarks": [{"months": m, "estimate": e} for m, e in zip(months, found, strict=True)]}


def cut_chosen_on_data(factor: Factor, known: MemberTable, definition: Definition) -> dict[str, Any] | None:
    """For a cut that was looked for in the data: the best cut of all, and the P that counts the search."""
    if not factor.chosen_on_data or definition.attempts == "all":
        return None
    values = known[factor.column]
    known = known.of(~np.isnan(values))
    if len(known) > MOST_ROWS:
        return {"reason": f"more than {MOST_ROWS} members"}
    found = best_cut(known.times, values[~np.isnan(values)])
    return None if found is None else dataclasses.asdict(found)
