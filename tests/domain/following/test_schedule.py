"""When the next sample is due. Dates are worked by hand from the tables of the guidelines (stop on 31 January 2020)."""

import datetime as dt
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.domain.course.series import Course, Fact, FactKind, ResultFact, Series, assess
from monitoring.domain.following.schedule import PlanState, SamplePlan, next_sample_due, planned_slots
from monitoring.domain.rules.rule_sets import rule_set, rule_sets_of
from monitoring.wording.reason_texts import TEXTS, in_english
from tests.builders import STOP, copies, course, day, result

ELN = rule_set("schedule-eln-2020.1")


def on(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def at(number: int, date: str, percent: str | None, **more: object) -> ResultFact:
    """A result collected on a date; ``percent`` None is not detected in 60,000 ABL1 copies (MR4.5)."""
    return result(number, (on(date) - STOP).days, percent, **more)  # type: ignore[arg-type]


def plan(
    results: list[ResultFact],
    as_of: str,
    *,
    facts: list[tuple[FactKind, str]] | None = None,
    courses: list[Course] | None = None,
    rules: str = "schedule-eln-2020.1",
) -> SamplePlan:
    observed = tuple(Fact(kind, on(date)) for kind, date in facts or [])
    series = Series("p", tuple(results), tuple(courses or [course(-2000, 0)]), observed)
    return next_sample_due(series, on(as_of), rule_set(rules))


def slot(found: SamplePlan) -> tuple[str, str, str]:
    assert found.slot is not None
    return str(found.slot.earliest), str(found.slot.due), str(found.slot.latest)


# --- the tables of the guidelines, every sample taken on its day -------------------------------------------------

CALENDARS = [
    # rule set, stop, the first due dates
    (
        "schedule-eln-2020.1", "2020-01-31",
        "2020-02-29 2020-03-31 2020-04-30 2020-05-31 2020-06-30 2020-07-31 2020-09-30 2020-11-30 2021-01-31 2021-04-30",
    ),
    (
        "schedule-nccn-2021.1", "2021-03-15",
        "2021-04-15 2021-05-15 2021-06-15 2021-07-15 2021-08-15 2021-09-15 2021-11-15 2022-01-15 2022-03-15 2022-06-15",
    ),
    (
        # 6 months, then 42 days each until 12 months are reached, then 3 calendar months each
        "schedule-esmo-2017.1", "2021-01-01",
        "2021-02-01 2021-03-01 2021-04-01 2021-05-01 2021-06-01 2021-07-01 "
        "2021-08-12 2021-09-23 2021-11-04 2021-12-16 2022-01-27 2022-04-27",
    ),
    (
        # weeks 4 to 48, then 54, 60 ... 96, then 108
        "schedule-enestfreedom.1", "2021-01-01",
        "2021-01-29 2021-02-26 2021-03-26 2021-04-23 2021-05-21 2021-06-18 2021-07-16 2021-08-13 2021-09-10 2021-10-08 "
        "2021-11-05 2021-12-03 2022-01-14 2022-02-25 2022-04-08 2022-05-20 2022-07-01 2022-08-12 2022-09-23 2022-11-04 "
        "2023-01-27",
    ),
    ("schedule-quarterly.1", "2020-11-30", "2021-02-28 2021-05-30 2021-08-30 2021-11-30 2022-02-28"),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "stop", "due"), CALENDARS, ids=[row[0] for row in CALENDARS])
def test_calendar_after_the_stop(rules: str, stop: str, due: str) -> None:
    dates = due.split()
    slots = planned_slots(on(stop), rule_set(rules), on(dates[-1]))
    assert [str(s.due) for s in slots] == dates


# --- from the last sample that counts ----------------------------------------------------------------------------

NEXT_DUE = [
    # last sample in deep response, rule set, earliest, due, latest
    ("", "schedule-eln-2020.1", "2020-02-22", "2020-02-29", "2020-03-07"),
    ("2020-02-20", "schedule-eln-2020.1", "2020-03-13", "2020-03-20", "2020-03-27"),
    ("2020-07-23", "schedule-eln-2020.1", "2020-08-16", "2020-08-23", "2020-08-30"),  # 8 days before 6 months: monthly
    (
        "2020-07-24",
        "schedule-eln-2020.1",
        "2020-09-10",
        "2020-09-24",
        "2020-10-08",
    ),  # 7 days before: the month-6 sample
    ("2020-07-31", "schedule-eln-2020.1", "2020-09-16", "2020-09-30", "2020-10-14"),
    ("2021-01-16", "schedule-eln-2020.1", "2021-03-02", "2021-03-16", "2021-03-30"),  # 15 days before 12 months
    ("2021-01-17", "schedule-eln-2020.1", "2021-04-03", "2021-04-17", "2021-05-01"),  # 14 days before 12 months
    ("2021-11-30", "schedule-eln-2020.1", "2022-02-14", "2022-02-28", "2022-03-14"),  # 28 February, clamped
    ("2023-11-30", "schedule-eln-2020.1", "2024-02-15", "2024-02-29", "2024-03-14"),  # 29 February
    ("2020-08-01", "schedule-esmo-2017.1", "2020-09-05", "2020-09-12", "2020-09-19"),
    ("2020-12-24", "schedule-enestfreedom.1", "2021-01-14", "2021-01-21", "2021-01-28"),  # 8 days before week 48
    ("2020-12-25", "schedule-enestfreedom.1", "2021-01-29", "2021-02-05", "2021-02-12"),  # 7 days before week 48
    ("2020-02-20", "schedule-quarterly.1", "2020-05-06", "2020-05-20", "2020-06-03"),
]


@pytest.mark.parametrize(("last", "rules", "earliest", "due", "latest"), NEXT_DUE)
def test_next_sample_in_deep_response(last: str, rules: str, earliest: str, due: str, latest: str) -> None:
    results = [at(1, "2020-01-20", None), *([at(2, last, None)] if last else [])]
    found = plan(results, last or "2020-01-31", rules=rules)
    assert slot(found) == (earliest, due, latest)
    assert found.reason.text_code == "schedule.off_treatment.regular"


OVERRIDES = [
    # what happened after the stop (date, % IS), rule set, earliest, due, latest, line of the rule
    ([("2020-02-29", "0.01")], "eln-2020", "2020-03-22", "2020-03-29", "2020-04-05", "off_treatment"),
    ([("2020-02-29", "0.0101")], "eln-2020", "2020-03-11", "2020-03-14", "2020-03-17", "after_loss_of_mr4"),
    ([("2020-02-29", "0.1")], "eln-2020", "2020-03-11", "2020-03-14", "2020-03-17", "after_loss_of_mr4"),
    ([("2020-02-29", "0.1001")], "eln-2020", "2020-03-11", "2020-03-14", "2020-03-17", "after_loss_of_mmr"),
    ([("2020-02-29", "0.05")], "enestfreedom", "2020-03-11", "2020-03-14", "2020-03-17", "after_loss_of_mr4"),
    ([("2020-02-29", "0.05")], "quarterly", "2020-03-11", "2020-03-14", "2020-03-17", "after_loss_of_mr4"),
    ([("2020-02-29", "0.05"), ("2020-03-14", None)], "eln-2020", "2020-04-07", "2020-04-14", "2020-04-21",
    "off_treatment"),
    ([("2020-02-29", "0.2"), ("2020-03-14", "0.05")], "eln-2020", "2020-03-25", "2020-03-28", "2020-03-31",
    "after_loss_of_mr4"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "rules", "earliest", "due", "latest", "line"), OVERRIDES)
def test_loss_of_mr4_or_mmr_shortens_the_interval(
    values: list[tuple[str, str | None]], rules: str, earliest: str, due: str, latest: str, line: str
) -> None:
    results = [at(1, "2020-01-20", None), *(at(n, d, v) for n, (d, v) in enumerate(values, start=2))]
    found = plan(results, values[-1][0], rules=f"schedule-{rules}.1")
    assert (*slot(found), found.reason.line) == (earliest, due, latest, line)


def test_who_stopped_in_mmr_only_has_no_mr4_to_lose() -> None:
    found = plan([at(1, "2020-01-20", "0.05"), at(2, "2020-02-29", "0.06")], "2020-02-29")
    assert found.reason.line == "off_treatment"


def test_a_deep_value_from_a_poor_sample_is_no_loss_of_mr4() -> None:
    # 3 copies in 9,000 with factor 0.3 are 0.01 %: too few control copies to prove MR4, and no loss of it either
    for factor, line in (("0.3", "off_treatment"), ("0.303", "after_loss_of_mr4")):
        poor = ResultFact(2, "L/2/v1", on("2020-02-29"), "L", copies("3/9000", factor=factor))
        assert plan([at(1, "2020-01-20", None), poor], "2020-02-29").reason.line == line


def test_who_stopped_above_mmr_is_sampled_at_the_short_interval_from_the_stop() -> None:
    found = plan([at(1, "2020-01-20", "0.5")], "2020-01-31")
    assert (slot(found)[1], found.reason.line) == ("2020-02-14", "after_loss_of_mmr")


def test_mr4_of_the_stop_day_is_there_to_lose() -> None:
    found = plan([at(1, "2020-01-31", "0.01"), at(2, "2020-02-29", "0.05")], "2020-02-29")
    assert found.reason.line == "after_loss_of_mr4"


# --- state on a day (deep response on 20 January; window of month 1: 22 February to 7 March) ----------------------

STATES = [
    # as of, state
    ("2020-01-31", "planned"),
    ("2020-02-21", "planned"),
    ("2020-02-22", "due"),
    ("2020-02-29", "due"),
    ("2020-03-07", "due"),
    ("2020-03-08", "overdue_sample"),
    ("2021-01-30", "overdue_sample"),  # 365 days after the stop, the last thing on record
    ("2021-01-31", "not_followed"),
]


@pytest.mark.parametrize(("as_of", "state"), STATES)
def test_state_of_the_first_sample(as_of: str, state: str) -> None:
    assert plan([at(1, "2020-01-20", None)], as_of).state == state


TAKEN, CONTACT = FactKind.SAMPLE_TAKEN, FactKind.LAST_CONTACT
RESULTS_ON_THEIR_WAY = [
    # recorded samplings, as of, state, awaited since, overdue results (limit 14 days)
    (["2020-02-28"], "2020-02-28", "awaiting_result", "2020-02-28", []),
    (["2020-02-28"], "2020-03-12", "awaiting_result", "2020-02-28", []),  # day 13
    (["2020-02-28"], "2020-03-13", "awaiting_result", "2020-02-28", []),  # day 14
    (["2020-02-28"], "2020-03-14", "overdue_result", "2020-02-28", ["2020-02-28"]),  # day 15
    (["2020-02-28"], "2020-04-04", "overdue_result", "2020-02-28", ["2020-02-28"]),
    (["2020-02-28"], "2020-04-05", "overdue_sample", "2020-02-28", ["2020-02-28"]),  # nothing in the next slot either
    (["2020-02-28", "2020-03-28"], "2020-04-05", "overdue_result", "2020-02-28", ["2020-02-28"]),
    (["2020-01-10"], "2020-02-28", "due", "", []),  # answered by the result of 20 January
]


@pytest.mark.parametrize(("taken", "as_of", "state", "awaited", "overdue"), RESULTS_ON_THEIR_WAY)
def test_a_sample_without_a_result(taken: list[str], as_of: str, state: str, awaited: str, overdue: list[str]) -> None:
    found = plan([at(1, "2020-01-20", None)], as_of, facts=[(TAKEN, d) for d in taken])
    assert found.state == state
    assert (str(found.awaited[0]) if found.awaited else "") == awaited
    assert [str(d) for d in found.results_overdue] == overdue


ANSWERED = [
    # the sampling was recorded on 28 February; a result collected on this day answers it, or not
    ("2020-02-26", False),
    ("2020-02-27", True),
    ("2020-02-28", True),
    ("2020-03-03", True),
]


@pytest.mark.parametrize(("collected", "answered"), ANSWERED)
def test_which_result_answers_a_recorded_sampling(collected: str, answered: bool) -> None:
    found = plan([at(1, collected, None)], "2020-03-05", facts=[(TAKEN, "2020-02-28")])
    assert (found.awaited == ()) == answered


DO_NOT_COUNT = [
    # what arrived on 29 February, as of, state, note
    ({"control": "9999"}, "2020-03-01", "due", "schedule.slot_not_filled.inevaluable"),
    ({"control": "9999"}, "2020-03-08", "overdue_sample", "schedule.slot_not_filled.inevaluable"),
    ({"is_bone_marrow": True}, "2020-03-08", "overdue_sample", "schedule.slot_not_filled.bone_marrow"),
    ({"is_preliminary": True}, "2020-03-08", "awaiting_result", "schedule.result_awaited"),
    ({"is_preliminary": True}, "2020-03-15", "overdue_result", "schedule.result_overdue"),
]


@pytest.mark.parametrize(("more", "as_of", "state", "note"), DO_NOT_COUNT)
def test_what_does_not_fill_a_slot(more: dict[str, object], as_of: str, state: str, note: str) -> None:
    found = plan([at(1, "2020-01-20", None), at(2, "2020-02-29", None, **more)], as_of)
    assert (found.state, slot(found)[1]) == (state, "2020-02-29")
    assert note in [n.text_code for n in found.notes]


def test_ten_thousand_copies_fill_the_slot() -> None:
    found = plan([at(1, "2020-01-20", None), at(2, "2020-02-29", None, control="10000")], "2020-03-08")
    assert (found.state, slot(found)[1]) == ("planned", "2020-03-29")


# --- on treatment and after a restart ----------------------------------------------------------------------------

TREATED = [course(-100, None)]  # since 23 October 2019
RESTARTED = [course(-2000, 0), course(60, None)]  # since 31 March 2020
ON_TREATMENT = [
    # courses, results, as of, earliest, due, latest, text code
    (TREATED, [], "2019-11-01", "2020-01-09", "2020-01-23", "2020-02-06", "on_treatment.until_mmr"),
    (TREATED, [("2020-01-23", "0.11")], "2020-01-23", "2020-04-09", "2020-04-23", "2020-05-07",
    "on_treatment.until_mmr"),
    (TREATED, [("2020-01-23", "0.1")], "2020-01-23", "2020-04-09", "2020-04-23", "2020-08-06", "on_treatment.in_mmr"),
    (RESTARTED, [("2020-03-20", "0.5")], "2020-03-31", "2020-04-23", "2020-04-30", "2020-05-07", "restart.until_mmr"),
    (RESTARTED, [("2020-03-20", "0.5"), ("2020-04-30", "0.2")], "2020-05-01",
     "2020-05-23", "2020-05-30", "2020-06-06", "restart.until_mmr"),
    (RESTARTED, [("2020-03-20", "0.5"), ("2020-04-30", "0.1")], "2020-05-01",
     "2020-07-16", "2020-07-30", "2020-08-13", "restart.in_mmr"),
    (RESTARTED, [("2020-03-10", "0.5"), ("2020-03-25", "0.05")], "2020-04-01",  # MMR must come back after the restart
     "2020-04-23", "2020-04-30", "2020-05-07", "restart.until_mmr"),
    (RESTARTED, [("2020-03-10", "0.5"), ("2020-03-31", "0.05")], "2020-04-01",  # the day of the restart is not after it
     "2020-04-23", "2020-04-30", "2020-05-07", "restart.until_mmr"),
    (RESTARTED, [("2020-03-20", "0.005")], "2020-04-01", "2020-06-16", "2020-06-30", "2020-07-14", "restart.in_mmr"),
    (RESTARTED, [("2020-03-20", "0.5"), ("2020-04-30", "0.1"), ("2020-07-30", "0.3")], "2020-07-30",
     "2020-08-13", "2020-08-20", "2020-08-27", "on_treatment.repeat_after_loss"),
]  # fmt: skip


@pytest.mark.parametrize(("courses", "values", "as_of", "earliest", "due", "latest", "code"), ON_TREATMENT)
def test_on_treatment(
    courses: list[Course], values: list[tuple[str, str]], as_of: str, earliest: str, due: str, latest: str, code: str
) -> None:
    results = [at(n, d, v) for n, (d, v) in enumerate(values, start=1)]
    found = plan(results, as_of, courses=courses)
    assert (*slot(found), found.reason.text_code) == (earliest, due, latest, f"schedule.{code}")


TURNS = [
    # as of, text code: what is not known on a day does not change that day (stop 31 January, restart 31 March)
    ("2020-01-30", "schedule.on_treatment.in_mmr"),
    ("2020-01-31", "schedule.off_treatment.regular"),
    ("2020-03-30", "schedule.off_treatment.loss_of_mmr"),
    ("2020-03-31", "schedule.restart.until_mmr"),
]


@pytest.mark.parametrize(("as_of", "code"), TURNS)
def test_each_day_knows_only_what_was_known(as_of: str, code: str) -> None:
    results = [at(1, "2020-01-20", None), at(2, "2020-03-20", "0.5")]
    assert plan(results, as_of, courses=RESTARTED).reason.text_code == code


def test_without_a_course_there_is_no_plan() -> None:
    found = next_sample_due(Series("p", (at(1, "2020-01-20", None),)), on("2020-03-01"), ELN)
    assert (found.state, found.slot) == (PlanState.NO_PLAN, None)


# --- the end of a plan -------------------------------------------------------------------------------------------

ENDS = [
    # fact on 1 March, then this on 5 March, as of, ended
    (FactKind.DEATH, None, "2020-02-29", False),
    (FactKind.DEATH, None, "2020-03-01", True),
    (FactKind.DEATH, CONTACT, "2020-03-10", True),
    (FactKind.ALLOGENEIC_TRANSPLANT, CONTACT, "2020-03-10", False),  # sampled on: leukaemia comes back after it too
    (FactKind.CONSENT_WITHDRAWN, CONTACT, "2020-03-10", True),
    (FactKind.TRANSFER, None, "2020-03-10", True),
    (FactKind.TRANSFER, CONTACT, "2020-03-10", False),
    (FactKind.LOST_TO_FOLLOW_UP, None, "2020-03-10", True),
    (FactKind.LOST_TO_FOLLOW_UP, CONTACT, "2020-03-04", True),
    (FactKind.LOST_TO_FOLLOW_UP, CONTACT, "2020-03-05", False),
    (FactKind.LOST_TO_FOLLOW_UP, TAKEN, "2020-03-10", False),
    (FactKind.PREGNANCY, None, "2020-03-10", False),
]


@pytest.mark.parametrize(("kind", "later", "as_of", "ended"), ENDS)
def test_what_ends_the_plan(kind: FactKind, later: FactKind | None, as_of: str, ended: bool) -> None:
    facts = [(kind, "2020-03-01"), *([(later, "2020-03-05")] if later else [])]
    found = plan([at(1, "2020-01-20", None)], as_of, facts=facts)
    assert (found.state is PlanState.ENDED) == ended
    assert (found.slot is None) == ended


def test_a_transfer_on_the_day_of_the_last_sample_ends_the_plan() -> None:
    found = plan([at(1, "2020-01-20", None)], "2020-02-29", facts=[(FactKind.TRANSFER, "2020-01-20")])
    assert found.state is PlanState.ENDED


def test_a_final_result_of_the_same_day_answers_a_preliminary_one() -> None:
    found = plan([at(1, "2020-02-20", None, is_preliminary=True), at(2, "2020-02-20", None)], "2020-02-29")
    assert (found.awaited, found.counted_from) == ((), on("2020-02-20"))


# --- properties --------------------------------------------------------------------------------------------------

VALUES = st.sampled_from([None, "0.002", "0.05", "0.1", "0.3"])
SERIES = st.lists(st.tuples(st.integers(-300, 700), VALUES, st.booleans()), max_size=8, unique_by=lambda row: row[0])


@given(SERIES, st.integers(-10, 1200), st.sampled_from([r.id for r in rule_sets_of("schedule")]), st.integers(0, 99))
def test_order_never_matters_and_windows_are_in_order(
    rows: list[tuple[int, str | None, bool]], as_of: int, rules: str, seed: int
) -> None:
    results = [result(n, offset, value, is_preliminary=p) for n, (offset, value, p) in enumerate(rows)]
    shuffled = random.Random(seed).sample(results, len(results))
    one, other = (
        next_sample_due(Series("p", tuple(r), (course(-400, 0),)), day(as_of), rule_set(rules))
        for r in (results, shuffled)
    )
    assert one == other
    assert one.slot is not None
    assert one.counted_from is not None
    assert one.counted_from < one.slot.due <= one.slot.latest
    assert one.slot.earliest <= one.slot.due
    assert one.reason.text_code in TEXTS
    assert all("%(" not in in_english(note) and "None" not in in_english(note) for note in (one.reason, *one.notes))


@given(SERIES, st.integers(0, 700))
def test_what_is_assessed_elsewhere_gives_the_same_plan(rows: list[tuple[int, str | None, bool]], as_of: int) -> None:
    results = tuple(result(n, offset, value) for n, (offset, value, _) in enumerate(rows))
    series = Series("p", results, (course(-400, 0),))
    assert next_sample_due(series, day(as_of), ELN) == next_sample_due(series, day(as_of), ELN, assess(series))
