"""What must never reassure wrongly and never stay silent: one table for each hazard, and the hazards themselves."""

import dataclasses
from decimal import Decimal

import pytest

from monitoring.domain.episodes import find_episodes
from monitoring.domain.history import replay
from monitoring.domain.measurement import Transcript
from monitoring.domain.off_scale import change_log10, ratios_of
from monitoring.domain.rules import rule_set
from monitoring.domain.schedule import next_sample_due
from monitoring.domain.series import Course, Fact, Series, assess, time_points
from monitoring.domain.state import State, standing_of, state_of
from tests.builders import course, day
from tests.domain.test_state import sample

RULES = rule_set("schedule-eln-2020.1")


def series_of(
    samples: list[tuple[int, str]],
    courses: tuple[Course, ...] = (course(-3000, 0),),
    facts: tuple[Fact, ...] = (),
    transcript: Transcript = Transcript.E14A2,
) -> Series:
    """A patient whose days are counted from the stop."""
    return Series("p", tuple(sample(on, text, transcript) for on, text in samples), courses, facts)


def alerts(series: Series) -> list[str]:
    """The kinds that should stand, with the day of their evidence."""
    open_ones = [i for i in replay(series).intentions if not i.settled_by]
    return [f"{i.kind.value} {(i.evidence_on - day(0)).days}" for i in open_ones]


def state_on(series: Series, asked: int) -> State:
    """Where the patient stands on a day, by the schedule of ELN 2020."""
    assessed = assess(series)
    episode = find_episodes(series.courses, series.facts, time_points(assessed))[-1]
    plan = next_sample_due(series, day(asked), RULES, assessed)
    until = plan.slot.latest if plan.slot else None
    return state_of(standing_of(episode, assessed), known_until=until, as_of=day(asked))


# --- atypical transcripts -----------------------------------------------------------------------------------------

ON, RESTARTED = (course(-3000, None),), (course(-3000, 0), course(50, None))
ATYPICAL = [
    # samples, courses, alert, state on day 45 (empty: on treatment), words
    ([(-14, "nd/60000"), (30, "nd/60000")], "off", "", "off_scale", "not detected on"),
    ([(-14, "nd/60000"), (30, "18000/60000")], "off", "off_scale_relapse 30", "off_scale", "detectable again, ratio 30.0 %"),
    ([(-14, "6/60000"), (30, "18000/60000")], "off", "off_scale_relapse 30", "off_scale", "3.48 log above the lowest"),
    ([(-14, "6/60000"), (30, "59/60000")], "off", "", "off_scale", "0.99 log above the lowest"),
    ([(-14, "6/60000"), (30, "60/60000")], "off", "off_scale_relapse 30", "off_scale", "1.00 log above the lowest"),
    ([(-14, "60/60000"), (30, "6/60000")], "off", "", "off_scale", "the lowest so far"),
    ([(-14, "nd/60000"), (30, "6/60000"), (40, "nd/60000")], "off", "", "off_scale", "not detected on"),
    ([(-14, "nd/60000"), (20, "6/60000"), (30, "9/60000")], "off", "off_scale_relapse 20", "off_scale", "detectable again"),
    ([(-14, "nd/60000"), (30, "p 6/60000")], "off", "off_scale_relapse 30", "not_known", "detectable again"),
    ([(-14, "nd/60000"), (20, "6/60000"), (30, "p nd/60000")], "off", "off_scale_relapse 20", "off_scale", "detectable again"),
    ([(-14, "nd/60000"), (30, "6/60000")], "restarted", "", "restarted", "imatinib restarted"),
    ([(-3000, "30000/60000"), (-2500, "nd/60000"), (-30, "6/60000")], "on", "off_scale_relapse -30", "", ""),
    ([(-3000, "30000/60000"), (-2500, "300/60000"), (-30, "60/60000")], "on", "", "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("samples", "treatment", "alert", "code", "words"), ATYPICAL)
def test_an_atypical_transcript_relapses_aloud(
    samples: list[tuple[int, str]], treatment: str, alert: str, code: str, words: str
) -> None:
    courses = {"off": (course(-3000, 0),), "on": ON, "restarted": RESTARTED}[treatment]
    series = series_of(samples, courses, transcript=Transcript.E19A2)
    assert alerts(series) == ([alert] if alert else [])
    if code:
        found = state_on(series, 60 if treatment == "restarted" else 45)
        assert found.code == code
        assert words in found.reason.in_english()
        assert "MMR" not in found.reason.in_english()


def test_a_good_ratio_fills_its_slot_and_an_overdue_one_is_not_known() -> None:
    series = series_of([(-14, "nd/60000"), (30, "nd/60000")], transcript=Transcript.E19A2)
    plan = next_sample_due(series, day(40), RULES)
    assert (plan.counted_from, plan.notes) == (day(30), ())
    assert state_on(series, 40).code == "off_scale"
    late = state_on(series, 90)
    assert (late.code, "the next sample is overdue" in late.reason.in_english()) == ("not_known", True)
    poor = series_of([(-14, "nd/60000"), (30, "nd/4000")], transcript=Transcript.E19A2)
    assert next_sample_due(poor, day(40), RULES).counted_from == day(0)


def test_a_log_is_one_only_on_one_assay() -> None:
    first, second = sample(-14, "6/60000", Transcript.E19A2), sample(30, "600/60000", Transcript.E19A2)
    series = Series("p", (first, dataclasses.replace(second, laboratory="OTHER")), (course(-3000, 0),))
    assert alerts(series) == []
    ratios = ratios_of(assess(series))
    assert [change_log10(r, ratios) for r in ratios] == [0, 0]
    same = ratios_of(assess(Series("p", (first, second), (course(-3000, 0),))))
    assert [change_log10(r, same) for r in same] == [0, Decimal("2.00")]
