"""Restricted cubic splines: a smooth curve of a number that is straight beyond its outer knots."""

from __future__ import annotations

import numpy as np

from cohorts.domain.engine.arrays import Floats


def knots_of(values: Floats, shares: tuple[float, ...]) -> Floats:
    """The quantiles of values by (n + 1)p, the rule of all quantiles here."""
    return np.asarray(np.quantile(values, shares, method="weibull"), dtype=float)


def spline_columns(values: Floats, knots: Floats) -> Floats:
    """The columns of the spline: the value itself, and one for each knot but two (rows x (knots - 1)).

    Harrell's form: cubic pieces that join smoothly, divided by the square of the distance of the outer knots.
    """
    last, before = knots[-1], knots[-2]
    width = (last - knots[0]) ** 2

    def cube(at: float) -> Floats:
        return np.asarray(np.maximum(values - at, 0) ** 3)

    bent = [
        (cube(knot) - cube(before) * (last - knot) / (last - before) + cube(last) * (before - knot) / (last - before))
        / width
        for knot in knots[:-2]
    ]
    return np.column_stack([values, *bent])
