"""Survival statistics of a cohort: computed by our engine, confirmed by lifelines, returned as plain records.

What does not exist is None, never infinity or NaN. Equal to R 4.2.2 / survival 3.5-3 (tests/reference/r). Import this
module in tasks and commands only: the second witness takes seconds to load.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import betaincinv

from cohorts.domain import witness
from cohorts.domain.engine import comparison, curves, proportionality
from cohorts.domain.engine import cox as engine_cox
from cohorts.domain.engine.arrays import Bools, Floats, Ints, Times
from cohorts.domain.engine.concordance import concordance
from cohorts.domain.engine.firth import fit_firth
from cohorts.domain.estimates import (
    ChiSquare,
    CoxModel,
    CoxTerm,
    Landmark,
    Median,
    NotEstimable,
    ScaledResiduals,
    Warning_,
)
from monitoring.domain.vocabulary.dates import DAYS_PER_MONTH

# --- Kaplan–Meier ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LimitedCurve:
    """A curve with the limits of a named interval; NaN where there is none."""

    curve: curves.Curve
    lower: Floats
    upper: Floats


def kaplan_meier(times: Times, *, transform: str, level: float, clusters: Ints | None = None) -> LimitedCurve:
    """The curve at each time with an event or a censoring, with Greenwood's variance and a named interval.

    With ``clusters`` (several rows of one patient, numbered) the variance is the infinitesimal jackknife by patient.
    Raises ``NotEstimable`` without observations and ``WitnessesDiffer``.
    """
    if not len(times):
        raise NotEstimable("no_members")
    curve = curves.kaplan_meier(times, clusters)
    _check_counts(curve, times)
    witness.confirm_curve(times, curve)
    lower, upper = curves.limits(curve.estimate, curve.variance, transform=transform, level=level)
    return LimitedCurve(curve, lower, upper)


def _check_counts(curve: curves.Curve, times: Times) -> None:
    """Everybody is on the curve once, and it never rises. Raises ``ArithmeticError``."""
    ended = curve.events + curve.censored
    if int(ended.sum()) != len(times) or int(curve.events.sum()) != int(times.event.sum()):
        raise ArithmeticError(f"{len(times) - int(ended.sum())} members are missing from the curve")
    if (np.diff(curve.at_risk) != -ended[:-1]).any() or (np.diff(curve.estimate) > 0).any():
        raise ArithmeticError("the curve rises, or who is at risk does not follow from who ended")


def landmark(limited: LimitedCurve, times: Times, months: float) -> Landmark:
    """The curve at so many months of 30.4375 days. At risk counts times at or beyond it, events those up to it."""
    days = months * DAYS_PER_MONTH
    at_risk = int((times.days >= days).sum())
    events = int((times.event & (times.days <= days)).sum())
    censored = int((~times.event & (times.days < days)).sum())
    longest = limited.curve.longest
    if days > longest:
        reason = f"longest observed time is {longest / DAYS_PER_MONTH:.1f} months"
        return Landmark(months, None, None, None, at_risk, events, censored, reason)
    step = limited.curve.position(days)
    if step < 0:
        return Landmark(months, 1.0, 1.0, 1.0, at_risk, events, censored)
    estimate = float(limited.curve.estimate[step])
    return Landmark(
        months, estimate, finite(limited.lower[step]), finite(limited.upper[step]), at_risk, events, censored
    )


def median(limited: LimitedCurve) -> Median:
    """Median time in months with the limits read off the limits of the curve."""
    days = limited.curve.days
    found = [curves.crossing(days, values) for values in (limited.curve.estimate, limited.lower, limited.upper)]
    return Median(*(None if day is None else day / DAYS_PER_MONTH for day in found))


def finite(number: float) -> float | None:
    """A number as Python has it, None where there is none."""
    return float(number) if math.isfinite(number) else None


# --- groups ------------------------------------------------------------------------------------------------------


def log_rank(times: Times, group: Ints, strata: Ints | None = None) -> ChiSquare | None:
    """Log-rank test of groups with an expected event; None with fewer than two of them.

    With ``strata`` people are compared within theirs only, which lifelines does not do.

    A group in which nobody was at risk at any event is left out and adds no degree of freedom (as in R).
    """
    test = comparison.log_rank(times, group, strata)
    if test is not None and strata is None:
        witness.confirm_log_rank(times, group, test)
    return test


@dataclass(frozen=True, slots=True)
class TableTests:
    """Tests of a table of groups by event: Fisher's exact (two groups), chi-square without and with Yates."""

    fisher_p: float | None
    chi2_p: float | None
    yates_p: float | None


def table_tests(event: Bools, group: Ints) -> TableTests:
    """P values of the crude table; None where a margin is zero."""
    counts = [[int((~event & (group == g)).sum()), int((event & (group == g)).sum())] for g in np.unique(group)]
    table = np.array(counts)
    if len(table) < 2 or not table.sum(axis=0).all():
        return TableTests(None, None, None)
    two_by_two = table.shape == (2, 2)
    return TableTests(
        float(stats.fisher_exact(table)[1]) if two_by_two else None,
        float(stats.chi2_contingency(table, correction=False)[1]),
        float(stats.chi2_contingency(table, correction=True)[1]) if two_by_two else None,
    )


def exact_binomial(successes: int, total: int, level: float) -> tuple[float | None, float | None]:
    """Clopper–Pearson limits of a proportion, as quantiles of the beta distribution; none without a denominator."""
    if not total:
        return None, None
    tail = (1 - level) / 2
    lower = betaincinv(successes, total - successes + 1, tail) if successes else 0.0
    upper = betaincinv(successes + 1, total - successes, 1 - tail) if successes < total else 1.0
    return float(lower), float(upper)


def binomial_quantile(tail: float, total: int, share: float) -> float:
    """The smallest number of successes at or below which a binomial count lies with this chance."""
    return float(stats.binom.ppf(tail, total, share))


def binomial_below(number: int, total: int, share: float) -> float:
    """The chance of at most so many successes."""
    return float(stats.binom.cdf(number, total, share))


# Profile limits refit the model some hundred times: beyond so many columns they would take the night.
MOST_PENALISED = 4

# --- Cox ---------------------------------------------------------------------------------------------------------


def cox(
    times: Times,
    covariates: Floats,
    *,
    level: float,
    terms: Sequence[Sequence[int]],
    ties: str = "efron",
    clusters: Ints | None = None,
    penalised: bool = False,
) -> CoxModel:
    """A Cox model of these covariates (rows x p), with its tests, the test of proportional hazards and Firth's fit.

    ``terms`` are the columns of each factor. Firth's fit is given where a group is separated and where ``penalised``
    asks for it. With ``clusters`` (several rows of one patient) the variance is robust, and there are no likelihood
    tests and none of proportionality. Raises ``NotEstimable`` without an event, without a covariate, or where a
    covariate is constant or redundant; raises ``WitnessesDiffer``.
    """
    fit = engine_cox.fit_cox(times, covariates, ties)
    witness.confirm_cox(fit)
    words: list[Warning_] = [
        {"code": "apart", "number": position, "events": int(times.event.sum())}
        for position, apart in enumerate(fit.separated, start=1)
        if apart
    ]
    any_apart = bool(fit.separated.any())
    if not fit.converged and not any_apart:
        words.append({"code": "converged_badly"})
    variance = fit.variance if clusters is None else engine_cox.robust_variance(fit, clusters)
    independent = clusters is None
    return CoxModel(
        ties=ties,
        terms=tuple(
            CoxTerm(None, None, None, None, None, None)
            if apart
            else _term(float(fit.coefficients[position]), math.sqrt(variance[position, position]), level)
            for position, apart in enumerate(fit.separated)
        ),
        lrt=fit.lrt if independent else None,
        wald=None if any_apart else engine_cox.wald(fit.coefficients, variance),
        score=fit.score if independent else None,
        concordance=concordance(times, covariates @ fit.coefficients),
        zph=None if any_apart or not independent else proportionality.zph(fit, terms),
        residuals=None if any_apart or not independent else _residuals(fit),
        firth=_firth(times, covariates, level) if independent and (any_apart or penalised) else None,
        warnings=tuple(words),
    )


def _residuals(fit: engine_cox.CoxFit) -> ScaledResiduals:
    scale, values = proportionality.scaled_residuals(fit)
    rows = fit.rows
    return ScaledResiduals(
        np.sort(rows.times.days[rows.times.event]),
        scale,
        values,
        rows.days[rows.event_day],
        proportionality.time_scale(fit),
        fit.coefficients,
        np.diag(fit.variance),
    )


def _firth(times: Times, covariates: Floats, level: float) -> tuple[CoxTerm, ...] | None:
    """Terms with profile limits and the P of the penalised likelihood ratio; None where it has no maximum either."""
    if covariates.shape[1] > MOST_PENALISED:
        return None
    try:
        fit = fit_firth(times, covariates, level)
    except NotEstimable:
        return None
    return tuple(
        CoxTerm(float(coef), None, _exp(coef), _exp(lower), _exp(upper), float(p))
        for coef, lower, upper, p in zip(fit.coefficients, fit.lower, fit.upper, fit.p, strict=True)
    )


def wald_terms(coefficients: Floats, variance: Floats, level: float) -> tuple[CoxTerm, ...]:
    """Terms with normal limits from coefficients and their variance."""
    return tuple(
        _term(float(coef), math.sqrt(variance[position, position]), level) for position, coef in enumerate(coefficients)
    )


def _term(coef: float, se: float, level: float) -> CoxTerm:
    z = float(stats.norm.ppf(0.5 + level / 2))
    p = float(2 * stats.norm.sf(abs(coef / se))) if se else None
    return CoxTerm(coef, se, _exp(coef), _exp(coef - z * se), _exp(coef + z * se), p)


def _exp(number: float) -> float | None:
    """A hazard ratio, None where it is too large for a float or has no limit."""
    return math.exp(number) if number < 700 else None


def chi_square_p(chi2: float, df: int) -> float:
    """Upper tail of the chi-square distribution; 1 without a degree of freedom."""
    return comparison.chi_square(chi2, df).p if df else 1.0
