"""Factors: their groups compared, and each alone in a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np

from cohorts.domain import survival
from cohorts.domain.definition import Definition, Factor
from cohorts.domain.engine.arrays import Times
from cohorts.domain.estimates import CoxModel, NotEstimable, Proportionality, Warning_
from cohorts.domain.figures.dating import cut_chosen_on_data
from cohorts.domain.figures.fixed_time import odds_ratios
from cohorts.domain.figures.missing import left_censored_bounds
from cohorts.domain.figures.risks import fine_gray, gray
from cohorts.domain.figures.smooth import residuals_of, spline_of
from cohorts.domain.figures.terms import Columns, model_columns, terms_of
from cohorts.domain.figures.whole import clusters, crude, difference_of_means, landmarks, points_of, restricted_mean
from cohorts.domain.member_table import Grouping, MemberTable

MOST_DRAWN = 5  # groups whose curves can be told apart without colour; more would make the snapshot many times larger


def fit(columns: Columns, members: MemberTable, definition: Definition) -> tuple[CoxModel | None, list[Warning_]]:
    """A Cox model of these columns, and its warnings with the factor's name in them."""
    try:
        model = survival.cox(
            members.times,
            columns.values,
            level=definition.level,
            terms=[term for term in columns.of_factor if term],
            ties=definition.ties,
            penalised=definition.penalised,
            clusters=clusters(members, definition),
        )
    except NotEstimable as problem:
        return None, [{"code": "not_estimable", "why": str(problem)}]
    return model, [_named(warning, columns) for warning in model.warnings]


def _named(warning: Warning_, columns: Columns) -> Warning_:
    """A separated covariate by the name of its factor and the two groups compared."""
    if warning["code"] != "apart":
        return warning
    label = columns.labels[int(warning["number"]) - 1]
    factor = next(f for f in columns.factors if f.id == label["id"])
    named = {"factor": factor.name, "level": label["level"], "reference": label["reference"] or ""}
    return {"code": "separated", **named, "events": warning["events"]}


def zph_of(columns: Columns, zph: Proportionality | None) -> list[dict[str, Any]] | None:
    """The test of proportional hazards of each factor, and of all together as ``GLOBAL``."""
    if zph is None:
        return None
    ids = [factor.id for factor, term in zip(columns.factors, columns.of_factor, strict=True) if term]
    tests = zip([*ids, "GLOBAL"], [*zph.terms, zph.together], strict=True)
    return [{"id": name, **dataclasses.asdict(test)} for name, test in tests]


def fine_gray_of(columns: Columns, members: MemberTable, definition: Definition) -> list[dict[str, Any]] | None:
    """Terms of the subdistribution hazard, None where nothing competes."""
    found = fine_gray(members, columns.values)
    if found is None:
        return None
    return terms_of(columns, survival.wald_terms(found.coefficients, found.variance, definition.level))


def test_of(model: CoxModel | None, name: str) -> dict[str, Any] | None:
    """A global test of a model."""
    test = getattr(model, name) if model else None
    return dataclasses.asdict(test) if test else None


def univariate(factor: Factor, members: MemberTable, definition: Definition, cutoff: date) -> dict[str, Any]:
    """One factor: its groups with their figures, the tests that compare them, and its own model."""
    known = members.of(members.is_known(factor))
    grouping = known.groupings.get(factor.id, Grouping((), np.zeros(len(known), np.int64)))
    by_attempt = definition.attempts == "all"
    log_rank = None if by_attempt else survival.log_rank(known.times, grouping.codes)
    tests = survival.TableTests(None, None, None)
    if not by_attempt and grouping.labels:
        tests = survival.table_tests(known["event"], grouping.codes)
    columns = model_columns([factor], known)
    model, words = fit(columns, known, definition)
    if by_attempt:
        words.append({"code": "dependent_attempts"})
    terms = terms_of(columns, model.terms if model else None)
    groups = _groups(grouping, known, definition)
    return {
        "id": factor.id,
        "name": factor.name,
        "cut": factor.cut,
        "groups": groups,
        "logrank": dataclasses.asdict(log_rank) if log_rank else None,
        "logrank_stratified": _stratified(factor, known, definition),
        "fisher_p": tests.fisher_p,
        "chi2_p": tests.chi2_p,
        "yates_p": tests.yates_p,
        "gray": gray(known, grouping) if grouping.labels and not by_attempt else None,
        # One term for a cut or a number; a list of terms for a category of more than two levels.
        "cox": terms[0] if terms is not None and len(terms) == 1 else terms,
        "zph": zph_of(columns, model.zph if model else None),
        "residuals": residuals_of(model, columns.labels, definition.level),
        "spline": spline_of(factor, known, definition) if _is_drawn(factor, definition) else None,
        "firth": terms_of(columns, model.firth if model else None),
        "odds_ratios": [] if by_attempt else odds_ratios(columns, known, definition, cutoff),
        "fine_gray": None if by_attempt else fine_gray_of(columns, known, definition),
        "restricted_mean_difference": _mean_difference(groups, definition),
        "lrt": test_of(model, "lrt"),
        "wald": test_of(model, "wald") if by_attempt else None,
        "warnings": words,
        "cut_chosen_on_data": cut_chosen_on_data(factor, known, definition),
        "excluded_missing": len(members) - len(known),
        "left_censored_bounds": left_censored_bounds(factor, members, definition),
    }


def _is_drawn(factor: Factor, definition: Definition) -> bool:
    """Whether the curve of a number is drawn here: of a cut only where the number itself is no factor."""
    if factor.is_category:
        return False
    same = [other for other in definition.factors if other.column == factor.column]
    return factor == next((other for other in same if other.cut is None), same[0])


def _stratified(factor: Factor, known: MemberTable, definition: Definition) -> dict[str, Any] | None:
    """The log-rank test that compares within the strata of the definition only."""
    others = [other for other in definition.strata if other != factor.id]
    if not others or factor.id not in known.groupings or definition.attempts == "all":
        return None
    strata = np.zeros(len(known), np.int64)
    in_all = np.ones(len(known), bool)
    for other in others:
        grouping = known.groupings[other]
        strata = strata * (len(grouping.labels) + 1) + grouping.codes
        in_all &= grouping.known
    rows = known.of(in_all)
    test = survival.log_rank(rows.times, rows.groupings[factor.id].codes, strata[in_all])
    return None if test is None else {"strata": others, "members": len(rows), **dataclasses.asdict(test)}


def _groups(grouping: Grouping, known: MemberTable, definition: Definition) -> list[dict[str, Any]]:
    found = []
    for code, label in enumerate(grouping.labels):
        group = known.of(grouping.codes == code)
        if not len(group):
            continue
        times: Times = group.times
        limited = survival.kaplan_meier(
            times,
            transform=definition.transform,
            level=definition.level,
            clusters=clusters(group, definition),
        )
        found.append(
            {
                "label": label,
                "members": len(group),
                "events": int(times.event.sum()),
                "crude": crude(group, definition),
                "landmarks": landmarks(limited, times, definition),
                "points": points_of(limited) if len(grouping.labels) <= MOST_DRAWN else [],
                "restricted_mean": restricted_mean(limited, definition) if definition.attempts == "first" else None,
            }
        )
    return found


def _mean_difference(groups: Sequence[dict[str, Any]], definition: Definition) -> dict[str, Any] | None:
    """Of two groups: the restricted mean of the second less that of the first."""
    if len(groups) != 2 or definition.attempts == "all":
        return None
    first, second = (group["restricted_mean"] for group in groups)
    found = difference_of_means(first, second, definition.level)
    return found and {"level": groups[1]["label"], "reference": groups[0]["label"], **found}
