"""What a cut-off that was looked for in the data is worth: the largest log-rank statistic, and its P by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cohorts.domain.engine.arrays import Floats, Ints, Times

PERMUTATIONS = 10_000
SEED = 20_250_222
LEAST_SHARE = 0.2
MOST_ROWS = 2_000  # beyond it a permutation costs more than a night has
_AT_A_TIME = 250


@dataclass(frozen=True, slots=True)
class BestCut:
    """The candidate with the largest log-rank statistic, and the share of permutations that reach it."""

    cut: float  # members at or above it are the upper group
    chi2: float
    p: float
    candidates: int
    permutations: int


def best_cut(times: Times, values: Floats) -> BestCut | None:
    """The cut of these values that separates the curves most, with the P of the search.

    Candidates leave a fifth of the members on each side at least. In each permutation the values are dealt anew and the
    largest statistic of all candidates is taken; P counts the observed one as well. None without an event or candidate.
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    size = len(values)
    lower = np.flatnonzero(np.diff(ordered) > 0) + 1  # how many are below each candidate
    lower = lower[(lower >= LEAST_SHARE * size) & (size - lower >= LEAST_SHARE * size)]
    if not len(lower) or not times.event.any():
        return None
    at_risk = _at_risk(times)
    observed = _statistics(times, at_risk, order[None, :], lower)[0]
    best = int(np.argmax(observed))
    chance = np.random.default_rng(SEED)
    reached = 0
    for start in range(0, PERMUTATIONS, _AT_A_TIME):
        number = min(_AT_A_TIME, PERMUTATIONS - start)
        deals = chance.permuted(np.tile(np.arange(size), (number, 1)), axis=1)
        largest = _statistics(times, at_risk, deals, lower).max(axis=1)
        reached += int((largest >= observed[best] * (1 - 1e-9)).sum())
    p = (reached + 1) / (PERMUTATIONS + 1)
    return BestCut(float(ordered[lower[best]]), float(observed[best]), p, len(lower), PERMUTATIONS)


def _at_risk(times: Times) -> tuple[Floats, Floats, Floats]:
    """Of the event days: who is at risk (days x rows), events, and all at risk."""
    days = np.unique(times.days[times.event])
    exposed = (times.days[None, :] >= days[:, None]).astype(float)
    events = np.array([float((times.event & (times.days == day)).sum()) for day in days])
    return exposed, events, exposed.sum(axis=1)


def _statistics(times: Times, at_risk: tuple[Floats, Floats, Floats], orders: Ints, lower: Ints) -> Floats:
    """Log-rank statistics of orders x candidates, the first ``lower`` rows of an order being the lower group."""
    exposed, events, total = at_risk
    died = np.cumsum(times.event[orders], axis=1)[:, lower - 1]
    share = np.cumsum(exposed[:, orders], axis=2)[:, :, lower - 1] / total[:, None, None]
    expected = np.tensordot(events, share, axes=1)
    spread = events * np.divide(total - events, total - 1, out=np.zeros(len(total)), where=total > 1)
    variance = np.tensordot(spread, share * (1 - share), axes=1)
    apart = (died - expected) ** 2
    return np.asarray(np.divide(apart, variance, out=np.zeros(variance.shape), where=variance > 1e-12))
