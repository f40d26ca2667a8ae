"""Survival statistics: the only caller of lifelines.

It checks its input, calls lifelines and returns plain records. What does not exist is None, never infinity or NaN.
Compared with R 4.2.2 / survival 3.5-3 (tests/reference). Import this module in tasks and commands only: lifelines
takes seconds to load.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.exceptions import ConvergenceError, ConvergenceWarning
from lifelines.statistics import multivariate_logrank_test
from lifelines.utils import concordance_index
from scipy import stats

from cohorts.domain.cox_algebra import gradient_and_information, polished, robust_variance
from cohorts.domain.estimates import (
    ChiSquare,
    CoxModel,
    CoxTerm,
    CurvePoint,
    Landmark,
    Median,
    NotEstimable,
    Observed,
    Warning_,
)
from monitoring.domain.vocabulary.dates import DAYS_PER_MONTH

# Newton steps end when the log-likelihood moves less than this: R's figures to all printed digits need it.
COX_PRECISION = 1e-9


# --- Kaplan–Meier ------------------------------------------------------------------------------------------------


def kaplan_meier(
    observed: Sequence[Observed], *, transform: str, level: float, clusters: Sequence[str] | None = None
) -> tuple[CurvePoint, ...]:
    """The curve at each time with an event or a censoring, with Greenwood's variance and a named interval.

    With ``clusters`` (several rows of one patient) the variance is the infinitesimal jackknife by cluster instead.
    Raises ``NotEstimable`` without observations and ``ValueError`` for a negative time.
    """
    if not observed:
        raise NotEstimable("no_members")
    if min(o.days for o in observed) < 0:
        raise ValueError("a time before the stop")
    fitter = KaplanMeierFitter()
    fitter.fit([o.days for o in observed], [o.event for o in observed])
    table = fitter.event_table
    curve = fitter.survival_function_["KM_estimate"]
    points, greenwood = [], 0.0
    robust = _Jackknife(observed, clusters) if clusters is not None else None
    for days, at_risk, deaths, censored in zip(
        table.index, table["at_risk"], table["observed"], table["censored"], strict=True
    ):
        if not deaths and not censored:
            continue  # lifelines opens its table with a row at time zero
        estimate = float(curve.loc[days])
        if deaths:
            greenwood = math.inf if at_risk == deaths else greenwood + deaths / (at_risk * (at_risk - deaths))
        if robust is not None:
            greenwood = robust.variance_after(int(days), int(at_risk), int(deaths))
        lower, upper = interval(estimate, greenwood, transform=transform, level=level)
        points.append(
            CurvePoint(int(days), estimate, lower, upper, int(at_risk), int(deaths), int(censored), greenwood)
        )
    return tuple(points)


class _Jackknife:
    """Robust variance of the logarithm of the curve: squares of each cluster's summed influence, step by step."""

    def __init__(self, observed: Sequence[Observed], clusters: Sequence[str]) -> None:
        _, self._cluster = np.unique(np.asarray(clusters), return_inverse=True)
        self._days = np.array([o.days for o in observed])
        self._event = np.array([o.event for o in observed])
        self._influence = np.zeros(len(observed))

    def variance_after(self, days: int, at_risk: int, deaths: int) -> float:
        """The variance once the events of a day are counted; infinite where the curve has reached zero."""
        if deaths:
            if at_risk == deaths:
                return math.inf
            died = (self._days == days) & self._event
            exposed = self._days >= days
            self._influence -= (died - exposed * (deaths / at_risk)) / (at_risk - deaths)
        return float((np.bincount(self._cluster, self._influence) ** 2).sum())


def interval(estimate: float, greenwood: float, *, transform: str, level: float) -> tuple[float | None, float | None]:
    """Limits of a survival probability from Greenwood's sum, on the named scale.

    None where the estimate is 0; both are 1 before the first event.
    """
    if estimate <= 0 or math.isinf(greenwood):
        return None, None
    if greenwood == 0:
        return 1.0, 1.0
    z = float(stats.norm.ppf(0.5 + level / 2))
    root = math.sqrt(greenwood)
    if transform == "log-log":
        log_s = math.log(estimate)
        width = z * root / log_s
        first, second = math.exp(log_s * math.exp(width)), math.exp(log_s * math.exp(-width))
        return min(first, second), max(first, second)
    if transform == "log":
        return estimate * math.exp(-z * root), min(1.0, estimate * math.exp(z * root))
    if transform == "linear":
        return max(0.0, estimate - z * estimate * root), min(1.0, estimate + z * estimate * root)
    raise ValueError(f"unknown transform {transform}")


def landmark(points: Sequence[CurvePoint], observed: Sequence[Observed], months: float) -> Landmark:
    """The curve at so many months of 30.4375 days. At risk counts times at or beyond it, events those up to it."""
    days = months * DAYS_PER_MONTH
    at_risk = sum(o.days >= days for o in observed)
    events = sum(o.event and o.days <= days for o in observed)
    censored = sum(not o.event and o.days < days for o in observed)
    longest = max((o.days for o in observed), default=0)
    if days > longest:
        reason = f"longest observed time is {longest / DAYS_PER_MONTH:.1f} months"
        return Landmark(months, None, None, None, at_risk, events, censored, reason)
    standing = [p for p in points if p.days <= days]
    if not standing:
        return Landmark(months, 1.0, 1.0, 1.0, at_risk, events, censored)
    last = standing[-1]
    return Landmark(months, last.estimate, last.lower, last.upper, at_risk, events, censored)


def median(points: Sequence[CurvePoint]) -> Median:
    """Median time in months with the limits read off the limits of the curve."""
    return Median(
        _crossing([(p.days, p.estimate) for p in points]),
        _crossing([(p.days, p.lower) for p in points]),
        _crossing([(p.days, p.upper) for p in points]),
    )


def _crossing(steps: Sequence[tuple[int, float | None]]) -> float | None:
    """First time at or below one half; a flat part exactly at one half is read at its middle, as R does."""
    for position, (days, value) in enumerate(steps):
        if value is None:
            continue
        if math.isclose(value, 0.5, rel_tol=1e-9):
            later = next((d for d, v in steps[position + 1 :] if v is not None and v < 0.5 - 1e-9), None)
            return (days + later) / 2 / DAYS_PER_MONTH if later is not None else days / DAYS_PER_MONTH
        if value < 0.5:
            return days / DAYS_PER_MONTH
    return None


def self_check(points: Sequence[CurvePoint], observed: Sequence[Observed]) -> None:
    """Compare a curve with one in exact fractions. Raises ``ArithmeticError`` where they differ or it rises."""
    remaining, exact, previous = len(observed), Fraction(1), 1.0
    for point in points:
        if point.at_risk != remaining:
            raise ArithmeticError(f"at risk at day {point.days}: {point.at_risk}, counted {remaining}")
        exact *= Fraction(point.at_risk - point.events, point.at_risk)
        if not math.isclose(point.estimate, float(exact), rel_tol=1e-9, abs_tol=1e-12):
            raise ArithmeticError(f"the curve at day {point.days}: {point.estimate}, exactly {float(exact)}")
        if point.estimate > previous:
            raise ArithmeticError(f"the curve rises at day {point.days}")
        previous = point.estimate
        remaining -= point.events + point.censored
    if remaining:
        raise ArithmeticError(f"{remaining} members are missing from the curve")


# --- groups ------------------------------------------------------------------------------------------------------


def log_rank(groups: Sequence[Sequence[Observed]]) -> ChiSquare | None:
    """Log-rank test of groups with an expected event; None with fewer than two of them.

    A group in which nobody was at risk at any event is left out and adds no degree of freedom (as in R).
    """
    first_event = min((o.days for g in groups for o in g if o.event), default=None)
    filled = [g for g in groups if first_event is not None and any(o.days >= first_event for o in g)]
    if len(filled) < 2:
        return None
    result = multivariate_logrank_test(
        [o.days for g in filled for o in g],
        [position for position, g in enumerate(filled) for _ in g],
        [o.event for g in filled for o in g],
    )
    chi2, p = float(result.test_statistic), float(result.p_value)
    return ChiSquare(chi2, len(filled) - 1, p) if math.isfinite(chi2) else None


@dataclass(frozen=True, slots=True)
class TableTests:
    """Tests of a table of groups by event: Fisher's exact (two groups), chi-square without and with Yates."""

    fisher_p: float | None
    chi2_p: float | None
    yates_p: float | None


def table_tests(groups: Sequence[Sequence[Observed]]) -> TableTests:
    """P values of the crude table; None where a margin is zero."""
    table = np.array([[sum(not o.event for o in g), sum(o.event for o in g)] for g in groups if g])
    if len(table) < 2 or not table.sum(axis=0).all():
        return TableTests(None, None, None)
    two_by_two = table.shape == (2, 2)
    return TableTests(
        float(stats.fisher_exact(table)[1]) if two_by_two else None,
        float(stats.chi2_contingency(table, correction=False)[1]),
        float(stats.chi2_contingency(table, correction=True)[1]) if two_by_two else None,
    )


def exact_binomial(successes: int, total: int, level: float) -> tuple[float | None, float | None]:
    """Clopper–Pearson limits of a proportion; none without a denominator."""
    if not total:
        return None, None
    limits = stats.binomtest(successes, total).proportion_ci(level, method="exact")
    return float(limits.low), float(limits.high)


# --- Cox ---------------------------------------------------------------------------------------------------------


def cox(
    observed: Sequence[Observed],
    covariates: Sequence[Sequence[float]],
    *,
    level: float,
    clusters: Sequence[str] | None = None,
) -> CoxModel:
    """A Cox model of these covariates (one sequence a covariate), Efron ties, converged until the gradient is 1e-10.

    lifelines fits it and stops by its likelihood; Newton steps with exact sums then go on to that gradient.
    With ``clusters`` (several rows of one patient) the variance is robust and likelihood tests are not given. Raises
    ``NotEstimable`` without an event, without a covariate, or where a covariate is constant or redundant.
    """
    if not covariates:
        raise NotEstimable("no_covariate")
    if not any(o.event for o in observed):
        raise NotEstimable("no_event")
    matrix = np.column_stack([np.asarray(c, dtype=float) for c in covariates])
    _check_columns(matrix)
    days, event = np.array([o.days for o in observed]), np.array([o.event for o in observed])
    order = np.lexsort((*matrix.T[::-1], ~event, days))  # the same sums for every order of the rows
    matrix, days, event = matrix[order], days[order], event[order]
    observed = [observed[position] for position in order]
    frame = pd.DataFrame(matrix, columns=[f"x{i}" for i in range(matrix.shape[1])])
    frame["days"], frame["event"] = days, event
    fitter = CoxPHFitter(alpha=1 - level)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fitter.fit(frame, "days", "event", fit_options={"precision": COX_PRECISION, "max_steps": 200})
        except (ConvergenceError, np.linalg.LinAlgError) as problem:
            raise NotEstimable("not_converging") from problem
        likelihood = fitter.log_likelihood_ratio_test() if clusters is None else None
    separated = _separated(fitter, matrix, observed)
    words = _separation_words(observed, separated)
    if any(issubclass(w.category, ConvergenceWarning) for w in caught) and not words:
        words = [{"code": "converged_badly"}]
    coefficients = fitter.params_.to_numpy(dtype=float)
    variance = fitter.variance_matrix_.to_numpy(dtype=float)
    if not any(separated):
        coefficients, variance = polished(coefficients, matrix, days, event)
        if clusters is not None:
            named = [clusters[position] for position in order]
            variance = robust_variance(coefficients, variance, matrix, days, event, named)
    return CoxModel(
        terms=tuple(
            CoxTerm(None, None, None, None, None, None)
            if apart
            else _term(float(coefficients[position]), math.sqrt(variance[position, position]), level)
            for position, apart in enumerate(separated)
        ),
        lrt=None
        if likelihood is None
        else ChiSquare(float(likelihood.test_statistic), int(likelihood.degrees_freedom), float(likelihood.p_value)),
        wald=None if any(separated) else _wald(coefficients, variance),
        score=_score_test(matrix, observed) if clusters is None else None,
        concordance=_concordance(matrix @ coefficients, days, event),
        warnings=tuple(words),
        coefficients=tuple(map(float, coefficients)),
        variance=tuple(tuple(map(float, row)) for row in variance),
    )


def partial_wald_p(model: CoxModel, positions: Sequence[int]) -> float:
    """P of some coefficients together by the model's own variance; 1 where they are not estimable."""
    if model.wald is None:
        return 1.0
    chosen = np.array(positions)
    return _wald(np.array(model.coefficients)[chosen], np.array(model.variance)[np.ix_(chosen, chosen)]).p


def _check_columns(matrix: np.ndarray) -> None:
    """Every column must vary, and none may follow from the others; judged on a common scale."""
    spread = np.ptp(matrix, axis=0)
    if (spread <= 1e-9 * np.maximum(1.0, np.abs(matrix.mean(axis=0)))).any():
        raise NotEstimable("constant_covariate")
    standard = (matrix - matrix.mean(axis=0)) / spread
    if np.linalg.matrix_rank(standard) < matrix.shape[1]:
        raise NotEstimable("redundant_covariate")


def _separated(fitter: CoxPHFitter, matrix: np.ndarray, observed: Sequence[Observed]) -> list[bool]:
    """Which covariates have no finite estimate.

    One of its two levels has no event or is never at risk at one, or the likelihood is flat.
    """
    event = np.array([o.event for o in observed])
    days = np.array([o.days for o in observed])
    first_event = days[event].min()
    separated = []
    for position, column in enumerate(matrix.T):
        levels = np.unique(column)
        sides = [column == level for level in levels] if len(levels) == 2 else []
        empty = any(not event[side].any() or days[side].max() < first_event for side in sides)
        coef, se = float(fitter.params_.iloc[position]), float(fitter.standard_errors_.iloc[position])
        spread = float(np.ptp(column))
        flat = not (math.isfinite(coef) and math.isfinite(se)) or abs(coef) * spread > 15 or se * spread > 100
        separated.append(empty or flat)
    return separated


def _term(coef: float, se: float, level: float) -> CoxTerm:
    z = float(stats.norm.ppf(0.5 + level / 2))
    p = float(2 * stats.norm.sf(abs(coef / se)))
    return CoxTerm(coef, se, _exp(coef), _exp(coef - z * se), _exp(coef + z * se), p)


def _exp(number: float) -> float | None:
    """A hazard ratio, None where it is too large for a float."""
    return math.exp(number) if number < 700 else None


def _separation_words(observed: Sequence[Observed], separated: Sequence[bool]) -> list[Warning_]:
    events = sum(o.event for o in observed)
    return [
        {"code": "apart", "number": position, "events": events}
        for position, apart in enumerate(separated, start=1)
        if apart
    ]


def _wald(coefficients: np.ndarray, variance: np.ndarray) -> ChiSquare:
    chi2 = float(coefficients @ np.linalg.solve(variance, coefficients))
    return ChiSquare(chi2, len(coefficients), float(stats.chi2.sf(chi2, len(coefficients))))


def _score_test(matrix: np.ndarray, observed: Sequence[Observed]) -> ChiSquare | None:
    """The score test at zero coefficients with Efron's ties, which lifelines does not offer."""
    days, event = np.array([o.days for o in observed]), np.array([o.event for o in observed])
    width = matrix.shape[1]
    gradient, information = gradient_and_information(np.zeros(width), matrix, days, event)
    try:
        chi2 = float(gradient @ np.linalg.solve(information, gradient))
    except np.linalg.LinAlgError:
        return None
    return ChiSquare(chi2, width, float(stats.chi2.sf(chi2, width)))


def chi_square_p(chi2: float, df: int) -> float:
    """Upper tail of the chi-square distribution; 1 without a degree of freedom."""
    if df == 0:
        return 1.0
    return float(stats.chi2.sf(chi2, df))


def _concordance(predictor: np.ndarray, days: np.ndarray, event: np.ndarray) -> float | None:
    """Harrell's concordance; predictors that differ by rounding only are ties."""
    try:
        return float(concordance_index(days, -np.round(predictor, 9), event))
    except ZeroDivisionError:  # no pair of members can be compared
        return None
