"""Cox's model by Newton steps over sums per day: Efron's or Breslow's ties, score, robust variance, residuals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cohorts.domain.engine.arrays import (
    Bools,
    Floats,
    Ints,
    Times,
    still_to_come,
    sums_at,
    sums_per_day,
    symmetric,
)
from cohorts.domain.engine.comparison import chi_square
from cohorts.domain.engine.fitting import FLAT, LEAST_KNOWN, climb, on_a_common_scale
from cohorts.domain.estimates import ChiSquare, NotEstimable

TIES = ("efron", "breslow")
# The gradient at which a fit has converged, for covariates on a common scale and per event.
GRADIENT = 1e-10
MOST_STEPS = 60


@dataclass(frozen=True, slots=True)
class Risk:
    """The risk sets of the event days under given coefficients.

    Efron takes the d events of a day out of the risk set in d steps, the k-th of which leaves the share (1 - k/d) of
    their hazards; Breslow leaves all of them in. ``weight`` sums the hazards of each step.
    """

    hazard: Floats  # rows
    weight: Floats  # steps
    inverse: tuple[Floats, Floats]  # event days: sums over the steps of share^0, share^1 over weight
    squared: tuple[Floats, Floats, Floats]  # event days: sums of share^0, share^1, share^2 over weight squared
    first: tuple[Floats, Floats]  # event days x p: sums of hazard times covariate, of all at risk and of the events
    second: tuple[Floats, Floats]  # event days x p x p: the same of the products

    @property
    def mean_sum(self) -> Floats:
        """The risk set's mean covariates, summed over the steps of each event day."""
        return self.first[0] * self.inverse[0][:, None] - self.first[1] * self.inverse[1][:, None]

    @property
    def spread_sum(self) -> Floats:
        """The risk set's covariance matrices, summed over the steps of each event day."""
        whole, tied = self.first
        cross = whole[:, :, None] * tied[:, None, :]
        means = (
            whole[:, :, None] * whole[:, None, :] * self.squared[0][:, None, None]
            - (cross + cross.transpose(0, 2, 1)) * self.squared[1][:, None, None]
            + tied[:, :, None] * tied[:, None, :] * self.squared[2][:, None, None]
        )
        moments = self.second[0] * self.inverse[0][:, None, None] - self.second[1] * self.inverse[1][:, None, None]
        return moments - means


class CoxRows:
    """Rows of a Cox model on a common scale, with the days on which events fall.

    Raises ``NotEstimable`` without a covariate or event, and where a covariate is constant or follows from others.
    """

    def __init__(self, times: Times, covariates: Floats, ties: str = "efron") -> None:
        if not times.event.any():
            raise NotEstimable("no_event")
        self.times, self.ties = times, ties
        self.x, self.scale = on_a_common_scale(covariates)
        self.width = covariates.shape[1]
        self.days, self.position = np.unique(times.days, return_inverse=True)
        deaths = np.bincount(self.position[times.event], minlength=len(self.days))
        self.event_day = np.flatnonzero(deaths)  # positions among the days
        self.deaths = deaths[self.event_day]
        self.step_day = np.repeat(np.arange(len(self.event_day)), self.deaths)
        number = np.arange(self.deaths.sum()) - np.repeat(np.cumsum(self.deaths) - self.deaths, self.deaths)
        self.share = number / self.deaths[self.step_day] if ties == "efron" else np.zeros(len(number))
        self.died = sums_per_day(self.position[times.event], self.x[times.event], len(self.days))[self.event_day]

    def _sums(self, values: Floats) -> tuple[Floats, Floats]:
        """Of all at risk on each event day, and of the events of the day."""
        event = self.times.event
        whole = still_to_come(sums_per_day(self.position, values, len(self.days)))[self.event_day]
        return whole, sums_per_day(self.position[event], values[event], len(self.days))[self.event_day]

    def _pair_sums(self, hazard: Floats) -> tuple[Floats, Floats]:
        """The same of the products of every two covariates, one product at a time."""
        both = zip(*np.triu_indices(self.width), strict=True)
        pairs = [self._sums(hazard * self.x[:, i] * self.x[:, j]) for i, j in both]
        return np.column_stack([whole for whole, _ in pairs]), np.column_stack([tied for _, tied in pairs])

    def risk(self, beta: Floats) -> Risk:
        """The risk sets under these coefficients (on the common scale)."""
        linear = self.x @ beta
        hazard = np.exp(linear - linear.max())
        (whole, tied), first = self._sums(hazard), self._sums(hazard[:, None] * self.x)
        second = self._pair_sums(hazard)
        weight = whole[self.step_day] - self.share * tied[self.step_day]
        size = len(self.event_day)
        one, left_out = 1 / weight, self.share / weight
        inverse = (sums_at(self.step_day, one, size), sums_at(self.step_day, left_out, size))
        squared = (
            sums_at(self.step_day, one**2, size),
            sums_at(self.step_day, one * left_out, size),
            sums_at(self.step_day, left_out**2, size),
        )
        matrices = (symmetric(second[0], self.width), symmetric(second[1], self.width))
        return Risk(hazard, weight, inverse, squared, first, matrices)

    def log_likelihood(self, beta: Floats) -> float:
        linear = self.x @ beta
        top = linear.max()
        whole, tied = self._sums(np.exp(linear - top))
        weight = whole[self.step_day] - self.share * tied[self.step_day]
        if (weight <= 0).any():
            return -math.inf
        return float(linear[self.times.event].sum() - np.log(weight).sum() - top * len(weight))


@dataclass(frozen=True, slots=True)
class CoxFit:
    """A fitted model. ``coefficients`` and ``variance`` are per unit; ``gradient`` is its largest part."""

    rows: CoxRows
    beta: Floats  # on the common scale
    risk: Risk
    coefficients: Floats
    variance: Floats
    log_likelihood: tuple[float, float]  # without covariates, fitted
    gradient: float
    score: ChiSquare | None
    separated: Bools  # coefficients without a finite estimate; their variance is NaN
    converged: bool

    @property
    def lrt(self) -> ChiSquare:
        empty, fitted = self.log_likelihood
        return chi_square(max(0.0, 2 * (fitted - empty)), self.rows.width)


def fit_cox(times: Times, covariates: Floats, ties: str = "efron") -> CoxFit:
    """The model with the largest partial likelihood: Newton steps, halved where the likelihood would fall.

    ``covariates`` is rows x p. Raises ``NotEstimable``. Where the likelihood has no maximum the steps end where it is
    flat, and ``separated`` names the coefficients that have no finite estimate.
    """
    rows = CoxRows(times, covariates, ties)
    beta: Floats = np.zeros(rows.width)
    likelihood = empty = rows.log_likelihood(beta)
    bound = GRADIENT * max(1, int(rows.deaths.sum()))
    score: ChiSquare | None = None
    converged = False
    spread = np.ptp(rows.x, axis=0)
    for step in range(MOST_STEPS):
        risk = rows.risk(beta)
        gradient, information = _derivatives(rows, risk)
        try:
            move = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            break
        if step == 0:
            score = chi_square(float(gradient @ move), rows.width)
        if converged or (np.abs(beta) * spread > 2 * FLAT).any():
            break
        converged = bool(np.abs(gradient).max() < bound)  # one step more, which costs little and gains all digits
        beta, likelihood = climb(rows.log_likelihood, beta, move, likelihood, spread)
    else:
        risk = rows.risk(beta)
        gradient, information = _derivatives(rows, risk)
    apart = _separated(rows, beta, information)
    variance = np.full((rows.width, rows.width), np.nan)
    kept = np.flatnonzero(~apart)
    if len(kept):
        try:
            variance[np.ix_(kept, kept)] = np.linalg.inv(information[np.ix_(kept, kept)])
        except np.linalg.LinAlgError as problem:
            raise NotEstimable("not_converging") from problem
    return CoxFit(
        rows=rows,
        beta=beta,
        risk=risk,
        coefficients=beta / rows.scale,
        variance=variance / np.outer(rows.scale, rows.scale),
        log_likelihood=(empty, likelihood),
        gradient=float(np.abs(gradient / rows.scale).max()),
        score=score,
        separated=apart,
        converged=converged,
    )


def _separated(rows: CoxRows, beta: Floats, information: Floats) -> Bools:
    """Which coefficients have no finite estimate.

    One side of a covariate with two levels has no event or is at risk at none, or the likelihood is flat.
    """
    if not np.isfinite(information).all():
        raise NotEstimable("not_converging")
    times, first_event = rows.times, rows.days[rows.event_day[0]]
    spread = np.ptp(rows.x, axis=0)
    with np.errstate(divide="ignore"):
        flat = (np.abs(beta) * spread > FLAT) | (spread / np.sqrt(np.maximum(np.diag(information), 0)) > LEAST_KNOWN)
    for position, column in enumerate(rows.x.T):
        lowest, highest = column.min(), column.max()
        sides = (column == lowest, column == highest)
        if (sides[0] | sides[1]).all():
            flat[position] |= any(not times.event[s].any() or times.days[s].max() < first_event for s in sides)
    return np.asarray(flat)


def _derivatives(rows: CoxRows, risk: Risk) -> tuple[Floats, Floats]:
    """The gradient of the log partial likelihood and its information."""
    return rows.died.sum(axis=0) - risk.mean_sum.sum(axis=0), risk.spread_sum.sum(axis=0)


def score_residuals(fit: CoxFit) -> Floats:
    """What each row adds to the gradient, rows x p, per unit of the covariates: their sum is the gradient.

    For an event of d on its day, Efron's hazard of the day counts with the share that each step leaves of it.
    """
    rows, risk = fit.rows, fit.risk
    days = len(rows.days)
    event, own_day = rows.times.event, np.searchsorted(rows.event_day, rows.position)
    inverse, mean_over = risk.inverse, _mean_over_weight(risk)
    hazard_until = _until(inverse[0], rows.event_day, days)[rows.position]
    means_until = _until(mean_over[0], rows.event_day, days)[rows.position]
    residuals = -risk.hazard[:, None] * (rows.x * hazard_until[:, None] - means_until)
    mine = own_day[event]
    residuals[event] += rows.x[event] - risk.mean_sum[mine] / rows.deaths[mine][:, None]
    tied = rows.x[event] * inverse[1][mine][:, None] - mean_over[1][mine]
    residuals[event] += risk.hazard[event][:, None] * tied
    return np.asarray(residuals * rows.scale)


def _mean_over_weight(risk: Risk) -> tuple[Floats, Floats]:
    """Event days x p: the mean of each step over its weight, summed; and the same times the share taken out."""
    whole, tied = risk.first
    one, two, three = (s[:, None] for s in risk.squared)
    return whole * one - tied * two, whole * two - tied * three


def _until(of_event_days: Floats, event_day: Ints, days: int) -> Floats:
    """Sums up to and with each day of a quantity that the event days have."""
    spread = np.zeros((days, *of_event_days.shape[1:]))
    spread[event_day] = of_event_days
    return np.cumsum(spread, axis=0)


def robust_variance(fit: CoxFit, clusters: Ints) -> Floats:
    """The sandwich by cluster: squares of what each cluster's rows together move the coefficients.

    NaN for a coefficient without a finite estimate.
    """
    moved = score_residuals(fit) @ np.nan_to_num(fit.variance)
    by_cluster = sums_per_day(clusters, moved, int(clusters.max()) + 1)
    return np.where(np.isnan(fit.variance), np.nan, by_cluster.T @ by_cluster)


def wald(coefficients: Floats, variance: Floats) -> ChiSquare | None:
    """Whether these coefficients are all 0, by their own variance; None where fewer patients than coefficients vary."""
    scale = np.sqrt(np.diag(variance))
    if (scale == 0).any() or np.linalg.matrix_rank(variance / np.outer(scale, scale)) < len(coefficients):
        return None
    return chi_square(float(coefficients @ np.linalg.solve(variance, coefficients)), len(coefficients))
