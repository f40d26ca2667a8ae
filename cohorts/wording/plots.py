"""Pictures that stand in the page as drawings: axes with round ticks, lines, bands, points. No script draws them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from cohorts.wording.figures import direction_words, factor_name

WIDTH, HEIGHT = 460, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 42
TICKS = 5
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: where it stands in the drawing, and what it says."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A point with what it is, for the title that a pointer or a screen reader finds."""

    x: float
    y: float
    title: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing in its own coordinates, ready for the template."""

    title: str
    x_name: str
    y_name: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[tuple[str, str]] = field(default_factory=list)  # class and the points of each
    bands: list[str] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    bottom: int = HEIGHT - BOTTOM
    right: int = WIDTH - RIGHT


@dataclass(frozen=True, slots=True)
class Axis:
    """From values to places in the drawing, straight or by the logarithm."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def at(self, value: float) -> float:
        place: Callable[[float], float] = math.log if self.is_log else float
        share = (place(value) - place(self.low)) / (place(self.high) - place(self.low))
        return round(self.start + min(1.0, max(0.0, share)) * (self.end - self.start), 1)

    def ticks(self) -> list[Tick]:
        values = _log_ticks(self.low, self.high) if self.is_log else _round_ticks(self.low, self.high)
        return [Tick(self.at(value), f"{value:g}") for value in values]


def _round_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two values, five or so."""
    rough = (high - low) / TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]
    return [value for value in values if len(values) <= 2 * TICKS or math.log10(value) % 1 == 0]


def _axes(xs: Sequence[float], ys: Sequence[float], *, log_y: bool = False) -> tuple[Axis, Axis]:
    def spread(values: Sequence[float]) -> Point:
        low, high = min(values), max(values)
        return (low, high) if high > low else (low - 0.5, high + 0.5)

    x_low, x_high = spread(xs)
    y_low, y_high = spread(ys)
    return Axis(x_low, x_high, LEFT, WIDTH - RIGHT), Axis(y_low, y_high, HEIGHT - BOTTOM, TOP, log_y)


def _path(x: Axis, y: Axis, points: Sequence[Point]) -> str:
    return " ".join(f"{x.at(first)},{y.at(second)}" for first, second in points)


def spline_plot(factor: Mapping[str, Any]) -> Plot:
    """The hazard ratio along a number, with its band; one means as at the median."""
    points, name = factor["spline"]["points"], factor_name(factor["name"])
    highest = min(max(p["upper"] for p in points), 50 * max(p["hr"] for p in points))
    lowest = max(min(p["lower"] for p in points), min(p["hr"] for p in points) / 50)
    x, y = _axes([p["value"] for p in points], [lowest, highest, 1.0], log_y=True)
    upper = [(p["value"], p["upper"]) for p in points]
    lower = [(p["value"], p["lower"]) for p in reversed(points)]
    return Plot(
        _("hazard ratio along the factor, against its median"), name, _("hazard ratio"), x.ticks(), y.ticks(),
        lines=[
            ("reference", _path(x, y, [(points[0]["value"], 1.0), (points[-1]["value"], 1.0)])),
            ("estimate", _path(x, y, [(p["value"], p["hr"]) for p in points])),
        ],
        bands=[_path(x, y, [*upper, *lower])],
    )  # fmt: skip


def residual_plot(residuals: Mapping[str, Any]) -> Plot:
    """Scaled Schoenfeld residuals over time with a smooth line: level where the hazard ratio is one for all times."""
    name = direction_words(residuals)
    points, smooth = residuals["points"], residuals["smooth"]
    values = [value for _month, value in points] + [v for row in smooth for v in row[1:]]
    x, y = _axes([month for month, _value in points], values)
    band = [(row[0], row[3]) for row in smooth] + [(row[0], row[2]) for row in reversed(smooth)]
    ends = (points[0][0], points[-1][0])
    return Plot(
        _("scaled Schoenfeld residuals; a level line is one hazard ratio for all times"),
        _("months since the stop"), name, x.ticks(), y.ticks(),
        lines=[
            ("reference", _path(x, y, [(end, residuals["coef"]) for end in ends])),
            *([("estimate", _path(x, y, [(row[0], row[1]) for row in smooth]))] if smooth else []),
        ],
        bands=[_path(x, y, band)] if smooth else [],
        marks=[Mark(x.at(month), y.at(value)) for month, value in points],
    )  # fmt: skip


def funnel_plot(found: Mapping[str, Any]) -> Plot | None:
    """The share of losses of each centre over its size, between the limits of chance."""
    centres = sorted((c for c in found["centres"] if c["evaluable"]), key=lambda c: c["evaluable"])
    if len(centres) < 2:
        return None
    largest = centres[-1]["evaluable"]
    x, y = _axes([0, largest * 1.05], [0, 1])
    lines = [("reference", _path(x, y, [(0, found["proportion"]), (largest * 1.05, found["proportion"])]))]
    for level in ("0.95", "0.998"):
        for side in (0, 1):
            limits = [(c["evaluable"], c["limits"][level][side]) for c in centres]
            lines.append(("limit" if level == "0.95" else "limit far", _path(x, y, limits)))
    return Plot(
        _("share of losses by month 12 of each centre over its size"), _("evaluable"), _("lost by month 12"),
        x.ticks(), y.ticks(), lines=lines,
        marks=[
            Mark(x.at(c["evaluable"]), y.at(c["proportion"]), f"{c['centre']}: {c['lost']}/{c['evaluable']}")
            for c in centres
        ],
    )  # fmt: skip
