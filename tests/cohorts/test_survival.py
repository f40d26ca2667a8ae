"""Survival statistics behind their door: what people read of them, odd cohorts, and the two witnesses.

The arithmetic itself is compared with R in ``tests/reference/test_against_r.py``.
"""

import dataclasses
import math

import numpy as np
import pytest

from cohorts.domain import survival, witness
from cohorts.domain.engine import curves
from cohorts.domain.engine.arrays import Floats, Times
from cohorts.domain.engine.cox import fit_cox
from cohorts.domain.estimates import CoxModel, Median, NotEstimable
from cohorts.domain.witness import WitnessesDiffer
from monitoring.domain.vocabulary.dates import DAYS_PER_MONTH

AML_MAINTAINED = "9 13 13+ 18 23 28+ 31 34 45+ 48 161+"
AML_NOT = "5 5 8 8 12 16+ 23 27 30 33 43 45"


def observed(*pairs: tuple[int, bool]) -> Times:
    return Times(np.array([d for d, _e in pairs], dtype=np.int64), np.array([e for _d, e in pairs], dtype=bool))


def times(text: str) -> Times:
    return observed(*((int(t.rstrip("+")), not t.endswith("+")) for t in text.split()))


def cox(rows: Times, *covariates: list[float], **options: object) -> CoxModel:
    """A model of these covariates, each a term of its own."""
    columns: Floats = np.array(covariates, dtype=float).T.reshape(len(rows), len(covariates))
    return survival.cox(rows, columns, level=0.95, terms=[[j] for j in range(len(covariates))], **options)  # type: ignore[arg-type]  # options of several types


AML = times(f"{AML_MAINTAINED} {AML_NOT}")


def curve(rows: Times, transform: str = "log-log", level: float = 0.95) -> survival.LimitedCurve:
    return survival.kaplan_meier(rows, transform=transform, level=level)


def test_median_is_the_midpoint_of_a_flat_half_as_r_has_it() -> None:
    assert survival.median(curve(times("1 2 3 4"))).estimate == pytest.approx(2.5 / DAYS_PER_MONTH)


def test_a_cohort_without_event_has_no_median_and_stays_at_one() -> None:
    rows = times("30+ 60+")
    limited = curve(rows)
    assert survival.median(limited) == Median(None, None, None)
    assert limited.curve.estimate.tolist() == [1.0, 1.0]
    assert survival.landmark(limited, rows, 6).reason


def test_everybody_lost_on_one_day_ends_at_zero_without_limits() -> None:
    rows = observed(*[(30, True)] * 4)
    limited = curve(rows)
    assert limited.curve.estimate.tolist() == [0.0]
    assert np.isnan([limited.lower[0], limited.upper[0]]).all()
    assert survival.landmark(limited, rows, 12).estimate is None


def test_nobody_is_not_estimable_and_negative_time_is_refused() -> None:
    with pytest.raises(NotEstimable):
        curve(times(""))
    with pytest.raises(ValueError, match="before the stop"):
        observed((-1, True))


def test_no_published_number_is_infinite() -> None:
    limited = curve(times("1 2 3+ 4"), "log")
    for values in (limited.curve.estimate, limited.lower, limited.upper):
        assert all(v is None or math.isfinite(v) for v in map(survival.finite, values))


def test_a_restricted_mean_beyond_the_longest_time_is_refused() -> None:
    fitted = curves.kaplan_meier(AML)
    assert curves.restricted_mean(fitted, 161).days > curves.restricted_mean(fitted, 100).days
    with pytest.raises(ValueError, match="beyond"):
        curves.restricted_mean(fitted, 162)


# --- the second witness ------------------------------------------------------------------------------------------


def test_lifelines_notices_a_curve_that_is_wrong_anywhere() -> None:
    right = curves.kaplan_meier(AML)
    witness.confirm_curve(AML, right)
    estimate = right.estimate.copy()
    estimate[5] += 1e-8
    with pytest.raises(WitnessesDiffer, match="the curve differs"):
        witness.confirm_curve(AML, dataclasses.replace(right, estimate=estimate))
    with pytest.raises(WitnessesDiffer, match="at risk"):
        witness.confirm_curve(AML, dataclasses.replace(right, at_risk=right.at_risk + 1))
    with pytest.raises(WitnessesDiffer, match="figures here"):
        witness.confirm_curve(AML.of(np.arange(len(AML)) > 3), right)


def test_lifelines_notices_a_wrong_test_and_a_wrong_model() -> None:
    group = np.array([0] * 11 + [1] * 12)
    test = survival.log_rank(AML, group)
    assert test is not None
    with pytest.raises(WitnessesDiffer, match="log-rank"):
        witness.confirm_log_rank(AML, group, dataclasses.replace(test, chi2=test.chi2 + 1e-4))
    columns = group[:, None].astype(float)
    fit = fit_cox(AML, columns)
    witness.confirm_cox(fit)
    with pytest.raises(WitnessesDiffer, match="coefficient"):
        witness.confirm_cox(dataclasses.replace(fit, beta=fit.beta * 1.01))
    with pytest.raises(WitnessesDiffer, match="standard error"):
        witness.confirm_cox(dataclasses.replace(fit, variance=fit.variance * 1.01))


def test_a_figure_that_the_witnesses_dispute_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = curves.kaplan_meier(AML.of(np.arange(len(AML)) > 0))
    monkeypatch.setattr(curves, "kaplan_meier", lambda rows, clusters=None: wrong)
    with pytest.raises(ArithmeticError):
        curve(AML)


# --- models ------------------------------------------------------------------------------------------------------


def test_the_score_test_without_ties_is_the_log_rank_test() -> None:
    rows = observed((5, True), (9, True), (14, False), (20, True), (31, True), (44, False))
    group = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]
    model, test = cox(rows, group), survival.log_rank(rows, np.array(group, dtype=np.int64))
    assert test is not None
    assert model.score is not None
    assert model.score.chi2 == pytest.approx(test.chi2, rel=1e-9)


def test_separated_groups_give_words_no_number_and_a_penalised_fit() -> None:
    rows = observed(*[(100 + d, True) for d in range(8)], *[(400 + d, False) for d in range(28)])
    model = cox(rows, [1.0] * 18 + [0.0] * 18)
    assert model.terms[0].hr is None
    assert model.warnings[0]["code"] == "apart"
    assert model.lrt is not None
    assert model.lrt.p < 0.01
    assert model.firth is not None
    (term,) = model.firth
    assert term.lower is not None
    assert term.upper is not None
    assert 1 < term.lower < (term.hr or 0) < term.upper < math.inf
    assert (model.zph, model.wald) == (None, None)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_a_small_group_without_event_is_separated_and_no_overflow(size: int) -> None:
    rows = observed(*[(900, False)] * size, *[(30 + 20 * i, i % 2 == 0) for i in range(33)])
    assert cox(rows, [1.0] * size + [0.0] * 33).terms[0].hr is None


def test_a_group_that_is_never_at_risk_at_an_event_is_not_estimable_by_either_model() -> None:
    rows = observed(*[(10, False)] * 8, *[(100 + i, True) for i in range(28)])
    model = cox(rows, [1.0] * 8 + [0.0] * 28)
    assert (model.terms[0].hr, model.firth) == (None, None)
    beside = cox(rows, [1.0] * 8 + [0.0] * 28, [float(i % 5) for i in range(36)])
    assert beside.terms[0].hr is None
    assert beside.terms[1].hr is not None  # another covariate keeps its estimate


def test_a_penalised_fit_can_be_asked_for() -> None:
    group = [0.0] * 11 + [1.0] * 12
    assert cox(AML, group).firth is None
    firth = cox(AML, group, penalised=True).firth
    assert firth is not None
    assert firth[0].p == pytest.approx(0.07, abs=0.03)


def test_a_constant_with_rounding_dust_is_constant() -> None:
    rows = observed(*[(50 + i, True) for i in range(30)])
    with pytest.raises(NotEstimable, match="constant_covariate"):
        cox(rows, [2191 / 30.4375 + 1e-14 * (i % 2) for i in range(30)])


def test_everybody_lost_on_one_day_has_no_concordance_and_no_crash() -> None:
    assert cox(observed(*[(50, True)] * 10), [0.0] * 5 + [1.0] * 5).concordance is None


def test_clusters_of_one_give_the_plain_jackknife_and_twins_widen_it() -> None:
    number = np.arange(len(AML))
    twice = Times(np.tile(AML.days, 2), np.tile(AML.event, 2))
    single, doubled = curves.kaplan_meier(AML, number), curves.kaplan_meier(twice, np.tile(number, 2))
    assert single.variance[5] == pytest.approx(doubled.variance[5])
    assert doubled.variance[5] > 1.9 * curves.kaplan_meier(twice).variance[5]


@pytest.mark.parametrize("covariates", [[], [[1.0] * 23], [[1.0] * 11 + [0.0] * 12] * 2])
def test_models_that_the_data_do_not_determine_say_so(covariates: list[list[float]]) -> None:
    with pytest.raises(NotEstimable):
        cox(AML, *covariates)


def test_groups_without_members_or_events_have_no_test() -> None:
    assert survival.log_rank(AML, np.zeros(len(AML), dtype=np.int64)) is None
    nobody = times("3+ 4+")
    assert survival.log_rank(nobody, np.array([0, 1])) is None
    assert survival.table_tests(nobody.event, np.array([0, 1])).fisher_p is None


def test_a_group_that_nobody_of_was_at_risk_at_an_event_is_no_degree_of_freedom() -> None:
    late = times("5 9+ 6 7")
    whole = survival.log_rank(times("2+ 3+ 5 9+ 6 7"), np.array([0, 0, 1, 1, 2, 2]))
    without = survival.log_rank(late, np.array([0, 0, 1, 1]))
    assert whole is not None
    assert without is not None
    assert whole.df == without.df == 1
    assert whole.chi2 == pytest.approx(without.chi2, abs=1e-12)
    assert survival.log_rank(times("2+ 3+ 5 9+"), np.array([0, 0, 1, 1])) is None  # no degree of freedom


TIED = [(4, True), (4, True), (4, False), (6, True), (6, True), (6, True), (8, False), (9, True), (9, True), (11,
    False),
        (12, True), (12, False), (13, True), (15, True), (15, False), (20, False)]  # fmt: skip
AGES = [61, 40, 55, 52, 47, 33, 64, 70, 45, 39, 58, 50, 44, 36, 62, 41]
ARM = [0, 1, 1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 1, 0]
PATIENT = list("aabbccddeeffgghh")


def weighted_efron(weights: list[float]) -> np.ndarray:
    """Coefficients with case weights by plain Newton steps: Efron's likelihood, written down once more."""
    columns = np.array([AGES, ARM], dtype=float).T
    x = columns - columns.mean(axis=0)
    w = np.array(weights)
    beta = np.zeros(2)
    for _step in range(60):
        gradient, information = np.zeros(2), np.zeros((2, 2))
        risk = w * np.exp(x @ beta)
        for time in sorted({t for t, event in TIED if event}):
            died = [i for i, (t, event) in enumerate(TIED) if event and t == time]
            at_risk = [i for i, (t, _event) in enumerate(TIED) if t >= time]
            mean_weight = sum(w[i] for i in died) / len(died)
            gradient += sum(w[i] * x[i] for i in died)
            for k in range(len(died)):
                share = k / len(died)
                s0 = sum(risk[i] for i in at_risk) - share * sum(risk[i] for i in died)
                s1 = sum(risk[i] * x[i] for i in at_risk) - share * sum(risk[i] * x[i] for i in died)
                s2 = sum(risk[i] * np.outer(x[i], x[i]) for i in at_risk) - share * sum(
                    risk[i] * np.outer(x[i], x[i]) for i in died
                )
                gradient -= mean_weight * s1 / s0
                information += mean_weight * (s2 / s0 - np.outer(s1 / s0, s1 / s0))
        beta = beta + np.linalg.solve(information, gradient)
    return beta


def test_the_robust_variance_is_the_jackknife_of_the_weighted_fit_by_patient() -> None:
    """R's ``cluster``: the squares of what each patient moves the coefficients, by numeric derivative of the
    weights.
    """
    step, plain = 1e-5, [1.0] * len(TIED)
    moved = []
    for position in range(len(TIED)):
        more, less = list(plain), list(plain)
        more[position], less[position] = 1 + step, 1 - step
        moved.append((weighted_efron(more) - weighted_efron(less)) / (2 * step))
    by_patient = np.array(
        [sum(m for m, p in zip(moved, PATIENT, strict=True) if p == name) for name in sorted(set(PATIENT))]
    )
    expected = by_patient.T @ by_patient
    clusters = np.unique(PATIENT, return_inverse=True)[1]
    model = cox(observed(*TIED), AGES, ARM, clusters=clusters)
    assert [t.coef for t in model.terms] == pytest.approx(weighted_efron(plain), rel=1e-9)
    assert [t.se for t in model.terms] == pytest.approx(np.sqrt(np.diag(expected)), rel=1e-6)
    assert model.wald is not None
    beta = np.array([t.coef for t in model.terms], dtype=float)
    assert model.wald.chi2 == pytest.approx(float(beta @ np.linalg.solve(expected, beta)), rel=1e-6)
    assert (model.lrt, model.zph) == (None, None)
