"""Small drawings made by the server for figures that stand in a table beside them: columns, and a line in its band."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 560, 150
LEFT, BOTTOM, TOP = 66, 22, 8
MOST_LABELS = 8


@dataclass(frozen=True, slots=True)
class Tick:
    """A label beside an axis."""

    x: float
    y: float
    words: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A column from the axis upwards."""

    x: float
    y: float
    width: float
    height: float
    words: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing: columns, or a line (parts of it where values are missing) with its band."""

    ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...] = ()
    lines: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    foot: int = HEIGHT - BOTTOM


def columns(labels: Sequence[str], values: Sequence[int]) -> Plot | None:
    """Counts as columns from 0; None where there is nothing to draw."""
    most = max(values, default=0)
    if not most:
        return None
    step = (WIDTH - LEFT) / len(values)
    scale = (HEIGHT - TOP - BOTTOM) / most
    bars = tuple(
        Bar(round(LEFT + n * step + 1, 1), round(HEIGHT - BOTTOM - v * scale, 1), round(max(1, step - 2), 1),
            round(v * scale, 1), f"{label}: {v}")
        for n, (label, v) in enumerate(zip(labels, values, strict=True))
    )  # fmt: skip
    return Plot((*_feet(labels, step), Tick(LEFT - 4, TOP + 8, str(most)), Tick(LEFT - 4, HEIGHT - BOTTOM, "0")), bars)


def band(labels: Sequence[str], values: Sequence[tuple[float, float, float] | None]) -> Plot | None:
    """Low, middle and high of each place on a logarithmic axis; a place without values parts the line."""
    known = [value for value in values if value is not None and value[0] > 0]
    if not known:
        return None
    low, high = math.floor(math.log10(min(v[0] for v in known))), math.ceil(math.log10(max(v[2] for v in known)))
    high = max(high, low + 1)
    step = (WIDTH - LEFT) / len(values)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (math.log10(value) - low) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    parts: list[list[tuple[float, tuple[float, float, float]]]] = [[]]
    for n, value in enumerate(values):
        if value is None or value[0] <= 0:
            parts.append([])
        else:
            parts[-1].append((round(LEFT + (n + 0.5) * step, 1), value))
    drawn = [part for part in parts if part]
    lines = tuple(" ".join(f"{x},{y(v[1])}" for x, v in part) for part in drawn)
    bands = tuple(
        " ".join([*(f"{x},{y(v[2])}" for x, v in part), *(f"{x},{y(v[0])}" for x, v in reversed(part))])
        for part in drawn
    )
    ticks = (Tick(LEFT - 4, y(10.0**power) + 4, f"{10**power:,}") for power in range(low, high + 1))
    return Plot((*_feet(labels, step), *ticks), lines=lines, bands=bands)


def _feet(labels: Sequence[str], step: float) -> list[Tick]:
    """The labels below the axis, so few that they stand apart."""
    every = math.ceil(len(labels) / MOST_LABELS)
    return [
        Tick(round(LEFT + (n + 0.5) * step, 1), HEIGHT - 6, label) for n, label in enumerate(labels) if n % every == 0
    ]
