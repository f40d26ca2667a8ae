"""The Kaplan–Meier curve as a page shows it: steps, band, censorings, and the risk table on the same axis."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from monitoring.domain.vocabulary.dates import DAYS_PER_MONTH

TICK_MONTHS = (6, 12, 24)
MOST_TICKS = 10


@dataclass(frozen=True, slots=True)
class RiskRow:
    """The extended risk table at one tick of the axis."""

    months: int
    at_risk: int
    events: int
    censored: int


@dataclass(frozen=True, slots=True)
class Curve:
    """What the chart draws, and the same numbers as a table."""

    chart: dict[str, Any]
    risk_table: list[RiskRow]


def curve_of(figures: dict[str, Any]) -> Curve | None:
    """The curve of a snapshot, None where it has no points. At risk counts times at or beyond the tick."""
    points = figures["kaplan_meier"]["points"]
    if not points:
        return None
    longest = points[-1]["days"] / DAYS_PER_MONTH
    step = next((s for s in TICK_MONTHS if longest / s <= MOST_TICKS), TICK_MONTHS[-1])
    ticks = list(range(0, math.ceil(longest / step) * step + 1, step))
    rows = [_risk_row(points, months) for months in ticks]
    return Curve(
        chart={
            "steps": [[0, 1, 1, 1]] + [[_months(p), p["estimate"], p["lower"], p["upper"]] for p in points],
            "censored": [[_months(p), p["estimate"]] for p in points if p["censored"]],
            "ticks": [{"months": r.months, "at_risk": r.at_risk} for r in rows],
            "step_months": step,
            "words": {
                "curve": _("Kaplan-Meier estimate"),
                "band": _("95 % interval") if figures["kaplan_meier"]["level"] == 0.95 else _("interval"),
                "censored": _("censored"),
                "months": _("months since the stop"),
                "at_risk": _("at risk"),
            },
        },
        risk_table=rows,
    )


def _months(point: dict[str, Any]) -> float:
    return round(float(point["days"]) / DAYS_PER_MONTH, 3)


def _risk_row(points: list[dict[str, Any]], months: int) -> RiskRow:
    days = months * DAYS_PER_MONTH
    position = bisect.bisect_left([p["days"] for p in points], days)
    passed = [p for p in points if p["days"] <= days]
    return RiskRow(
        months,
        points[position]["at_risk"] if position < len(points) else 0,
        sum(p["events"] for p in passed),
        sum(p["censored"] for p in points if p["days"] < days),
    )
