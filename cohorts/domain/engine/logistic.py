"""Logistic regression by Newton steps: odds ratios at a fixed time, where everybody's outcome is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cohorts.domain.engine.arrays import Bools, Floats
from cohorts.domain.engine.comparison import chi_square
from cohorts.domain.engine.fitting import FLAT, LEAST_KNOWN, climb, on_a_common_scale
from cohorts.domain.estimates import ChiSquare, NotEstimable

GRADIENT = 1e-11
MOST_STEPS = 60


@dataclass(frozen=True, slots=True)
class LogisticFit:
    """Coefficients and variance per unit, without the intercept; ``separated`` where there is no finite estimate."""

    coefficients: Floats
    variance: Floats
    log_likelihood: tuple[float, float]  # without covariates, fitted
    separated: bool

    @property
    def lrt(self) -> ChiSquare:
        empty, fitted = self.log_likelihood
        return chi_square(max(0.0, 2 * (fitted - empty)), len(self.coefficients))


def fit_logistic(success: Bools, covariates: Floats) -> LogisticFit:
    """The model of these covariates (rows x p). Raises ``NotEstimable``, also where everybody or nobody succeeded."""
    if success.all() or not success.any():
        raise NotEstimable("no_event" if not len(success) or success.all() else "all_events")
    x, scale = on_a_common_scale(covariates)
    design = np.column_stack([np.ones(len(x)), x])
    outcome = success.astype(float)

    def likelihood_of(beta: Floats) -> float:
        # The sum of log(1 + exp(wrong)), where nothing overflows and no large sums cancel: near the top a step gains
        # less than they would lose.
        linear = design @ beta
        wrong = np.where(success, -linear, linear)
        return -float((np.maximum(wrong, 0) + np.log(1 + np.exp(-np.abs(wrong)))).sum())

    share = outcome.mean()
    beta: Floats = np.zeros(design.shape[1])
    beta[0] = np.log(share / (1 - share))
    likelihood = empty = likelihood_of(beta)
    spread = np.concatenate([[1.0], np.ptp(x, axis=0)])
    converged = False
    for _step in range(MOST_STEPS):
        gradient, information = _derivatives(design, outcome, beta)
        if converged or (np.abs(beta[1:]) * spread[1:] > 2 * FLAT).any():
            break
        converged = bool(np.abs(gradient).max() < GRADIENT * len(x))
        try:
            beta, likelihood = climb(likelihood_of, beta, np.linalg.solve(information, gradient), likelihood, spread)
        except np.linalg.LinAlgError:
            break
    with np.errstate(divide="ignore"):
        unknown = spread[1:] / np.sqrt(np.maximum(np.diag(information)[1:], 0)) > LEAST_KNOWN
    apart = bool((unknown | (np.abs(beta[1:]) * spread[1:] > FLAT)).any())
    variance = np.full((len(scale), len(scale)), np.nan)
    if not apart:
        variance = np.linalg.inv(information)[1:, 1:] / np.outer(scale, scale)
    return LogisticFit(beta[1:] / scale, variance, (empty, likelihood), apart)


def _derivatives(design: Floats, outcome: Floats, beta: Floats) -> tuple[Floats, Floats]:
    """The gradient of the log likelihood and its information."""
    chance = 1 / (1 + np.exp(-design @ beta))
    return design.T @ (outcome - chance), (design * (chance * (1 - chance))[:, None]).T @ design
