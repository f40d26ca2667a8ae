"""The Levey-Jennings strip beside a control: its last values over the lots, drawn by the server."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from monitoring.domain.quality.levey_jennings import Limits
from monitoring.selectors.runs import ChartPoint

WIDTH, HEIGHT, MARGIN = 240, 64, 6
_LEAST_SPAN = 0.5  # log10


@dataclass(frozen=True, slots=True)
class Mark:
    """A value where it is drawn, with its words; ``begins_lot`` where another lot began."""

    x: float
    y: float
    failed: bool
    begins_lot: bool
    words: str


@dataclass(frozen=True, slots=True)
class Strip:
    """A drawing of a control's values; ``lines`` are mean, 2 SD and 3 SD with their kind."""

    marks: tuple[Mark, ...]
    lines: tuple[tuple[float, str], ...]
    width: int = WIDTH
    height: int = HEIGHT


def strip_of(points: Sequence[ChartPoint], limits: Limits | None) -> Strip | None:
    """The strip of these values in log10; None where there is none."""
    shown = [(point, math.log10(point.percent)) for point in points if point.percent > 0]
    if not shown:
        return None
    values = [value for _point, value in shown]
    sides = [(limits.mean + k * limits.sd, kind) for k, kind in _SIDES] if limits else []
    low, high = min(values + [v for v, _k in sides]), max(values + [v for v, _k in sides])
    if high - low < _LEAST_SPAN:
        middle = (high + low) / 2
        low, high = middle - _LEAST_SPAN / 2, middle + _LEAST_SPAN / 2

    def y(value: float) -> float:
        return round(HEIGHT - MARGIN - (value - low) / (high - low) * (HEIGHT - 2 * MARGIN), 1)

    step = (WIDTH - 2 * MARGIN) / max(1, len(shown) - 1)
    marks = tuple(
        Mark(
            round(MARGIN + n * step, 1), y(value), point.failed, n > 0 and point.lot != shown[n - 1][0].lot,
            f"{point.run_name}: {point.percent:.4g}",
        )
        for n, (point, value) in enumerate(shown)
    )  # fmt: skip
    return Strip(marks, tuple((y(value), kind) for value, kind in sides))


_SIDES = ((-3, "three"), (-2, "two"), (0, "mean"), (2, "two"), (3, "three"))
