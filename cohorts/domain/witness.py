"""The second witness: lifelines fits the same rows, and what it says must agree with our own arithmetic.

The only module that imports lifelines, which takes seconds to load: tasks and commands only. Where the two differ by
more than lifelines' own tolerance the computation fails, because one of them is wrong. lifelines is not asked where it
is known to differ from R: ties other than Efron's, its test of proportional hazards, its Aalen–Johansen estimates
(docs/adr/0021).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.exceptions import ConvergenceError
from lifelines.statistics import multivariate_logrank_test

from cohorts.domain.engine.arrays import Floats, Ints, Times
from cohorts.domain.engine.cox import CoxFit
from cohorts.domain.engine.curves import Curve
from cohorts.domain.estimates import ChiSquare

CURVE_TOLERANCE = 1e-9
STATISTIC_TOLERANCE = 1e-6
# lifelines ends its Newton steps where the likelihood moves by less than a share of itself, which in a registry is far
# from the top: it is told to go on until the steps are small. A coefficient is then known to a share of its error.
COX_PRECISION = 1e-9
RELATIVE_PRECISION = 1e-15
COEFFICIENT_TOLERANCE = 1e-3


class WitnessesDiffer(ArithmeticError):
    """Our own figure and that of lifelines are not the same."""


def confirm_curve(times: Times, curve: Curve) -> None:
    """Compare a Kaplan–Meier curve. Raises ``WitnessesDiffer``."""
    fitter = KaplanMeierFitter().fit(times.days, times.event)
    table = fitter.event_table
    table = table[(table["observed"] > 0) | (table["censored"] > 0)]
    _same("days", curve.days, table.index.to_numpy(), 0)
    _same("at risk", curve.at_risk, table["at_risk"].to_numpy(), 0)
    _same("events", curve.events, table["observed"].to_numpy(), 0)
    estimate = fitter.survival_function_["KM_estimate"].loc[table.index].to_numpy()
    _same("the curve", curve.estimate, estimate, CURVE_TOLERANCE)


def confirm_log_rank(times: Times, group: Ints, test: ChiSquare) -> None:
    """Compare a log-rank test; groups that are at risk at no event are left out, as ours does."""
    if not times.event.any():
        return
    first_event = times.days[times.event].min()
    exposed = np.isin(group, np.unique(group[times.days >= first_event]))
    found = multivariate_logrank_test(times.days[exposed], group[exposed], times.event[exposed])
    _same("the log-rank statistic", test.chi2, found.test_statistic, STATISTIC_TOLERANCE * max(1.0, test.chi2))


def confirm_cox(fit: CoxFit) -> None:
    """Compare coefficients, standard errors and likelihood of an Efron fit.

    lifelines begins at ours and goes on by its own gradient: the likelihood has one top, so it stays only where ours is
    it. A separated model has no finite estimate for either witness and is not compared.
    """
    if fit.separated.any() or fit.rows.ties != "efron":
        return
    deviation = fit.rows.x.std(axis=0, ddof=1)  # lifelines counts in these
    frame = pd.DataFrame(fit.rows.x, columns=[f"x{position}" for position in range(fit.rows.width)])
    frame["days"], frame["event"] = fit.rows.times.days, fit.rows.times.event
    fitter = CoxPHFitter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fitter.fit(
                frame,
                "days",
                "event",
                batch_mode=True,
                initial_point=fit.beta * deviation,
                fit_options={"precision": COX_PRECISION, "r_precision": RELATIVE_PRECISION, "max_steps": 200},
            )
        except (ConvergenceError, np.linalg.LinAlgError) as problem:
            raise WitnessesDiffer("a Cox model converges here and not for lifelines") from problem
    error = np.sqrt(np.diag(fit.variance)) * fit.rows.scale
    _same("a Cox coefficient", fit.beta / error, fitter.params_.to_numpy() / error, COEFFICIENT_TOLERANCE)
    _same("a standard error", 1.0, fitter.standard_errors_.to_numpy() / error, COEFFICIENT_TOLERANCE)
    likelihood = fit.log_likelihood[1]
    _same("the Cox likelihood", likelihood, fitter.log_likelihood_, STATISTIC_TOLERANCE * max(1.0, abs(likelihood)))


def turnbull(earliest: Floats, latest: Floats, at: Sequence[float]) -> list[float]:
    """Turnbull's estimate of staying free, of events known to lie in intervals (``latest`` infinite: not yet).

    Where an interval of the estimate holds the asked day, the end at which everybody in it is still free is given.
    """
    fitter = KaplanMeierFitter().fit_interval_censoring(earliest, latest)
    upper = fitter.survival_function_.max(axis=1)
    return [float(upper[upper.index <= day].iloc[-1]) if (upper.index <= day).any() else 1.0 for day in at]


def _same(name: str, ours: object, theirs: object, tolerance: float) -> None:
    first, second = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    if first.ndim and first.shape != second.shape:
        raise WitnessesDiffer(f"{name}: {first.shape} figures here, {second.shape} of lifelines")
    apart = float(np.abs(first - second).max(initial=0.0))
    if not apart <= tolerance:
        raise WitnessesDiffer(f"{name} differs from that of lifelines by {apart:.3g}")
