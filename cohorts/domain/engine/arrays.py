"""Arrays of observed times, and the sums over days that every statistic is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Times:
    """Observed times in whole days from the stop, and whether the event ended each. One entry a row."""

    days: Ints
    event: Bools

    def __post_init__(self) -> None:
        if len(self.days) and self.days.min() < 0:
            raise ValueError("a time before the stop")

    def __len__(self) -> int:
        return len(self.days)

    def of(self, chosen: Bools | Ints) -> Times:
        """The same times of some rows."""
        return Times(self.days[chosen], self.event[chosen])

    def reversed(self) -> Times:
        """Censorings as events, for the follow-up."""
        return Times(self.days, ~self.event)


A = TypeVar("A", Floats, Ints)


def still_to_come(per_day: A) -> A:
    """Sums of a day and all later ones, over the first axis: what is at risk where ``per_day`` is what ends."""
    return np.cumsum(per_day[::-1], axis=0)[::-1]


def sums_at(positions: Ints, values: Floats, size: int) -> Floats:
    """The values summed by position."""
    return np.asarray(np.bincount(positions, values, size), dtype=np.float64)


def sums_per_day(positions: Ints, values: Floats, days: int) -> Floats:
    """The columns of ``values`` summed by day: rows x columns becomes days x columns."""
    if values.ndim == 1:
        return sums_at(positions, values, days)
    return np.column_stack([sums_at(positions, column, days) for column in values.T])


def products(matrix: Floats) -> Floats:
    """The products of every two columns, each pair once: rows x p becomes rows x p(p + 1)/2."""
    first, second = np.triu_indices(matrix.shape[1])
    return matrix[:, first] * matrix[:, second]


def symmetric(pairs: Floats, width: int) -> Floats:
    """Sums of ``products`` as full matrices: ... x p(p + 1)/2 becomes ... x p x p."""
    first, second = np.triu_indices(width)
    full = np.empty((*pairs.shape[:-1], width, width))
    full[..., first, second] = pairs
    full[..., second, first] = pairs
    return full
