"""Whether hazards are proportional: the exact score test of Grambsch and Therneau, and scaled Schoenfeld residuals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cohorts.domain.engine.arrays import Floats
from cohorts.domain.engine.comparison import chi_square
from cohorts.domain.engine.cox import CoxFit
from cohorts.domain.engine.curves import kaplan_meier
from cohorts.domain.estimates import ChiSquare, Proportionality


def time_scale(fit: CoxFit, transform: str = "km") -> Floats:
    """The scale of time at each event day: ``km`` is 1 minus the curve just before it, ``identity`` the day itself."""
    days = fit.rows.days[fit.rows.event_day]
    if transform == "identity":
        return days.astype(float)
    curve = kaplan_meier(fit.rows.times)
    before = np.concatenate([[1.0], curve.estimate])[np.searchsorted(curve.days, days)]
    return 1.0 - before


def zph(fit: CoxFit, terms: Sequence[Sequence[int]], transform: str = "km") -> Proportionality:
    """R's ``cox.zph``: score tests that no coefficient changes with the scaled time, of each term and of all.

    ``terms`` are the columns of each.

    Exact as in R's survival from 3.0: the information of coefficients and of their slopes in time is summed with the
    covariance of every risk set, and not taken as constant.
    """
    scale = time_scale(fit, transform)
    scale = scale - scale.mean()  # changes nothing but the rounding
    spread = fit.risk.spread_sum
    width = fit.rows.width
    plain = spread.sum(axis=0)
    once = np.tensordot(scale, spread, axes=1)
    twice = np.tensordot(scale**2, spread, axes=1)
    slope = scale @ (fit.rows.died - fit.risk.mean_sum)

    def tested(columns: Sequence[int]) -> ChiSquare:
        chosen = np.array(columns)
        information = np.block([[plain, once[:, chosen]], [once[chosen], twice[np.ix_(chosen, chosen)]]])
        gradient = np.concatenate([np.zeros(width), slope[chosen]])
        statistic = float(gradient @ np.linalg.lstsq(information, gradient, rcond=None)[0])
        return chi_square(max(0.0, statistic), len(chosen))

    return Proportionality(tuple(tested(columns) for columns in terms), tested(range(width)))


def scaled_residuals(fit: CoxFit, transform: str = "km") -> tuple[Floats, Floats]:
    """Scaled Schoenfeld residuals: the scaled time of each event, and events x p around each coefficient.

    Each estimates the coefficient at its time; a line through them that is not level speaks against one coefficient.
    """
    rows, event = fit.rows, fit.rows.times.event
    order = np.flatnonzero(event)[np.argsort(rows.times.days[event], kind="stable")]
    day = np.searchsorted(rows.event_day, rows.position[order])
    residuals = rows.x[order] - (fit.risk.mean_sum / rows.deaths[:, None])[day]
    scaled = (residuals * rows.scale) @ fit.variance * len(order) + fit.coefficients
    return time_scale(fit, transform)[day], scaled
