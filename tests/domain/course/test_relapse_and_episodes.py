"""Loss of MMR, episodes, and what preceded the stop."""

import datetime as dt
import itertools
import random

import pytest

from monitoring.domain.course.episodes import DmrRule, find_episodes, response_before_stop, tki_duration
from monitoring.domain.course.relapse import LossRule, find_loss
from monitoring.domain.course.series import (
    Course,
    Drug,
    Fact,
    FactKind,
    StopReason,
    TimePoint,
    merge_courses,
    worst_of_each_date,
)
from monitoring.domain.vocabulary.dates import Duration, Precision, add_months, between, completed_years, parse_date
from monitoring.domain.vocabulary.scale import ResponseClass
from tests.builders import STOP, course, day, deep, point

TWO = LossRule(n_consecutive=2)
TWO_STRICT = LossRule(n_consecutive=2, restart_confirms=False)


def test_exactly_a_tenth_of_a_percent_is_no_loss() -> None:
    assert find_loss([point(30, "0.1")], STOP) is None
    assert find_loss([point(30, "0.1000001")], STOP) is not None


def test_a_sample_on_the_stop_day_is_baseline_and_one_on_the_restart_day_counts() -> None:
    assert find_loss([point(0, "0.5")], STOP) is None
    loss = find_loss([point(40, "0.5")], STOP, day(40))
    assert loss is not None
    assert find_loss([point(41, "0.5")], STOP, day(40)) is None


@pytest.mark.parametrize(
    ("later", "restart", "rule", "event_day"),
    [
        ([], None, TWO, None),
        ([point(60, "0.3")], None, TWO, 30),
        ([point(60, "0.05")], None, TWO, None),
        ([point(60, "0.05"), point(90, "0.2"), point(120, "0.2")], None, TWO, 90),
        ([], day(35), TWO, 30),
        ([], day(35), TWO_STRICT, None),
        ([point(50, "0.2")], day(35), TWO_STRICT, 30),
        ([point(64, "0.2")], day(35), TWO_STRICT, None),
        ([point(60, "0.3")], None, LossRule(2, "confirming"), 60),
        ([point(200, "0.3")], None, LossRule(2, max_gap_days=90), None),
        ([point(200, "0.3"), point(230, "0.3")], None, LossRule(2, max_gap_days=90), 200),
    ],
)
def test_two_consecutive_values(
    later: list[TimePoint], restart: dt.date | None, rule: LossRule, event_day: int | None
) -> None:
    loss = find_loss([point(30, "0.13"), *later], STOP, restart, rule)
    event_on = loss.event_on(rule) if loss else None
    assert event_on == (day(event_day) if event_day is not None else None)


def test_a_single_unconfirmed_value_is_a_loss_by_one_value_and_stays_suspected() -> None:
    loss = find_loss([point(30, "0.13"), point(60, "0.05")], STOP)
    assert loss is not None
    assert (loss.first.on, loss.certainty) == (day(30), "suspected")


@pytest.mark.parametrize(
    ("later", "restart", "is_loss"),
    [([], None, False), ([point(60, "0.05")], None, False), ([point(60, "0.4")], None, True), ([], day(40), True)],
)
def test_a_poor_sample_is_a_loss_only_when_something_agrees(
    later: list[TimePoint], restart: dt.date | None, is_loss: bool
) -> None:
    assert (find_loss([point(30, "0.2", low_control=True), *later], STOP, restart) is not None) == is_loss


def test_two_values_of_one_day_never_confirm_each_other_and_the_worst_stands() -> None:
    points = worst_of_each_date([point(30, "0.05"), point(30, "0.2"), point(30, "0.3")])
    assert [str(p.is_percent) for p in points] == ["0.3"]
    loss = find_loss(points, STOP, None, TWO)
    assert loss is not None
    assert loss.event_on(TWO) is None


def test_loss_agrees_with_a_slow_second_reading() -> None:
    chance = random.Random(7)
    for _ in range(400):
        values = [
            (offset, chance.choice(["0.05", "0.1", "0.11", "2"])) for offset in sorted(chance.sample(range(1, 400), 6))
        ]
        restart = chance.choice([None, 150, 300])
        watched = [(o, v) for o, v in values if restart is None or o <= restart]
        expected = next((o for o, v in watched if float(v) > 0.1), None)
        loss = find_loss([point(o, v) for o, v in values], STOP, day(restart) if restart else None)
        assert (loss.first.on if loss else None) == (day(expected) if expected is not None else None)


# --- episodes ---------------------------------------------------------------------------------------------------


def test_a_stop_opens_an_episode_whatever_its_reason() -> None:
    for reason in StopReason:
        (episode,) = find_episodes([course(-900, 0, reason=reason)], [], [])
        assert episode.kind == reason


@pytest.mark.parametrize(("gap", "episodes"), [(1, 0), (28, 0), (29, 1)])
def test_another_drug_within_28_days_is_a_switch(gap: int, episodes: int) -> None:
    drugs = [course(-900, 0, reason=StopReason.SWITCH), course(gap, None, drug=Drug.DASATINIB)]
    assert len(find_episodes(drugs, [], [deep(-30)])) == episodes


def test_a_switch_after_mmr_was_lost_is_an_episode_with_a_restart() -> None:
    drugs = [course(-900, 0), course(20, None, drug=Drug.DASATINIB)]
    (episode,) = find_episodes(drugs, [], [deep(-30), point(14, "0.4")])
    assert (episode.restarted_on, episode.loss is not None) == (day(20), True)


def test_a_stop_under_another_running_drug_opens_nothing() -> None:
    assert not find_episodes([course(-900, 0), course(-50, None, drug=Drug.NILOTINIB)], [], [])


def test_two_drugs_stopped_on_one_day_open_one_episode() -> None:
    assert len(find_episodes([course(-900, 0), course(-50, 0, drug=Drug.NILOTINIB)], [], [])) == 1


def test_of_two_drugs_stopped_on_one_day_the_stop_that_says_most_counts() -> None:
    drugs = [course(-900, 0, reason=StopReason.UNKNOWN), course(-50, 0, drug=Drug.ASCIMINIB)]
    (episode,) = find_episodes(drugs, [], [])
    assert episode.kind == StopReason.TFR_ATTEMPT


def test_an_open_dose_ends_with_the_later_one_of_the_same_drug() -> None:
    (episode,) = find_episodes([course(-900, None), course(-400, 0)], [], [])
    assert episode.stopped_on == day(0)


def test_an_open_dose_inside_a_longer_course_does_not_shorten_it() -> None:
    (merged,) = merge_courses([course(-900, 0), course(-400, None), course(-300, -200)])
    assert (merged.started_on, merged.stopped_on) == (day(-900), day(0))


def test_a_stop_known_to_the_year_lies_before_the_restart_of_the_drug() -> None:
    first = Course(
        "a",
        Drug.IMATINIB,
        dt.date(2012, 1, 1),
        dt.date(2016, 7, 1),
        StopReason.TFR_ATTEMPT,
        stopped_precision=Precision.YEAR,
    )
    again = Course("b", Drug.IMATINIB, dt.date(2016, 6, 1))
    (episode,) = find_episodes([first, again], [], [])
    assert dt.date(2016, 1, 1) < episode.stopped_on < dt.date(2016, 6, 1)


def test_nothing_after_a_transplant_is_a_loss_of_the_episode() -> None:
    facts = [Fact(FactKind.ALLOGENEIC_TRANSPLANT, day(30))]
    (episode,) = find_episodes([course(-900, 0), course(100, None)], facts, [deep(-5), point(60, "2")])
    assert episode.loss is None


def test_interferon_is_no_tki() -> None:
    drugs = [course(-900, 0), course(5, None, drug=Drug.INTERFERON)]
    (episode,) = find_episodes(drugs, [], [])
    assert episode.restart is None


def test_doses_that_follow_within_a_day_are_one_course_and_the_reduction_is_kept() -> None:
    full, half = course(-900, -366, dose_mg_per_day=400), course(-365, 0, dose_mg_per_day=200)
    (merged,) = merge_courses([half, full])
    assert (merged.started_on, merged.stopped_on, merged.dose_reduced_on) == (day(-900), day(0), day(-365))


def test_attempts_are_numbered_and_other_kinds_are_not() -> None:
    drugs = [
        course(-900, 0), course(100, 300, reason=StopReason.PREGNANCY), course(400, 700),
    ]  # fmt: skip
    assert [e.attempt for e in find_episodes(drugs, [], [])] == [1, 0, 2]


def test_what_was_regained_after_a_loss_is_dated_after_the_restart() -> None:
    points = [deep(-30), point(60, "0.5"), point(90, "0.08"), point(150, "0.05"), deep(200)]
    (episode,) = find_episodes([course(-900, 0), course(70, None)], [], points)
    assert (episode.mmr_regained_on, episode.dmr_regained_on) == (day(90), day(200))


def test_death_ends_an_episode() -> None:
    (episode,) = find_episodes([course(-900, 0)], [Fact(FactKind.DEATH, day(300))], [deep(-1)])
    assert episode.state == "death"


def test_a_death_on_the_day_of_the_transplant_is_told_in_whichever_order_they_were_entered() -> None:
    facts = [Fact(FactKind.ALLOGENEIC_TRANSPLANT, day(30)), Fact(FactKind.DEATH, day(30))]
    for entered in (facts, facts[::-1]):
        (episode,) = find_episodes([course(-900, 0)], entered, [deep(-5), point(60, "2")])
        assert (episode.state, episode.loss) == ("death", None)


# --- before the stop --------------------------------------------------------------------------------------------


def test_the_run_of_deep_response_is_uninterrupted_and_ends_at_the_stop() -> None:
    points = [point(-900, "5"), deep(-700), point(-500, "0.05"), deep(-400), deep(-100)]
    before = response_before_stop(STOP, day(-1000), points, None)
    assert before.first_dmr_on == day(-700)
    assert before.dmr is not None
    assert before.dmr.days == 400
    assert before.time_to_dmr is not None
    assert before.time_to_dmr.days == 300


def test_the_last_result_before_the_stop_must_be_deep() -> None:
    assert response_before_stop(STOP, day(-1000), [deep(-700), point(-5, "0.05")], None).dmr is None


def test_dips_and_gaps_are_allowed_only_as_the_rule_says() -> None:
    points = [point(-990, "5"), deep(-700), point(-500, "0.05"), deep(-400), deep(-100)]
    with_dip = response_before_stop(STOP, day(-1000), points, None, DmrRule(max_dips=1))
    assert with_dip.dmr is not None
    assert with_dip.dmr.days == 700
    lost = [deep(-700), point(-500, "0.5"), deep(-400)]
    strict = response_before_stop(STOP, day(-1000), lost, None, DmrRule(max_dips=1))
    assert strict.dmr is not None
    assert strict.dmr.days == 400
    gap = response_before_stop(STOP, day(-1000), [deep(-700), deep(-100)], None, DmrRule(max_gap_days=365))
    assert gap.dmr is not None
    assert gap.dmr.days == 100


def test_the_run_agrees_with_a_slow_second_reading() -> None:
    chance = random.Random(3)
    for _ in range(300):
        series = [(o, chance.random() < 0.7) for o in sorted(chance.sample(range(-900, 0), 8))]
        tail = list(itertools.takewhile(lambda x: x[1], reversed(series)))
        points = [deep(o) if good else point(o, "0.05") for o, good in series]
        dmr = response_before_stop(STOP, day(-1000), points, None).dmr
        assert (dmr.days if dmr else 0) == (-tail[-1][0] if tail else 0)


def test_a_first_result_already_deep_after_six_months_is_left_censored() -> None:
    assert response_before_stop(STOP, day(-900), [deep(-700), deep(-10)], None).left_censored
    six_months = response_before_stop(
        dt.date(2012, 1, 1), dt.date(2010, 1, 15), [TimePoint(dt.date(2010, 7, 15), ResponseClass.MR4)], None
    )
    assert six_months.left_censored
    assert not response_before_stop(STOP, day(-720), [deep(-700), deep(-10)], None).left_censored
    known = response_before_stop(STOP, day(-900), [deep(-700), deep(-10)], day(-800))
    assert not known.left_censored
    assert known.dmr is not None
    assert known.dmr.days == 800


def test_treatment_time_is_the_union_of_days() -> None:
    drugs = [course(-900, -500), course(-600, -400, drug=Drug.DASATINIB), course(-300, 0)]
    found = tki_duration(drugs, STOP)
    assert found is not None
    assert found.days == 500 + 300 + 1, "both days of each span count, and the first day of all is day nought"


# --- dates ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "stop"), [("2012-03-15", "2018-03-15"), ("2008-02-29", "2014-02-28"), ("2012-08-31", "2018-08-31")]
)
def test_72_calendar_months_are_reached_on_the_day_whatever_the_leap_days(start: str, stop: str) -> None:
    begin, end = dt.date.fromisoformat(start), dt.date.fromisoformat(stop)
    assert Duration(begin, end).reaches(72)
    assert not Duration(begin, end - dt.timedelta(days=1)).reaches(72)


def test_the_end_of_a_month_is_clamped() -> None:
    assert add_months(dt.date(2019, 1, 31), 1) == dt.date(2019, 2, 28)
    assert add_months(dt.date(2019, 11, 30), 3) == dt.date(2020, 2, 29)


@pytest.mark.parametrize(
    ("start", "stop", "answer"),
    [("2012-03", "2018-03-20", None), ("2012-03", "2018-02-28", False), ("2012-03", "2018-04-01", True), ("2012",
    "2018-06-30", None)],
)  # fmt: skip
def test_an_imputed_date_that_straddles_the_cut_gives_no_answer(start: str, stop: str, answer: bool | None) -> None:
    assert between(parse_date(start), parse_date(stop)).reaches(72) is answer


def test_treatment_time_carries_the_edges_of_its_dates() -> None:
    drug = Course(
        "a", Drug.IMATINIB, dt.date(2012, 7, 1), STOP, StopReason.TFR_ATTEMPT, started_precision=Precision.YEAR
    )
    found = tki_duration([drug], STOP)
    assert found is not None
    assert (found.reaches(84), found.reaches(97), found.reaches(90)) == (True, False, None)


def test_someone_born_on_a_leap_day_completes_a_year_on_the_first_of_march() -> None:
    assert completed_years(dt.date(2004, 2, 29), dt.date(2022, 2, 28)) == 17
    assert completed_years(dt.date(2004, 2, 29), dt.date(2022, 3, 1)) == 18


@pytest.mark.parametrize(
    ("text", "on", "precision"),
    [("2025-03-10", "2025-03-10", "day"), ("2025-03", "2025-03-15", "month"), ("2025", "2025-07-01", "year")],
)
def test_partial_dates(text: str, on: str, precision: str) -> None:
    found = parse_date(text)
    assert (found.on.isoformat(), found.precision) == (on, precision)


@pytest.mark.parametrize("text", ["10.03.2025", "2025-13", "2025-02-30", "25-03-10", "2025/03/10", "0099", "tomorrow"])
def test_other_spellings_of_a_date_are_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|month|day|year"):
        parse_date(text)


def test_an_imputed_date_keeps_the_known_order() -> None:
    assert parse_date("2010-03").within(earliest=dt.date(2010, 3, 20)).on == dt.date(2010, 3, 20)
    assert parse_date("2010-03").within(earliest=dt.date(2010, 5, 1)).on == dt.date(2010, 3, 15)
    assert parse_date("2010-03").precision is Precision.MONTH


def test_deep_responses_of_the_builders_are_deep() -> None:
    assert all(deep(0, c).response_class.is_dmr for c in (ResponseClass.MR4, ResponseClass.MR5))
