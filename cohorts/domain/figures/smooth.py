"""Pictures of a model: how the risk changes with a number, and whether a hazard ratio changes with time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from cohorts.domain.definition import Definition, Factor
from cohorts.domain.engine.arrays import Floats
from cohorts.domain.engine.cox import CoxFit, fit_cox
from cohorts.domain.engine.splines import knots_of, spline_columns
from cohorts.domain.estimates import CoxModel, NotEstimable, ScaledResiduals
from cohorts.domain.member_table import MemberTable
from cohorts.domain.survival import chi_square_p
from monitoring.domain.vocabulary.dates import DAYS_PER_MONTH

KNOTS = (0.1, 0.5, 0.9)
LEAST_EVENTS = 10  # two coefficients, and a curve that means anything
GRID = 41
MOST_RESIDUALS = 300
TIME_KNOTS = (0.0, 1 / 3, 2 / 3, 1.0)


def spline_of(factor: Factor, known: MemberTable, definition: Definition) -> dict[str, Any] | None:
    """The hazard ratio along a number, against its median, by a restricted cubic spline; None where it has too few.

    The test is of the curve against a straight line. Limits are pointwise, by the normal distribution.
    """
    values = known[factor.column]
    usable = ~np.isnan(values)
    values, times = values[usable], known.times.of(usable)
    if definition.attempts == "all" or int(times.event.sum()) < LEAST_EVENTS:
        return None
    knots = knots_of(values, KNOTS)
    if len(np.unique(knots)) < len(KNOTS):
        return None
    try:
        curve = fit_cox(times, spline_columns(values, knots), definition.ties)
        line = fit_cox(times, values[:, None], definition.ties)
    except NotEstimable:
        return None
    if curve.separated.any():
        return None
    chi2 = max(0.0, curve.lrt.chi2 - line.lrt.chi2)
    reference = float(np.median(values))
    return {
        "knots": knots.tolist(),
        "events": int(times.event.sum()),
        "members": len(values),
        "reference": reference,
        "overall": {"chi2": curve.lrt.chi2, "df": curve.lrt.df, "p": curve.lrt.p},
        "bend": {"chi2": chi2, "df": 1, "p": chi_square_p(chi2, 1)},
        "level": definition.level,
        "points": _along(curve, values, knots, reference, definition.level),
    }


def _along(curve: CoxFit, values: Floats, knots: Floats, reference: float, level: float) -> list[dict[str, float]]:
    """The curve between the fifth and the ninety-fifth percentile: beyond them it rests on a few people."""
    low, high = knots_of(values, (0.05, 0.95))
    grid = np.linspace(low, high, GRID)
    apart = spline_columns(grid, knots) - spline_columns(np.array([reference]), knots)
    log_ratio = apart @ curve.coefficients
    width = float(stats.norm.ppf(0.5 + level / 2)) * np.sqrt(np.einsum("ij,jk,ik->i", apart, curve.variance, apart))
    columns = (grid, np.exp(log_ratio), np.exp(log_ratio - width), np.exp(log_ratio + width))
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [dict(zip(("value", "hr", "lower", "upper"), row, strict=True)) for row in rows]


def residuals_of(model: CoxModel | None, labels: Sequence[dict[str, Any]], level: float) -> list[dict[str, Any]]:
    """Scaled Schoenfeld residuals of each coefficient, with a smooth line and its limits, as R draws them.

    A line that is not level speaks against one hazard ratio for all times. Of more than 300 events, means of equally
    many are given.
    """
    found = model.residuals if model else None
    if found is None or len(found.scale) < LEAST_EVENTS or len(np.unique(found.scale)) < len(TIME_KNOTS):
        return []
    months = found.days / DAYS_PER_MONTH
    return [
        {
            **label,
            "coef": float(found.coefficients[position]),
            "points": _thinned(months, found.values[:, position]),
            "smooth": _smooth(found, position, level),
        }
        for position, label in enumerate(labels)
    ]


def _thinned(months: Floats, values: Floats) -> list[list[float]]:
    groups = min(len(months), MOST_RESIDUALS)
    edges = np.linspace(0, len(months), groups + 1).astype(int)
    counts = np.diff(edges)
    means = [np.add.reduceat(column, edges[:-1]) / counts for column in (months, values)]
    return [row.tolist() for row in np.column_stack(means)]


def _smooth(found: ScaledResiduals, position: int, level: float) -> list[list[float]]:
    """A natural spline of four degrees of freedom through the residuals over the scaled time: months, line, limits."""
    knots = np.quantile(found.scale, TIME_KNOTS)
    if len(np.unique(knots)) < len(knots):
        return []
    design = np.column_stack([np.ones(len(found.scale)), spline_columns(found.scale, knots)])
    gram = np.linalg.pinv(design.T @ design)
    line = gram @ design.T @ found.values[:, position]
    days = found.event_days
    chosen = np.unique(np.linspace(0, len(days) - 1, min(len(days), GRID)).astype(int))
    grid = np.column_stack([np.ones(len(chosen)), spline_columns(found.event_day_scale[chosen], knots)])
    estimate = grid @ line
    spread = np.sqrt(np.einsum("ij,jk,ik->i", grid, gram, grid) * found.variances[position] * len(found.scale))
    width = float(stats.norm.ppf(0.5 + level / 2)) * spread
    columns = (days[chosen] / DAYS_PER_MONTH, estimate, estimate - width, estimate + width)
    return [row.tolist() for row in np.column_stack(columns)]
