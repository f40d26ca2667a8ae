"""Remission after a loss and another stop, how soon a response came back, and the pictures of a model."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from cohorts.domain.artefact import frozen, thawed
from cohorts.domain.definition_file import parse_definition
from cohorts.domain.figures.compute import compute_figures
from cohorts.domain.paths import stays_of
from monitoring.domain.course.series import Fact, FactKind
from monitoring.domain.following.reading import PatientHistory
from tests.builders import course, day, deep, point
from tests.cohorts.cohorts import figures_of, rows_of, table_of
from tests.cohorts.test_members import AS_OF, history

DEFINITION = parse_definition({"slug": "c"})
AGAIN = history(
    [deep(-10), deep(50), point(152, "1"), point(200, "0.5"), deep(260), deep(700), deep(900), deep(1500)],
    [course(-900, 0), course(170, 813)],
)


def path(patient: PatientHistory) -> str:
    (row,) = rows_of([patient], DEFINITION, AS_OF)
    return str(row.remission_path)


@pytest.mark.parametrize(
    ("patient", "expected"),
    [
        (AGAIN, "L152 T813 E1500"),
        (history([deep(-10), deep(50), deep(200)]), "E200"),
        # a contact shows neither MMR nor its loss
        (history([deep(-10), deep(50)], facts=[Fact(FactKind.LAST_CONTACT, day(400))]), "E50"),
        (history([deep(-10), deep(50)], [course(-900, 0), course(120, None)]), "L120 E120"),
        (history([deep(-10), deep(50)], facts=[Fact(FactKind.DEATH, day(90))]), "D90"),
        (history([deep(-10), deep(50)], facts=[Fact(FactKind.ALLOGENEIC_TRANSPLANT, day(90))]), "L90 E90"),
        # above MMR once, and back without a drug: in remission again
        (history([deep(-10), point(60, "0.2"), deep(120), deep(300)]), "L60 T120 E300"),
        # the next stop was not in MMR: no remission begins
        (
            history(
                [deep(-10), point(60, "2"), point(400, "0.5"), point(600, "0.4")], [course(-900, 0), course(70, 500)]
            ),
            "L60 E600",
        ),
    ],
)
def test_the_path_of_a_patient_after_the_first_stop(patient: PatientHistory, expected: str) -> None:
    assert path(patient) == expected


def stay_rows(*paths: str) -> list[tuple[int, ...]]:
    found = stays_of(np.array(paths, dtype=object))
    return [
        tuple(int(n) for n in row)
        for row in zip(found.patient, found.state, found.start, found.end, found.to, strict=True)
    ]


def test_stays_join_where_a_day_changes_twice() -> None:
    assert stay_rows("L10 T20 E30", "E5") == [(0, 0, 0, 10, 1), (0, 1, 10, 20, 0), (0, 0, 20, 30, -1), (1, 0, 0, 5, -1)]
    assert stay_rows("L10 D10") == [(0, 0, 0, 10, 2)]
    assert stay_rows("L10 T10 E30") == [(0, 0, 0, 10, -1), (0, 0, 10, 30, -1)]
    assert stay_rows("D0", "E0") == []


def test_current_remission_counts_whoever_is_back_off_treatment() -> None:
    kept = [
        dataclasses.replace(history([deep(-10), *(deep(90 * n) for n in range(1, 17))]), patient_id=f"K{n}")
        for n in range(6)
    ]
    again = [dataclasses.replace(AGAIN, patient_id=f"A{n}") for n in range(4)]
    figures = figures_of([*kept, *again], DEFINITION, AS_OF)
    current = {one["months"]: one for one in figures["current_remission"]["landmarks"]}
    curve = {one["months"]: one for one in figures["kaplan_meier"]["landmarks"]}
    assert curve[12]["estimate"] == pytest.approx(0.6)
    assert current[12]["estimate"] == pytest.approx(0.6)
    assert curve[36]["estimate"] == pytest.approx(0.6)
    assert current[36]["estimate"] == pytest.approx(1.0)
    assert (current[12]["in_remission"], current[12]["observed"]) == (6, 10)
    assert figures["current_remission"]["left_remission"] == figures["current_remission"]["came_back"] == 4
    assert figures["regained"]["restarted_after_loss"] == 4
    assert figures["regained"]["mmr"]["regained"] == 4
    assert figures["regained"]["dmr"]["median_months"]["estimate"] == pytest.approx(90 / 30.4375)


def test_who_was_only_spoken_to_is_observed_no_longer_than_in_the_curve() -> None:
    spoken = history([deep(-10), deep(200)], facts=[Fact(FactKind.LAST_CONTACT, day(1500))])
    lost = history([deep(-10), *(deep(50 * n) for n in range(1, 8)), point(400, "1"), point(1500, "1")])
    kept = history([deep(-10), *(deep(90 * n) for n in range(1, 17))])
    people = [
        *(dataclasses.replace(spoken, patient_id=f"S{n}") for n in range(5)),
        *(dataclasses.replace(lost, patient_id=f"L{n}") for n in range(3)),
        *(dataclasses.replace(kept, patient_id=f"K{n}") for n in range(2)),
    ]
    figures = figures_of(people, DEFINITION, AS_OF)
    curve = {one["months"]: one["estimate"] for one in figures["kaplan_meier"]["landmarks"]}
    current = {one["months"]: one["estimate"] for one in figures["current_remission"]["landmarks"]}
    assert curve[24] == current[24] == pytest.approx(0.4)


def test_a_restart_before_a_loss_is_confirmed_ends_the_time_off_treatment() -> None:
    rule = {"n_consecutive": 2, "date_of_event": "confirming", "restart_confirms": False}
    patient = history([deep(-10), point(100, "1"), point(125, "1")], [course(-900, 0), course(105, None)])
    (row,) = rows_of([patient], parse_definition({"slug": "c", "event_rule": rule}), AS_OF)
    assert str(row.remission_path).startswith("L105")


def test_regained_is_counted_from_the_restart_and_who_has_not_yet_is_observed_until_last_seen() -> None:
    waiting = history([deep(-10), point(100, "3"), point(300, "0.5")], [course(-900, 0), course(110, None)])
    figures = figures_of([dataclasses.replace(AGAIN, patient_id="A"), waiting], DEFINITION, AS_OF)
    found = figures["regained"]["mmr"]
    assert (found["regained"], found["observed"]) == (1, 2)
    assert found["landmarks"][0] == {
        "months": 3, "estimate": pytest.approx(0.5), "lower": pytest.approx(found["landmarks"][0]["lower"]),
        "upper": pytest.approx(found["landmarks"][0]["upper"]), "at_risk": 1,
    }  # fmt: skip


def test_rows_frozen_before_paths_were_kept_give_no_figure_of_them() -> None:
    table, passed_over = table_of([AGAIN], DEFINITION, AS_OF)
    columns = {name: column for name, column in table.columns.items() if name not in ("remission_path", "last_seen_on")}
    older = dataclasses.replace(table, columns=columns)
    figures = compute_figures(thawed(frozen(older)), DEFINITION, AS_OF, passed_over)
    assert figures["current_remission"] is None
    assert figures["regained"] is None
    assert compute_figures(thawed(frozen(table)), DEFINITION, AS_OF, passed_over)["current_remission"] is not None


def many(number: int) -> list[PatientHistory]:
    """People whose treatment before the stop is longer the longer they keep the remission."""
    return [
        dataclasses.replace(
            history([deep(-10), deep(20), point(30 + 25 * n, "1") if n % 3 else deep(30 + 25 * n)]),
            patient_id=f"P{n}", courses=(course(-700 - 90 * ((n * 7) % number), 0),),
        )
        for n in range(number)
    ]  # fmt: skip


def figures(**definition: Any) -> dict[str, Any]:
    return figures_of(many(40), parse_definition({"slug": "c", **definition}), AS_OF)


def test_a_smooth_curve_is_one_at_its_reference_and_the_bend_is_tested() -> None:
    (factor,) = figures(factors=[{"name": "tki_months"}])["univariate"]
    spline = factor["spline"]
    assert len(spline["knots"]) == 3
    assert spline["events"] == 26
    nearest = min(spline["points"], key=lambda p: abs(p["value"] - spline["reference"]))
    assert nearest["hr"] == pytest.approx(1, abs=0.05)
    assert all(p["lower"] <= p["hr"] <= p["upper"] for p in spline["points"])
    assert spline["overall"]["chi2"] >= spline["bend"]["chi2"]
    assert factor["cox"]["per_year"]["hr"] == pytest.approx(factor["cox"]["hr"] ** 12)


def test_the_residuals_of_a_coefficient_scatter_around_it() -> None:
    found = figures(factors=[{"name": "tki_months", "cut": 60}, {"name": "tki_months"}], cox=["tki_months_60"])
    for factor in found["univariate"]:
        (one,) = factor["residuals"]
        assert len(one["points"]) == 26
        assert np.mean([value for _month, value in one["points"]]) == pytest.approx(one["coef"], abs=1e-6)
        assert all(lower <= line <= upper for _month, line, lower, upper in one["smooth"])
    assert found["cox"]["residuals"][0]["id"] == "tki_months_60"
