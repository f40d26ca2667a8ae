"""The engine against R, figure by figure.

Curves, tests, Aalen–Johansen and Gray to 1e-10; Cox and Fine–Gray to 1e-8 of each figure; Firth to 1e-6.
"""

import numpy as np
import pytest

from cohorts.domain.engine import comparison, competing, concordance, cox, curves, multistate, proportionality, splines
from cohorts.domain.engine.arrays import Floats
from cohorts.domain.engine.firth import fit_firth
from cohorts.domain.engine.logistic import fit_logistic
from cohorts.domain.estimates import ChiSquare, NotEstimable
from tests.reference.r_figures import NAMES, PATHS, RData, read, read_stays

R_TRANSFORMS = {"log-log": "log-log", "log": "log", "linear": "plain"}


def same(ours: object, theirs: Floats, *, rel: float = 0.0, abs_: float = 0.0) -> None:
    """Equal within a share of each of R's figures, or absolutely; a figure that R has not must be missing here too."""
    values = np.ravel(np.asarray(ours, dtype=float))
    assert values.shape == theirs.shape
    assert np.isnan(values).tolist() == np.isnan(theirs).tolist()
    known = ~np.isnan(theirs)
    allowed = np.maximum(rel * np.abs(theirs), abs_)
    assert (np.abs(values - theirs)[known] <= allowed[known]).all(), (values, theirs)


def numbers(test: ChiSquare | None) -> list[float]:
    assert test is not None
    return [test.chi2, test.df, test.p]


def or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def models(data: RData, key: str) -> list[tuple[str, Floats]]:
    """The models that R fitted: all covariates together, and each alone."""
    each = [(f"{key}.{name}", data.column(name)) for name in data.columns]
    return [(k, x) for k, x in [(key, data.covariates), *each] if f"{k}.coef" in data.figures]


@pytest.fixture(params=NAMES)
def data(request: pytest.FixtureRequest) -> RData:
    return read(request.param)


def test_every_set_holds_what_it_is_meant_to_test() -> None:
    cox_like = ("efron", "breslow", "robust", "firth", "fine_gray")
    counts = {
        name: sum(key.endswith(".coef") and key.startswith(cox_like) for key in read(name).figures) for name in NAMES
    }
    assert len(NAMES) == 15
    assert counts["lung"] == 11
    assert counts["transplant_like"] == 15
    assert {name for name, count in counts.items() if count == 0} == {"no_event", "one_member", "never_at_risk"}


def test_curves_limits_and_medians(data: RData) -> None:
    for name in ("all", *data.group_names):
        key = name if name == "all" else f"group.{name}"
        r, curve = data.figures, curves.kaplan_meier(data.times.of(data.of_group(name)))
        same(curve.days, r[f"{key}.time"])
        same(curve.at_risk, r[f"{key}.at_risk"])
        same(curve.events, r[f"{key}.events"])
        same(curve.estimate, r[f"{key}.surv"], abs_=1e-14)
        positive = curve.estimate > 0
        same(np.sqrt(curve.variance[positive]), r[f"{key}.se_log"][positive], abs_=1e-12)
        for transform, r_name in R_TRANSFORMS.items():
            lower, upper = curves.limits(curve.estimate, curve.variance, transform=transform, level=0.95)
            after = positive & (curve.variance > 0)  # before the first event R has no log-log limits, we say 1
            same(lower[after], r[f"{key}.{r_name}.lower"][after], abs_=1e-10)
            same(upper[after], r[f"{key}.{r_name}.upper"][after], abs_=1e-10)
            same([or_nan(curves.crossing(curve.days, curve.estimate))], r[f"{key}.{r_name}.median"])
            found = [or_nan(curves.crossing(curve.days, limit)) for limit in (lower, upper)]
            same(found, r[f"{key}.{r_name}.median_limits"])


def test_restricted_means_and_conditional_curves(data: RData) -> None:
    for name in ("all", *data.group_names):
        key = name if name == "all" else f"group.{name}"
        r, times = data.figures, data.times.of(data.of_group(name))
        if f"{key}.rmst" in r:
            horizon = r[f"{key}.rmst"][0]
            area = curves.restricted_mean(curves.kaplan_meier(times), horizon)
            same([horizon, area.days, area.se], r[f"{key}.rmst"], rel=1e-10)
        if f"{key}.conditional" in r:
            later = curves.kaplan_meier(curves.given_free_until(times, r[f"{key}.conditional"][0]))
            same(later.estimate, r[f"{key}.conditional"][1:], abs_=1e-12)


def test_reverse_curve_and_the_variance_by_cluster(data: RData) -> None:
    reverse = curves.kaplan_meier(data.times.reversed())
    same(reverse.estimate, data.figures["reverse.surv"], abs_=1e-12)
    same([or_nan(curves.crossing(reverse.days, reverse.estimate))], data.figures["reverse.median"])
    if "clustered.se" in data.figures:
        curve = curves.kaplan_meier(data.times, data.cluster)
        positive = curve.estimate > 0
        ours = curve.estimate[positive] * np.sqrt(curve.variance[positive])
        same(ours, data.figures["clustered.se"][positive], abs_=1e-12)


def test_log_rank_also_within_strata(data: RData) -> None:
    if "logrank" not in data.figures:
        assert comparison.log_rank(data.times, data.group) is None
        return
    same(numbers(comparison.log_rank(data.times, data.group)), data.figures["logrank"], rel=1e-10)
    if "logrank_stratified" in data.figures:
        found = comparison.log_rank(data.times, data.group, data.stratum)
        same(numbers(found), data.figures["logrank_stratified"], rel=1e-10)


@pytest.mark.parametrize("ties", cox.TIES)
def test_cox_with_all_its_tests(data: RData, ties: str) -> None:
    for key, covariates in models(data, ties):
        r, fit = data.figures, cox.fit_cox(data.times, covariates, ties)
        assert fit.gradient < 1e-10
        same(fit.coefficients, r[f"{key}.coef"], rel=1e-8)
        same(fit.variance, r[f"{key}.var"], rel=1e-8)
        same(fit.log_likelihood, r[f"{key}.loglik"], rel=1e-12)
        assert fit.score is not None
        same([fit.score.chi2], r[f"{key}.score"], rel=1e-8)
        same([cox.wald(fit.coefficients, fit.variance).chi2], r[f"{key}.wald"], rel=1e-8)
        predictor = covariates @ fit.coefficients
        same([or_nan(concordance.concordance(data.times, predictor))], r[f"{key}.concordance"], rel=1e-12)
        if f"{key}.residuals.score" in r:
            same(cox.score_residuals(fit), r[f"{key}.residuals.score"], abs_=1e-8)


@pytest.mark.parametrize("ties", cox.TIES)
def test_proportional_hazards_exactly(data: RData, ties: str) -> None:
    for key, covariates in models(data, ties):
        r, fit = data.figures, cox.fit_cox(data.times, covariates, ties)
        terms = [[position] for position in range(covariates.shape[1])]
        for transform in ("km", "identity"):
            if f"{key}.zph.{transform}" in r:
                found = proportionality.zph(fit, terms, transform)
                ours = [numbers(test) for test in (*found.terms, found.together)]
                same(ours, r[f"{key}.zph.{transform}"], rel=1e-8)
        if f"{key}.zph.y" in r:
            scale, residuals = proportionality.scaled_residuals(fit)
            same(scale, r[f"{key}.zph.x"], abs_=1e-12)
            same(residuals, r[f"{key}.zph.y"], abs_=1e-8)


def test_robust_variance_by_cluster(data: RData) -> None:
    if "robust.var" in data.figures:
        fit = cox.fit_cox(data.times, data.covariates)
        robust = cox.robust_variance(fit, data.cluster)
        same(robust, data.figures["robust.var"], rel=1e-8)
        same([cox.wald(fit.coefficients, robust).chi2], data.figures["robust.wald"], rel=1e-8)


def test_firth_with_profile_limits(data: RData) -> None:
    r = data.figures
    for key, covariates in (("firth", data.covariates), (f"firth.{data.columns[0]}", data.covariates[:, :1])):
        if f"{key}.coef" in r:
            fit = fit_firth(data.times, covariates, 0.95)
            same(fit.coefficients, r[f"{key}.coef"], rel=1e-6, abs_=1e-9)
            same(np.column_stack([fit.lower, fit.upper]), r[f"{key}.limits"], rel=1e-6)
            same(fit.p, r[f"{key}.p"], rel=1e-6)
            same([fit.gain], r[f"{key}.gain"], rel=1e-6, abs_=1e-9)


def test_aalen_johansen_with_its_variance() -> None:
    data = read("transplant_like")
    for name in ("all", *data.group_names):
        rows = data.of_group(name)
        for of, suffix in ((competing.EVENT, ""), (competing.COMPETING, "2")):
            found = competing.cumulative_incidence(data.days[rows], data.status[rows], of)
            same(found.days, data.figures[f"cif.{name}.time"])
            same(found.estimate, data.figures[f"cif.{name}.est{suffix}"], abs_=1e-12)
            same(found.variance, data.figures[f"cif.{name}.var{suffix}"], rel=1e-10)


def test_gray_also_within_strata() -> None:
    data = read("transplant_like")
    for other, position in ((False, 0), (True, 1)):  # for relapse, and for death with relapse competing
        ended = np.array([0, 2, 1])[data.status] if other else data.status
        for strata, key in ((None, "gray"), (data.stratum, "gray_stratified")):
            found = numbers(competing.gray_test(data.days, ended, data.group, strata))
            same(found, data.figures[key].reshape(3, 2)[:, position], rel=1e-10)


def test_fine_gray() -> None:
    data = read("transplant_like")
    fitted = models(data, "fine_gray")
    assert len(fitted) == 5
    for key, covariates in fitted:
        fit = competing.fit_fine_gray(data.days, data.status, covariates)
        same(fit.coefficients, data.figures[f"{key}.coef"], rel=1e-8)
        same(fit.variance, data.figures[f"{key}.var"], rel=1e-8)
        same(fit.log_likelihood, data.figures[f"{key}.loglik"], rel=1e-10)


def test_without_competing_events_the_incidence_is_the_curve_turned_over() -> None:
    data = read("veteran")
    found, curve = competing.cumulative_incidence(data.days, data.status), curves.kaplan_meier(data.times)
    assert found.estimate == pytest.approx(1 - curve.estimate[curve.events > 0], abs=1e-14)


def test_what_the_data_do_not_determine_is_refused() -> None:
    for name in ("no_event", "one_member"):
        data = read(name)
        with pytest.raises(NotEstimable):
            cox.fit_cox(data.times, data.covariates)


def test_logistic_regression(data: RData) -> None:
    for key, x in models(data, "logistic"):
        fit = fit_logistic(~data.times.event, x)
        assert not fit.separated
        same(fit.coefficients, data.figures[f"{key}.coef"], rel=1e-8)
        same(fit.variance, data.figures[f"{key}.var"], rel=1e-8, abs_=1e-14)
        same([fit.lrt.chi2], data.figures[f"{key}.gain"], rel=1e-8, abs_=1e-12)


def test_smooth_curves_of_numbers(data: RData) -> None:
    for name in data.columns:
        key = f"spline.{name}"
        if f"{key}.coef" not in data.figures:
            continue
        values = data.column(name)[:, 0]
        knots = splines.knots_of(values, (0.1, 0.5, 0.9))
        same(knots, data.figures[f"{key}.knots"], rel=1e-12)
        fit = cox.fit_cox(data.times, splines.spline_columns(values, knots))
        line = cox.fit_cox(data.times, values[:, None])
        same(fit.coefficients, data.figures[f"{key}.coef"], rel=1e-7)
        same(fit.variance, data.figures[f"{key}.var"], rel=1e-7)
        same([fit.lrt.chi2 - line.lrt.chi2], data.figures[f"{key}.bend"], rel=1e-8, abs_=1e-9)


def test_the_sets_have_models_to_compare() -> None:
    keys = [key for name in NAMES for key in read(name).figures]
    assert sum(key.startswith("logistic") and key.endswith(".coef") for key in keys) >= 20
    assert sum(key.startswith("spline") and key.endswith(".coef") for key in keys) >= 8


@pytest.mark.parametrize("name", PATHS)
def test_states_that_people_leave_and_come_back_to(name: str) -> None:
    stays, figures = read_stays(name)
    found = multistate.transitions(stays)
    same(found.days, figures["time"])
    patients = int(stays.patient.max()) + 1
    each = [multistate.occupation(stays, found, patients, day) for day in found.days]
    for number, state in enumerate(("in", "out", "dead")):
        same([one.estimate[number] for one in each], figures[f"{state}.estimate"], abs_=1e-10)
        same([one.se[number] for one in each], figures[f"{state}.se"], abs_=1e-10)
