"""Small cohorts of every kind: each figure is given and confirmed, or said to be not estimable; nothing else."""

import math

import numpy as np
import pytest

from cohorts.domain import survival
from cohorts.domain.engine import competing
from cohorts.domain.engine.arrays import Floats, Times
from cohorts.domain.estimates import ChiSquare, CoxModel, NotEstimable

SEEDS = 25
KINDS = ("chance", "nearly separated", "ties", "rare", "groups", "two people")


def cohort(kind: str, seed: int) -> tuple[Times, Floats]:
    """Times and covariates of a made-up cohort: a group, and a number that may all but decide who loses."""
    chance = np.random.default_rng([KINDS.index(kind), seed])
    size = 2 if kind == "two people" else int(chance.integers(3, 25))
    days = chance.integers(0, 6 if kind == "ties" else 2000, size)
    event = chance.random(size) < (0.1 if kind == "rare" else 0.5)
    number = chance.normal(size=size)
    if kind == "nearly separated":
        number = event * 2.0 - days / 500 + chance.normal(size=size) / 1000
    columns = [(chance.random(size) < 0.4).astype(float), number]
    if kind == "groups":
        level = chance.integers(0, 4, size)
        columns += [(level == k).astype(float) for k in (1, 2, 3)]
    return Times(days.astype(np.int64), event), np.column_stack(columns)


def check(model: CoxModel) -> None:
    """Nothing that is given is infinite or no number."""
    for test in (model.lrt, model.wald, model.score):
        assert test is None or (math.isfinite(test.chi2) and 0 <= test.p <= 1)
    for term in (*model.terms, *(model.firth or ())):
        for value in (term.coef, term.hr, term.p):
            assert value is None or math.isfinite(value)
    if model.zph is not None:
        assert all(0 <= test.p <= 1 for test in (*model.zph.terms, model.zph.together))


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_a_small_cohort_is_given_or_refused(kind: str) -> None:
    given = refused = 0
    for seed in range(SEEDS):
        times, columns = cohort(kind, seed)
        for matrix in (columns, columns[:, :1], columns[:, 1:2]):
            clusters = np.arange(len(times)) // 2 if seed % 5 == 0 else None
            terms = [[j] for j in range(matrix.shape[1])]
            try:
                check(survival.cox(times, matrix, level=0.95, terms=terms, clusters=clusters, penalised=seed % 3 == 0))
                given += 1
            except NotEstimable:
                refused += 1
    assert given > (SEEDS / 3 if kind == "two people" else SEEDS)
    assert given + refused == 3 * SEEDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_curve_and_the_tests_of_a_small_cohort(kind: str) -> None:
    for seed in range(SEEDS):
        times, columns = cohort(kind, seed)
        group = columns[:, 0].astype(np.int64)
        limited = survival.kaplan_meier(times, transform="log-log", level=0.95)
        assert 0 <= limited.curve.estimate[-1] <= 1
        ended = np.where(times.event, 1, np.where(columns[:, 1] > 0.3, 2, 0))
        found = [survival.log_rank(times, group), competing.gray_test(times.days, ended, group)]
        for test in found:
            assert test is None or _is_test(test)
        incidence = competing.cumulative_incidence(times.days, ended)
        assert (incidence.variance >= 0).all()
        try:
            fit = competing.fit_fine_gray(times.days, ended, columns)
        except NotEstimable:
            continue
        assert np.isfinite(fit.coefficients).all()
        assert np.isfinite(fit.variance).all()


def _is_test(test: ChiSquare) -> bool:
    return math.isfinite(test.chi2) and test.chi2 >= 0 and 0 <= test.p <= 1


def test_a_category_of_very_many_groups_is_refused_and_not_computed() -> None:
    chance = np.random.default_rng(1)
    times = Times(chance.integers(1, 900, 400), chance.random(400) < 0.5)
    level = chance.integers(0, 40, 400)
    columns = np.column_stack([(level == k).astype(float) for k in range(1, 40)])
    with pytest.raises(NotEstimable, match="too_many_groups"):
        survival.cox(times, columns, level=0.95, terms=[list(range(39))])
    assert competing.gray_test(times.days, times.event.astype(np.int64), level) is None
