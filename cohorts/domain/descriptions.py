"""The description of the members, and what followed a loss: quartiles and counts, no estimates."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cohorts.domain.definition import AGES, DURATIONS
from cohorts.domain.members import Member
from monitoring.domain.vocabulary.dates import months_of


def quartiles(values: Iterable[float | None]) -> dict[str, Any]:
    """Median and quartiles by (n + 1)p, the rule of the laboratory's statistics package."""
    known = sorted(v for v in values if v is not None)
    return {
        "n": len(known),
        "median": _quantile(known, 0.5),
        "q1": _quantile(known, 0.25),
        "q3": _quantile(known, 0.75),
    }


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    if not ordered:
        return None
    position = min(max((len(ordered) + 1) * share, 1.0), float(len(ordered)))
    below = math.floor(position)
    low = ordered[below - 1]
    high = ordered[min(below, len(ordered) - 1)]
    return low + (position - below) * (high - low)


def table1(members: Sequence[Member]) -> dict[str, Any]:
    def levels(of: Callable[[Member], str | None]) -> dict[str, int]:
        return dict(sorted(Counter(of(m) or "not known" for m in members).items()))

    syndrome = sum(m.withdrawal_syndrome for m in members)
    return {
        "members": len(members),
        "sex": levels(lambda m: m.category("sex")),
        "transcript": levels(lambda m: m.category("transcript")),
        "risk_group": levels(lambda m: m.category("risk_group")),
        "drug_at_stop": levels(lambda m: m.category("drug_at_stop")),
        "centre": levels(lambda m: m.category("centre")),
        **{name: quartiles(m.number(name) for m in members) for name in (*AGES, *DURATIONS)},
        "follow_up_months": {
            **quartiles(_follow_up_months(m) for m in members),
            "definition": "stop to last contact, or to the end of observation where no contact is recorded",
        },
        "withdrawal_syndrome": {"n": syndrome, "proportion": syndrome / len(members) if members else None},
        "quantiles": "(n + 1)p",
        "ages": "completed years",
    }


def _follow_up_months(member: Member) -> float | None:
    """From the stop to the last contact, and never less than what was observed."""
    if member.last_contact_on is None or member.end_on is None:
        return member.months
    return months_of((max(member.last_contact_on, member.end_on) - member.stopped_on).days)


def outcomes_after_loss(members: Sequence[Member]) -> dict[str, Any]:
    lost = [m for m in members if m.end_reason == "loss_of_mmr"]
    regained = [m for m in lost if m.after.dmr_regained_on and m.after.restarted_on]

    def months_to_dmr(m: Member) -> float | None:
        assert m.after.dmr_regained_on is not None
        assert m.after.restarted_on is not None
        return months_of((m.after.dmr_regained_on - m.after.restarted_on).days)

    return {
        "losses": len(lost),
        "months_to_loss": quartiles(m.months for m in lost),
        "restarted": dict(sorted(Counter(m.after.restart_drug for m in lost if m.after.restarted_on).items())),
        "regained_mmr": sum(m.after.mmr_regained_on is not None for m in lost),
        "regained_dmr": len(regained),
        "months_restart_to_dmr": quartiles(months_to_dmr(m) for m in regained),
    }
