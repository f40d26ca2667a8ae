"""Generated patients, read by the product and by a slow second reading of the written rules: both must say the same."""

import datetime as dt
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitoring.domain.course.episodes import find_episodes
from monitoring.domain.course.protocol_loss import find_protocol_loss
from monitoring.domain.course.series import (
    Course,
    Series,
    assess,
    time_points,
    tki_courses,
)
from monitoring.domain.course.treatment import known_on, treatment_on
from monitoring.domain.following.kinetics import Direction, latest_change, values_of
from monitoring.domain.following.landmarks import month_two
from monitoring.domain.following.milestones import milestones
from monitoring.domain.following.schedule import next_sample_due
from monitoring.domain.replay import replay
from monitoring.domain.rules.rule_sets import rule_set, rule_sets_of
from tests.builders import course
from tests.reference import slow_rules as slow
from tests.reference.patients import crowded_courses, patients, patients_on_a_day

# More examples by default than the profile says: these are cheap, and an edge needs several things to fall together.
MORE = settings(max_examples=max(450, settings().max_examples))
MANY = settings(max_examples=max(600, settings().max_examples))
SCHEDULES = [r.id for r in rule_sets_of("schedule")]
MILESTONES = [r.id for r in rule_sets_of("milestones")]
LOSSES = [r.id for r in rule_sets_of("loss")]
KINETICS = "kinetics-ln-ratio.1"
pytestmark = pytest.mark.slow

# --- classes and time points --------------------------------------------------------------------------------------


@MORE
@given(patients())
def test_the_class_of_every_result_and_the_worst_of_every_day(series: Series) -> None:
    assessed = assess(series)
    for item in assessed:
        found = slow.score_of(item.result)
        assert (item.score.response_class.value, item.score.detected) == (found.kind, found.detected)
    said = [(p.on, p.response_class.value, p.low_control, p.key) for p in time_points(assessed)]
    assert said == [(d.on, d.kind, d.poor, d.result.key) for d in slow.days_of(series.results)]


# --- courses ------------------------------------------------------------------------------------------------------


@MANY
@given(crowded_courses())
@example([course(1, 300), course(100, None), course(200, 250)])
def test_courses_of_one_drug_that_touch_are_one(courses: list[Course]) -> None:
    said = {slow.Taken(c.started_on, c.stopped_on, c.stop_reason.value, c.key) for c in tki_courses(courses)}
    assert said == set(slow.drug_runs(courses))


# --- episodes -----------------------------------------------------------------------------------------------------


@MORE
@given(patients())
def test_episodes_with_their_loss_and_the_response_before(series: Series) -> None:
    said = [
        slow.Off(
            stopped_on=summary.episode.stopped_on,
            reason=summary.episode.kind.value,
            restarted_on=summary.episode.restarted_on,
            attempt=summary.episode.attempt,
            lost_on=summary.episode.loss.first.on if summary.episode.loss else None,
            certainty=summary.episode.loss.certainty.value if summary.episode.loss else "",
            mmr_regained_on=summary.episode.mmr_regained_on,
            dmr_regained_on=summary.episode.dmr_regained_on,
            ended_by=summary.episode.ended_by.kind.value if summary.episode.ended_by else "",
            first_dmr_on=summary.first_dmr_on,
            dmr_days=summary.dmr_days,
            class_at_stop=summary.episode.baseline.response_class.value if summary.episode.baseline else "",
            tki_days=-1 if summary.tki_days is None else summary.tki_days,
        )
        for summary in replay(series).episodes
    ]
    assert said == slow.episodes_of(series)


@MORE
@given(patients_on_a_day())
def test_on_off_or_restarted_on_a_day(case: tuple[Series, dt.date]) -> None:
    series, as_of = case
    known = known_on(series, as_of)
    found = treatment_on(known, time_points(assess(known)), as_of)
    said = (found.phase.value, found.since, found.after_loss) if found else None
    assert said == slow.phase_on(series, as_of)


@MORE
@given(patients(), st.sampled_from(LOSSES))
def test_loss_by_protocol(series: Series, rule_id: str) -> None:
    points, days = time_points(assess(series)), slow.days_of(series.results)
    for episode in find_episodes(series.courses, series.facts, points):
        stop, restart = episode.stopped_on, episode.restarted_on
        found = find_protocol_loss(points, stop, restart, rule_set(rule_id))
        said = (found.event_on, found.lost.value) if found else None
        assert said == slow.protocol_event(days, stop, restart, rule_id)


# --- the next sample, milestones ----------------------------------------------------------------------------------


@MANY
@given(patients_on_a_day(), st.sampled_from(SCHEDULES))
def test_the_next_sample(case: tuple[Series, dt.date], rule_id: str) -> None:
    series, as_of = case
    plan = next_sample_due(series, as_of, rule_set(rule_id))
    window = (plan.slot.earliest, plan.slot.due, plan.slot.latest) if plan.slot else (None, None, None)
    said = slow.Plan(plan.state.value, *window, plan.awaited, plan.results_overdue)
    assert said == slow.plan_on(series, as_of, rule_id)


@MANY
@given(patients_on_a_day(), st.sampled_from(MILESTONES))
def test_milestones(case: tuple[Series, dt.date], rule_id: str) -> None:
    series, as_of = case
    said = [slow.Mark(m.month, m.status, m.sample_on) for m in milestones(series, as_of, rule_set(rule_id))]
    assert said == slow.marks_on(series, as_of, rule_id)


# --- kinetics -----------------------------------------------------------------------------------------------------


@MORE
@given(patients())
def test_doubling_time_and_the_group_of_month_two(series: Series) -> None:
    rules, days = rule_set(KINETICS), slow.days_of(series.results)
    assessed = assess(series)
    values = values_of(assessed, series.courses)
    for episode in find_episodes(series.courses, series.facts, time_points(assessed)):
        found = month_two(values, episode.stopped_on, rules, episode.restarted_on)
        expected = slow.month_two_group(days, episode.stopped_on, episode.restarted_on, KINETICS, series.courses)
        assert found.group.value == expected
    change = latest_change(values, rules)
    if change is None:
        assert len(days) < 2
        return
    rise = slow.rise_between(days[-2], days[-1], series.courses)
    if rise is None:
        assert change.direction is Direction.REFUSED
        return
    expected_direction = "rising" if rise.ratio > 1 else "falling" if rise.ratio < 1 else "unchanged"
    assert (change.direction.value, change.at_most) == (expected_direction, rise.at_most)
    if change.days is not None:
        assert math.isclose(float(change.days), rise.doubling_days(), rel_tol=1e-6, abs_tol=1e-4)
