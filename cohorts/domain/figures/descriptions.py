"""The description of the members, and what followed a loss: quartiles and counts, no estimates."""

from __future__ import annotations

from typing import Any

import numpy as np

from cohorts.domain.definition import AGES, DURATIONS
from cohorts.domain.engine.arrays import Floats
from cohorts.domain.member_table import Column, MemberTable
from monitoring.domain.vocabulary.dates import DAYS_PER_MONTH

CATEGORIES_SHOWN = ("sex", "transcript", "risk_group", "drug_at_stop", "centre")


def quartiles(values: Floats) -> dict[str, Any]:
    """Median and quartiles by (n + 1)p, the rule of the laboratory's statistics package; NaN is not counted."""
    known = np.sort(values[~np.isnan(values)])
    return {
        "n": len(known),
        "median": _quantile(known, 0.5),
        "q1": _quantile(known, 0.25),
        "q3": _quantile(known, 0.75),
    }


def _quantile(ordered: Floats, share: float) -> float | None:
    if not len(ordered):
        return None
    position = min(max((len(ordered) + 1) * share, 1.0), float(len(ordered)))
    below = int(position)
    low, high = float(ordered[below - 1]), float(ordered[min(below, len(ordered) - 1)])
    return low + (position - below) * (high - low)


def counts(values: Column) -> dict[str, int]:
    """How many rows have each value."""
    levels, numbers = np.unique(values.astype(str), return_counts=True)
    return {str(level): int(number) for level, number in zip(levels, numbers, strict=True)}


def table1(members: MemberTable) -> dict[str, Any]:
    """The description of the members, with the definition of each figure that has several."""
    syndrome = int((~np.isnat(members["withdrawal_syndrome_on"])).sum())
    return {
        "members": len(members),
        **{name: counts(np.where(members[name] == "", "not known", members[name])) for name in CATEGORIES_SHOWN},
        **{name: quartiles(members[name]) for name in (*AGES, *DURATIONS)},
        "follow_up_months": {
            **quartiles(_follow_up_months(members)),
            "definition": "stop to last contact, or to the end of observation where no contact is recorded",
        },
        "withdrawal_syndrome": {"n": syndrome, "proportion": syndrome / len(members) if len(members) else None},
        "quantiles": "(n + 1)p",
        "ages": "completed years",
    }


def days_between(first: Column, second: Column) -> Floats:
    """Days from one date column to another; NaN where one of them is missing."""
    gap = (second - first).astype("timedelta64[D]")
    return np.where(np.isnat(gap), np.nan, gap.astype(np.int64).astype(float))


def _follow_up_months(members: MemberTable) -> Floats:
    """From the stop to the last contact, and never less than what was observed."""
    contact = days_between(members["stopped_on"], members["last_contact_on"])
    return np.fmax(contact, members["days"]) / DAYS_PER_MONTH


def outcomes_after_loss(members: MemberTable) -> dict[str, Any]:
    """What followed the losses of MMR: restarts by drug, responses regained."""
    lost = members.of(members["end_reason"] == "loss_of_mmr")
    restarted = ~np.isnat(lost["restarted_on"])
    regained = ~np.isnat(lost["dmr_regained_on"]) & restarted
    return {
        "losses": len(lost),
        "months_to_loss": quartiles(lost["days"] / DAYS_PER_MONTH),
        "restarted": counts(lost["restart_drug"][restarted]),
        "regained_mmr": int((~np.isnat(lost["mmr_regained_on"])).sum()),
        "regained_dmr": int(regained.sum()),
        "months_restart_to_dmr": quartiles(
            days_between(lost["restarted_on"], lost["dmr_regained_on"])[regained] / DAYS_PER_MONTH
        ),
    }
