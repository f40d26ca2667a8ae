"""Generated patients, read by the product and by a slow second reading of the written rules: both must say the same.

Days are drawn round the starts and stops of the courses, where every rule has its edges.
"""

import datetime as dt
import math
from decimal import Decimal

from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitoring.domain.episodes import find_episodes
from monitoring.domain.history import replay
from monitoring.domain.kinetics import Direction, latest_change, month_two, values_of
from monitoring.domain.measurement import Method
from monitoring.domain.milestones import milestones
from monitoring.domain.protocol_loss import find_protocol_loss
from monitoring.domain.rules import rule_set, rule_sets_of
from monitoring.domain.schedule import next_sample_due
from monitoring.domain.series import (
    Course,
    Drug,
    Fact,
    FactKind,
    ResultFact,
    Series,
    StopReason,
    assess,
    time_points,
    tki_courses,
)
from monitoring.domain.treatment import known_on, treatment_on
from tests.builders import copies, course, day, reported
from tests.reference import slow_rules as slow

# More examples by default than the profile says: these are cheap, and an edge needs several things to fall together.
MORE = settings(max_examples=max(180, settings().max_examples))
MANY = settings(max_examples=max(600, settings().max_examples))
SCHEDULES = [r.id for r in rule_sets_of("schedule")]
MILESTONES = [r.id for r in rule_sets_of("milestones")]
LOSSES = [r.id for r in rule_sets_of("loss")]
KINETICS = "kinetics-ln-ratio.1"
DAY = dt.timedelta(days=1)

# --- patients -----------------------------------------------------------------------------------------------------

GAPS = st.sampled_from([1, 2, 3, 14, 27, 28, 29, 30, 60, 90, 200, 400])
LENGTHS = st.sampled_from([0, 1, 30, 91, 182, 365, 400, 700])
DRUGS = st.sampled_from([Drug.IMATINIB, Drug.IMATINIB, Drug.DASATINIB, Drug.DASATINIB, Drug.INTERFERON])
REASONS = st.sampled_from([StopReason.TFR_ATTEMPT, StopReason.TFR_ATTEMPT, StopReason.PREGNANCY, StopReason.UNKNOWN])
KINDS = st.sampled_from(
    [FactKind.DEATH, FactKind.ALLOGENEIC_TRANSPLANT, FactKind.PREGNANCY, FactKind.CONSENT_WITHDRAWN, FactKind.TRANSFER,
     FactKind.LOST_TO_FOLLOW_UP, FactKind.MUTATION, FactKind.LAST_CONTACT, *[FactKind.SAMPLE_TAKEN] * 3]
)  # fmt: skip
NEAR = st.sampled_from(
    [-31, -30, -14, -7, -1, 0, 0, 1, 2, 7, 8, 14, 15, 24, 28, 29, 30, 45, 46, 58, 60, 61, 74, 90, 91, 120, 182, 366]
)
VALUES = st.sampled_from(
    ["nd", "nd", "nd", "0.0005", "0.001", "0.0032", "0.0033", "0.01", "0.0101", "0.05", "0.1", "0.1001", "0.2", "0.9",
     "1", "1.001", "10", "10.01", "40", "<0.0030", "<0.05", "<0.2", ">0.05", ">5", ">55", "=0.0032", "=0.1"]
)  # fmt: skip
CONTROLS = st.sampled_from(["600000", "600000", "600000", "100000", "32000", "31999", "10000", "9999", "4000", "0"])


@st.composite
def drug_courses(draw: st.DrawFn) -> list[Course]:
    """Courses one after another with gaps round the 28 days of a switch, now and then one beside them."""
    found, start = [], draw(st.sampled_from([-1200, -700, -365, -92]))
    for number in range(draw(st.integers(1, 4))):
        stop = start + draw(LENGTHS)
        is_open = draw(st.integers(0, 6)) == 0
        found.append(course(start, None if is_open else stop, drug=draw(DRUGS), reason=draw(REASONS)))
        start = stop + draw(GAPS)
        if number == 0:
            for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
                beside = draw(st.sampled_from([stop - 200, stop - 40, stop - 1, stop, stop + 1]))
                until = draw(st.sampled_from([beside, beside + 1, stop - 30, stop, stop + 20, None]))
                until = None if until is None else max(until, beside)
                drug = draw(st.sampled_from([Drug.NILOTINIB, found[0].drug]))
                found.append(course(beside, until, drug=drug, reason=draw(REASONS)))
    return list({c.key: c for c in found}.values())


@st.composite
def patients(draw: st.DrawFn) -> Series:
    """A patient: courses, results that are good, poor, preliminary, of marrow, twice a day, of two laboratories; facts."""
    courses = draw(st.one_of(drug_courses(), drug_courses(), drug_courses(), st.just([])))
    edges = sorted({on for c in courses for on in (c.started_on, c.stopped_on) if on is not None}) or [day(0)]
    days = st.one_of(
        st.builds(lambda edge, more: edge + more * DAY, st.sampled_from(edges), NEAR),
        st.integers(-800, 900).map(day),
    )
    results = [_result(draw, number, draw(days)) for number in range(draw(st.integers(0, 9)))]
    if results and draw(st.booleans()):
        results.append(_result(draw, len(results), results[0].collected_on))
    facts = [Fact(draw(KINDS), draw(days)) for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2])))]
    if facts and draw(st.booleans()):
        facts.append(Fact(draw(KINDS), facts[0].observed_on))
    elsewhere = draw(st.one_of(st.none(), st.none(), days))
    return Series("p", tuple(results), tuple(courses), tuple(facts), first_dmr_on=elsewhere)


def _result(draw: st.DrawFn, number: int, on: dt.date) -> ResultFact:
    value, control = draw(VALUES), draw(CONTROLS)
    more = {
        "method": draw(st.sampled_from([*[Method.RT_QPCR] * 5, Method.CARTRIDGE])),
        "conversion_factor": Decimal(draw(st.sampled_from(["1", "1", "1", "1", "0.8"]))),
    }
    if value[0] in "<>=":
        measured = reported(value.lstrip("="), **more)
    else:
        of_control = "nd" if value == "nd" else str(Decimal(value) * Decimal(control) / 100)
        factor = str(more.pop("conversion_factor"))
        measured = copies(f"{of_control}/{control}", factor=factor, **more)
    rarely = st.sampled_from([False] * 9 + [True])
    laboratory = draw(st.sampled_from(["L", "L", "L", "L", "M"]))
    return ResultFact(number, f"{laboratory}/{number}/v1", on, laboratory, measured, draw(rarely), draw(rarely))


@st.composite
def patients_on_a_day(draw: st.DrawFn) -> tuple[Series, dt.date]:
    """A patient and a day to look from, often the day of something or a little later."""
    series = draw(patients())
    known = [r.collected_on for r in series.results] + [f.observed_on for f in series.facts]
    known += [on for c in series.courses for on in (c.started_on, c.stopped_on) if on is not None]
    return series, draw(st.sampled_from(known or [day(0)])) + draw(NEAR) * DAY


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


@st.composite
def crowded_courses(draw: st.DrawFn) -> list[Course]:
    """Courses of two drugs that touch, overlap, lie within each other, and end or do not."""
    found = {}
    for _ in range(draw(st.integers(2, 6))):
        start, length = draw(st.integers(0, 12)), draw(st.sampled_from([None, None, 0, 1, 2, 3, 5, 8, 12]))
        drug = draw(st.sampled_from([*[Drug.IMATINIB] * 4, Drug.DASATINIB, Drug.INTERFERON]))
        one = course(start, None if length is None else start + length, drug=drug, reason=draw(REASONS))
        found[one.key] = one
    return list(found.values())


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


@MORE
@given(patients_on_a_day(), st.sampled_from(SCHEDULES))
def test_the_next_sample(case: tuple[Series, dt.date], rule_id: str) -> None:
    series, as_of = case
    plan = next_sample_due(series, as_of, rule_set(rule_id))
    window = (plan.slot.earliest, plan.slot.due, plan.slot.latest) if plan.slot else (None, None, None)
    said = slow.Plan(plan.state.value, *window, plan.awaited, plan.results_overdue)
    assert said == slow.plan_on(series, as_of, rule_id)


@MORE
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
    values = values_of(assessed)
    for episode in find_episodes(series.courses, series.facts, time_points(assessed)):
        found = month_two(values, episode.stopped_on, rules, episode.restarted_on)
        expected = slow.month_two_group(days, episode.stopped_on, episode.restarted_on, KINETICS)
        assert found.group.value == expected
    change = latest_change(values, rules)
    if change is None:
        assert len(days) < 2
        return
    rise = slow.rise_between(days[-2], days[-1])
    if rise is None:
        assert change.direction is Direction.REFUSED
        return
    expected_direction = "rising" if rise.ratio > 1 else "falling" if rise.ratio < 1 else "unchanged"
    assert (change.direction.value, change.at_most) == (expected_direction, rise.at_most)
    if change.days is not None:
        assert math.isclose(float(change.days), rise.doubling_days(), rel_tol=1e-6, abs_tol=1e-4)
