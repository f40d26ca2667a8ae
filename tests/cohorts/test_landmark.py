"""Landmark analyses: who enters, what may define a group, and that nothing later than the landmark is read."""

import dataclasses
from typing import Any

import pytest

from cohorts.domain.definition_file import DefinitionProblem, as_json, parse_definition
from monitoring.domain.course.series import Fact, FactKind
from monitoring.domain.following.kinetics import Value
from monitoring.domain.following.reading import PatientHistory
from monitoring.domain.vocabulary.scale import ResponseClass
from tests.builders import course, day, deep, point
from tests.cohorts.cohorts import figures_of, rows_of
from tests.cohorts.test_members import AS_OF, history

LANDMARK = {"slug": "c", "landmark_months": 3, "factors": [{"name": "mr4_5_at_month_3"}]}


def groups(patient: PatientHistory, *names: str, months: int = 3) -> list[str | None]:
    definition = parse_definition(
        {"slug": "c", "landmark_months": months, "factors": [{"name": name} for name in names]}
    )
    (row,) = rows_of([patient], definition, AS_OF)
    return [row.group(name) for name in names]


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([deep(-10), deep(40), point(80, "0.5"), deep(200)], "ENDED_BEFORE_LANDMARK"),
        ([deep(-10), deep(40), point(91, "0.5")], "ENDED_BEFORE_LANDMARK"),  # month 3 is day 91.3
        ([deep(-10), deep(40), point(92, "0.5")], ""),
        ([deep(-10), deep(40), deep(91)], "NOT_OBSERVED_TO_LANDMARK"),
        ([deep(-10), deep(40), deep(92)], ""),
    ],
)
def test_who_enters_is_observed_beyond_the_landmark_and_free_of_every_end(points: Any, reason: str) -> None:
    (row,) = rows_of([history(points)], parse_definition(LANDMARK), AS_OF)
    assert row.exclusion_reason == reason


def test_a_restart_before_the_landmark_is_no_member_either() -> None:
    patient = history([deep(-10), deep(40), deep(200)], [course(-900, 0), course(60, None)])
    (row,) = rows_of([patient], parse_definition(LANDMARK), AS_OF)
    assert row.exclusion_reason == "ENDED_BEFORE_LANDMARK"


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([deep(60), deep(200)], "yes"),
        ([point(60, "0.02"), deep(200)], "no"),
        ([deep(30), point(95, "0.02"), deep(200)], "yes"),  # the sample of day 95 is later than month 3
        ([deep(28), deep(200)], None),  # 63 days old at the landmark
        ([deep(30), deep(200)], "yes"),
        ([deep(60, ResponseClass.MR4), deep(200)], None),  # undetected, and too poor to prove MR4.5
        ([deep(50), deep(80, ResponseClass.MR4), deep(200)], "yes"),  # the one before it counts
    ],
)
def test_the_response_at_the_landmark_is_the_last_one_before_it(points: Any, expected: str | None) -> None:
    assert groups(history([deep(-10), *points]), "mr4_5_at_month_3") == [expected]


def test_nothing_after_the_landmark_defines_a_group() -> None:
    early = history(
        [deep(-10), point(30, "0.02"), deep(80), deep(200)],
        facts=[Fact(FactKind.WITHDRAWAL_SYNDROME, day(50))],
    )
    late = history(
        [deep(-10), deep(30), deep(80), point(120, "0.02"), deep(200)],
        facts=[Fact(FactKind.WITHDRAWAL_SYNDROME, day(120))],
    )
    assert groups(early, "fluctuation", "withdrawal_syndrome") == ["yes", "yes"]
    assert groups(late, "fluctuation", "withdrawal_syndrome") == ["no", "no"]
    assert groups(late, "fluctuation", "withdrawal_syndrome", months=6) == ["yes", "yes"]


def test_two_values_above_0_0032_percent_are_a_fluctuation_though_mr4_holds() -> None:
    twice = history([deep(-10), point(30, "0.005"), point(60, "0.006"), deep(200)])
    once = history([deep(-10), point(30, "0.005"), deep(60), deep(200)])
    assert groups(twice, "fluctuation") == ["yes"]
    assert groups(once, "fluctuation") == ["no"]


def valued(*pairs: tuple[int, str | None]) -> PatientHistory:
    """A patient with these values off treatment, as doubling times read them."""
    points = [deep(offset) if percent is None else point(offset, percent) for offset, percent in pairs]
    values = tuple(
        Value(p.on, p.is_percent, detected=p.is_percent is not None, laboratory="L", key=p.key) for p in points
    )
    return history([deep(-100), *points, deep(200)], values=values)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (((32, "0.001"), (60, "0.0079")), "fast"),  # doubles in 9.4 days
        (((32, "0.001"), (60, "0.003")), "slow"),  # in 17.7
        (((32, "0.003"), (60, "0.001")), "not_rising"),
        (((32, "0.003"), (60, None)), "not_rising"),
        (((60, "0.003"),), None),
    ],
)
def test_the_doubling_time_at_month_two(pairs: Any, expected: str | None) -> None:
    assert groups(valued(*pairs), "doubling_at_month_2") == [expected]


def test_a_doubling_time_decided_after_the_landmark_is_not_known_at_it() -> None:
    patient = valued((32, "0.001"), (70, "0.0079"))
    assert groups(patient, "doubling_at_month_2", months=3) == ["fast"]
    assert groups(patient, "doubling_at_month_2", months=2) == [None]


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ({"factors": [{"name": "mr4_5_at_month_3"}]}, "set landmark_months to 3 or more"),
        ({"factors": [{"name": "withdrawal_syndrome"}]}, "set landmark_months to 1 or more"),
        ({"landmark_months": 3, "factors": [{"name": "mr4_5_at_month_6"}]}, "after the landmark at month 3"),
        ({"landmark_months": 1, "factors": [{"name": "doubling_at_month_2"}]}, "set landmark_months to 2 or more"),
        ({"landmark_months": 49}, "48 months at most"),
        ({"landmark_months": 0}, "whole number from 1"),
        ({"landmark_months": 3, "factors": [{"name": "fluctuation", "cut": 2}]}, "cannot be cut"),
        ({"include": {"fluctuation": ["yes"]}}, "'fluctuation' is not known"),
    ],
)
def test_factors_measured_after_time_zero_or_the_landmark_are_refused(definition: Any, words: str) -> None:
    with pytest.raises(DefinitionProblem, match=words):
        parse_definition({"slug": "c", **definition})


def test_the_figures_of_a_landmark_start_at_it() -> None:
    kept = [
        dataclasses.replace(history([deep(-10), deep(60), deep(100 + 40 * n)]), patient_id=f"K{n}") for n in range(12)
    ]
    lost = [
        dataclasses.replace(history([deep(-10), point(60, "0.02"), point(100 + 40 * n, "1")]), patient_id=f"L{n}")
        for n in range(8)
    ]
    early = [dataclasses.replace(history([deep(-10), point(50, "1")]), patient_id=f"E{n}") for n in range(5)]
    figures = figures_of([*kept, *lost, *early], parse_definition(LANDMARK), AS_OF)
    assert figures["counts"] == {
        "members": 20, "events": 8, "censored": 12, "excluded": {"ENDED_BEFORE_LANDMARK": 5},
    }  # fmt: skip
    assert figures["flow"][-1] == {"criterion": "ENDED_BEFORE_LANDMARK", "excluded": 5, "left": 20}
    assert [one["months"] for one in figures["kaplan_meier"]["landmarks"]] == [6, 12, 24, 36, 48, 60]
    assert [one["months"] for one in figures["maintenance"]] == [6, 12, 24, 36, 48, 60]
    assert figures["drop_outs_as_failures"][0]["total"] == 20
    (factor,) = figures["univariate"]
    assert {g["label"]: (g["members"], g["events"]) for g in factor["groups"]} == {"yes": (12, 0), "no": (8, 8)}
    assert factor["logrank"]["p"] < 0.001


def test_a_definition_with_a_landmark_and_strata_comes_back_as_it_was() -> None:
    definition = parse_definition({
        **LANDMARK, "factors": [{"name": "fluctuation"}, {"name": "sex"}], "strata": ["sex"],
    })  # fmt: skip
    assert parse_definition(as_json(definition)) == definition
