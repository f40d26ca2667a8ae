"""Cox's model with Firth's penalty, which has a finite estimate where a group is separated."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from cohorts.domain.engine.arrays import Floats, Ints, Times, still_to_come, sums_per_day
from cohorts.domain.engine.cox import CoxRows
from cohorts.domain.estimates import NotEstimable

MOST_STEPS = 500
CONVERGED = 1e-11
DIFFERENCE = 1e-5


@dataclass(frozen=True, slots=True)
class FirthFit:
    """Coefficients per unit of each covariate with profile limits and penalised likelihood-ratio P."""

    coefficients: Floats
    lower: Floats
    upper: Floats
    p: Floats
    gain: float  # of the penalised log likelihood over all coefficients 0


class _Penalised:
    """The partial likelihood (Breslow's ties) plus half the logarithm of the determinant of its information."""

    def __init__(self, times: Times, covariates: Floats) -> None:
        self.rows = CoxRows(times, covariates, "breslow")

    def value(self, beta: Floats) -> float:
        rows = self.rows
        sign, logarithm = np.linalg.slogdet(rows.risk(beta).spread_sum.sum(axis=0))
        return rows.log_likelihood(beta) + logarithm / 2 if sign > 0 else -math.inf

    def gradient(self, beta: Floats) -> Floats:
        """Firth's modified score: that of the likelihood, plus half the trace of how the information changes."""
        rows, risk, width = self.rows, self.rows.risk(beta), self.rows.width
        information = risk.spread_sum.sum(axis=0)
        third = np.empty((len(rows.event_day), width, width, width))
        for triple in itertools.combinations_with_replacement(range(width), 3):
            weight = risk.hazard * rows.x[:, triple].prod(axis=1)
            summed = still_to_come(sums_per_day(rows.position, weight, len(rows.days)))[rows.event_day]
            for i, j, k in itertools.permutations(triple):
                third[:, i, j, k] = summed
        total = still_to_come(sums_per_day(rows.position, risk.hazard, len(rows.days)))[rows.event_day]
        mean = risk.first[0] / total[:, None]
        second = risk.second[0] / total[:, None, None]
        crossed = np.einsum("tij,tk->tijk", second, mean)
        cumulant = (
            third / total[:, None, None, None]
            - crossed
            - crossed.transpose(0, 1, 3, 2)
            - crossed.transpose(0, 3, 2, 1)
            + 2 * np.einsum("ti,tj,tk->tijk", mean, mean, mean)
        )
        change = np.einsum("t,tijk->ijk", rows.deaths.astype(float), cumulant)
        gradient = rows.died.sum(axis=0) - risk.mean_sum.sum(axis=0)
        return np.asarray(gradient + np.einsum("ij,ijk->k", np.linalg.inv(information), change) / 2)

    def _direction(self, beta: Floats, gradient: Floats, free: Ints) -> Floats:
        """A Newton step in the free coefficients. The curvature of the penalty counts: without it the steps swing
        where there are few events. It is taken from differences of the gradient.
        """
        curvature = np.empty((len(free), len(free)))
        for column, j in enumerate(free):
            shift = np.zeros(self.rows.width)
            shift[j] = DIFFERENCE
            curvature[:, column] = (self.gradient(beta - shift) - self.gradient(beta + shift))[free] / (2 * DIFFERENCE)
        curvature = (curvature + curvature.T) / 2
        if np.linalg.eigvalsh(curvature).min() <= 0:
            return gradient[free]  # uphill at least
        return np.linalg.solve(curvature, gradient[free])

    def highest(self, start: Floats, fixed: int | None = None) -> tuple[Floats, float]:
        """Coefficients of the largest penalised likelihood with one of them held, and that likelihood."""
        beta, value = start.copy(), self.value(start)
        free = np.array([j for j in range(self.rows.width) if j != fixed], dtype=int)
        if not len(free):
            return beta, value
        for _step in range(MOST_STEPS):
            gradient = self.gradient(beta)
            if np.abs(gradient[free]).max() < CONVERGED:
                return beta, value
            move = np.zeros(self.rows.width)
            move[free] = self._direction(beta, gradient, free)
            move /= max(1.0, float(np.abs(move).max()) / 2)
            found = self.value(beta + move)
            halvings = 0
            while found < value - 1e-12 * abs(value) and halvings < 30:
                move, halvings = move / 2, halvings + 1
                found = self.value(beta + move)
            if np.abs(move).max() < 1e-13:
                return beta + move, found
            beta, value = beta + move, found
        raise NotEstimable("not_converging")


def fit_firth(times: Times, covariates: Floats, level: float) -> FirthFit:
    """Firth's penalised model: rows x p covariates. Raises ``NotEstimable``.

    The limits of a coefficient are where its profile of the penalised likelihood is the chi-square quantile below the
    top; its P is of the penalised likelihood ratio against 0. Neither assumes a normal coefficient (Heinze & Schemper
    2001).
    """
    try:
        with np.errstate(all="ignore"):
            return _fit(_Penalised(times, covariates), level)
    except (np.linalg.LinAlgError, ValueError, RuntimeError) as problem:  # no maximum, or no end of a profile
        raise NotEstimable("not_converging") from problem


def _fit(model: _Penalised, level: float) -> FirthFit:
    width, scale = model.rows.width, model.rows.scale
    if not math.isfinite(model.value(np.zeros(width))):
        raise NotEstimable("not_converging")  # a covariate does not vary in any risk set
    best, top = model.highest(np.zeros(width))
    drop = float(stats.chi2.ppf(level, 1)) / 2
    lower, upper, p = np.empty(width), np.empty(width), np.empty(width)
    for j in range(width):
        lower[j], upper[j] = (_profile_limit(model, best, top - drop, j, side) for side in (-1, 1))
        held = best.copy()
        held[j] = 0.0
        p[j] = stats.chi2.sf(max(0.0, 2 * (top - model.highest(held, j)[1])), 1)
    return FirthFit(best / scale, lower / scale, upper / scale, p, top - model.value(np.zeros(width)))


def _profile_limit(model: _Penalised, best: Floats, level: float, j: int, side: int) -> float:
    """Where the profile of coefficient ``j`` falls to ``level``, to the named side of the estimate; else infinite."""
    standing = best.copy()

    def above(value: float) -> float:
        held = standing.copy()
        held[j] = value
        found, height = model.highest(held, j)
        standing[:] = found
        return height - level

    near, width = float(best[j]), 0.5
    if above(near) <= 0:
        return near
    for _step in range(60):
        far = near + side * width
        if above(far) < 0:
            return float(optimize.brentq(above, near, far, xtol=1e-12, rtol=1e-14))
        near, width = far, width * 1.3
    return side * math.inf
