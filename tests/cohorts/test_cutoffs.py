"""A cut that is looked for in the data: its statistic is that of the log-rank test, its P counts the search."""

import numpy as np
import pytest

from cohorts.domain.engine.arrays import Times
from cohorts.domain.engine.comparison import log_rank
from cohorts.domain.engine.cutoffs import PERMUTATIONS, best_cut
from tests.reference.r_figures import read


@pytest.mark.parametrize("name", ["twin", "veteran", "ovarian"])
def test_the_best_cut_is_the_best_of_all_log_rank_tests(name: str) -> None:
    data = read(name)
    values = next(column for column in data.covariates.T if len(set(column)) > 5)
    found = best_cut(data.times, values)
    assert found is not None
    statistics = {}
    for cut in sorted(set(values)):
        upper = values >= cut
        if min(upper.sum(), (~upper).sum()) >= 0.2 * len(values):
            test = log_rank(data.times, upper.astype(np.int64))
            assert test is not None
            statistics[cut] = test
    assert found.candidates == len(statistics)
    assert found.chi2 == pytest.approx(max(test.chi2 for test in statistics.values()), rel=1e-12)
    assert statistics[found.cut].chi2 == pytest.approx(found.chi2, rel=1e-12)
    assert statistics[found.cut].p < found.p <= 1
    assert best_cut(data.times, values) == found  # the seed is fixed


def test_chance_alone_is_seldom_called_a_finding() -> None:
    chance = np.random.default_rng(3)
    found = []
    for _cohort in range(40):
        times = Times(chance.integers(10, 900, 30), chance.random(30) < 0.5)
        best = best_cut(times, chance.normal(size=30))
        assert best is not None
        found.append(best.p)
    assert sum(p < 0.05 for p in found) <= 6
    assert 0.3 < float(np.mean(found)) < 0.7


def test_without_an_event_or_a_candidate_there_is_no_cut() -> None:
    days = np.arange(10, 40)
    assert best_cut(Times(days, np.zeros(30, bool)), days.astype(float)) is None
    assert best_cut(Times(days, np.ones(30, bool)), np.ones(30)) is None
    assert best_cut(Times(days, np.ones(30, bool)), (days > 36).astype(float)) is None  # a fifth on each side
    assert PERMUTATIONS == 10_000
