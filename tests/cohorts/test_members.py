"""Members, exclusions, ends of observation, groups, and the definition file."""

import datetime as dt
import random
from typing import Any

import numpy as np
import pytest

from cohorts.domain.artefact import frozen, thawed
from cohorts.domain.definition_file import DefinitionProblem, as_json, parse_definition
from cohorts.domain.figures.compute import compute_figures
from cohorts.domain.figures.descriptions import quartiles
from cohorts.domain.member_table import MemberTable, csv_rows
from cohorts.domain.members import NO, UNKNOWN, YES, reaches
from cohorts.services.recompute import without_nan
from monitoring.domain.course.series import Course, Drug, Fact, FactKind, StopReason, TimePoint
from monitoring.domain.following.reading import PatientHistory
from monitoring.domain.vocabulary.dates import PartialDate, Precision
from monitoring.domain.vocabulary.scale import ResponseClass
from tests.builders import course, day, deep, point
from tests.cohorts.cohorts import Row, figures_of, readings, rows_of, table_of

AS_OF = dt.date(2030, 1, 1)


def history(
    points: list[TimePoint], courses: list[Course] | None = None, facts: list[Fact] | None = None, **more: Any
) -> PatientHistory:
    values: dict[str, Any] = {
        "patient_id": "P1", "centre": "H1", "sex": "F", "born": PartialDate(dt.date(2000, 2, 29)),
        "diagnosed": PartialDate(dt.date(2010, 1, 1)), "transcript": "", "risk_group": "", "first_dmr": None,
        "courses": tuple(courses or [course(-900, 0)]), "facts": tuple(facts or []), "points": tuple(points),
    }  # fmt: skip
    return PatientHistory(**{**values, **more})


def rows(*histories: PatientHistory, **definition: Any) -> list[Row]:
    return rows_of(histories, parse_definition({"slug": "c", **definition}), AS_OF)


def answer(history: PatientHistory, name: str, cut: int) -> bool | None:
    """Whether a factor of the first episode is at least so many months or years."""
    columns = readings([history], parse_definition({"slug": "c"}), AS_OF)
    return {YES: True, NO: False, UNKNOWN: None}[int(reaches(columns, name, cut)[0])]


def csv_row(table: MemberTable) -> dict[str, str]:
    """The one row of a file of one member."""
    (row,) = csv_rows(table)
    return row


def end(member: Row) -> tuple[int | None, bool, str]:
    return member.days, member.event, member.end_reason


KEPT = [point(-890, "5"), deep(-100), deep(50), deep(200)]


@pytest.mark.parametrize(
    ("endpoint", "facts", "restart", "expected"),
    [
        ("loss_of_mmr", [], None, (200, False, "last_evaluable_pcr")),
        ("loss_of_mmr", [], 210, (210, False, "restart")),
        ("tfr", [], 210, (210, True, "restart")),
        ("mrfs", [], 210, (210, False, "restart")),
        ("loss_of_mmr", [(FactKind.DEATH, 220)], None, (220, False, "death")),
        ("mrfs", [(FactKind.DEATH, 220)], None, (220, True, "death")),
        ("tfr", [(FactKind.DEATH, 220)], None, (220, True, "death")),
        ("tfs", [(FactKind.PROGRESSION, 90)], None, (90, True, "progression")),
        ("tfr", [(FactKind.PROGRESSION, 90)], None, (200, False, "last_evaluable_pcr")),
        ("tfr", [(FactKind.ALLOGENEIC_TRANSPLANT, 60)], None, (60, False, "transplant")),
        ("tfr", [(FactKind.ALLOGENEIC_TRANSPLANT, 210)], 210, (210, True, "restart")),
    ],
)
def test_end_of_observation(
    endpoint: str, facts: list[tuple[FactKind, int]], restart: int | None, expected: tuple[int, bool, str]
) -> None:
    drugs = [course(-900, 0), *([course(restart, None)] if restart else [])]
    (member,) = rows(history(KEPT, drugs, [Fact(k, day(d)) for k, d in facts]), endpoint=endpoint)
    assert end(member) == expected


def test_a_loss_is_dated_at_its_collection_and_not_at_the_restart() -> None:
    (member,) = rows(history([*KEPT, point(230, "0.4")], [course(-900, 0), course(250, None)]))
    assert end(member) == (230, True, "loss_of_mmr")


@pytest.mark.parametrize(
    ("points", "at_stop", "reason"),
    [
        ([deep(30)], {}, "NO_BASELINE_PCR"),
        ([point(-10, "0.2"), deep(30)], {}, "NOT_IN_MMR_AT_STOP"),
        ([point(-10, "0.05"), deep(30)], {"min_class": "MR4"}, "NOT_IN_MMR_AT_STOP"),
        ([deep(-200), deep(30)], {"window_days": 90}, "NO_BASELINE_PCR"),
        ([deep(-10)], {}, "NO_PCR_AFTER_STOP"),
    ],
)
def test_exclusions_have_a_reason(points: list[TimePoint], at_stop: dict[str, Any], reason: str) -> None:
    (member,) = rows(history(points), at_stop=at_stop)
    assert member.exclusion_reason == reason
    assert csv_row(member.table)["days"] == ""


def test_the_first_attempt_is_the_first_ever_and_all_are_all() -> None:
    drugs = [course(-900, 0), course(300, 600)]
    points = [*KEPT, deep(500), deep(650)]
    assert [m.attempt for m in rows(history(points, drugs))] == [1]
    assert [m.attempt for m in rows(history(points, drugs), attempts="all")] == [1, 2]


def test_other_stop_reasons_are_members_only_when_asked_for() -> None:
    stop = course(-900, 0, reason=StopReason.PREGNANCY)
    assert not rows(history(KEPT, [stop]))
    assert len(rows(history(KEPT, [stop]), include={"stop_reason": ["pregnancy"]})) == 1


@pytest.mark.parametrize(("bound", "member_on_the_day"), [("ge", True), ("gt", False), ("le", True), ("lt", False)])
def test_bounds_compare_calendar_wise(bound: str, member_on_the_day: bool) -> None:
    start = dt.date(2014, 1, 31)  # 72 months before the stop on 2020-01-31
    drug = Course("k", Drug.IMATINIB, start, day(0), StopReason.TFR_ATTEMPT)
    assert bool(rows(history(KEPT, [drug]), include={"tki_months": {bound: 72}})) == member_on_the_day


def test_a_bound_that_cannot_be_answered_excludes_with_a_reason() -> None:
    (member,) = rows(history(KEPT, born=None), include={"age_at_stop": {"lt": 18}})
    assert member.exclusion_reason == "MISSING_INCLUSION_CRITERION"


@pytest.mark.parametrize(
    ("born", "diagnosed", "bounds", "answer"),
    [
        (2000, "2018-03-01", {"le": 18}, True), (2000, "2018-03-01", {"gt": 18}, False),
        (1999, "2018-03-01", {"le": 18}, None), (1999, "2018-09-01", {"gt": 18}, None),
    ],
)  # fmt: skip
def test_bounds_of_an_age_known_to_the_year(
    born: int, diagnosed: str, bounds: dict[str, int], answer: bool | None
) -> None:
    one = history(
        KEPT,
        born=PartialDate(dt.date(born, 7, 1), Precision.YEAR),
        diagnosed=PartialDate(dt.date.fromisoformat(diagnosed)),
    )
    found = rows(one, include={"age_at_diagnosis": bounds})
    assert [m.included for m in found] == {True: [True], False: [], None: [False]}[answer]


def test_a_first_response_elsewhere_known_to_the_year_is_not_exact() -> None:
    one = history([deep(-600), deep(-10), deep(50)], first_dmr=PartialDate(dt.date(2017, 7, 1), Precision.YEAR))
    assert (answer(one, "dmr_months", 24), answer(one, "dmr_months", 30)) == (True, None)


def test_two_values_confirmed_after_the_restart_are_an_event() -> None:
    points = [*KEPT, point(230, "0.4"), point(250, "0.4")]
    drugs = [course(-900, 0), course(240, None)]
    rule = {"n_consecutive": 2, "restart_confirms": False, "date_of_event": "confirming"}
    (member,) = rows(history(points, drugs), event_rule=rule)
    assert end(member) == (250, True, "loss_of_mmr")
    (member,) = rows(history(points, drugs), event_rule=rule, endpoint="tfr")
    assert end(member) == (240, True, "restart")


def test_all_attempts_are_described_without_tests_that_take_them_as_independent() -> None:
    drugs = [course(-900, 0), course(300, 600)]
    people = [
        history(
            [*KEPT, deep(500), deep(650 + n), *([point(700, "1")] if n % 3 else [])],
            drugs,
            patient_id=f"P{n}",
            sex="FM"[n % 2],
        )
        for n in range(12)
    ]
    definition = parse_definition({"slug": "c", "attempts": "all", "factors": [{"name": "sex"}], "cox": ["sex"]})
    figures = figures_of(people, definition, AS_OF)
    (sex,) = figures["univariate"]
    assert (sex["logrank"], sex["fisher_p"], sex["lrt"], figures["cox"]["lrt"]) == (None, None, None, None)
    assert "robust" in figures["kaplan_meier"]["variance"]
    assert figures["cox"]["terms"][0]["se"] is not None


def test_follow_up_is_never_less_than_what_was_observed() -> None:
    definition = parse_definition({"slug": "c"})
    one = history(KEPT, None, [Fact(FactKind.LAST_CONTACT, day(-700))])
    figures = figures_of([one], definition, AS_OF)
    assert figures["table1"]["follow_up_months"]["median"] == pytest.approx(200 / 30.4375)


def test_as_of_knows_nothing_later() -> None:
    whole = history([*KEPT, point(230, "0.4")], [course(-900, 0), course(250, None)])
    definition = parse_definition({"slug": "c"})
    (member,) = rows_of([whole], definition, day(100))
    assert end(member) == (50, False, "last_evaluable_pcr")
    assert not rows_of([whole], definition, day(-5))


def test_a_group_is_missing_where_the_birth_year_straddles_the_cut() -> None:
    factor = {"factors": [{"name": "age_at_stop", "cut": 18}]}
    born = PartialDate(dt.date(2002, 7, 1), Precision.YEAR)
    (member,) = rows(history(KEPT, born=born), **factor)
    assert member.group("age_at_stop_18") is None
    columns = readings([history(KEPT, born=born)], parse_definition({"slug": "c"}), AS_OF)
    assert (columns["age_at_stop_least"][0], columns["age_at_stop_most"][0]) == (17, 18)


def test_a_left_censored_run_counts_only_where_it_is_already_long_enough() -> None:
    points = [deep(-600), deep(-10), deep(50)]
    (member,) = rows(history(points))
    assert member.left_censored
    assert answer(history(points), "dmr_months", 12) is True
    assert answer(history(points), "dmr_months", 24) is None
    assert np.isnan(member.dmr_months)


def test_no_deep_response_at_the_stop_is_a_duration_of_zero() -> None:
    one = history([point(-800, "5"), point(-10, "0.05"), deep(50)])
    (member,) = rows(one)
    assert (member.dmr_months, answer(one, "dmr_months", 1)) == (0.0, False)


def test_what_came_before_the_stop_is_a_factor() -> None:
    drugs = [
        course(-2000, -1500, reason=StopReason.RESISTANCE),
        course(-1500, 0, drug=Drug.DASATINIB, dose_reduced_on=day(-200)),
    ]
    names = ("line_of_therapy", "earlier_resistance", "dose_reduction", "elts_group", "sokal_group")
    factors = [*({"name": name} for name in names), {"name": "stop_year", "cut": 2021}]
    one = history(KEPT, drugs, risk_group="high", risk_score="elts")
    (row,) = rows(one, factors=factors)
    assert [row.group(name) for name in names] == ["2", "yes", "yes", "high", None]
    assert row.group("stop_year_2021") == "< 2021"
    (plain,) = rows(history(KEPT), factors=factors)
    assert [plain.group(name) for name in names] == ["1", "no", "no", None, None]
    assert len(rows(one, include={"earlier_resistance": ["yes"], "line_of_therapy": ["2", "3+"]})) == 1
    assert not rows(one, include={"earlier_resistance": ["no"]})


def test_a_loss_lies_after_the_last_sample_in_mmr() -> None:
    definition = parse_definition({"slug": "c"})
    columns = readings([history([*KEPT, point(230, "0.4")]), history(KEPT)], definition, AS_OF)
    assert columns["last_negative_on"][0] == np.datetime64(day(200))
    assert np.isnat(columns["last_negative_on"][1])


# --- figures of odd cohorts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("histories", [[], [history(KEPT)], [history([deep(-10)])]])
def test_empty_and_tiny_cohorts_give_figures_and_reasons(histories: list[PatientHistory]) -> None:
    definition = parse_definition({"slug": "c", "factors": [{"name": "dmr_months", "cut": 12}, {"name": "sex"}]})
    figures = figures_of(histories, definition, AS_OF)
    assert figures["univariate"][0]["cox"] is None
    assert figures["cox"]["terms"] == []
    assert figures["kaplan_meier"]["median_months"]["estimate"] is None


def test_backward_selection_drops_the_weaker_factor_and_says_so() -> None:
    histories = []
    for n in range(40):
        long = n % 2 == 0
        lost = n % 4 != 0 if not long else n % 8 == 0
        start = -2500 if long else -900
        points = [
            point(start + 5, "5"),
            deep(start + 100),
            deep(-5),
            *([point(30 + n, "0.5")] if lost else [deep(300 + n)]),
        ]
        histories.append(history(points, [course(start - 100, 0)], patient_id=f"P{n}", sex="FM"[n // 2 % 2]))
    definition = parse_definition(
        {
            "slug": "c",
            "factors": [{"name": "dmr_months", "cut": 60}, {"name": "tki_months", "cut": 50}, {"name": "sex"}],
        }
    )
    figures = figures_of(histories, definition, AS_OF)
    assert figures["cox"]["selection"]["candidates"] == ["dmr_months_60", "tki_months_50"]
    assert len(figures["cox"]["terms"]) <= 1


def test_quantiles_follow_n_plus_one() -> None:
    assert quartiles(np.arange(1.0, 11.0)) == {"n": 10, "median": 5.5, "q1": 2.75, "q3": 8.25}
    assert quartiles(np.array([np.nan]))["median"] is None
    assert quartiles(np.array([4.0]))["q1"] == 4


# --- definitions ------------------------------------------------------------------------------------------------


def test_missing_keys_take_the_defaults_and_are_written_out() -> None:
    written = as_json(parse_definition({"slug": "c"}))
    assert written["include"] == {"stop_reason": ["tfr_attempt"]}
    assert written["event_rule"] == {
        "n_consecutive": 1,
        "date_of_event": "first",
        "max_gap_days": None,
        "restart_confirms": True,
    }
    assert parse_definition(written) == parse_definition({"slug": "c"})


def test_every_problem_is_named_with_its_place() -> None:
    with pytest.raises(DefinitionProblem) as caught:
        parse_definition(
            {"slug": "Not A Slug", "endpont": "x", "endpoint": "cure", "factors": [{"name": "sex", "cut": 3},
             {"name": "sex"}],
             "include": {"age_at_stop": {"ge": "old"}}, "confidence": {"level": 95}, "cox": ["unknown"]}
        )  # fmt: skip
    text = str(caught.value)
    for place in (
        "slug",
        "endpont",
        "did you mean endpoint",
        "'cure'",
        "no order",
        "stands twice",
        "include.age_at_stop.ge",
        "level",
        "cox 'unknown'",
    ):
        assert place in text, place


@pytest.mark.parametrize("data", [None, [], "x", 3, {"slug": "c", "include": []}, {"slug": "c", "factors": {}}])
def test_things_that_are_no_definition_are_refused(data: object) -> None:
    with pytest.raises(DefinitionProblem):
        parse_definition(data)


def test_levels_of_mr4_5_are_known() -> None:
    assert parse_definition({"slug": "c", "dmr": {"level": "MR4_5"}}).dmr.level is ResponseClass.MR4_5


# --- figures that were wrong once -------------------------------------------------------------------------------


def test_only_who_has_had_the_time_can_have_dropped_out() -> None:
    cutoff = day(500)
    people = [
        history([deep(-10), deep(400)], patient_id="LONG"),
        history([deep(-10), deep(100)], patient_id="GONE"),
        history([deep(390), deep(450)], [course(-900, 400)], patient_id="NEW"),
    ]
    definition = parse_definition({"slug": "c"})
    figures = figures_of(people, definition, cutoff)
    rates = {rate["months"]: (rate["in_remission"], rate["total"]) for rate in figures["drop_outs_as_failures"]}
    assert rates == {3: (2, 3), 6: (1, 2), 12: (1, 2), 24: (0, 0), 36: (0, 0), 48: (0, 0), 60: (0, 0)}
    assert figures["drop_outs_as_failures"][-1]["proportion"] is None


def test_the_dead_are_not_in_remission() -> None:
    people = [
        history([deep(-10), deep(50)], patient_id="A"),
        history([deep(-10), deep(50)], None, [Fact(FactKind.DEATH, day(80))], patient_id="B"),
        history([deep(-10), deep(50)], None, [Fact(FactKind.ALLOGENEIC_TRANSPLANT, day(80))], patient_id="C"),
        history([deep(-10), deep(50)], [course(-900, 0), course(70, None)], patient_id="D"),
        history([deep(-10), point(50, "1")], patient_id="E"),
    ]
    definition = parse_definition({"slug": "c"})
    crude = figures_of(people, definition, AS_OF)["crude"]
    assert (crude["in_remission"], crude["members"]) == (1, 5)
    assert crude["ended"] == {"loss_of_mmr": 1, "restart": 1, "death": 1, "transplant": 1}


def test_an_empty_cohort_says_which_criterion_emptied_it() -> None:
    people = [
        history(KEPT, patient_id="A", sex="F"),
        history(KEPT, [course(-900, 0, reason=StopReason.OTHER)], patient_id="B"),
    ]
    definition = parse_definition({"slug": "c", "include": {"sex": ["M"], "tki_months": {"ge": 12}}})
    flow = figures_of(people, definition, AS_OF)["flow"]
    assert [(s["criterion"], s["excluded"], s["left"]) for s in flow] == [
        ("episodes", 0, 2), ("include.stop_reason", 1, 1), ("attempts", 0, 1), ("include.stopped_on", 0, 1),
        ("include.sex", 1, 0), ("include.tki_months", 0, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("include", "word"),
    [
        ({"tki_months": {"ge": 100000}}, "beyond a lifetime"),
        ({"tki_months": {"ge": 60, "lt": 60}}, "contradict each other"),
        ({"age_at_stop": {"gt": 17, "le": 17}}, "contradict each other"),
        ({"stopped_on": {"from": "2020-01-01", "to": "2019-01-01"}}, "exchange the days"),
    ],
)
def test_bounds_that_nobody_can_meet_are_refused(include: dict[str, Any], word: str) -> None:
    with pytest.raises(DefinitionProblem, match=word):
        parse_definition({"slug": "c", "include": include})


def test_figures_do_not_depend_on_the_order_of_rows() -> None:
    chance = random.Random(5)
    people = []
    for n in range(60):
        end = [point(20 + 7 * (n % 9), "0.5")] if n % 3 else [deep(200 + n)]
        people.append(
            history([deep(-700 + 9 * n), deep(-5), *end], [course(-800 - n, 0)], patient_id=f"P{n}", sex="FM"[n % 2])
        )
    definition = parse_definition(
        {
            "slug": "c",
            "factors": [{"name": "tki_months"}, {"name": "sex"}, {"name": "dmr_months", "cut": 12}],
            "cox": ["tki_months", "sex"],
        }
    )
    figures = figures_of(people, definition, AS_OF)
    artefact = frozen(table_of(people, definition, AS_OF)[0])
    for _again in range(3):
        chance.shuffle(people)
        assert figures_of(people, definition, AS_OF) == figures
        assert frozen(table_of(people, definition, AS_OF)[0]) == artefact


def test_every_figure_is_computed_again_from_the_frozen_file() -> None:
    people = [
        history(
            [deep(-700 + 9 * n), deep(-5), point(20 + 7 * n, "0.5") if n % 3 else deep(200 + n)],
            [course(-800 - n, 0)],
            patient_id=f"P{n}",
            sex="FM"[n % 2],
            born=PartialDate(dt.date(2002, 7, 1), Precision.YEAR) if n % 4 else None,
            transcript=["e13a2", "e14a2", ""][n % 3],
        )
        for n in range(40)
    ]
    definition = parse_definition(
        {"slug": "c", "factors": [{"name": "age_at_stop", "cut": 18}, {"name": "transcript"}, {"name": "dmr_months"}]}
    )
    table, passed_over = table_of(people, definition, AS_OF)
    again = thawed(frozen(table))
    assert list(csv_rows(again)) == list(csv_rows(table))
    assert frozen(again) == frozen(table)
    figures = compute_figures(table, definition, AS_OF, passed_over)
    assert without_nan(compute_figures(again, definition, AS_OF, passed_over)) == without_nan(figures)
    empty = table_of([], definition, AS_OF)[0]
    assert len(thawed(frozen(empty))) == 0


def test_of_several_attempts_factors_are_chosen_by_the_robust_wald_test() -> None:
    people = []
    for n in range(60):
        lost = [point(40 + n % 11, "0.5")] if n % 4 or n % 16 == 0 else [deep(300)]
        again = point(440 + n % 7, "0.5") if n % 4 else deep(450)
        drugs = [course(-900 if n % 4 else -3000, 0), course(60, 400)] if n % 4 else [course(-3000, 0)]
        people.append(
            history([*KEPT[:1], deep(-5), *lost, deep(390), again], drugs, patient_id=f"P{n}", sex="FM"[n // 4 % 2])
        )
    definition = parse_definition(
        {"slug": "c", "attempts": "all", "factors": [{"name": "tki_months", "cut": 60}, {"name": "sex"}]}
    )
    cox = figures_of(people, definition, AS_OF)["cox"]
    assert cox["selection"]["method"] == "backward, robust Wald"
    assert cox["selection"]["candidates"] == ["tki_months_60"]
    assert [t["id"] for t in cox["terms"]] == ["tki_months_60"]


def test_the_member_file_names_the_groups_and_the_start_of_the_deep_run() -> None:
    one = history([point(-800, "5"), deep(-300), deep(-10), deep(50)])
    (member,) = rows(one, factors=[{"name": "dmr_months", "cut": 12}])
    said = csv_row(member.table)
    assert said["dmr_run_from"] == day(-300).isoformat()
    assert said["groups"] == "dmr_months_12=< 12"


# --- who is in the figures ---------------------------------------------------------------------------------------


def interferon(start: int, stop: int | None = None) -> Course:
    return course(start, stop, drug=Drug.INTERFERON, reason=StopReason.OTHER)


WHO = [
    # what is different of somebody in deep response who stopped, the reason of the exclusion, why read apart
    ({}, "", ()),
    ({"courses": [course(-900, 0), interferon(-100)]}, "", ("OTHER_DRUG_AFTER_STOP",)),
    ({"courses": [course(-900, 0), interferon(30, 60)]}, "", ("OTHER_DRUG_AFTER_STOP",)),
    ({"courses": [course(-900, 0), interferon(-800, 0)]}, "", ()),  # ended with the TKI
    ({"courses": [course(-900, 0), interferon(201)]}, "", ()),  # began after the last sample
    ({"unseen": frozenset({day(-100)})}, "", ("TRANSCRIPT_NEVER_SEEN",)),
    ({"unseen": frozenset({day(50)})}, "", ()),
    ({"points": KEPT[:2]}, "NO_PCR_AFTER_STOP", ()),
    ({"points": KEPT[:2], "marrow": frozenset({day(60)})}, "ONLY_BONE_MARROW_AFTER_STOP", ()),
    ({"points": KEPT[:2], "marrow": frozenset({day(-60)})}, "NO_PCR_AFTER_STOP", ()),
    ({"points": [point(-890, "5"), deep(-400), deep(-200), deep(-10), deep(50)]}, "", ()),
    ({"points": [point(-890, "5"), deep(-400), deep(-10), deep(50)]}, "", ("DMR_ACROSS_GAP",)),
    ({"points": [point(-890, "5"), deep(-400), deep(-214), deep(50)]}, "", ("DMR_ACROSS_GAP",)),
    ({"points": [point(-890, "5"), deep(-400), deep(-213), deep(50)]}, "", ()),
]


@pytest.mark.parametrize(("changed", "reason", "apart"), WHO)
def test_who_is_no_member_or_read_apart_is_told_why(
    changed: dict[str, Any], reason: str, apart: tuple[str, ...]
) -> None:
    given = {"points": KEPT, **changed}
    one = history(given.pop("points"), given.pop("courses", None), **given)
    found = rows(one)
    assert [(member.exclusion_reason, member.apart) for member in found] == [(reason, apart)]
    figures = figures_of([one], parse_definition({"slug": "c"}), AS_OF)
    assert [(one["reason"], one["members"], one["events"]) for one in figures["read_apart"]] == [
        (a, 1, 0) for a in apart
    ]
