"""The Levey-Jennings strip beside a control: its last values over the lots, drawn by the server."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

from monitoring.domain.course.series import TimePoint
from monitoring.domain.quality.levey_jennings import Limits
from monitoring.domain.scoring.response import Score
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


TREND_WIDTH, TREND_HEIGHT = 220, 72
_TOP, _BOTTOM = 2.0, -3.0  # log10 of % IS: from 100 % to MR5
# Where a value that was not detected is drawn, by what its sample could see.
_DEPTH_LOG10 = {"MR4": -2.0, "MR4_5": -2.5, "MR5": -3.0}


@dataclass(frozen=True, slots=True)
class Trend:
    """A patient's last values and the new one in log10 of % IS; ``mmr`` is where 0.1 % lies."""

    marks: tuple[Mark, ...]
    mmr: float
    width: int = TREND_WIDTH
    height: int = TREND_HEIGHT


def trend_of(points: Sequence[TimePoint], new: Score, on: dt.date) -> Trend:
    """The last values before a result and the result itself; what was not detected is drawn hollow at its depth."""
    rows = [(point.on, point.response_class, point.is_percent) for point in points]
    rows.append((on, new.response_class, new.is_percent))
    first, last = rows[0][0], rows[-1][0]
    days = max(1, (last - first).days)

    def y(value: float) -> float:
        inside = min(_TOP, max(_BOTTOM, value))
        return round(MARGIN + (_TOP - inside) / (_TOP - _BOTTOM) * (TREND_HEIGHT - 2 * MARGIN), 1)

    marks = []
    for day, response_class, percent in rows:
        value = math.log10(percent) if percent else _DEPTH_LOG10.get(response_class, _BOTTOM)
        x = round(MARGIN + (day - first).days / days * (TREND_WIDTH - 2 * MARGIN), 1)
        shown = f"{percent:.4g} % IS" if percent else response_class
        marks.append(Mark(x, y(value), percent is None, False, f"{day}: {shown}"))
    return Trend(tuple(marks), y(-1.0))


_SIDES = ((-3, "three"), (-2, "two"), (0, "mean"), (2, "two"), (3, "three"))
