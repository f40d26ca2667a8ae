"""Where a patient off treatment stands: the words, and what each rests on."""

import dataclasses
import datetime as dt
from decimal import Decimal

import pytest

from monitoring.domain.course.episodes import find_episodes
from monitoring.domain.course.off_treatment import State, StateCode, standing_of, state_of
from monitoring.domain.course.series import Assessed, Course, Fact, FactKind, ResultFact, Series, assess, time_points
from monitoring.domain.following.schedule import next_sample_due
from monitoring.domain.rules.rule_sets import rule_set
from monitoring.domain.vocabulary.measurement import Measurement, Reading, Transcript
from monitoring.wording.reason_texts import in_english
from tests.builders import copies, course, day

RULES = rule_set("schedule-eln-2020.1")
BASE = (-14, "nd/60000")

# Samples by day after the stop (p: preliminary, bm: marrow, x: failed run); restart and end by day; the day that asks.
STATES = [
    # samples after the baseline, restart, end, asked on day, state, words
    ([(30, "nd/60000")], None, None, 40, "held", "MMR held: last evaluable result MR4_5 on"),
    ([(30, "9/60000")], None, None, 40, "held", "MMR held: last evaluable result MMR on"),
    ([], None, None, 20, "held", "MMR held: last evaluable result MR4_5 on"),
    ([], None, None, 200, "not_known", "no evaluable result since MR4_5 on"),
    ([(30, "nd/60000")], None, None, 200, "not_known", "no evaluable result since MR4_5 on"),
    ([(30, "nd/6000")], None, None, 34, "held", "MMR held"),
    ([(30, "nd/6000"), (37, "nd/6000")], None, None, 40, "not_known", "2 samples since MR4_5"),
    ([(30, "nd/6000"), (37, "x")], None, None, 40, "not_known", "2 samples since MR4_5"),
    ([(30, "bm nd/60000"), (37, "bm nd/60000")], None, None, 40, "not_known", "2 samples since MR4_5"),
    ([(30, "nd/6000"), (37, "nd/6000"), (44, "nd/60000")], None, None, 50, "held", "MMR held"),
    ([(30, "p 70/60000")], None, None, 40, "in_doubt", "is not verified yet"),
    ([(30, "8/4000")], None, None, 40, "in_doubt", "is no proof of a loss"),
    ([(30, "bm 200/60000")], None, None, 40, "in_doubt", "is no proof of a loss"),
    ([(30, "p 70/60000"), (37, "nd/60000")], None, None, 40, "held", "MMR held"),
    ([(30, "120/60000")], None, None, 40, "lost", "MMR lost: 0.2 %"),
    ([(30, "120/60000"), (60, "300/60000")], None, None, 70, "lost", "confirmed on"),
    ([(30, "66/60000"), (60, "48/60000")], None, None, 70, "not_confirmed", "0.11 % once"),
    ([(30, "66/60000"), (60, "nd/60000")], None, None, 70, "not_confirmed", "not detected on"),
    ([(30, "120/60000")], 45, None, 70, "restarted", "imatinib restarted on"),
    ([(30, "nd/60000")], 45, None, 70, "restarted", "imatinib restarted on"),
    ([(30, "nd/60000")], None, FactKind.DEATH, 70, "death", "Died on"),
    ([(30, "nd/60000")], None, FactKind.ALLOGENEIC_TRANSPLANT, 70, "allogeneic_transplant", "Transplanted on"),
]


def sample(offset: int, text: str, transcript: Transcript = Transcript.E14A2) -> ResultFact:
    """A result so many days after the stop."""
    kind, _, tubes = text.rpartition(" ")
    measured = (
        Measurement(readings=(Reading(None, None, run_valid=False),)) if text == "x" else copies(tubes, factor="1")
    )
    return ResultFact(
        id=offset, key=f"L/{offset}/v1", collected_on=day(offset), laboratory="L",
        measurement=_of(measured, transcript), is_preliminary=kind == "p", is_bone_marrow=kind == "bm",
    )  # fmt: skip


def _of(measured: Measurement, transcript: Transcript) -> Measurement:
    return dataclasses.replace(measured, transcript=transcript)


def state(
    samples: list[tuple[int, str]],
    restart: int | None,
    end: FactKind | None,
    asked: int,
    transcript: Transcript = Transcript.E14A2,
) -> State:
    """The state of the one episode on a day."""
    courses: list[Course] = [course(-3000, 0)]
    if restart is not None:
        courses.append(course(restart, None))
    facts = (Fact(end, day(50)),) if end else ()
    results = tuple(sample(offset, text, transcript) for offset, text in samples)
    series = Series("p", results, tuple(courses), facts)
    assessed: tuple[Assessed, ...] = assess(series)
    (episode,) = find_episodes(series.courses, series.facts, time_points(assessed))
    plan = next_sample_due(series, day(asked), RULES, assessed)
    until = plan.slot.latest if plan.slot else None
    return state_of(standing_of(episode, assessed, series.courses), known_until=until, as_of=day(asked))


@pytest.mark.parametrize(("samples", "restart", "end", "asked", "code", "words"), STATES)
def test_the_state_of_a_time_off_treatment(
    samples: list[tuple[int, str]], restart: int | None, end: FactKind | None, asked: int, code: str, words: str
) -> None:
    found = state([BASE, *samples], restart, end, asked)
    assert found.code == code
    assert words in in_english(found.reason)


def test_without_anything_evaluable_nothing_is_held() -> None:
    assert state([(30, "nd/6000")], None, None, 40).code is StateCode.NOT_KNOWN
    assert state([], None, None, 10).code is StateCode.NOT_KNOWN
    assert state([(-14, "120/60000")], None, None, 10).code is StateCode.NOT_IN_MMR


def test_held_ends_on_the_day_after_the_window_of_the_next_sample() -> None:
    samples = [BASE, (30, "nd/60000")]
    days = [asked for asked in range(31, 200) if state(samples, None, None, asked).code is not StateCode.HELD]
    plan = next_sample_due(Series("p", tuple(sample(*s) for s in samples), (course(-3000, 0),)), day(31), RULES)
    assert plan.slot is not None
    assert day(days[0]) == plan.slot.latest + dt.timedelta(days=1)
    assert days == list(range(days[0], 200))


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ([(-14, "nd/60000"), (30, "nd/60000")], "not detected on"),
        ([(-14, "nd/60000"), (30, "18000/60000")], "ratio 30.0 %"),
        ([(-14, "6/60000"), (30, "18000/60000")], "3.48 log above the lowest of 0.0100 %"),
    ],
)
def test_a_transcript_off_the_scale_tells_its_own_ratio_and_never_a_remission(
    samples: list[tuple[int, str]], words: str
) -> None:
    found = state(samples, None, None, 40, Transcript.E19A2)
    assert found.code is StateCode.OFF_SCALE
    assert words in in_english(found.reason)
    assert "MMR held" not in in_english(found.reason)


def test_every_text_of_a_state_is_used_by_some_patient() -> None:
    assert {row[4] for row in STATES} | {"not_in_mmr", "off_scale"} == {code.value for code in StateCode}
    assert Decimal("0.11") == Decimal(66) / Decimal(60_000) * 100
