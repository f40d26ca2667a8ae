"""Competing risks: exact Aalen–Johansen estimates, Gray's test, and the Fine–Gray model.

What ends an observation is coded: 0 censored, 1 the event of interest, 2 a competing event.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from cohorts.domain.engine.arrays import Bools, Floats, Ints, Times, products, still_to_come, sums_per_day, symmetric
from cohorts.domain.engine.comparison import chi_square
from cohorts.domain.engine.curves import kaplan_meier
from cohorts.domain.engine.fitting import FLAT, MOST_COLUMNS, climb, on_a_common_scale
from cohorts.domain.estimates import ChiSquare, NotEstimable

CENSORED, EVENT, COMPETING = 0, 1, 2
MOST_STEPS = 50


@dataclass(frozen=True, slots=True)
class Incidence:
    """The cumulative incidence of one kind of event at each day on which any event falls, with its variance."""

    days: Ints
    at_risk: Ints
    events: Ints
    estimate: Floats
    variance: Floats

    def position(self, days: float) -> int:
        """The last step at or before so many days; -1 before the first."""
        return int(np.searchsorted(self.days, days, side="right")) - 1


def cumulative_incidence(days: Ints, ended: Ints, of: int = EVENT) -> Incidence:
    """Aalen–Johansen's estimate of one kind of event in the presence of the others."""
    grid, position = np.unique(days, return_inverse=True)
    at_risk = still_to_come(np.bincount(position))
    any_event = np.bincount(position[ended > 0], minlength=len(grid))
    mine = np.bincount(position[ended == of], minlength=len(grid))
    chosen = any_event > 0
    grid, n, d, m = grid[chosen], at_risk[chosen].astype(float), any_event[chosen], mine[chosen]
    after = np.cumprod((n - d) / n)
    before = _before(after, 1.0)
    estimate = np.cumsum(before * m / n)
    return Incidence(grid, at_risk[chosen], m, estimate, _aalen_variance(n, m, d - m, before, after, estimate))


def _aalen_variance(n: Floats, m: Ints, other: Ints, before: Floats, after: Floats, estimate: Floats) -> Floats:
    """Aalen's variance (1978) of F(t), with the hypergeometric factor of tied events, as cmprsk gives it.

    An event of interest on an earlier day s moves F(t) by S(s-)/n (1 - (F(t) - F(s))/S(s)), a competing one by
    -S(s-)/n (F(t) - F(s))/S(s). The squares are multiplied out in F(t), so that the sums grow with the days only.
    """

    def size(d: Ints) -> Floats:
        tied = 1 - np.maximum(d - 1, 0) / np.maximum(n - 1, 1)
        return (before / n) ** 2 * d * tied

    inverse = np.divide(1.0, after, out=np.zeros(len(n)), where=after > 0)
    mine, competing = size(m), np.where(after > 0, size(other), 0.0)
    reached = estimate * inverse
    constant = np.cumsum(mine * (1 + reached) ** 2 + competing * reached**2)
    linear = np.cumsum(inverse * (mine * (1 + reached) + competing * reached))
    quadratic = np.cumsum(inverse**2 * (mine + competing))
    return np.maximum(constant - 2 * estimate * linear + estimate**2 * quadratic, 0.0)


def incidence_limits(estimate: Floats, variance: Floats, *, transform: str, level: float) -> tuple[Floats, Floats]:
    """Limits of a cumulative incidence on the named scale; NaN where it is 0."""
    z = float(stats.norm.ppf(0.5 + level / 2))
    root = np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        if transform == "log-log":
            logarithm = np.log(estimate)
            width = z * root / (estimate * logarithm)
            lower, upper = np.exp(logarithm * np.exp(-width)), np.exp(logarithm * np.exp(width))
        elif transform == "log":
            width = z * root / estimate
            lower, upper = estimate * np.exp(-width), np.minimum(1.0, estimate * np.exp(width))
        elif transform == "linear":
            lower, upper = np.maximum(0.0, estimate - z * root), np.minimum(1.0, estimate + z * root)
        else:
            raise ValueError(f"unknown transform {transform}")
    none = estimate <= 0
    return np.where(none, np.nan, lower), np.where(none, np.nan, upper)


# --- Gray's test -------------------------------------------------------------------------------------------------


def gray_test(days: Ints, ended: Ints, group: Ints, strata: Ints | None = None) -> ChiSquare | None:
    """Gray's test that the cumulative incidence of the event is equal in the groups 0, 1, … (Ann Stat 1988;16:1141).

    None without an event or a second group. With ``strata`` people are compared within their stratum.
    """
    groups = int(group.max()) + 1 if len(group) else 0
    if not 2 <= groups <= MOST_COLUMNS or not (ended == EVENT).any():
        return None
    parts = [np.ones(len(days), bool)] if strata is None else [strata == s for s in np.unique(strata)]
    sums = [_gray_sums(days[rows], ended[rows], group[rows], groups) for rows in parts]
    score = np.sum([s for s, _v in sums], axis=0)[:-1]
    variance = np.sum([v for _s, v in sums], axis=0)[:-1, :-1]
    if not np.isfinite(variance).all() or np.linalg.matrix_rank(variance) < groups - 1:
        return None
    return chi_square(float(score @ np.linalg.solve(variance, score)), groups - 1)


def _gray_sums(days: Ints, ended: Ints, group: Ints, groups: int) -> tuple[Floats, Floats]:
    """Scores of the groups and their variance.

    The pooled incidence F has increments of all events over the sum of n/S(t-) of the groups; each group's own
    incidence and survival give the risk set n (1 - F(t-))/S(t-) of its subdistribution. The variance sums, for every
    group, squares of what the martingale of its events of interest contributes, and of its competing events.
    """
    grid, position = np.unique(days, return_inverse=True)
    cells, shape = position * groups + group, (len(grid), groups)

    def counted(rows: Bools) -> Floats:
        return np.bincount(cells[rows], minlength=shape[0] * groups).reshape(shape).astype(float)

    n = still_to_come(counted(np.ones(len(days), bool)))
    first, second = counted(ended == EVENT), counted(ended == COMPETING)
    happened = (first + second).sum(axis=1) > 0
    n, first, second = n[happened], first[happened], second[happened]
    alive = n > 0
    safe = np.where(alive, n, 1.0)

    after = np.cumprod(np.where(alive, (safe - first - second) / safe, 1.0), axis=0, dtype=np.float64)
    before = _before(after, 1.0)
    own_incidence: Floats = np.cumsum(before * first / safe, axis=0)
    own_before = _before(own_incidence, 0.0)
    weight = np.divide(n, before, out=np.zeros(n.shape), where=alive & (before > 0))
    total, events = weight.sum(axis=1), first.sum(axis=1)
    pooled: Floats = np.cumsum(events / total)
    left = total * (1 - _before(pooled, 0.0))
    rate = np.divide(events, left, out=np.zeros(len(left)), where=left > 1e-12)
    subset = weight * (1 - own_before)
    of_all = subset.sum(axis=1)
    part_of = np.divide(events, of_all, out=np.zeros(len(of_all)), where=of_all > 1e-12)
    score = (first - part_of[:, None] * subset).sum(axis=0)

    # days x groups x groups: the covariance of the weights, and what has drifted with them up to each day
    weights = -weight[:, :, None] * weight[:, None, :] / total[:, None, None]
    weights[:, range(groups), range(groups)] += weight
    drift = np.cumsum(weights * rate[:, None, None], axis=0)
    living = after > 0
    share = np.divide((1 - pooled)[:, None], after, out=np.zeros(n.shape), where=living)

    kept = np.where(living, 1 - share, 1.0)
    reached = total[:, None] * before - 1
    tied = 1 - np.divide(events[:, None] - 1, reached, out=np.zeros(n.shape), where=(events > 1)[:, None])
    size = np.where(alive, tied * before * events[:, None] / (total[:, None] * safe), 0.0)
    part = weights - drift * kept[:, None, :]
    own = (kept**2 * size).sum(axis=0)
    cross = np.einsum("tij,tj->ij", part, kept * size)
    variance = np.einsum("tik,tk,tjk->ij", part, size, part)

    tied = 1 - np.divide(second - 1, n - 1, out=np.zeros(n.shape), where=second > 1)
    size = np.where((second > 0) & living, tied * before**2 * second / safe**2, 0.0)
    part = drift * share[:, None, :]
    own += (share**2 * size).sum(axis=0)
    cross -= np.einsum("tij,tj->ij", part, share * size)
    variance += np.einsum("tik,tk,tjk->ij", part, size, part)

    whole = drift[-1]
    mixed = whole @ cross.T
    return score, variance + (whole * own) @ whole.T + mixed + mixed.T


def _before(values: Floats, start: float) -> Floats:
    """The same steps as they stand just before each day."""
    shifted = np.full(values.shape, start)
    shifted[1:] = values[:-1]
    return shifted


# --- Fine–Gray ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FineGrayFit:
    """Coefficients of the subdistribution hazard per unit of each covariate, with their robust variance."""

    coefficients: Floats
    variance: Floats
    log_likelihood: tuple[float, float]


class _Subdistribution:
    """Rows of a Fine–Gray model: who had a competing event stays at risk, weighted by the curve of censoring."""

    def __init__(self, days: Ints, ended: Ints, covariates: Floats) -> None:
        if not (ended == EVENT).any():
            raise NotEstimable("no_event")
        self.x, self.scale = on_a_common_scale(covariates)
        self.width = covariates.shape[1]
        self.event, self.competing, self.censored = ended == EVENT, ended == COMPETING, ended == CENSORED
        self.days, self.position = np.unique(days, return_inverse=True)
        # The chance of not yet being censored just before each day.
        censoring = kaplan_meier(Times(days, self.censored))
        self.uncensored = _before(censoring.estimate, 1.0)
        self.deaths = np.bincount(self.position[self.event], minlength=len(self.days)).astype(float)
        self.died = sums_per_day(self.position[self.event], self.x[self.event], len(self.days))
        self.pairs = products(self.x)

    def at_risk(self, values: Floats) -> Floats:
        """Weighted sums over those at risk on each day: rows x k becomes days x k."""
        size = len(self.days)
        here = still_to_come(sums_per_day(self.position, values, size))
        where, still = self.position[self.competing], values[self.competing]
        divided = still / self.uncensored[where].reshape(-1, *[1] * (values.ndim - 1))
        summed = sums_per_day(where, divided, size)
        gone = np.cumsum(summed, axis=0) - summed
        return np.asarray(here + gone * self.uncensored.reshape(-1, *[1] * (values.ndim - 1)))

    def sums(self, beta: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Hazards of the rows; weight, mean and mean products of those at risk on each day."""
        hazard = np.exp(self.x @ beta)
        weight = self.at_risk(hazard)
        mean = self.at_risk(hazard[:, None] * self.x) / weight[:, None]
        second = self.at_risk(hazard[:, None] * self.pairs) / weight[:, None]
        return hazard, weight, mean, second

    def log_likelihood(self, beta: Floats) -> float:
        linear = self.x @ beta
        weight = self.at_risk(np.exp(linear))
        here = self.deaths > 0
        return float(linear[self.event].sum() - self.deaths[here] @ np.log(weight[here]))


def fit_fine_gray(days: Ints, ended: Ints, covariates: Floats) -> FineGrayFit:
    """The model of the subdistribution hazard (JASA 1999;94:496), rows x p covariates, Breslow's ties.

    The variance counts that the curve of censoring is estimated. Raises ``NotEstimable``.
    """
    rows = _Subdistribution(days, ended, covariates)
    beta: Floats = np.zeros(rows.width)
    likelihood = empty = rows.log_likelihood(beta)
    spread_of_columns = np.ptp(rows.x, axis=0)
    converged = False
    for _step in range(MOST_STEPS):
        _hazard, _weight, mean, second = rows.sums(beta)
        gradient = (rows.died - mean * rows.deaths[:, None]).sum(axis=0)
        spread = symmetric(second, rows.width) - mean[:, :, None] * mean[:, None, :]
        information = np.tensordot(rows.deaths, spread, axes=1)
        if not np.isfinite(information).all() or np.linalg.matrix_rank(information, tol=1e-12) < rows.width:
            raise NotEstimable("not_converging")
        if converged:
            break
        converged = bool(np.abs(gradient).max() < 1e-10 * rows.deaths.sum())
        move = np.linalg.solve(information, gradient)
        beta, likelihood = climb(rows.log_likelihood, beta, move, likelihood, spread_of_columns)
        if (np.abs(beta) * spread_of_columns > 2 * FLAT).any():
            raise NotEstimable("not_converging")
    else:
        raise NotEstimable("not_converging")
    if (np.abs(beta) * spread_of_columns > FLAT).any():
        raise NotEstimable("not_converging")
    inverse = np.linalg.inv(information)
    moved = _influence(rows, beta) @ inverse / rows.scale
    return FineGrayFit(beta / rows.scale, moved.T @ moved, (empty, likelihood))


def _influence(rows: _Subdistribution, beta: Floats) -> Floats:
    """What each row adds to the gradient, by its own residual and by what it tells of the curve of censoring."""
    hazard, weight, mean, _second = rows.sums(beta)
    size, position = len(rows.days), rows.position
    increments = np.divide(rows.deaths, weight, out=np.zeros(size), where=rows.deaths > 0)

    def through(values: Floats) -> Floats:
        return np.cumsum(values, axis=0)

    plain, with_mean = through(increments), through(increments[:, None] * mean)
    own = -hazard[:, None] * (rows.x * plain[position, None] - with_mean[position])
    own[rows.event] += rows.x[rows.event] - mean[position[rows.event]]
    # Those with a competing event stay at risk after their day, with the weight G(t-)/G(T-).
    waiting, waiting_mean = (
        through(increments * rows.uncensored),
        through((increments * rows.uncensored)[:, None] * mean),
    )
    where = position[rows.competing]
    factor = hazard[rows.competing] / rows.uncensored[where]
    rest, rest_mean = waiting[-1] - waiting[where], waiting_mean[-1] - waiting_mean[where]
    own[rows.competing] -= factor[:, None] * (rows.x[rows.competing] * rest[:, None] - rest_mean)
    # q(u): what those who wait at u still add after u; divided by who is at risk at u, it is moved by each censoring.
    x, competing = rows.x, rows.competing
    held = sums_per_day(where, factor, size)
    held_x = sums_per_day(where, factor[:, None] * x[competing], size)
    before, before_x = np.cumsum(held) - held, np.cumsum(held_x, axis=0) - held_x
    later, later_mean = waiting[-1] - _before(waiting, 0.0), waiting_mean[-1] - _before(waiting_mean, 0.0)
    moved = -(before_x * later[:, None] - before[:, None] * later_mean)
    at_risk = still_to_come(np.bincount(position, minlength=size)).astype(float)
    lost = np.bincount(position[rows.censored], minlength=size)
    step = -moved / at_risk[:, None]
    psi = -through(step * (lost / at_risk)[:, None])[position]
    psi[rows.censored] += step[position[rows.censored]]
    return np.asarray(own + psi)
