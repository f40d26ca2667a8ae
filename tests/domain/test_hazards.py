"""What must never reassure wrongly and never stay silent: one table for each hazard, and the hazards themselves."""

import dataclasses
import importlib
from decimal import Decimal

import pytest

from monitoring.domain.course.episodes import find_episodes
from monitoring.domain.course.off_scale import change_log10, ratios_of
from monitoring.domain.course.off_treatment import State, standing_of, state_of
from monitoring.domain.course.series import (
    Course,
    Drug,
    Fact,
    FactKind,
    ResultFact,
    Series,
    StopReason,
    assess,
    time_points,
)
from monitoring.domain.following.kinetics import latest_change, values_of
from monitoring.domain.following.schedule import next_sample_due
from monitoring.domain.replay import replay
from monitoring.domain.rules.rule_sets import rule_set
from monitoring.domain.scoring.response import score
from monitoring.domain.vocabulary.measurement import Flag, Measurement, Reported, Transcript
from monitoring.wording.reason_texts import in_english
from tests.builders import copies, course, day
from tests.domain.course.test_off_treatment import sample

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
    open_ones = [i for i in replay(series).intentions if not i.closing]
    return [f"{i.kind.value} {(i.evidence_on - day(0)).days}" for i in open_ones]


def state_on(series: Series, asked: int) -> State:
    """Where the patient stands on a day, by the schedule of ELN 2020."""
    assessed = assess(series)
    episode = find_episodes(series.courses, series.facts, time_points(assessed))[-1]
    plan = next_sample_due(series, day(asked), RULES, assessed)
    until = plan.slot.latest if plan.slot else None
    return state_of(standing_of(episode, assessed, series.courses), known_until=until, as_of=day(asked))


D, S, M, P = (
    "tests.domain.test_hazards",
    "tests.services.alerts.test_hazards_at_doors",
    "tests.cohorts.test_members",
    "tests.services.alerts.test_plans",
)
E = "tests.domain.stopping.test_eligibility"
HAZARDS = [
    # hazard, cause, control, test that fails without it
    ("an atypical transcript relapses unheard", "no class and no limit in % IS holds for it",
     "own ratio and log change in state, table and chart; alert when detectable again or up a log on one assay",
     f"{D}.test_an_atypical_transcript_relapses_aloud"),
    ("the same, at a door that was forgotten", "page, list, inbox, mail and API are written apart",
     "one state and one alert read by all", f"{S}.test_an_atypical_relapse_is_told_at_every_door"),
    ("MMR is called held although nobody knows", "the last proof is old, or only an unverified value came since",
     "not known as soon as the next sample is overdue; a doubtful value is a provisional loss",
     "tests.domain.course.test_off_treatment.test_held_ends_on_the_day_after_the_window_of_the_next_sample"),
    ("a current loss is buried in loaded history", "old evidence was told once for a whole centre and then closed",
     "a worklist by level, speed and days without drug, signed off row by row, escalating until it is",
     f"{S}.test_a_worklist_ends_with_its_last_row_and_not_before"),
    ("an overdue patient is never called", "the slot fell due before the service watched",
     "overdue is overdue: a row of the worklist",
     f"{P}.test_who_was_overdue_before_the_service_watched_is_a_row_of_one_worklist"),
    ("a patient vanishes", "nothing recorded for a year stopped all reminders", "lost to follow-up is an alert",
     f"{S}.test_who_is_not_seen_any_more_is_an_alert_until_seen"),
    ("a child in blast phase, or a pregnant woman, meets criteria", "a rule set did not ask",
     "what is on record against a stop stands against every set; a set read in part never says met",
     f"{E}.test_what_is_on_record_stands_against_every_set"),
    ("years of deep response rest on two samples", "a run was counted to today, across any gap",
     "counted to the last sample, not known after 6 months without one or across 213 days",
     f"{E}.test_deep_response_needs_samples"),
    ("remission on interferon is counted as treatment-free", "only TKIs were looked at",
     "read apart by name in the figures, and in the headline of "
     "the patient", f"{M}.test_who_is_no_member_or_read_apart_is_told_why"),
    ("resistance on the drug is treated as routine", "a loss on treatment got the usual interval and no reminder",
     "confirmed by the second value, next sample in four weeks, mutation analysis and adherence named; a log is "
     "told in MMR",
     f"{D}.test_resistance_on_the_drug_is_not_routine"),
    ("a doubling time across a change of drug", "values were compared whatever was taken", "refused, and said why",
     f"{D}.test_no_time_across_a_change_of_drug_or_dose_or_from_a_poor_sample"),
    ("0.104 % printed as 0.10 % is held MMR", "a printed value hides its rounding",
     "flag, provisional alert, repeat", f"{D}.test_a_value_that_rounding_may_have_brought_into_mmr_shows_its_doubt"),
    ("marrow is read as blood", "the specimen was not shown", "labelled in every row, list and chart",
     f"{S}.test_marrow_is_labelled_wherever_it_is_shown"),
    ("a relapse after transplant is not seen", "the plan ended with the transplant",
     "samples go on, MMR lost again alerts", f"{D}.test_a_relapse_after_a_transplant_is_told_and_samples_are_planned"),
    ("MR4 comes and goes unnoticed", "back in MR4, the long interval held again", "said in words and sampled monthly",
     f"{D}.test_fluctuation_around_mr4_is_said_and_sampled_earlier"),
]  # fmt: skip


@pytest.mark.parametrize(("hazard", "cause", "control", "test"), HAZARDS)
def test_each_hazard_has_a_control_and_a_test_that_fails_without_it(
    hazard: str, cause: str, control: str, test: str
) -> None:
    module, _, name = test.rpartition(".")
    assert callable(getattr(importlib.import_module(module), name)), hazard
    assert cause
    assert control


# --- atypical transcripts -----------------------------------------------------------------------------------------

ON, RESTARTED = (course(-3000, None),), (course(-3000, 0), course(50, None))
ATYPICAL = [
    # samples, courses, alert, state on day 45 (empty: on treatment), words
    ([(-14, "nd/60000"), (30, "nd/60000")], "off", "", "off_scale", "not detected on"),
    ([(-14, "nd/60000"), (30, "18000/60000")], "off", "off_scale_relapse 30", "off_scale",
    "detectable again, ratio 30.0 %"),
    ([(-14, "6/60000"), (30, "18000/60000")], "off", "off_scale_relapse 30", "off_scale", "3.48 log above the lowest"),
    ([(-14, "6/60000"), (30, "59/60000")], "off", "", "off_scale", "0.99 log above the lowest"),
    ([(-14, "6/60000"), (30, "60/60000")], "off", "off_scale_relapse 30", "off_scale", "1.00 log above the lowest"),
    ([(-14, "60/60000"), (30, "6/60000")], "off", "", "off_scale", "the lowest so far"),
    ([(-14, "nd/60000"), (30, "6/60000"), (40, "nd/60000")], "off", "", "off_scale", "not detected on"),
    ([(-14, "nd/60000"), (20, "6/60000"), (30, "9/60000")], "off", "off_scale_relapse 20", "off_scale",
    "detectable again"),
    ([(-14, "nd/60000"), (30, "p 6/60000")], "off", "off_scale_relapse 30", "not_known", "detectable again"),
    ([(-14, "nd/60000"), (20, "6/60000"), (30, "p nd/60000")], "off", "off_scale_relapse 20", "off_scale",
    "detectable again"),
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
        assert words in in_english(found.reason)
        assert "MMR" not in in_english(found.reason)


def test_a_good_ratio_fills_its_slot_and_an_overdue_one_is_not_known() -> None:
    series = series_of([(-14, "nd/60000"), (30, "nd/60000")], transcript=Transcript.E19A2)
    plan = next_sample_due(series, day(40), RULES)
    assert (plan.counted_from, plan.notes) == (day(30), ())
    assert state_on(series, 40).code == "off_scale"
    late = state_on(series, 90)
    assert (late.code, "the next sample is overdue" in in_english(late.reason)) == ("not_known", True)
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


# --- resistance on the drug ---------------------------------------------------------------------------------------

DIAGNOSED = [(-3000, "30000/60000")]
DEEP = [*DIAGNOSED, (-2000, "nd/60000"), (-190, "nd/60000")]
RESISTANCE = [
    # samples on imatinib, alerts, why the next sample is early
    ([*DEEP, (-100, "5/60000")], [], ""),
    ([*DEEP, (-100, "19/60000")], [], ""),  # 0.0317 %: not yet a log above 0.0032 %
    ([*DEEP, (-100, "20/60000")], ["rise_on_treatment -100"], "rise"),  # 0.0333 %
    ([*DEEP, (-100, "57/60000")], ["rise_on_treatment -100"], "rise"),  # 0.095 %, three months after not detected
    ([*DEEP, (-130, "57/60000"), (-100, "54/60000")], ["rise_on_treatment -130 confirmed"], "rise"),
    ([*DEEP, (-130, "57/60000"), (-100, "nd/60000")], [], ""),
    ([*DEEP, (-130, "57/60000"), (-100, "120/60000")], ["loss_of_mmr_on_treatment -100"], "loss"),
    ([*DEEP, (-130, "120/60000"), (-100, "150/60000")], ["loss_of_mmr_on_treatment -130 confirmed"], "loss"),
    ([*DEEP, (-100, "8/4000")], ["loss_of_mmr_on_treatment -100 provisional"], "loss"),
    ([*DIAGNOSED, (-2900, "60/60000"), (-100, "6/60000")], [], ""),
]  # fmt: skip


@pytest.mark.parametrize(("samples", "expected", "why"), RESISTANCE)
def test_resistance_on_the_drug_is_not_routine(samples: list[tuple[int, str]], expected: list[str], why: str) -> None:
    series = series_of(samples, ON)
    said = [i for i in replay(series).intentions if not i.closing]
    words = [
        f"{i.kind.value} {(i.evidence_on - day(0)).days}{'' if i.certainty == 'suspected' else f' {i.certainty.value}'}"
        for i in said
    ]
    assert words == expected
    plan = next_sample_due(series, day(-90), RULES)
    assert plan.slot is not None
    if why:
        assert plan.reason.text_code == f"schedule.on_treatment.repeat_after_{why}"
        assert (plan.slot.due - day(-100)).days == 21
    else:
        assert (plan.slot.due - day(-100)).days > 80


@pytest.mark.parametrize(
    ("samples", "courses", "settled"),
    [
        ([*DEEP, (-130, "57/60000"), (-100, "120/60000")], ON, "loss_of_mmr"),
        ([*DEEP, (-130, "57/60000"), (-100, "nd/60000")], ON, "response_regained"),
        ([*DEEP, (-130, "57/60000")], (course(-3000, 0),), "stop"),
    ],
)
def test_a_rise_on_treatment_is_settled_by_what_came_of_it(
    samples: list[tuple[int, str]], courses: tuple[Course, ...], settled: str
) -> None:
    said = [i for i in replay(series_of(samples, courses)).intentions if i.kind == "rise_on_treatment"]
    assert [i.closing and i.closing.by for i in said] == [settled]


def test_a_recorded_mutation_brings_the_next_sample_and_a_switch_answers_it() -> None:
    mutation = (Fact(FactKind.MUTATION, day(-50), "T315I"),)
    plan = next_sample_due(series_of(DEEP, ON, mutation), day(-40), RULES)
    assert plan.slot is not None
    assert (plan.reason.text_code, plan.slot.due) == ("schedule.on_treatment.repeat_after_mutation", day(-29))
    switched = (course(-3000, -45, reason=StopReason.SWITCH), course(-44, None, drug=Drug.PONATINIB))
    assert "mutation" not in next_sample_due(series_of(DEEP, switched, mutation), day(-40), RULES).reason.text_code


KINETICS = [
    # two samples on treatment, courses, what is said of the time between them
    ([(-200, "12/60000"), (-100, "48/60000")], ON, "kinetics.doubling"),
    ([(-200, "12/60000"), (-100, "48/60000")], (course(-3000, -150, reason=StopReason.SWITCH), course(-149, None,
     drug=Drug.DASATINIB)),
     "kinetics.refused.treatment_changed"),
    ([(-200, "12/60000"), (-100, "48/60000")],
     (course(-3000, -150, dose_mg_per_day=Decimal(400), reason=StopReason.DOSE_CHANGE), course(-149, None,
     dose_mg_per_day=Decimal(200))),
     "kinetics.refused.treatment_changed"),
    ([(-200, "12/60000"), (-100, "48/60000")], (course(-3000, -150, dose_mg_per_day=Decimal(400)), course(-149, None)),
    "kinetics.doubling"),
    ([(-200, "12/60000"), (30, "48/60000")], (course(-3000, 0),), "kinetics.doubling"),  # on the drug, then off it
    ([(-200, "60/3000"), (-100, "58/60000")], ON, "kinetics.refused.discordant"),  # 2 % in a poor tube, then 0.097 %
]  # fmt: skip


@pytest.mark.parametrize(("samples", "courses", "code"), KINETICS)
def test_no_time_across_a_change_of_drug_or_dose_or_from_a_poor_sample(
    samples: list[tuple[int, str]], courses: tuple[Course, ...], code: str
) -> None:
    change = latest_change(values_of(assess(series_of(samples, courses)), courses), rule_set("kinetics-ln-ratio.1"))
    assert change is not None
    assert change.reason.text_code == code


# --- borderline values --------------------------------------------------------------------------------------------

BORDERLINE = [
    # what a laboratory reports, whether rounding may hide a value above 0.1 %
    (Measurement(copies_reported=False, reported=Reported(Decimal("0.10"))), True),
    (Measurement(copies_reported=False, reported=Reported(Decimal("0.1"))), True),
    (Measurement(copies_reported=False, reported=Reported(Decimal("0.099"))), False),
    (Measurement(copies_reported=False, reported=Reported(Decimal("0.0995"))), False),
    (Measurement(copies_reported=False, reported=Reported(mr_value=Decimal("3.0"))), True),
    (Measurement(copies_reported=False, reported=Reported(mr_value=Decimal("3.00"))), True),
    (Measurement(copies_reported=False, reported=Reported(mr_value=Decimal("3.1"))), False),
    (dataclasses.replace(copies("104/100000"), reported=Reported(Decimal("0.10"))), True),
    (dataclasses.replace(copies("100/100000"), reported=Reported(Decimal("0.10"))), False),
    (copies("100/100000"), False),
]


@pytest.mark.parametrize(("measured", "doubtful"), BORDERLINE)
def test_a_value_that_rounding_may_have_brought_into_mmr_shows_its_doubt(measured: Measurement, doubtful: bool) -> None:
    found = score(measured)
    assert found.response_class == "MMR"
    assert (Flag.NEAR_THRESHOLD in found.flags, found.may_exceed_mmr) == (doubtful, doubtful)
    result = ResultFact(1, "L/1/v1", day(30), "L", measured)
    series = dataclasses.replace(series_of([(-14, "nd/60000")]), results=(sample(-14, "nd/60000"), result))
    said = [i for i in replay(series).intentions if i.kind == "loss_of_mmr"]
    assert [i.certainty.value for i in said] == (["provisional"] if doubtful else [])
    assert state_on(series, 35).code == ("in_doubt" if doubtful else "held")


# --- smaller ones -------------------------------------------------------------------------------------------------

TRANSPLANT = (Fact(FactKind.ALLOGENEIC_TRANSPLANT, day(40)),)
AFTER_TRANSPLANT = [
    # samples off treatment with a transplant on day 40, alerts on day 400
    ([(-14, "nd/60000"), (90, "nd/60000"), (180, "nd/60000")], []),
    ([(-14, "nd/60000"), (90, "nd/60000"), (180, "120/60000")], ["relapse_after_transplant 180"]),
    ([(-14, "nd/60000"), (90, "120/60000")], []),  # not in MMR yet
    ([(-14, "nd/60000"), (90, "nd/60000"), (180, "120/60000"), (210, "nd/60000")], []),
]


@pytest.mark.parametrize(("samples", "expected"), AFTER_TRANSPLANT)
def test_a_relapse_after_a_transplant_is_told_and_samples_are_planned(
    samples: list[tuple[int, str]], expected: list[str]
) -> None:
    series = series_of(samples, facts=TRANSPLANT)
    assert alerts(series) == expected
    plan = next_sample_due(series, day(250), RULES)
    assert plan.reason.text_code == "schedule.after_transplant"
    assert plan.slot is not None
    treated = dataclasses.replace(series, courses=(course(-3000, 0), course(200, None)))
    assert [i.closing and i.closing.by for i in replay(treated).intentions if i.kind == "relapse_after_transplant"] == (
        ["restart"] if expected else []
    )


FLUCTUATION = [
    # samples in the second year off treatment, days to the next sample, why
    ([(-14, "nd/60000"), (400, "nd/60000")], 91, "regular"),
    ([(-14, "nd/60000"), (400, "12/60000")], 14, "loss_of_mr4"),
    ([(-14, "nd/60000"), (400, "12/60000"), (420, "nd/60000")], 31, "fluctuation"),
    ([(-14, "nd/60000"), (400, "12/60000"), (420, "nd/60000"), (600, "nd/60000")], 92, "regular"),
]


@pytest.mark.parametrize(("samples", "days", "why"), FLUCTUATION)
def test_fluctuation_around_mr4_is_said_and_sampled_earlier(
    samples: list[tuple[int, str]], days: int, why: str
) -> None:
    last = samples[-1][0]
    plan = next_sample_due(series_of(samples), day(last + 5), RULES)
    assert plan.slot is not None
    assert plan.reason.text_code == f"schedule.off_treatment.{why}"
    assert abs((plan.slot.due - day(last)).days - days) <= 1


def test_a_remission_on_interferon_is_called_that() -> None:
    with_interferon = (course(-3000, 0), course(-100, None, drug=Drug.INTERFERON))
    found = state_on(series_of([(-14, "nd/60000"), (30, "nd/60000")], with_interferon), 40)
    assert found.code == "held"
    assert "MMR held on interferon, not without treatment" in in_english(found.reason)
    ended = (course(-3000, 0), course(-100, 20, drug=Drug.INTERFERON, reason=StopReason.OTHER))
    assert "interferon" not in in_english(state_on(series_of([(-14, "nd/60000"), (30, "nd/60000")], ended), 40).reason)
