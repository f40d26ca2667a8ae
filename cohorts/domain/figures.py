"""The figures of a cohort: from member rows to the snapshot, every number with its denominator, method and interval."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any

from cohorts.domain import survival
from cohorts.domain.definition import AGES, Definition, Factor
from cohorts.domain.descriptions import outcomes_after_loss, table1
from cohorts.domain.estimates import CoxModel, CurvePoint, Landmark, NotEstimable, Observed, Warning_
from cohorts.domain.members import APART, Member, criteria_of
from monitoring.domain.vocabulary.dates import months_of

LANDMARK_MONTHS = (3, 6, 12, 24, 36, 48, 60)
SELECTION_P = 0.05
# The version of what is computed here and below. Every correction raises it, and so publishes all cohorts anew.
# 2: drop-outs as failures among those whose follow-up is long enough; crude split by what ended it; degrees of freedom
#    of the log-rank test; robust variance as R; figures independent of the order of rows; the flow of exclusions.
# 3: members on interferon, of a transcript never seen, or across a gap are also counted separately; marrow alone is
#    excluded by name.
FIGURES_VERSION = 3
ENDS = ("loss_of_mmr", "restart", "death", "transplant", "progression")


def compute_figures(
    rows: Sequence[Member], definition: Definition, cutoff: date, passed_over: Mapping[str, int] = MappingProxyType({})
) -> dict[str, Any]:
    """All published figures of these rows, in the form of the snapshot. Deterministic: same rows, same numbers.

    ``cutoff`` is the last day of the data, ``passed_over`` the episodes that are no rows, by criterion.
    """
    rows = sorted(rows, key=lambda m: (m.history.centre, m.history.patient_id, m.stopped_on, m.attempt))
    members = [row for row in rows if row.included]
    observed = [_observed(m) for m in members]
    events = sum(o.event for o in observed)
    univariate = [_univariate(factor, members, definition) for factor in definition.factors]
    return {
        "counts": {
            "members": len(members),
            "events": events,
            "censored": len(members) - events,
            "excluded": dict(sorted(Counter(row.exclusion_reason for row in rows if not row.included).items())),
        },
        "flow": _flow(rows, definition, passed_over),
        "read_apart": _read_apart(members),
        "crude": _crude(members, definition),
        "drop_outs_as_failures": _drop_outs_as_failures(rows, definition, cutoff),
        "kaplan_meier": _kaplan_meier(members, definition),
        "univariate": univariate,
        "cox": _cox(members, definition, univariate),
        "competing_risks": None,
        "follow_up": _follow_up(observed, definition),
        "table1": table1(members),
        "outcomes_after_loss": outcomes_after_loss(members),
    }


def _read_apart(members: Sequence[Member]) -> list[dict[str, Any]]:
    """Members whose remission may not be treatment-free, or not as deep, by reason: their number and events."""
    strata = ((reason, [m for m in members if reason in m.apart]) for reason in APART)
    return [{"reason": r, "members": len(group), "events": sum(m.event for m in group)} for r, group in strata if group]


def _observed(member: Member) -> Observed:
    assert member.days is not None
    return Observed(member.days, member.event)


# --- whole cohort ------------------------------------------------------------------------------------------------


def _flow(rows: Sequence[Member], definition: Definition, passed_over: Mapping[str, int]) -> list[dict[str, Any]]:
    """From all times off treatment to the members: how many each criterion excludes, and how many are left."""
    left = len(rows) + sum(passed_over.values())
    steps: list[dict[str, Any]] = [{"criterion": "episodes", "excluded": 0, "left": left}]
    reasons = Counter(row.exclusion_reason for row in rows if not row.included)
    taken = [(name, passed_over.get(name, 0)) for name in criteria_of(definition)]
    for name, number in [*taken, *sorted(reasons.items())]:
        left -= number
        steps.append({"criterion": name, "excluded": number, "left": left})
    return steps


def _crude(members: Sequence[Member], definition: Definition) -> dict[str, Any]:
    """Who is still in remission at the last observation, and what ended it for the others; death ends it too."""
    ended = Counter(m.end_reason for m in members if m.end_reason in ENDS)
    kept = len(members) - ended.total()
    lower, upper = survival.exact_binomial(kept, len(members), definition.level)
    return {
        "in_remission": kept,
        "ended": {reason: ended[reason] for reason in ENDS if ended[reason]},
        "members": len(members),
        "proportion": kept / len(members) if members else None,
        "lower": lower,
        "upper": upper,
        "method": "crude proportion at the last observation, Clopper-Pearson",
    }


def _drop_outs_as_failures(rows: Sequence[Member], definition: Definition, cutoff: date) -> list[dict[str, Any]]:
    """The rate that counts every drop-out, and every episode without PCR after the stop, as a failure (ENEST).

    A landmark counts only those who stopped at least that long before the end of the data: to have had less time is no
    failure.
    """
    counted = [row for row in rows if row.included or row.exclusion_reason == "NO_PCR_AFTER_STOP"]
    rates = []
    for months in LANDMARK_MONTHS:
        had_time = [row for row in counted if months_of((cutoff - row.stopped_on).days) >= months]
        observed = [_observed(row) for row in had_time if row.included]
        total = len(had_time)
        kept = sum(months_of(o.days) >= months and not (o.event and months_of(o.days) <= months) for o in observed)
        lower, upper = survival.exact_binomial(kept, total, definition.level)
        rates.append(
            {"months": months, "in_remission": kept, "total": total, "proportion": kept / total if total else None,
             "lower": lower, "upper": upper}
        )  # fmt: skip
    return rates


def _clusters(members: Sequence[Member], definition: Definition) -> list[str] | None:
    """The patient of each row, where several attempts of one patient may stand in the cohort."""
    if definition.attempts == "first":
        return None
    return [f"{m.history.centre}/{m.history.patient_id}" for m in members]


def _kaplan_meier(members: Sequence[Member], definition: Definition) -> dict[str, Any]:
    observed = [_observed(m) for m in members]
    clusters = _clusters(members, definition)
    base: dict[str, Any] = {
        "transform": definition.transform,
        "level": definition.level,
        "variance": "Greenwood" if clusters is None else "robust by patient; a descriptive curve of attempts",
    }
    if not observed:
        nothing = {"estimate": None, "lower": None, "upper": None}
        return {**base, "landmarks": [], "median_months": nothing, "points": [], "reason": "no members"}
    points = survival.kaplan_meier(observed, transform=definition.transform, level=definition.level, clusters=clusters)
    survival.self_check(points, observed)
    return {
        **base,
        "landmarks": _landmarks(points, observed),
        "median_months": dataclasses.asdict(survival.median(points)),
        "points": [_point(p) for p in points],
    }


def _landmarks(points: Sequence[CurvePoint], observed: Sequence[Observed]) -> list[dict[str, Any]]:
    return [_landmark(survival.landmark(points, observed, months)) for months in LANDMARK_MONTHS]


def _landmark(landmark: Landmark) -> dict[str, Any]:
    values = dataclasses.asdict(landmark)
    if not landmark.reason:
        values.pop("reason")
    return values


def _point(point: CurvePoint) -> dict[str, Any]:
    values = dataclasses.asdict(point)
    values.pop("greenwood")
    return values


def _follow_up(observed: Sequence[Observed], definition: Definition) -> dict[str, Any]:
    """Median follow-up by reverse Kaplan–Meier: the censorings are the events."""
    turned = [Observed(o.days, not o.event) for o in observed]
    median = {"estimate": None, "lower": None, "upper": None}
    if turned:
        points = survival.kaplan_meier(turned, transform=definition.transform, level=definition.level)
        median = dataclasses.asdict(survival.median(points))
    return {
        "median_months": median["estimate"], "lower": median["lower"], "upper": median["upper"],
        "method": "reverse Kaplan-Meier",
    }  # fmt: skip


# --- factors -----------------------------------------------------------------------------------------------------


def _groups(factor: Factor, members: Sequence[Member]) -> dict[str, list[Member]]:
    """Members by group; groups of a cut in the order ``>=``, ``<``, categories by their label."""
    groups: dict[str, list[Member]] = {}
    for member in members:
        label = member.group(factor)
        if label is not None:
            groups.setdefault(label, []).append(member)
    return dict(sorted(groups.items(), key=lambda item: (item[0].startswith("<"), item[0])))


def _univariate(factor: Factor, members: Sequence[Member], definition: Definition) -> dict[str, Any]:
    groups = _groups(factor, members)
    known = [m for m in members if _is_known(m, factor)]
    by_group = [[_observed(m) for m in group] for group in groups.values()]
    by_attempt = definition.attempts == "all"
    test = None if by_attempt else survival.log_rank(by_group)
    tests = survival.TableTests(None, None, None) if by_attempt else survival.table_tests(by_group)
    model, words = _fit([factor], known, definition)
    if by_attempt:
        words.append({"code": "dependent_attempts"})
    return {
        "id": factor.id,
        "name": factor.name,
        "cut": factor.cut,
        "groups": [
            {
                "label": label,
                "members": len(group),
                "events": sum(m.event for m in group),
                "crude": _crude(group, definition),
                "landmarks": _kaplan_meier(group, definition)["landmarks"],
            }
            for label, group in groups.items()
        ],
        "logrank": dataclasses.asdict(test) if test else None,
        "fisher_p": tests.fisher_p,
        "chi2_p": tests.chi2_p,
        "yates_p": tests.yates_p,
        "cox": _univariate_terms(factor, known, model),
        "lrt": dataclasses.asdict(model.lrt) if model and model.lrt else None,
        "wald": _test(model, "wald") if by_attempt else None,
        "warnings": words,
        "excluded_missing": len(members) - len(known),
    }


def _univariate_terms(factor: Factor, known: Sequence[Member], model: CoxModel | None) -> Any:
    """One term for a cut or a number; a list of terms for a category of more than two levels."""
    if model is None:
        return None
    terms = [
        {**label, **dataclasses.asdict(t)} for label, t in zip(_columns(factor, known).labels, model.terms, strict=True)
    ]
    return terms[0] if len(terms) == 1 else terms


def _is_known(member: Member, factor: Factor) -> bool:
    if factor.is_category or factor.cut is not None:
        return member.group(factor) is not None
    return member.number(factor.name) is not None


@dataclasses.dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of one factor in a model, with the direction of each spelled out."""

    labels: list[dict[str, Any]]
    values: list[list[float]]


def _columns(factor: Factor, members: Sequence[Member]) -> _Columns:
    """``< cut`` over ``>= cut``; a category against its largest level (ties: alphabetical); a number per unit."""
    if not factor.is_category and factor.cut is None:
        unit = "per year" if factor.name in AGES else "per month"
        label = {"id": factor.id, "level": unit, "reference": None}
        return _Columns([label], [[member.number(factor.name) or 0.0 for member in members]])
    groups = [member.group(factor) for member in members]
    if factor.cut is not None:
        low, high = f"< {factor.cut}", f">= {factor.cut}"
        label = {"id": factor.id, "level": low, "reference": high}
        return _Columns([label], [[float(g == low) for g in groups]])
    sizes = Counter(g for g in groups if g is not None)
    ordered = sorted(sizes, key=lambda level: (-sizes[level], level))
    levels = sorted(ordered[1:])
    return _Columns(
        [{"id": factor.id, "level": level, "reference": ordered[0]} for level in levels],
        [[float(g == level) for g in groups] for level in levels],
    )


def _fit(
    factors: Sequence[Factor], members: Sequence[Member], definition: Definition
) -> tuple[CoxModel | None, list[Warning_]]:
    columns = [column for factor in factors for column in _columns(factor, members).values]
    try:
        model = survival.cox(
            [_observed(m) for m in members], columns, level=definition.level, clusters=_clusters(members, definition)
        )
    except NotEstimable as problem:
        return None, [{"code": "not_estimable", "why": str(problem)}]
    return model, list(model.warnings)


# --- multivariable model -----------------------------------------------------------------------------------------


def _cox(members: Sequence[Member], definition: Definition, univariate: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if definition.cox is not None:
        factors = [definition.factor(factor_id) for factor_id in definition.cox]
        selection: dict[str, Any] = {"method": "given", "candidates": list(definition.cox), "dropped": []}
    else:
        by_attempt = definition.attempts == "all"  # rows of one patient are not independent: no likelihood ratio
        test = "wald" if by_attempt else "lrt"
        candidates = [
            definition.factor(result["id"]) for result in univariate if result[test] and result[test]["p"] < SELECTION_P
        ]
        selection = {
            "method": "backward, robust Wald" if by_attempt else "backward, likelihood ratio",
            "candidates": [f.id for f in candidates],
            "dropped": [],
            "enter_p": SELECTION_P,
            "stay_p": SELECTION_P,
        }
        factors = candidates
    complete = [m for m in members if all(_is_known(m, f) for f in factors)]
    if definition.cox is None:
        factors = _backward(factors, complete, definition, selection["dropped"])
    selection["members"] = len(complete)
    model, words = _fit(factors, complete, definition) if factors else (None, [])
    events = sum(m.event for m in complete)
    if factors and events < 10 * len(factors):
        words.append({"code": "few_events", "events": events, "factors": len(factors)})
    labels = [label for factor in factors for label in _columns(factor, complete).labels]
    terms = [{**label, **dataclasses.asdict(t)} for label, t in zip(labels, model.terms, strict=True)] if model else []
    return {
        "ties": "efron",
        "selection": selection,
        "terms": terms,
        "lrt": _test(model, "lrt"),
        "wald": _test(model, "wald"),
        "score": _test(model, "score"),
        "concordance": model.concordance if model else None,
        "zph": None,
        "warnings": words,
        "firth": None,
    }


def _backward(
    factors: Sequence[Factor], members: Sequence[Member], definition: Definition, dropped: list[dict[str, Any]]
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


def _partial_p(factor: Factor, standing: Sequence[Factor], members: Sequence[Member], definition: Definition) -> float:
    """The P of one factor given the others; 1 where a model with it is not estimable."""
    whole, _ = _fit(standing, members, definition)
    if definition.attempts == "all":
        widths = [len(_columns(f, members).labels) for f in standing]
        first = sum(widths[: standing.index(factor)])
        return survival.partial_wald_p(whole, range(first, first + widths[standing.index(factor)])) if whole else 1.0
    rest = [f for f in standing if f is not factor]
    if whole is None or whole.lrt is None:
        return 1.0
    without, _ = _fit(rest, members, definition) if rest else (None, [])
    chi2 = whole.lrt.chi2 - (without.lrt.chi2 if without and without.lrt else 0.0)
    df = whole.lrt.df - (without.lrt.df if without and without.lrt else 0)
    return survival.chi_square_p(max(chi2, 0.0), df)


def _test(model: CoxModel | None, name: str) -> dict[str, Any] | None:
    test = getattr(model, name) if model else None
    return dataclasses.asdict(test) if test else None
