"""lifelines behind our door, against R 4.2.2 (survival 3.5-3) and published figures.

aml and gehan are the classic public data sets of R's survival and MASS packages; figures to the digits R prints.
"""

import math

import numpy as np
import pytest

from cohorts.domain import survival
from cohorts.domain.estimates import NotEstimable, Observed
from monitoring.domain.vocabulary.dates import DAYS_PER_MONTH

AML_MAINTAINED = "9 13 13+ 18 23 28+ 31 34 45+ 48 161+"
AML_NOT = "5 5 8 8 12 16+ 23 27 30 33 43 45"
GEHAN_TREATED = "6 6 6 6+ 7 9+ 10 10+ 11+ 13 16 17+ 19+ 20+ 22 23 25+ 32+ 32+ 34+ 35+"
GEHAN_CONTROL = "1 1 2 2 3 4 4 5 5 8 8 8 8 11 11 12 12 15 17 22 23"


def times(text: str) -> list[Observed]:
    return [Observed(int(t.rstrip("+")), not t.endswith("+")) for t in text.split()]


AML = times(AML_MAINTAINED) + times(AML_NOT)


@pytest.mark.parametrize(
    ("transform", "lower", "upper"),
    [("log", 0.13382, 0.56945), ("log-log", 0.10444, 0.48028), ("linear", 0.07617, 0.47594)],
)
def test_interval_transforms_agree_with_r(transform: str, lower: float, upper: float) -> None:
    points = survival.kaplan_meier(AML, transform=transform, level=0.95)
    at_36 = [p for p in points if p.days <= 36][-1]
    assert at_36.estimate == pytest.approx(0.27605, abs=5e-6)
    assert (at_36.lower, at_36.upper) == (pytest.approx(lower, abs=5e-6), pytest.approx(upper, abs=5e-6))
    survival.self_check(points, AML)


def test_log_log_is_the_interval_that_lifelines_itself_gives() -> None:
    from lifelines import KaplanMeierFitter

    fitter = KaplanMeierFitter().fit([o.days for o in AML], [o.event for o in AML])
    theirs = fitter.confidence_interval_
    for point in survival.kaplan_meier(AML, transform="log-log", level=0.95):
        if point.lower is not None:
            assert point.lower == pytest.approx(float(theirs.loc[point.days].iloc[0]), abs=1e-12)


def test_published_ninety_percent_interval_of_stki_14() -> None:
    observed = [Observed(90, True)] * 11 + [Observed(800, False)] * 11
    found = survival.landmark(survival.kaplan_meier(observed, transform="log-log", level=0.90), observed, 12)
    assert [round(v or 0, 3) for v in (found.estimate, found.lower, found.upper)] == [0.5, 0.317, 0.658]


def test_published_exact_binomial_of_enestfreedom() -> None:
    low, high = survival.exact_binomial(98, 190, 0.95)
    assert (round(low or 0, 3), round(high or 0, 3)) == (0.442, 0.589)


def test_median_is_the_midpoint_of_a_flat_half_as_r_has_it() -> None:
    observed = [Observed(d, True) for d in (1, 2, 3, 4)]
    points = survival.kaplan_meier(observed, transform="log-log", level=0.95)
    assert survival.median(points).estimate == pytest.approx(2.5 / DAYS_PER_MONTH)


def test_median_of_aml_and_its_log_log_limits() -> None:
    group = times(AML_NOT)
    found = survival.median(survival.kaplan_meier(group, transform="log-log", level=0.95))
    assert [round((v or 0) * DAYS_PER_MONTH) for v in (found.estimate, found.lower, found.upper)] == [23, 5, 33]


def test_a_cohort_without_event_has_no_median_and_stays_at_one() -> None:
    observed = [Observed(d, False) for d in (30, 60)]
    points = survival.kaplan_meier(observed, transform="log-log", level=0.95)
    assert survival.median(points) == survival.Median(None, None, None)
    assert {p.estimate for p in points} == {1.0}
    assert survival.landmark(points, observed, 6).reason


def test_everybody_lost_on_one_day_ends_at_zero_without_limits() -> None:
    observed = [Observed(30, True)] * 4
    (point,) = survival.kaplan_meier(observed, transform="log-log", level=0.95)
    assert (point.estimate, point.lower, point.upper) == (0.0, None, None)
    assert survival.landmark([point], observed, 12).estimate is None


def test_nobody_is_not_estimable_and_negative_time_is_refused() -> None:
    with pytest.raises(NotEstimable):
        survival.kaplan_meier([], transform="log", level=0.95)
    with pytest.raises(ValueError, match="before the stop"):
        survival.kaplan_meier([Observed(-1, True)], transform="log", level=0.95)


def test_the_self_check_notices_a_wrong_curve() -> None:
    points = list(survival.kaplan_meier(AML, transform="log", level=0.95))
    with pytest.raises(ArithmeticError, match="missing"):
        survival.self_check(points[:-1], AML)
    with pytest.raises(ArithmeticError, match="at risk"):
        survival.self_check(points, AML[:-1])


def test_cox_on_gehan_agrees_with_r_efron() -> None:
    observed = times(GEHAN_TREATED) + times(GEHAN_CONTROL)
    treated = [1.0] * 21 + [0.0] * 21
    model = survival.cox(observed, [treated], level=0.95)
    assert round(model.terms[0].hr or 0, 5) == 0.20760
    assert round(model.terms[0].p or 0, 6) == 0.000138
    assert model.lrt is not None
    assert model.score is not None
    assert model.wald is not None
    assert [round(t.chi2, 2) for t in (model.lrt, model.wald, model.score)] == [16.35, 14.53, 17.25]


def test_the_score_test_without_ties_is_the_log_rank_test() -> None:
    observed = [Observed(d, e) for d, e in ((5, True), (9, True), (14, False), (20, True), (31, True), (44, False))]
    group = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]
    model = survival.cox(observed, [group], level=0.95)
    test = survival.log_rank([[o for o, g in zip(observed, group, strict=True) if g == side] for side in (0.0, 1.0)])
    assert test is not None
    assert model.score is not None
    assert model.score.chi2 == pytest.approx(test.chi2, rel=1e-9)


def test_separated_groups_give_words_and_no_number() -> None:
    observed = [Observed(100 + d, True) for d in range(8)] + [Observed(400 + d, False) for d in range(28)]
    group = [1.0] * 8 + [1.0] * 10 + [0.0] * 18
    model = survival.cox(observed, [group], level=0.95)
    assert model.terms[0].hr is None
    assert model.warnings[0]["code"] == "apart"
    assert model.lrt is not None
    assert model.lrt.p < 0.01


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_a_small_group_without_event_is_separated_and_no_overflow(size: int) -> None:
    observed = [Observed(900, False)] * size + [Observed(30 + 20 * i, i % 2 == 0) for i in range(33)]
    assert survival.cox(observed, [[1.0] * size + [0.0] * 33], level=0.95).terms[0].hr is None


def test_a_group_that_is_never_at_risk_at_an_event_is_not_estimable() -> None:
    observed = [Observed(10, False)] * 8 + [Observed(100 + i, True) for i in range(28)]
    assert survival.cox(observed, [[1.0] * 8 + [0.0] * 28], level=0.95).terms[0].hr is None


def test_a_constant_with_rounding_dust_is_constant() -> None:
    observed = [Observed(50 + i, True) for i in range(30)]
    with pytest.raises(NotEstimable, match="constant_covariate"):
        survival.cox(observed, [[2191 / 30.4375 + 1e-14 * (i % 2) for i in range(30)]], level=0.95)


def test_everybody_lost_on_one_day_has_no_concordance_and_no_crash() -> None:
    model = survival.cox([Observed(50, True)] * 10, [[0.0] * 5 + [1.0] * 5], level=0.95)
    assert model.concordance is None


def test_clusters_of_one_give_the_plain_jackknife_and_twins_widen_it() -> None:
    single = survival.kaplan_meier(AML, transform="log", level=0.95, clusters=[str(i) for i in range(len(AML))])
    doubled = survival.kaplan_meier(
        AML * 2, transform="log", level=0.95, clusters=[str(i) for i in range(len(AML))] * 2
    )
    naive = survival.kaplan_meier(AML * 2, transform="log", level=0.95)
    assert single[5].greenwood == pytest.approx(doubled[5].greenwood)
    assert doubled[5].greenwood > 1.9 * naive[5].greenwood


@pytest.mark.parametrize("covariates", [[], [[1.0] * 23], [[1.0] * 11 + [0.0] * 12] * 2])
def test_models_that_the_data_do_not_determine_say_so(covariates: list[list[float]]) -> None:
    with pytest.raises(NotEstimable):
        survival.cox(AML, covariates, level=0.95)


def test_groups_without_members_or_events_have_no_test() -> None:
    assert survival.log_rank([AML, []]) is None
    assert survival.log_rank([[Observed(3, False)], [Observed(4, False)]]) is None
    assert survival.table_tests([[Observed(3, False)], [Observed(4, False)]]).fisher_p is None


def test_no_published_number_is_infinite() -> None:
    points = survival.kaplan_meier(times("1 2 3+ 4"), transform="log", level=0.95)
    for p in points:
        assert all(v is None or math.isfinite(v) for v in (p.estimate, p.lower, p.upper))


def test_a_group_that_nobody_of_was_at_risk_at_an_event_is_no_degree_of_freedom() -> None:
    early = [Observed(2, False), Observed(3, False)]
    one, other = [Observed(5, True), Observed(9, False)], [Observed(6, True), Observed(7, True)]
    whole, without = survival.log_rank([early, one, other]), survival.log_rank([one, other])
    assert whole is not None
    assert without is not None
    assert whole.df == without.df == 1
    assert whole.chi2 == pytest.approx(without.chi2, abs=1e-12)
    assert survival.log_rank([early, one]) is None  # no test without a degree of freedom


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
    observed = [Observed(days, event) for days, event in TIED]
    model = survival.cox(observed, [AGES, ARM], level=0.95, clusters=PATIENT)
    assert model.coefficients == pytest.approx(weighted_efron(plain), rel=1e-9)
    assert np.array(model.variance) == pytest.approx(expected, rel=1e-6)
    assert [t.se for t in model.terms] == pytest.approx(np.sqrt(np.diag(expected)), rel=1e-6)
    assert model.wald is not None
    beta = np.array(model.coefficients)
    assert model.wald.chi2 == pytest.approx(float(beta @ np.linalg.solve(expected, beta)), rel=1e-6)
    assert model.lrt is None
