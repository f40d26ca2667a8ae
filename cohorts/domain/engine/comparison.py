"""Tests that compare groups: log-rank, also within strata."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from cohorts.domain.engine.arrays import Floats, Ints, Times, still_to_come
from cohorts.domain.estimates import ChiSquare


@dataclass(frozen=True, slots=True)
class RankSums:
    """Observed and expected events of each group, and the variance of their differences."""

    observed: Floats
    expected: Floats
    variance: Floats

    def __add__(self, other: RankSums) -> RankSums:
        return RankSums(self.observed + other.observed, self.expected + other.expected, self.variance + other.variance)


def rank_sums(times: Times, group: Ints, groups: int) -> RankSums:
    """The sums of the log-rank test, with the hypergeometric variance of tied events."""
    days, ended = np.unique(times.days, return_inverse=True)
    cells = ended * groups + group
    shape = (len(days), groups)
    ending = np.bincount(cells, minlength=len(days) * groups).reshape(shape)
    died = np.bincount(cells[times.event], minlength=len(days) * groups).reshape(shape)
    events = died.sum(axis=1)
    at_risk = still_to_come(ending)
    chosen = events > 0
    events, at_risk = events[chosen], at_risk[chosen].astype(float)
    total = at_risk.sum(axis=1)
    share = at_risk / total[:, None]
    spread = events * np.divide(total - events, total - 1, out=np.zeros(len(total)), where=total > 1)
    variance = np.diag(spread @ share) - (share * spread[:, None]).T @ share
    return RankSums(died.sum(axis=0).astype(float), events @ share, variance)


def log_rank(times: Times, group: Ints, strata: Ints | None = None) -> ChiSquare | None:
    """Log-rank test of the groups 0, 1, …; None without an event or with fewer than two groups ever at risk at one.

    A group in which nobody was at risk at any event adds no degree of freedom, as in R. With ``strata`` people are
    compared within their stratum only.
    """
    if not len(times) or not times.event.any():
        return None
    groups = int(group.max()) + 1
    if strata is None:
        sums = rank_sums(times, group, groups)
    else:
        parts = [rank_sums(times.of(strata == s), group[strata == s], groups) for s in np.unique(strata)]
        sums = parts[0]
        for part in parts[1:]:
            sums = sums + part
    exposed = np.flatnonzero(sums.expected > 0)
    df = len(exposed) - 1
    if df < 1:
        return None
    kept = exposed[1:]
    apart = (sums.observed - sums.expected)[kept]
    variance = sums.variance[np.ix_(kept, kept)]
    if np.linalg.matrix_rank(variance) < df:
        return None
    return chi_square(float(apart @ np.linalg.solve(variance, apart)), df)


def chi_square(statistic: float, df: int) -> ChiSquare:
    """A statistic with the upper tail of its chi-square distribution."""
    return ChiSquare(statistic, df, float(stats.chi2.sf(statistic, df)))
