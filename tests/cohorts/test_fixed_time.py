"""Figures at a fixed time, published scores, strata, centres side by side, and what is not known."""

import dataclasses
import datetime as dt
from typing import Any

import numpy as np
import pytest
from scipy import stats

from cohorts.domain.definition_file import DefinitionProblem, as_json, parse_definition
from cohorts.domain.figures.fixed_time import funnel_limits
from monitoring.domain.course.series import Fact, FactKind
from monitoring.domain.following.reading import PatientHistory
from monitoring.domain.vocabulary.dates import PartialDate
from tests.builders import course, day, deep, point
from tests.cohorts.cohorts import figures_of
from tests.cohorts.test_members import AS_OF, history


def patients(prefix: str, number: int, patient: PatientHistory, **more: Any) -> list[PatientHistory]:
    return [dataclasses.replace(patient, patient_id=f"{prefix}{n}", **more) for n in range(number)]


KEPT = history([deep(-10), *(deep(30 * n) for n in range(1, 40))])
LOST_EARLY = history([deep(-10), deep(30), point(90, "1")])
LOST_LATE = history([deep(-10), *(deep(30 * n) for n in range(1, 20)), point(600, "1")])
RESTARTED = history([deep(-10), deep(30), deep(100)], [course(-900, 0), course(120, None)])
DROPPED_OUT = history([deep(-10), deep(30), deep(100)])
DIED = history([deep(-10), deep(30), deep(100)], facts=[Fact(FactKind.DEATH, day(150))])

COHORT = [
    *patients("K", 10, KEPT), *patients("E", 4, LOST_EARLY), *patients("L", 3, LOST_LATE),
    *patients("R", 2, RESTARTED), *patients("X", 5, DROPPED_OUT), *patients("D", 1, DIED),
]  # fmt: skip


def figures(*histories: PatientHistory, as_of: dt.date = AS_OF, **definition: Any) -> dict[str, Any]:
    return figures_of(histories, parse_definition({"slug": "c", **definition}), as_of)


def test_maintenance_counts_those_whose_state_is_known_and_sustained_counts_every_end_as_failure() -> None:
    found = figures(*COHORT)
    at = {rate["months"]: rate for rate in found["maintenance"]}
    assert (at[3]["kept"], at[3]["evaluable"]) == (21, 25)
    assert (at[6]["kept"], at[6]["evaluable"]) == (13, 17)  # restarts, the death and the drop-outs are not known
    assert (at[24]["kept"], at[24]["evaluable"]) == (10, 17)
    limits = stats.binomtest(10, 17).proportion_ci(method="exact")
    assert (at[24]["lower"], at[24]["upper"]) == pytest.approx((limits.low, limits.high), rel=1e-12)
    assert (found["sustained"]["kept"], found["sustained"]["evaluable"]) == (13, 20)  # 4 lost, 2 restarted, 1 died


def test_who_has_not_had_the_time_is_counted_neither_as_kept_nor_as_lost() -> None:
    found = figures(*COHORT, as_of=day(200))
    at = {rate["months"]: rate for rate in found["maintenance"]}
    assert at[6]["had_time"] == 25
    assert at[12] == {
        "months": 12, "had_time": 0, "evaluable": 0, "kept": 0, "proportion": None, "lower": None, "upper": None,
    }  # fmt: skip


def test_odds_ratios_over_the_three_periods() -> None:
    men = [dataclasses.replace(one, sex="M") for one in (*patients("MK", 4, KEPT), *patients("ME", 8, LOST_EARLY))]
    found = figures(*COHORT, *men, factors=[{"name": "sex"}])
    periods = {(one["from_months"], one["months"]): one for one in found["univariate"][0]["odds_ratios"]}
    assert {period: (one["kept"], one["evaluable"]) for period, one in periods.items()} == {
        (0, 6): (17, 29), (6, 36): (14, 17), (0, 36): (14, 29),
    }  # fmt: skip
    (term,) = periods[0, 6]["terms"]
    assert (term["level"], term["reference"]) == ("M", "F")
    assert term["or"] == pytest.approx((4 / 8) / (13 / 4), rel=1e-9)
    assert periods[6, 36]["reason"] == "separated"  # no man lost the remission later
    assert periods[6, 36]["terms"] == []


SCORE = {
    "name": "score", "id": "risk", "source": "made up 2020", "cut": 6,
    "points": [
        {"name": "sex", "is": "M", "add": 3},
        {"name": "tki_months", "at_least": 24, "add": 2},
        {"name": "age_at_stop", "per_unit": 0.1},
    ],
}  # fmt: skip


def test_a_published_score_is_a_number_or_a_cut() -> None:
    woman = history([deep(-10), deep(50), deep(200)], born=PartialDate(dt.date(1990, 1, 1)))
    man = dataclasses.replace(woman, patient_id="M", sex="M")
    unknown = dataclasses.replace(woman, patient_id="U", born=None)
    definition = parse_definition({"slug": "c", "factors": [SCORE, {**SCORE, "id": "number", "cut": None}]})
    found = figures_of([woman, man, unknown], definition, AS_OF)
    cut, number = found["univariate"]
    assert {g["label"]: g["members"] for g in cut["groups"]} == {">= 6": 1, "< 6": 1}  # 5 and 8 points
    assert cut["excluded_missing"] == 1
    assert number["groups"] == []
    assert parse_definition(as_json(definition)) == definition


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": ""}, r"factors\[0\].source: a text is needed"),
        ({"points": []}, "a list of parts is expected"),
        ({"points": [{"name": "sex", "per_unit": 1}]}, "sex takes is and add"),
        ({"points": [{"name": "sex", "is": "Q", "add": 1}]}, "use one of F, M, X"),
        ({"points": [{"name": "tki_months", "at_least": 24}]}, "tki_months takes per_unit, or at_least and add"),
        ({"points": [{"name": "tki_months", "per_unit": float("inf")}]}, "a number is expected"),
        ({"points": [{"name": "tki_month", "per_unit": 1}]}, "tki_month"),
        ({"cut": "5"}, "a number is expected"),
        ({"name": "sex"}, "only a score has a source"),
    ],
)
def test_a_score_that_cannot_be_read_is_refused_by_its_place(change: dict[str, Any], words: str) -> None:
    with pytest.raises(DefinitionProblem, match=words):
        parse_definition({"slug": "c", "factors": [{**SCORE, **change}]})


def test_strata_are_groups_and_the_stratified_test_says_within_which() -> None:
    men = [dataclasses.replace(one, sex="M") for one in (*patients("MK", 6, KEPT), *patients("ME", 6, LOST_EARLY))]
    long = [dataclasses.replace(one, courses=(course(-3000, 0),)) for one in patients("T", 9, KEPT, sex="M")]
    found = figures(*COHORT, *men, *long, factors=[{"name": "tki_months", "cut": 60}, {"name": "sex"}], strata=["sex"])
    by_time, by_sex = found["univariate"]
    assert by_time["logrank_stratified"]["strata"] == ["sex"]
    assert by_time["logrank_stratified"]["chi2"] != by_time["logrank"]["chi2"]
    assert by_sex["logrank_stratified"] is None
    with pytest.raises(DefinitionProblem, match="strata"):
        parse_definition({"slug": "c", "factors": [{"name": "tki_months"}], "strata": ["tki_months"]})


def test_the_limits_of_a_funnel_are_those_of_the_binomial() -> None:
    lower, upper = funnel_limits(20, 0.4, 0.95)
    assert 0.15 < lower < 0.25
    assert 0.55 < upper < 0.65
    for total, share, level in ((20, 0.4, 0.95), (5, 0.4, 0.95), (10, 0.9, 0.998), (1, 0.4, 0.95), (200, 0.4, 0.998)):
        lower, upper = funnel_limits(total, share, level)
        counts = np.arange(total + 1)
        chance = stats.binom.pmf(counts, total, share)
        for outside in (counts / total < lower - 1e-12, counts / total > upper + 1e-12):
            assert chance[outside].sum() <= (1 - level) / 2 + 1e-12, (total, share, level)
    assert funnel_limits(1, 0.4, 0.998) == [0.0, 1.0]
    assert funnel_limits(5, 0.0, 0.95) == [0.0, 0.0]


def test_centres_side_by_side() -> None:
    elsewhere = [
        dataclasses.replace(one, centre="H2") for one in (*patients("P", 3, LOST_EARLY), *patients("Q", 3, KEPT))
    ]
    found = figures(*COHORT, *elsewhere)["by_centre"]
    assert (found["lost"], found["evaluable"]) == (7, 23)
    first, second = found["centres"]
    assert (first["centre"], first["lost"], first["evaluable"]) == ("H1", 4, 17)
    assert (second["centre"], second["lost"], second["evaluable"]) == ("H2", 3, 6)
    assert figures(*COHORT)["by_centre"] is None


def test_what_is_not_known_is_counted_by_factor_and_group() -> None:
    nobody_knows = patients("U", 3, KEPT, born=None)
    found = figures(*COHORT, *nobody_knows, factors=[{"name": "age_at_stop", "cut": 18}, {"name": "sex"}])["missing"]
    assert (found["members"], found["complete"]) == (28, 25)
    age, sex = found["factors"]
    assert (age["missing"], age["missing_with_event"]) == (3, 0)
    assert age["by_group"] == [{"id": "sex", "label": "F", "members": 28, "missing": 3}]
    assert (sex["missing"], sex["by_group"]) == (0, [])


def test_left_censored_lengths_are_put_on_either_side() -> None:
    # In deep response at our first result, years after the start: the length is a lower bound.
    censored = [dataclasses.replace(one, courses=(course(-3000, 0),)) for one in patients("C", 6, LOST_EARLY)]
    long = [
        dataclasses.replace(one, courses=(course(-3000, 0),), points=(point(-2990, "5"), deep(-2000), *one.points))
        for one in patients("W", 9, KEPT)
    ]
    short = [
        dataclasses.replace(one, points=(point(-890, "5"), deep(-100), *one.points))
        for one in patients("S", 8, LOST_EARLY)
    ]
    found = figures(*censored, *long, *short, factors=[{"name": "dmr_months", "cut": 36}])
    (factor,) = found["univariate"]
    bounds = factor["left_censored_bounds"]
    assert bounds["left_censored"] == factor["excluded_missing"] == 6
    assert [(g["members"], g["events"]) for g in bounds["best"]["groups"]] == [(15, 6), (8, 8)]
    assert [(g["members"], g["events"]) for g in bounds["worst"]["groups"]] == [(9, 0), (14, 14)]
    assert bounds["best"]["logrank"]["p"] > bounds["worst"]["logrank"]["p"]
    assert found["missing"]["factors"][0]["left_censored"] == 6


def test_a_given_model_with_a_factor_that_everybody_has_alike_is_fitted_without_it() -> None:
    longer = {"courses": (course(-3000, 0),)}
    mixed = [*patients("T", 6, KEPT, **longer), *patients("U", 4, LOST_LATE, **longer)]
    factors = [{"name": "tki_months"}, {"name": "sex"}]
    found = figures(*COHORT, *mixed, factors=factors, cox=["tki_months", "sex"])
    assert [term["id"] for term in found["cox"]["terms"]] == ["tki_months"]
    assert [test["id"] for test in found["cox"]["zph"]] == ["tki_months", "GLOBAL"]


def test_periods_of_odds_ratios_begin_at_the_landmark() -> None:
    found = figures(*COHORT, factors=[{"name": "sex"}], landmark_months=12)
    (factor,) = found["univariate"]
    assert [(one["from_months"], one["months"]) for one in factor["odds_ratios"]] == [(12, 36)]
    assert figures(*COHORT, landmark_months=36)["kaplan_meier"]["restricted_mean"]["estimate"] is None


def test_a_factor_that_everybody_has_in_common_and_an_empty_cohort_give_no_figures_and_no_fault() -> None:
    factors = [SCORE, {"name": "sex"}, {"name": "tki_months"}]
    for histories in ([], [KEPT], patients("K", 3, KEPT)):
        found = figures(*histories, factors=factors, strata=["sex"])
        assert found["by_centre"] is None
        assert all(rate["terms"] == [] for f in found["univariate"] for rate in f["odds_ratios"])
        assert all(f["spline"] is None and f["residuals"] == [] for f in found["univariate"])
