"""The multivariable model: given factors, or backward selection from those that count alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np

from cohorts.domain import survival
from cohorts.domain.definition import Definition, Factor
from cohorts.domain.engine.cox import CoxFit, fit_cox, robust_variance, wald
from cohorts.domain.estimates import NotEstimable
from cohorts.domain.figures.factors import fine_gray_of, fit, test_of, zph_of
from cohorts.domain.figures.fixed_time import odds_ratios
from cohorts.domain.figures.smooth import residuals_of
from cohorts.domain.figures.terms import model_columns, terms_of
from cohorts.domain.figures.whole import clusters
from cohorts.domain.member_table import MemberTable

SELECTION_P = 0.05
EVENTS_PER_COEFFICIENT = 10


def multivariable(
    members: MemberTable, definition: Definition, univariate: Sequence[dict[str, Any]], cutoff: date
) -> dict[str, Any]:
    """The model of several factors over the members in whom all of them are known."""
    if definition.cox is not None:
        factors = [definition.factor(factor_id) for factor_id in definition.cox]
        selection: dict[str, Any] = {"method": "given", "candidates": list(definition.cox), "dropped": []}
    else:
        by_attempt = definition.attempts == "all"  # rows of one patient are not independent: no likelihood ratio
        test = "wald" if by_attempt else "lrt"
        factors = [
            definition.factor(found["id"]) for found in univariate if found[test] and found[test]["p"] < SELECTION_P
        ]
        selection = {
            "method": "backward, robust Wald" if by_attempt else "backward, likelihood ratio",
            "candidates": [f.id for f in factors],
            "dropped": [],
            "enter_p": SELECTION_P,
            "stay_p": SELECTION_P,
        }
    known = np.ones(len(members), bool)
    for factor in factors:
        known &= members.is_known(factor)
    complete = members.of(known)
    if definition.cox is None:
        factors = _backward(factors, complete, definition, selection["dropped"])
    selection["members"] = len(complete)
    columns = model_columns(factors, complete)
    model, words = fit(columns, complete, definition) if factors else (None, [])
    events, coefficients = int(complete["event"].sum()), len(columns.labels)
    if events < EVENTS_PER_COEFFICIENT * coefficients:
        words.append({"code": "few_events_per_coefficient", "events": events, "coefficients": coefficients})
    return {
        "ties": definition.ties,
        "selection": selection,
        "terms": terms_of(columns, model.terms if model else None) or [],
        "lrt": test_of(model, "lrt"),
        "wald": test_of(model, "wald"),
        "score": test_of(model, "score"),
        "concordance": model.concordance if model else None,
        "zph": zph_of(columns, model.zph if model else None),
        "residuals": residuals_of(model, columns.labels, definition.level),
        "firth": terms_of(columns, model.firth if model else None),
        "odds_ratios": odds_ratios(columns, complete, definition, cutoff)
        if len(factors) > 1 and definition.attempts == "first"
        else [],
        "fine_gray": fine_gray_of(columns, complete, definition) if model and definition.attempts == "first" else None,
        "warnings": words,
    }


def _backward(
    factors: Sequence[Factor], members: MemberTable, definition: Definition, dropped: list[dict[str, Any]]
) -> list[Factor]:
    """Drop the factor with the largest P at or above 0.05, refit, repeat; the rows stay fixed.

    The P is of the likelihood ratio; where attempts of one patient stand together, of the robust Wald test.
    """
    standing = list(factors)
    while standing:
        p_values = {factor.id: _partial_p(factor, standing, members, definition) for factor in standing}
        worst = max(standing, key=lambda f: (p_values[f.id], f.id))
        if p_values[worst.id] < SELECTION_P:
            break
        standing.remove(worst)
        dropped.append({"id": worst.id, "p": p_values[worst.id]})
    return standing


def _partial_p(factor: Factor, standing: Sequence[Factor], members: MemberTable, definition: Definition) -> float:
    """The P of one factor given the others; 1 where a model with it is not estimable."""
    whole = _fitted(standing, members, definition)
    if whole is None:
        return 1.0
    patients = clusters(members, definition)
    if patients is not None:
        if whole.separated.any():
            return 1.0
        columns = model_columns(standing, members).of_factor[list(standing).index(factor)]
        test = wald(whole.coefficients[columns], robust_variance(whole, patients)[np.ix_(columns, columns)])
        return test.p if test else 1.0
    without = _fitted([f for f in standing if f is not factor], members, definition)
    chi2 = whole.lrt.chi2 - (without.lrt.chi2 if without else 0.0)
    df = whole.lrt.df - (without.lrt.df if without else 0)
    return survival.chi_square_p(max(chi2, 0.0), df)


def _fitted(factors: Sequence[Factor], members: MemberTable, definition: Definition) -> CoxFit | None:
    try:
        return fit_cox(members.times, model_columns(factors, members).values, definition.ties)
    except NotEstimable:
        return None
