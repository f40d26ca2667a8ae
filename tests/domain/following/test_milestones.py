"""Milestones on treatment: the tables of ELN 2020, NCCN and ESMO 2017 at, just below and just above every limit."""

import datetime as dt
import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.domain.course.bounded_value import KnownValue
from monitoring.domain.course.series import Course, Drug, Fact, FactKind, ResultFact, Series, StopReason
from monitoring.domain.following.milestones import Milestone, milestones
from monitoring.domain.rules.rule_sets import rule_set, rule_sets_of
from monitoring.domain.vocabulary.dates import Precision
from monitoring.wording.reason_texts import in_english
from tests.builders import copies, reported

START = dt.date(2020, 1, 31)  # months 3, 6, 12, 18: 30 April, 31 July, 31 January 2021, 31 July 2021
LATER = dt.date(2023, 1, 1)
DUE = {3: "2020-04-30", 6: "2020-07-31", 12: "2021-01-31", 18: "2021-07-31"}


def on(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def course(start: str, stop: str | None = None, drug: Drug = Drug.IMATINIB, **more: object) -> Course:
    reason = StopReason.TFR_ATTEMPT if stop else StopReason.UNKNOWN
    return Course(f"{drug}/{start}", drug, on(start), on(stop) if stop else None, reason, **more)  # type: ignore[arg-type]


def sample(date: str, text: str, **more: object) -> ResultFact:
    """``0.5`` in 100,000 copies, ``nd/35000`` not detected, ``>55`` and ``<0.0069`` as a kit prints them."""
    if text[0] in "<>":
        measurement = reported(text)
    elif text.startswith("nd/"):
        measurement = copies(text)
    else:
        measurement = copies(f"{Decimal(text) * 1000}/100000")
    return ResultFact(1, f"L/{date}/{text}", on(date), "L", measurement, **more)  # type: ignore[arg-type]


def found(
    samples: list[ResultFact],
    rules: str = "eln-2020",
    *,
    as_of: dt.date = LATER,
    courses: list[Course] | None = None,
    facts: list[Fact] | None = None,
) -> dict[int | None, Milestone]:
    series = Series("p", tuple(samples), tuple(courses or [course("2020-01-31")]), tuple(facts or []))
    return {m.month: m for m in milestones(series, as_of, rule_set(f"milestones-{rules}.1"))}


TABLES = [
    # rule set, month, % IS, status
    ("eln-2020", 3, "9.9", "optimal"),
    ("eln-2020", 3, "10", "optimal"),
    ("eln-2020", 3, "10.1", "warning"),
    ("eln-2020", 6, "0.9", "optimal"),
    ("eln-2020", 6, "1", "optimal"),
    ("eln-2020", 6, "1.001", "warning"),
    ("eln-2020", 6, "10", "warning"),
    ("eln-2020", 6, "10.001", "failure"),
    ("eln-2020", 12, "0.099", "optimal"),
    ("eln-2020", 12, "0.1", "optimal"),
    ("eln-2020", 12, "0.101", "warning"),
    ("eln-2020", 12, "1", "warning"),
    ("eln-2020", 12, "1.001", "failure"),
    ("nccn", 3, "10", "sensitive"),
    ("nccn", 3, "10.1", "possible_resistance"),
    ("nccn", 6, "10", "sensitive"),
    ("nccn", 6, "10.1", "resistant"),
    ("nccn", 12, "0.1", "sensitive"),
    ("nccn", 12, "0.101", "sensitive_goal_dependent"),
    ("nccn", 12, "1", "sensitive_goal_dependent"),
    ("nccn", 12, "1.001", "possible_resistance"),
    ("nccn", 12, "10", "possible_resistance"),
    ("nccn", 12, "10.1", "resistant"),
    ("esmo-2017", 3, "9.9", "optimal"),
    ("esmo-2017", 3, "10", "unassigned"),  # below 10 and above 10 in print, nothing at 10
    ("esmo-2017", 3, "10.1", "warning"),
    ("esmo-2017", 6, "0.999", "optimal"),
    ("esmo-2017", 6, "1", "warning"),
    ("esmo-2017", 6, "10", "warning"),
    ("esmo-2017", 6, "10.1", "failure"),
    ("esmo-2017", 12, "0.099", "optimal"),
    ("esmo-2017", 12, "0.1", "warning"),
    ("esmo-2017", 12, "1", "warning"),
    ("esmo-2017", 12, "1.001", "failure"),
    ("esmo-2017", 18, "0.009", "optimal"),
    ("esmo-2017", 18, "0.01", "unassigned"),  # 0.01 to 0.1 % has no line at 18 months
    ("esmo-2017", 18, "0.099", "unassigned"),
    ("esmo-2017", 18, "0.1", "warning"),
    ("esmo-2017", 18, "1", "warning"),
    ("esmo-2017", 18, "1.001", "unassigned"),
]


@pytest.mark.parametrize(("rules", "month", "percent", "status"), TABLES)
def test_status_by_value(rules: str, month: int, percent: str, status: str) -> None:
    milestone = found([sample(DUE[month], percent)], rules)[month]
    assert (milestone.status, str(milestone.due_on), str(milestone.sample_on)) == (status, DUE[month], DUE[month])
    assert milestone.value == KnownValue(Decimal(percent))
    assert milestone.reasons[0].rule_id == f"milestones-{rules}.1"
    assert milestone.reasons[0].line == f"month_{month}"


WITHOUT_A_NUMBER = [
    # rule set, month, result, status
    ("eln-2020", 12, "nd/35000", "optimal"),
    ("eln-2020", 12, "nd/10000", "optimal"),
    ("eln-2020", 12, "nd/9999", "no_sample"),  # not evaluable
    ("eln-2020", 12, "<0.1", "optimal"),
    ("eln-2020", 12, "<0.2", "no_sample"),  # proves nothing about 0.1 %
    ("eln-2020", 3, ">55", "warning"),
    ("eln-2020", 6, ">55", "failure"),
    ("eln-2020", 6, ">5", "undecided"),  # above 1 % for certain, above 10 % not known
    ("eln-2020", 3, ">5", "undecided"),
    ("eln-2020", 12, ">1", "failure"),
    ("esmo-2017", 18, "nd/35000", "optimal"),
    ("esmo-2017", 18, "nd/10000", "optimal"),
    ("esmo-2017", 18, "<0.05", "undecided"),  # MMR for certain, below 0.01 % not known
]


@pytest.mark.parametrize(("rules", "month", "text", "status"), WITHOUT_A_NUMBER)
def test_status_without_a_number(rules: str, month: int, text: str, status: str) -> None:
    assert found([sample(DUE[month], text)], rules)[month].status == status


WINDOW = [
    # samples (date, % IS), which one counts for month 6 (31 July 2020, from 1 July to 30 August)
    ([("2020-06-30", "0.5")], ""),
    ([("2020-07-01", "0.5")], "2020-07-01"),
    ([("2020-08-30", "0.5")], "2020-08-30"),
    ([("2020-08-31", "0.5")], ""),
    ([("2020-07-20", "0.5"), ("2020-08-09", "0.5")], "2020-08-09"),  # 11 days before, 9 days after
    ([("2020-07-21", "0.5"), ("2020-08-10", "0.5")], "2020-07-21"),  # 10 days either side: the earlier
    ([("2020-07-22", "0.5"), ("2020-08-10", "0.5")], "2020-07-22"),
]


@pytest.mark.parametrize(("rows", "counts"), WINDOW)
def test_the_nearest_sample_in_the_window_counts(rows: list[tuple[str, str]], counts: str) -> None:
    milestone = found([sample(d, p) for d, p in rows])[6]
    assert (str(milestone.opens_on), str(milestone.closes_on)) == ("2020-07-01", "2020-08-30")
    assert (str(milestone.sample_on) if milestone.sample_on else "") == counts
    assert (milestone.status == "no_sample") == (counts == "")


def test_preliminary_and_marrow_never_count() -> None:
    for more in ({"is_preliminary": True}, {"is_bone_marrow": True}):
        assert found([sample("2020-07-31", "0.5", **more)])[6].status == "no_sample"


def test_the_worst_of_one_day_counts() -> None:
    assert found([sample("2020-07-31", "0.5"), sample("2020-07-31", "2")])[6].status == "warning"


AS_OF = [
    # as of, status of month 3 without a sample, its window open
    ("2020-03-30", "not_yet_due", True),
    ("2020-03-31", "not_yet_due", True),
    ("2020-05-30", "not_yet_due", True),
    ("2020-05-31", "no_sample", False),
]


@pytest.mark.parametrize(("as_of", "status", "is_open"), AS_OF)
def test_a_milestone_waits_until_its_window_closes(as_of: str, status: str, is_open: bool) -> None:
    milestone = found([], as_of=on(as_of))[3]
    assert (milestone.status, milestone.is_open) == (status, is_open)


def test_what_was_collected_later_is_not_known_yet() -> None:
    samples = [sample("2020-04-10", "5"), sample("2020-04-30", "20")]
    assert found(samples, as_of=on("2020-04-29"))[3].status == "optimal"
    assert found(samples, as_of=on("2020-04-30"))[3].status == "warning"


CONFIRMED = [
    # second sample (date, % IS) after 20 % on 30 April 2020, status of month 3
    ("2020-05-29", "20", "warning"),  # one day less than a month
    ("2020-05-30", "20", "failure"),
    ("2020-05-30", "10", "warning"),
    ("2020-05-30", "10.1", "failure"),
    ("2020-07-30", "20", "failure"),
    ("2020-07-31", "20", "warning"),  # one day more than three months
]


@pytest.mark.parametrize(("date", "percent", "status"), CONFIRMED)
def test_eln_failure_at_3_months_is_confirmed_within_1_to_3_months(date: str, percent: str, status: str) -> None:
    assert found([sample("2020-04-30", "20"), sample(date, percent)])[3].status == status


def test_the_first_sample_within_1_to_3_months_decides() -> None:
    samples = [sample("2020-04-30", "20"), sample("2020-06-01", "8"), sample("2020-07-01", "12")]
    assert found(samples)[3].status == "warning"


def test_only_eln_has_the_confirmation() -> None:
    samples = [sample("2020-04-30", "20"), sample("2020-06-10", "20")]
    assert found(samples, "esmo-2017")[3].status == "warning"
    assert found(samples, "nccn")[3].status == "possible_resistance"


ANY_TIME = [
    # samples, status at any time (read after 31 January 2021), text code of the first reason
    ([], "no_sample", "no_sample"),
    ([("2021-01-31", "5")], "no_sample", "no_sample"),  # the 12-month day itself is the 12-month line
    ([("2021-02-01", "0.1")], "optimal", "value"),
    ([("2021-02-01", "0.101")], "warning", "value"),
    ([("2021-02-01", "1")], "warning", "value"),
    ([("2021-02-01", "1.001")], "failure", "value"),
    ([("2021-02-01", "0.05"), ("2021-08-01", "0.2")], "warning", "value"),
    ([("2020-07-31", "0.05"), ("2020-10-31", "0.2")], "warning", "loss_of_mmr"),  # lost before 12 months
    ([("2020-07-31", "0.05"), ("2020-10-31", "0.2"), ("2020-12-31", "0.05")], "no_sample", "no_sample"),
    ([("2021-02-01", "0.05"), ("2021-08-01", "2")], "failure", "value"),
]


@pytest.mark.parametrize(("rows", "status", "code"), ANY_TIME)
def test_any_time(rows: list[tuple[str, str]], status: str, code: str) -> None:
    milestone = found([sample(d, p) for d, p in rows])[None]
    assert (milestone.status, milestone.reasons[0].text_code) == (status, f"milestones.{code}")


def test_the_line_for_any_time_waits_for_the_day_after_12_months() -> None:
    assert found([], as_of=on("2021-01-31"))[None].status == "not_yet_due"
    assert found([], as_of=on("2021-02-01"))[None].status == "no_sample"


def test_a_mutation_is_read_at_any_time_since_the_start() -> None:
    for date, status in (("2020-01-30", "optimal"), ("2020-01-31", "failure"), ("2023-01-02", "optimal")):
        facts = [Fact(FactKind.MUTATION, on(date))]
        assert found([sample("2021-02-01", "0.05")], facts=facts)[None].status == status


def test_nccn_and_esmo_have_no_line_for_any_time() -> None:
    assert list(found([], "nccn")) == [3, 6, 12]
    assert list(found([], "esmo-2017")) == [3, 6, 12, 18]


def test_months_are_counted_from_the_first_tki() -> None:
    drugs = [course("2019-10-01", "2020-01-30", Drug.INTERFERON), course("2020-01-31")]
    assert str(found([], courses=drugs)[3].due_on) == "2020-04-30"
    assert found([], courses=[course("2020-01-31", drug=Drug.INTERFERON)]) == {}


def test_off_treatment_there_are_no_milestones() -> None:
    stopped = [course("2020-01-31", "2020-12-15")]
    milestone = found([sample("2020-12-31", "0.5")], courses=stopped)
    assert (milestone[12].status, milestone[None].status) == ("off_treatment", "off_treatment")
    assert found([sample("2020-07-31", "0.5")], courses=stopped)[6].status == "optimal"


EDGES_OF_TREATMENT = [
    # the only sample (stop on 15 December 2020, restart on 15 February 2021), whether month 12 reads it
    ("2020-12-15", False),  # on treatment, before the window
    ("2021-01-15", False),
    ("2021-02-15", False),  # the day of the restart still counts as off treatment
    ("2021-02-16", True),
]


@pytest.mark.parametrize(("date", "counts"), EDGES_OF_TREATMENT)
def test_samples_off_treatment_are_not_read(date: str, counts: bool) -> None:
    drugs = [course("2020-01-31", "2020-12-15"), course("2021-02-15")]
    assert (found([sample(date, "0.05")], courses=drugs)[12].sample_on is not None) == counts


def test_the_stop_day_is_a_day_on_treatment() -> None:
    stopped = [course("2020-01-31", "2020-07-31")]
    assert found([sample("2020-07-31", "0.5")], courses=stopped)[6].status == "optimal"
    assert found([sample("2020-08-01", "0.5")], courses=stopped)[6].status == "no_sample"


def test_a_loss_off_treatment_is_no_loss_on_treatment() -> None:
    drugs = [course("2018-01-01", "2020-12-15"), course("2021-03-01", drug=Drug.DASATINIB)]
    samples = [sample("2020-12-01", "0.05"), sample("2021-02-15", "0.5"), sample("2021-04-01", "0.4")]
    said = found(samples, courses=drugs)[None]
    assert (said.status, [r.text_code for r in said.reasons]) == ("warning", ["milestones.value"])


def test_a_start_known_to_the_year_decides_nothing() -> None:
    vague = [course("2020-07-01", started_precision=Precision.YEAR)]
    assert found([sample("2020-10-01", "5")], courses=vague)[3].status == "undecided"


ROWS = st.lists(
    st.tuples(st.integers(-60, 900), st.sampled_from(["0.005", "0.1", "0.5", "2", "20", "nd/35000", ">55", "nd/5000"])),
    max_size=8,
)


@given(ROWS, st.integers(0, 1000), st.sampled_from([r.id for r in rule_sets_of("milestones")]), st.integers(0, 99))
def test_order_never_matters_and_every_status_is_explained(
    rows: list[tuple[int, str]], as_of: int, rules: str, seed: int
) -> None:
    results = [sample(str(START + dt.timedelta(days=d)), text) for d, text in dict(rows).items()]
    shuffled = random.Random(seed).sample(results, len(results))
    day = START + dt.timedelta(days=as_of)
    one, other = (
        milestones(Series("p", tuple(r), (course("2020-01-31"),)), day, rule_set(rules)) for r in (results, shuffled)
    )
    assert one == other
    for milestone in one:
        assert milestone.reasons
        assert all("None" not in in_english(r) for r in milestone.reasons)
        if milestone.month is not None and milestone.sample_on is not None:
            assert milestone.opens_on is not None
            assert milestone.closes_on is not None
            assert milestone.opens_on <= milestone.sample_on <= milestone.closes_on
