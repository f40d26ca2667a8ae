"""Figures beyond the curve: other ends, those who stayed free, mean times, models that say what they cannot."""

from typing import Any

import pytest

from cohorts.domain.definition_file import parse_definition
from cohorts.selectors.disclosure import without_single_events, without_small_groups
from monitoring.domain.course.series import Fact, FactKind
from monitoring.domain.following.reading import PatientHistory
from tests.builders import course, day, deep, point
from tests.cohorts.cohorts import figures_of
from tests.cohorts.test_members import AS_OF, history


def figures(people: list[PatientHistory], **definition: Any) -> dict[str, Any]:
    return figures_of(people, parse_definition({"slug": "c", **definition}), AS_OF)


def somebody(number: int) -> PatientHistory:
    """Of six people two lose MMR, one dies, one restarts, two stay free."""
    kind = number % 6
    lost = kind < 2 or (kind == 5 and number % 4 == 1)
    points = [point(-890, "5"), deep(-600 + 9 * number), deep(-5)]
    points.append(point(60 + 11 * number, "0.5") if lost else deep(300 + 40 * (number % 30)))
    facts = [Fact(FactKind.DEATH, day(500 + 20 * number))] if kind == 2 else []
    drugs = [course(-900 - 7 * number, 0), *([course(400 + 13 * number, None)] if kind == 3 else [])]
    return history(points, drugs, facts, patient_id=f"P{number:03}", sex="M" if number % 5 in (1, 2) else "F")


PEOPLE = [somebody(number) for number in range(60)]
FACTORS = {"factors": [{"name": "sex"}, {"name": "dmr_months"}]}


def test_other_ends_make_the_curve_cause_specific_and_the_incidence_stands_beside_it() -> None:
    found = figures(PEOPLE, **FACTORS)
    assert found["kaplan_meier"]["cause_specific"]
    risks = found["competing_risks"]
    assert set(risks["competing"]) == {"restart", "death"}
    assert risks["event"]["events"] == found["counts"]["events"]
    assert risks["competing_event"]["events"] == sum(risks["competing"].values())
    at = {one["months"]: one for one in risks["event"]["landmarks"]}
    curve = {one["months"]: one for one in found["kaplan_meier"]["landmarks"]}
    assert 0 < at[24]["estimate"] < 1 - curve[24]["estimate"]
    assert at[24]["lower"] < at[24]["estimate"] < at[24]["upper"]
    last, other = risks["event"]["points"][-1], risks["competing_event"]["points"][-1]
    assert last["estimate"] + other["estimate"] <= 1
    sex = found["univariate"][0]
    assert sex["gray"]["df"] == 1
    assert sex["fine_gray"][0]["hr"] > 0
    assert found["univariate"][1]["gray"] is None  # a number has no groups


def test_an_endpoint_that_counts_every_end_has_nothing_that_competes() -> None:
    found = figures(PEOPLE, endpoint="tfr")
    assert not found["kaplan_meier"]["cause_specific"]
    assert found["competing_risks"] is None
    assert figures(PEOPLE, attempts="all")["competing_risks"] is None


def test_those_who_stayed_free_have_a_curve_of_their_own() -> None:
    found = figures(PEOPLE)
    for conditional in found["kaplan_meier"]["conditional"]:
        months = conditional["from_months"]
        whole = {one["months"]: one["estimate"] for one in found["kaplan_meier"]["landmarks"]}
        for landmark in conditional["landmarks"]:
            assert landmark["months"] > months
            if landmark["estimate"] is not None:
                assert landmark["estimate"] == pytest.approx(whole[landmark["months"]] / whole[months])
    assert [c["from_months"] for c in found["kaplan_meier"]["conditional"]] == [6, 12, 24]


def test_mean_months_and_their_difference_are_refused_beyond_the_longest_time() -> None:
    found = figures(PEOPLE, **FACTORS)
    mean, sex = found["kaplan_meier"]["restricted_mean"], found["univariate"][0]
    assert 0 < mean["lower"] < mean["estimate"] < mean["upper"] < 36
    of_groups = [group["restricted_mean"]["estimate"] for group in sex["groups"]]
    apart = sex["restricted_mean_difference"]
    assert apart["estimate"] == pytest.approx(of_groups[1] - of_groups[0])
    assert (apart["level"], apart["reference"]) == ("M", "F")
    short = figures([history([deep(-5), deep(50)], patient_id=f"P{n}", sex="FM"[n % 2]) for n in range(4)], **FACTORS)
    assert short["kaplan_meier"]["restricted_mean"]["reason"] == "longest observed time is 1.6 months"
    assert short["univariate"][0]["restricted_mean_difference"] is None


def test_proportional_hazards_are_tested_by_factor_and_together() -> None:
    found = figures(PEOPLE[:40], cox=["sex", "dmr_months"], **FACTORS)
    assert [test["id"] for test in found["cox"]["zph"]] == ["sex", "dmr_months", "GLOBAL"]
    assert found["cox"]["zph"][-1]["df"] == 2
    assert found["cox"]["firth"] is None
    warning = next(w for w in found["cox"]["warnings"] if w["code"] == "few_events_per_coefficient")
    assert warning["coefficients"] == 2


def test_a_separated_factor_is_named_and_has_a_penalised_estimate() -> None:
    people = [
        history(
            [deep(-600), deep(-5), point(60 + n, "0.5") if n < 8 else deep(400 + n)],
            patient_id=f"P{n}",
            sex="M" if n < 18 else "F",
        )
        for n in range(36)
    ]
    sex = figures(people, factors=[{"name": "sex"}])["univariate"][0]
    assert sex["cox"]["hr"] is None
    (warning,) = sex["warnings"]
    assert (warning["code"], warning["factor"], warning["level"], warning["reference"]) == (
        "separated",
        "sex",
        "M",
        "F",
    )
    (term,) = sex["firth"]
    assert 1 < term["lower"] < term["hr"] < term["upper"]
    assert term["p"] < 0.01


def test_few_people_elsewhere_take_the_incidence_and_the_small_curves_with_them() -> None:
    shown = without_single_events(without_small_groups(figures(PEOPLE, **FACTORS)))
    assert "competing" not in shown["competing_risks"]
    assert shown["competing_risks"]["event"]["points"] == []
    assert shown["competing_risks"]["competing_event"]["points"] == []
    assert "competing_risks.points" in shown["withheld"][1]["figures"]
    assert shown["kaplan_meier"]["restricted_mean"] is None
    for factor in shown["univariate"]:  # of few people with one event the mean gives away its day
        assert factor["restricted_mean_difference"] is None
        assert all(group["restricted_mean"] is None for group in factor["groups"])
    few = without_small_groups(figures(PEOPLE[:14], **FACTORS))
    assert few["competing_risks"] is None
    assert all(factor["gray"] is None and factor["fine_gray"] is None for factor in few["univariate"])
    assert "competing_risks" in few["withheld"][0]["figures"]
    assert all(curve["members"] >= 5 for curve in few["kaplan_meier"]["conditional"])
