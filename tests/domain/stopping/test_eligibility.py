"""Criteria before stopping: every limit on the day before, on and after it, worked by hand on the calendar."""

import dataclasses
import datetime as dt
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.domain.course.series import Course, Drug, Fact, FactKind, Series, StopReason, TimePoint
from monitoring.domain.rules.rule_sets import rule_set, rule_sets_of
from monitoring.domain.stopping.criteria import passed_on, whole_months
from monitoring.domain.stopping.criterion import Criterion, EligibilityFacts
from monitoring.domain.stopping.eligibility import Eligibility, ages_on, birthday, eligibility, facts_of_series
from monitoring.domain.vocabulary.dates import Duration, PartialDate, Precision, add_months, parse_date
from monitoring.domain.vocabulary.measurement import Transcript
from monitoring.domain.vocabulary.scale import ResponseClass
from monitoring.wording.reason_texts import TEXTS, in_english
from tests.builders import STOP, course, result

ELN, NCCN, ESMO, STKI = "eln-2020.1", "nccn-2020.1", "esmo-2017.1", "stki-14.1"


def on(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def taken(
    start: str, stop: str | None = None, drug: str = "imatinib", reason: StopReason = StopReason.UNKNOWN, **more: object
) -> Course:
    return Course(f"{drug}/{start}", Drug(drug), on(start), on(stop) if stop else None, reason, **more)  # type: ignore[arg-type]


def points(text: str) -> tuple[TimePoint, ...]:
    """``2015-06-01 NO_MMR; 2017-01-15 MR4_5`` as time points."""
    rows = [part.split() for part in text.split(";") if part.strip()]
    return tuple(TimePoint(on(date), ResponseClass(name), key=f"L/{date}") for date, name in rows)


def filled(given: Sequence[TimePoint], stop: dt.date) -> tuple[TimePoint, ...]:
    """The same with a sample of the class last seen every five months between, and one on the day of the stop."""
    known = [p for p in given if p.on <= stop]
    until = [*(p.on for p in known[1:]), stop + dt.timedelta(days=1)][: len(known)]
    between = [
        dataclasses.replace(point, on=day, key=f"L/{day}")
        for point, end in zip(known, until, strict=True)
        for n in range(1, 1000)
        if (day := point.on + dt.timedelta(days=150 * n)) < end
    ]
    last = [dataclasses.replace(known[-1], on=stop, key=f"L/{stop}")] if known and known[-1].on < stop else []
    made = {p.on: p for p in (*last, *between)} | {p.on: p for p in given}
    return tuple(made[day] for day in sorted(made))


def sampled(text: str, stop: str) -> tuple[TimePoint, ...]:
    """Points with samples often enough for every rule."""
    return filled(points(text), on(stop))


# On imatinib for ten years, in MR4.5 for eight: an adult who meets every criterion on 15 March 2020.
LONG = EligibilityFacts(
    stop_on=on("2020-03-15"),
    courses=(taken("2010-01-10"),),
    points=sampled("2010-02-01 NO_MMR; 2012-01-10 MR4_5", "2020-03-15"),
    born=parse_date("1970-05-01"),
    diagnosed=parse_date("2010-01-01"),
    phase="CP",
    transcript=Transcript.E14A2,
    risk_score="sokal",
    risk_group="low",
    assay_sensitivity=ResponseClass.MR4_5,
    turnaround_days=10,
    rapid_turnaround=True,
    prior_failure=False,
    patient_agreement=True,
    international_scale=True,
    accepts_schedule=True,
)


def said(rules: str, **changed: object) -> Eligibility:
    return eligibility(dataclasses.replace(LONG, **changed), rule_set(f"eligibility-{rules}"))  # type: ignore[arg-type]


def criterion(rules: str, name: str, **changed: object) -> Criterion:
    return next(c for c in said(rules, **changed).criteria if c.id == name)


def test_who_meets_everything_is_told_so_by_every_adult_rule_set() -> None:
    for rules in (ELN, NCCN, ESMO):
        found = said(rules)
        assert (found.overall, found.reason) == ("met", None), rules
        assert all(c.state == "met" for c in found.criteria)
        assert found.earliest_on is not None
        assert found.earliest_on <= LONG.stop_on
    assert said(ELN).optimal == "met"
    assert said(NCCN).optimal is None


# --- time on TKIs (D5) -------------------------------------------------------------------------------------------

IMATINIB, NILOTINIB = [taken("2015-01-31")], [taken("2016-02-29", drug="nilotinib")]
LEAP = [taken("2016-02-29")]
BOTH = [
    taken("2015-01-31", "2018-06-30", reason=StopReason.INTOLERANCE),
    taken("2018-07-01", drug="nilotinib"),
]
PAUSED = [taken("2015-01-31", "2018-01-31", reason=StopReason.PREGNANCY), taken("2018-03-03")]  # 30 days without drug
OVER = [taken("2015-01-31", "2019-12-31", reason=StopReason.PATIENT_CHOICE)]
TKI = [
    # rule set, courses, day of the stop, state, whole months, earliest day
    (ELN, IMATINIB, "2020-01-30", "not_met", 59, "2020-02-01"),
    (ELN, IMATINIB, "2020-01-31", "not_met", 60, "2020-02-01"),  # exactly five years: more than five are asked
    (ELN, IMATINIB, "2020-02-01", "met", 60, "2020-02-01"),
    (ESMO, IMATINIB, "2020-01-30", "not_met", 59, "2020-01-31"),
    (ESMO, IMATINIB, "2020-01-31", "met", 60, "2020-01-31"),  # exactly five years are enough
    (NCCN, IMATINIB, "2018-01-30", "not_met", 35, "2018-01-31"),
    (NCCN, IMATINIB, "2018-01-31", "met", 36, "2018-01-31"),
    (ELN, LEAP, "2021-02-28", "not_met", 60, "2021-03-01"),  # the 29th of February is clamped to the 28th
    (ELN, LEAP, "2021-03-01", "met", 60, "2021-03-01"),
    (ESMO, LEAP, "2021-02-27", "not_met", 59, "2021-02-28"),
    (ESMO, LEAP, "2021-02-28", "met", 60, "2021-02-28"),
    (ELN, BOTH, "2020-01-31", "not_met", 60, "2020-02-01"),  # with imatinib before, the longer limit stands
    (ELN, PAUSED, "2020-03-02", "not_met", 60, "2020-03-03"),  # counted as if started on 2 March 2015
    (ELN, PAUSED, "2020-03-03", "met", 60, "2020-03-03"),
    (ELN, OVER, "2020-03-15", "not_met", 59, ""),  # the drug is no longer taken: waiting adds nothing
    (ELN, [], "2020-03-15", "not_known", 0, ""),
]


@pytest.mark.parametrize(("rules", "courses", "stop", "state", "months", "earliest"), TKI)
def test_time_on_imatinib(rules: str, courses: list[Course], stop: str, state: str, months: int, earliest: str) -> None:
    found = criterion(rules, "tki_duration", courses=tuple(courses), stop_on=on(stop))
    assert (found.state, found.value, str(found.earliest_on or "")) == (state, months, earliest)
    assert (found.unit, found.threshold) == ("months", 36 if rules == NCCN else 60)


SECOND_GENERATION = [
    # rule set, day of the stop, state, operator, limit, earliest day (nilotinib since 29 February 2016)
    (ELN, "2020-02-28", "not_met", ">", 48, "2020-03-01"),
    (ELN, "2020-02-29", "not_met", ">", 48, "2020-03-01"),
    (ELN, "2020-03-01", "met", ">", 48, "2020-03-01"),
    (NCCN, "2019-02-27", "not_met", ">=", 36, "2019-02-28"),
    (NCCN, "2019-02-28", "met", ">=", 36, "2019-02-28"),
    (ESMO, "2021-02-27", "not_met", ">=", 60, "2021-02-28"),
    (ESMO, "2021-02-28", "met", ">=", 60, "2021-02-28"),
]


@pytest.mark.parametrize(("rules", "stop", "state", "operator", "limit", "earliest"), SECOND_GENERATION)
def test_time_on_second_generation(rules: str, stop: str, state: str, operator: str, limit: int, earliest: str) -> None:
    found = criterion(rules, "tki_duration_second_generation", courses=tuple(NILOTINIB), stop_on=on(stop))
    assert (found.state, found.operator, found.threshold) == (state, operator, limit)
    assert str(found.earliest_on) == earliest


def test_a_start_known_to_the_month_leaves_the_edge_open() -> None:
    vague = (taken("2015-01-15", started_precision=Precision.MONTH),)
    states = [
        criterion(ELN, "tki_duration", courses=vague, stop_on=on(day)).state
        for day in ("2020-01-01", "2020-01-02", "2020-01-31", "2020-02-01")
    ]
    # any day of January 2015: more than five years from 2 January 2020 at the earliest, from 1 February for certain
    assert states == ["not_met", "not_known", "not_known", "met"]
    assert criterion(ELN, "tki_duration", courses=vague).earliest_on == on("2020-02-01")


# --- time in deep response (D17, D18) ----------------------------------------------------------------------------

BEFORE = "2010-02-01 NO_MMR; "
SINCE_FEB_2018 = BEFORE + "2018-02-28 MR4; 2019-06-01 MR4_5; 2019-12-01 MR4"
DMR = [
    # rule set, results, day of the stop, state, whole months, earliest day
    (ELN, SINCE_FEB_2018, "2020-02-27", "not_met", 23, "2020-02-29"),
    (ELN, SINCE_FEB_2018, "2020-02-28", "not_met", 24, "2020-02-29"),
    (ELN, SINCE_FEB_2018, "2020-02-29", "met", 24, "2020-02-29"),
    (NCCN, SINCE_FEB_2018, "2020-02-27", "not_met", 23, "2020-02-28"),
    (NCCN, SINCE_FEB_2018, "2020-02-28", "met", 24, "2020-02-28"),
    (STKI, SINCE_FEB_2018, "2020-02-28", "met", 24, "2020-02-28"),
    (ELN, BEFORE + "2016-02-29 MR4; 2018-01-01 MR4", "2018-02-28", "not_met", 24, "2018-03-01"),
    (ELN, BEFORE + "2016-02-29 MR4; 2018-01-01 MR4", "2018-03-01", "met", 24, "2018-03-01"),
    (NCCN, BEFORE + "2014-01-01 MR4; 2018-02-28 MMR; 2018-06-01 MR4", "2020-05-31", "not_met", 23, "2020-06-01"),
    (NCCN, BEFORE + "2014-01-01 MR4; 2018-02-28 MMR; 2018-06-01 MR4", "2020-06-01", "met", 24, "2020-06-01"),
    (ELN, BEFORE + "2014-01-01 MR4_5; 2020-01-01 MMR", "2020-03-15", "not_met", 0, ""),
    (ELN, BEFORE, "2020-03-15", "not_met", 0, ""),
    (ELN, "", "2020-03-15", "not_known", 0, ""),
    (ELN, "2019-01-01 MR4; "
          "2019-12-01 MR4", "2020-03-15", "not_known", 14, "2021-01-02"),  # began before the first result
    (ELN, SINCE_FEB_2018 + "; 2020-04-01 NO_MMR", "2020-03-15", "met", 24, "2020-02-29"),  # after the stop
]  # fmt: skip


@pytest.mark.parametrize(("rules", "text", "stop", "state", "months", "earliest"), DMR)
def test_time_in_deep_response(rules: str, text: str, stop: str, state: str, months: int, earliest: str) -> None:
    known = sampled(text, stop)
    found = criterion(rules, "dmr_duration", points=known, stop_on=on(stop), diagnosed=parse_date("1985-01-01"))
    assert (found.state, found.value, str(found.earliest_on or "")) == (state, months, earliest)


OPTIMAL = [
    # results, day of the stop, state, limit of the alternative that decides, earliest day
    (BEFORE + "2017-03-01 MR4; 2019-12-01 MR4", "2020-03-01", "not_met", 36, "2020-03-02"),
    (BEFORE + "2017-03-01 MR4; 2019-12-01 MR4", "2020-03-02", "met", 36, "2020-03-02"),
    (BEFORE + "2018-03-01 MR4_5; 2019-12-01 MR4_5", "2020-03-01", "not_met", 24, "2020-03-02"),
    (BEFORE + "2018-03-01 MR4_5; 2019-12-01 MR4_5", "2020-03-02", "met", 24, "2020-03-02"),
    (BEFORE + "2017-03-01 MR4; 2019-06-01 MR4_5", "2020-03-01", "not_met", 36, "2020-03-02"),  # MR4 is first
    (BEFORE + "2018-03-01 MR4; 2018-06-01 MR4_5", "2020-03-01", "not_met", 24, "2020-06-02"),  # MR4.5 is first
]


@pytest.mark.parametrize(("text", "stop", "state", "limit", "earliest"), OPTIMAL)
def test_optimal_deep_response_of_eln(text: str, stop: str, state: str, limit: int, earliest: str) -> None:
    found = criterion(ELN, "dmr_duration_optimal", points=sampled(text, stop), stop_on=on(stop))
    assert (found.level, found.state, found.threshold, str(found.earliest_on)) == ("optimal", state, limit, earliest)


def test_a_first_deep_response_elsewhere_starts_the_run() -> None:
    known = sampled("2019-01-01 MR4", "2020-03-15")
    found = criterion(ELN, "dmr_duration", points=known, first_dmr_on=on("2017-05-05"))
    # Nobody here has seen the samples before 2019: met only across what is not known.
    assert (found.state, found.earliest_on) == ("not_known", on("2019-05-06"))


DENSITY = [
    # results in deep response, state, tests that count, day on which the fourth counts
    ("2019-01-31 MR4; 2019-04-30 MR4; 2019-07-30 MR4; 2019-10-30 MR4", "met", 4, "2019-10-30"),
    ("2019-01-31 MR4; 2019-04-29 MR4; 2019-07-30 MR4; 2019-10-30 MR4", "not_met", 3, "2020-01-30"),  # a day too near
    ("2019-01-31 MR4; 2019-04-30 MMR; 2019-07-30 MR4; 2019-10-30 MR4", "not_met", 2, "2020-04-30"),
    ("2019-10-30 MR4; 2020-01-30 MMR", "not_met", 0, ""),
    ("", "not_known", 0, ""),
]


@pytest.mark.parametrize(("text", "state", "tests", "earliest"), DENSITY)
def test_density_of_tests(text: str, state: str, tests: int, earliest: str) -> None:
    found = criterion(NCCN, "test_density", points=points(text))
    assert (found.state, found.value, str(found.earliest_on or "")) == (state, tests, earliest)


LAST_MET = [
    # results up to a stop on 15 March 2020, state by ELN, whole months, text
    ("2008-02-01 NO_MMR; 2009-06-01 MR4_5; "
     "2009-09-01 MR4_5", "not_known", 3, "last_too_old"),  # the last sample is ten years old
    (BEFORE + "2017-01-01 MR4; 2017-07-01 MR4; 2018-01-01 MR4; 2018-07-01 MR4; 2019-01-01 MR4; 2019-07-01 MR4; "
              "2019-09-14 MR4",
     "not_known", 32, "last_too_old"),  # six months and a day
    (BEFORE + "2017-01-01 MR4; 2017-07-01 MR4; 2018-01-01 MR4; 2018-07-01 MR4; 2019-01-01 MR4; 2019-07-01 MR4; "
              "2019-09-15 MR4",
     "met", 32, "samples"),  # six months to the day
    (BEFORE + "2018-02-01 MR4; 2018-08-01 MR4; 2019-02-01 MR4; 2019-08-01 MR4; "
              "2019-12-01 MR4", "not_met", 22, "samples"),
    (BEFORE + "2017-01-01 MR4; 2019-09-01 MR4; 2020-03-01 MR4", "not_known", 38, "gap"),
    (BEFORE + "2017-01-01 MR4; 2017-08-02 MR4; 2018-03-03 MR4; 2018-10-02 MR4; 2019-05-03 MR4; "
              "2019-12-02 MR4", "met", 35, "samples"),
    (BEFORE + "2017-01-01 MR4; 2017-08-03 MR4; 2018-03-03 MR4; 2018-10-02 MR4; 2019-05-03 MR4; "
              "2019-12-02 MR4", "met", 35, "samples"),
    (BEFORE + "2017-08-03 MR4; 2018-03-05 MR4; 2018-10-02 MR4; 2019-05-03 MR4; "
              "2019-12-02 MR4", "not_known", 27, "gap"),  # 214 days
]  # fmt: skip


@pytest.mark.parametrize(("text", "state", "months", "code"), LAST_MET)
def test_deep_response_needs_samples(text: str, state: str, months: int, code: str) -> None:
    found = criterion(ELN, "dmr_duration", points=points(text))
    assert (found.state, found.value) == (state, months)
    assert found.reason.text_code == ("eligibility.duration." + code)


# --- what stands against every set --------------------------------------------------------------------------------

AGAINST = [
    # what is on record, the criterion that says so
    ({"phase": "AP"}, "chronic_phase"),
    ({"phase": "BP"}, "chronic_phase"),
    ({"facts": (Fact(FactKind.PROGRESSION, on("2016-05-05")),)}, "no_prior_failure"),
    ({"facts": (Fact(FactKind.MUTATION, on("2016-05-05"), "F317L"),)}, "no_prior_failure"),
    ({"courses": (taken("2010-01-10", "2012-01-10", reason=StopReason.RESISTANCE), taken("2012-01-11",
     drug="dasatinib"))},
     "no_prior_failure"),
    ({"prior_failure": True}, "no_prior_failure"),
    ({"transcript": Transcript.E19A2}, "transcript"),
    ({"transcript": Transcript.UNKNOWN, "never_detected": True}, "transcript"),
    ({"facts": (Fact(FactKind.PREGNANCY, on("2020-01-05")),)}, "pregnancy"),
    ({"facts": (Fact(FactKind.PREGNANCY_END, on("2019-01-05")), Fact(FactKind.PREGNANCY, on("2020-03-15")))},
    "pregnancy"),
    ({"facts": (Fact(FactKind.ALLOGENEIC_TRANSPLANT, on("2018-01-05")),)}, "transplant"),
]  # fmt: skip


@pytest.mark.parametrize("rules", [r.id.removeprefix("eligibility-") for r in rule_sets_of("eligibility")])
@pytest.mark.parametrize(("changed", "name"), AGAINST)
def test_what_is_on_record_stands_against_every_set(rules: str, changed: dict[str, object], name: str) -> None:
    child = {"born": parse_date("1999-01-01"), "diagnosed": parse_date("2010-01-01")}  # so that every set speaks
    found = said(rules, **child, **changed)
    assert (found.overall, found.earliest_on) == ("not_met", None)
    against = [c for c in found.criteria if c.id == name]
    assert [str(c.state) for c in against] == ["not_met"], "said once, in the words of the set where it asks"
    assert "None" not in in_english(against[0].reason)


@pytest.mark.parametrize(
    "facts",
    [
        (Fact(FactKind.PREGNANCY, on("2019-01-05")), Fact(FactKind.PREGNANCY_END, on("2019-09-05"))),
        (Fact(FactKind.PREGNANCY, on("2019-09-05")), Fact(FactKind.PREGNANCY_END, on("2019-09-05"))),
        (Fact(FactKind.ALLOGENEIC_TRANSPLANT, on("2020-03-16")),),
        (Fact(FactKind.PREGNANCY, on("2020-03-16")),),
    ],
)
def test_what_is_over_or_still_to_come_stands_against_none(facts: tuple[Fact, ...]) -> None:
    for rules in (ELN, NCCN, ESMO):
        assert said(rules, facts=facts).overall == "met"


# --- stated and recorded facts -----------------------------------------------------------------------------------


def fact(kind: FactKind, date: str = "2016-05-05") -> tuple[Fact, ...]:
    return (Fact(kind, on(date)),)


RESISTANT = (taken("2010-01-10", "2012-01-10", reason=StopReason.RESISTANCE), taken("2012-01-11", drug="dasatinib"))
INTOLERANT = (taken("2010-01-10", "2012-01-10", reason=StopReason.INTOLERANCE), taken("2012-01-11", drug="dasatinib"))
SWITCHED = (taken("2010-01-10", "2012-01-10", reason=StopReason.SWITCH), taken("2012-01-11", drug="dasatinib"))
THIRD = (
    taken("2010-01-10", "2012-01-10", reason=StopReason.INTOLERANCE),
    taken("2012-01-11", "2014-01-10", drug="dasatinib", reason=StopReason.INTOLERANCE),
    taken("2014-01-11", drug="nilotinib"),
)
FACTS = [
    # rule set, criterion, what is different, state
    (ELN, "chronic_phase", {"phase": "CP"}, "met", "fact"),
    (ELN, "chronic_phase", {"phase": "AP"}, "not_met", "fact"),
    (ELN, "chronic_phase", {"phase": "BP"}, "not_met", "fact"),
    (ELN, "chronic_phase", {"phase": ""}, "not_known", "not_recorded"),
    (ELN, "chronic_phase", {"facts": fact(FactKind.PROGRESSION)}, "not_met", "progression"),
    (ELN, "chronic_phase", {"facts": fact(FactKind.PROGRESSION, "2020-03-16")}, "met", "fact"),  # after the stop
    (ELN, "patient_agreement", {"patient_agreement": False}, "not_met", "fact"),
    (ELN, "patient_agreement", {"patient_agreement": None}, "not_known", "not_recorded"),
    (ELN, "international_scale", {"international_scale": False}, "not_met", "fact"),
    (ELN, "accepts_schedule", {"accepts_schedule": None}, "not_known", "not_recorded"),
    (NCCN, "sensitivity", {"assay_sensitivity": ResponseClass.MR5}, "met", "fact"),
    (NCCN, "sensitivity", {"assay_sensitivity": ResponseClass.MR4}, "not_met", "fact"),
    (NCCN, "sensitivity", {"assay_sensitivity": None}, "not_known", "not_recorded"),
    (NCCN, "turnaround", {"turnaround_days": 14}, "met", "fact"),
    (NCCN, "turnaround", {"turnaround_days": 15}, "not_met", "fact"),
    (ESMO, "turnaround", {"turnaround_days": 28}, "met", "fact"),
    (ESMO, "turnaround", {"turnaround_days": 29}, "not_met", "fact"),
    (ELN, "turnaround", {"turnaround_days": 90}, "met", "fact"),  # rapid, without a number: a person says so
    (ELN, "turnaround", {"rapid_turnaround": None}, "not_known", "not_recorded"),
    (ELN, "line", {}, "met", "line"),
    (ELN, "line", {"courses": INTOLERANT}, "met", "line.left"),
    (ELN, "line", {"courses": RESISTANT}, "not_met", "line.left"),
    (ELN, "line", {"courses": SWITCHED}, "not_known", "line.left"),
    (ELN, "line", {"courses": THIRD}, "not_met", "line"),
    (ELN, "line", {"courses": ()}, "not_known", "line"),
    (ELN, "no_prior_failure", {"prior_failure": None}, "not_known", "not_recorded"),
    (ELN, "no_prior_failure", {"prior_failure": True}, "not_met", "stated_failure"),
    (ELN, "no_prior_failure", {"courses": RESISTANT}, "not_met", "resistance"),
    (ELN, "no_prior_failure", {"facts": fact(FactKind.MUTATION)}, "not_met", "mutation"),
    (ELN, "no_prior_failure", {"facts": fact(FactKind.PREGNANCY)}, "met", "fact"),
    (ELN, "transcript", {"transcript": Transcript.BOTH}, "met", "fact"),
    (ELN, "transcript", {"transcript": Transcript.E1A2}, "not_met", "fact"),
    (ELN, "transcript", {"transcript": Transcript.UNKNOWN}, "not_known", "not_recorded"),
    (ESMO, "risk_not_high", {"risk_group": "intermediate"}, "met", "fact"),
    (ESMO, "risk_not_high", {"risk_group": "high"}, "not_met", "fact"),
    (ESMO, "risk_not_high", {"risk_score": "elts", "risk_group": "low"}, "not_known", "other_score"),
    (ESMO, "risk_not_high", {"risk_score": "", "risk_group": ""}, "not_known", "not_recorded"),
    (ESMO, "depth_at_stop", {"points": points("2018-01-01 MR4; 2020-01-01 MR4")}, "not_met", "depth"),
    (ESMO, "depth_at_stop", {"points": points("2018-01-01 MR4; 2020-01-01 MR5")}, "met", "depth"),
    (ESMO, "depth_at_stop", {"points": ()}, "not_known", "no_result"),
]


@pytest.mark.parametrize(("rules", "name", "changed", "state", "code"), FACTS)
def test_a_fact(rules: str, name: str, changed: dict[str, object], state: str, code: str) -> None:
    found = criterion(rules, name, **changed)
    assert found.state == state
    assert found.earliest_on is None
    assert found.source == found.reason.citation == rule_set(f"eligibility-{rules}").source(name)
    assert found.reason.text_code == f"eligibility.{code}"


ASKED = [
    # rule set, criteria it asks for
    (ELN, "chronic_phase patient_agreement international_scale turnaround accepts_schedule line no_prior_failure "
          "transcript tki_duration tki_duration_optimal dmr_duration dmr_duration_optimal"),
    (NCCN, "chronic_phase patient_agreement international_scale sensitivity turnaround no_prior_failure transcript "
           "tki_duration dmr_duration test_density"),
    (ESMO, "chronic_phase turnaround no_prior_failure transcript tki_duration dmr_duration depth_at_stop "
           "risk_not_high"),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "names"), ASKED, ids=[row[0] for row in ASKED])
def test_what_a_rule_set_asks_for(rules: str, names: str) -> None:
    assert [c.id for c in said(rules).criteria] == names.split()


ON_THE_DAY = [
    # criterion, what happens on the day of the stop or the day after, rule set, state on 15 March 2020
    ("chronic_phase", {"facts": fact(FactKind.PROGRESSION, "2020-03-15")}, ELN, "not_met"),
    ("no_prior_failure", {"courses": (taken("2010-01-10", "2020-03-15", reason=StopReason.RESISTANCE),)}, ELN,
    "not_met"),
    ("no_prior_failure", {"courses": (taken("2010-01-10", "2020-03-16", reason=StopReason.RESISTANCE),)}, ELN, "met"),
    ("line", {"courses": (*INTOLERANT, taken("2020-03-15", drug="nilotinib"))}, ELN, "not_met"),
    ("line", {"courses": (*INTOLERANT, taken("2020-03-16", drug="nilotinib"))}, ELN, "met"),
    ("depth_at_stop", {"points": points("2018-01-01 MR4_5; 2020-03-15 MR4")}, ESMO, "not_met"),
    ("depth_at_stop", {"points": points("2019-10-01 MR4_5; 2020-03-16 MR4")}, ESMO, "met"),
    ("test_density", {"points": points("2019-01-01 MR4; 2019-05-01 MR4; 2019-09-01 MR4; 2020-03-15 MR4")}, NCCN, "met"),
    ("test_density", {"points": points("2019-01-01 MR4; 2019-05-01 MR4; 2019-09-01 MR4; 2020-03-16 MR4")}, NCCN,
    "not_met"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changed", "rules", "state"), ON_THE_DAY)
def test_the_day_of_the_stop_counts(name: str, changed: dict[str, object], rules: str, state: str) -> None:
    assert criterion(rules, name, **changed).state == state


# --- all together ------------------------------------------------------------------------------------------------

OVERALL = [
    # rule set, what is different, overall, earliest day
    (ELN, {}, "met", "2015-01-11"),  # five years of imatinib came after two years of MR4
    (ELN, {"courses": (taken("2015-05-01"),)}, "not_met", "2020-05-02"),
    (ELN, {"courses": (taken("2015-05-01"),), "phase": ""}, "not_met", ""),
    (ELN, {"phase": "BP"}, "not_met", ""),
    (ELN, {"phase": ""}, "not_known", ""),
    (ELN, {"points": sampled(BEFORE + "2018-06-01 MR4", "2020-03-15")}, "not_met", "2020-06-02"),
    (NCCN, {"points": sampled(BEFORE + "2019-06-01 MR4", "2020-03-15")}, "not_met", "2021-06-01"),
]


@pytest.mark.parametrize(("rules", "changed", "overall", "earliest"), OVERALL)
def test_all_together(rules: str, changed: dict[str, object], overall: str, earliest: str) -> None:
    found = said(rules, **changed)
    assert (found.overall, str(found.earliest_on or "")) == (overall, earliest)


def test_an_optimal_criterion_does_not_decide() -> None:
    found = said(ELN, points=sampled(BEFORE + "2018-01-01 MR4", "2020-03-15"))
    assert (found.overall, found.optimal) == ("met", "not_met")


# --- of whom a rule set speaks (D19) -----------------------------------------------------------------------------

ADULTS = [
    # born, day of the stop, overall by every adult rule set, earliest day
    ("2002-03-15", "2020-03-14", "not_applicable", "2020-03-15"),
    ("2002-03-15", "2020-03-15", "met", None),
    ("2002-03-15", "2020-03-16", "met", None),
    ("2004-02-29", "2022-02-28", "not_applicable", "2022-03-01"),
    ("2004-02-29", "2022-03-01", "met", None),
    ("2002-03", "2020-02-29", "not_applicable", "2020-03-31"),
    ("2002-03", "2020-03-15", "not_known", ""),
    ("2002-03", "2020-03-31", "met", None),
    ("2002", "2020-12-30", "not_known", ""),
    ("2002", "2020-12-31", "met", None),
    ("", "2020-03-15", "not_known", ""),
]


@pytest.mark.parametrize("rules", [ELN, NCCN, ESMO])
@pytest.mark.parametrize(("born", "stop", "overall", "earliest"), ADULTS)
def test_adult_rule_sets_speak_of_adults(rules: str, born: str, stop: str, overall: str, earliest: str | None) -> None:
    known = sampled(BEFORE + "2012-01-10 MR4_5", stop)
    found = said(rules, born=parse_date(born) if born else None, stop_on=on(stop), points=known)
    assert found.overall == overall
    assert (found.criteria == ()) == (overall == "not_applicable")
    assert (found.reason is None) == (overall == "met")
    if earliest is not None:
        assert str(found.earliest_on or "") == earliest


def test_a_stated_age_stands_in_for_a_date_of_birth() -> None:
    assert said(ELN, born=None, age_at_stop=17).overall == "not_applicable"
    assert said(ELN, born=None, age_at_stop=18).overall == "met"
    assert said(STKI, born=None, age_at_diagnosis=19).overall == "not_known"
    assert said(STKI, born=None, age_at_diagnosis=20).overall == "not_applicable"


CHILDREN = [
    # born, diagnosed, overall by STKI-14, of which only a part was read (stop on 15 March 2020)
    ("1990-01-02", "2010-01-01", "not_known"),  # 19 years at diagnosis
    ("1990-01-01", "2010-01-01", "not_applicable"),  # 20 years at diagnosis
    ("1970-05-01", "2010-01-01", "not_applicable"),
    ("1999-01-01", "2010-01-01", "not_known"),  # 11 at diagnosis, 21 at the stop
    ("1990-01", "2010-01-01", "not_known"),  # born on the 1st: 20; on any later day: 19
    ("", "2010-01-01", "not_known"),
]


@pytest.mark.parametrize(("born", "diagnosed", "overall"), CHILDREN)
def test_the_paediatric_rule_set_speaks_of_people_diagnosed_young(born: str, diagnosed: str, overall: str) -> None:
    found = said(STKI, born=parse_date(born) if born else None, diagnosed=parse_date(diagnosed))
    assert found.overall == overall
    if overall == "not_applicable":
        assert found.reason is not None
        assert found.reason.text_code == "eligibility.population.diagnosed_later"
    assert {c.state for c in found.criteria} <= {"met"}


def test_who_was_diagnosed_as_a_child_and_stops_as_an_adult_is_spoken_of_by_both() -> None:
    both = {"born": parse_date("1999-01-01"), "diagnosed": parse_date("2010-01-01")}
    assert {said(r, **both).overall for r in (ELN, NCCN, ESMO)} == {"met"}
    assert said(STKI, **both).overall == "not_known"


# --- calendar lengths --------------------------------------------------------------------------------------------

LENGTHS = [
    # from, to, whole calendar months
    ("2012-03-15", "2018-03-14", 71),
    ("2012-03-15", "2018-03-15", 72),
    ("2012-02-29", "2018-02-27", 71),
    ("2012-02-29", "2018-02-28", 72),  # six years from a leap day, clamped
    ("2014-02-28", "2020-02-28", 72),
    ("2014-03-01", "2020-02-29", 71),  # across a leap day
    ("2020-01-31", "2020-02-29", 1),
    ("2020-01-31", "2020-02-28", 0),
    ("2019-08-31", "2020-02-29", 6),
    ("2020-01-31", "2020-01-31", 0),
]


@pytest.mark.parametrize(("start", "end", "months"), LENGTHS)
def test_whole_calendar_months(start: str, end: str, months: int) -> None:
    assert whole_months(Duration(on(start), on(end))) == months


def test_ages_and_birthdays() -> None:
    assert ages_on(parse_date("2002-03"), parse_date("2020-03-15"), None) == (17, 18)
    assert ages_on(None, parse_date("2020-03-15"), 12) == (12, 12)
    assert birthday(PartialDate(on("2004-02-29")), 18) == on("2022-03-01")
    assert birthday(parse_date("2002"), 18) == on("2020-12-31")


# --- from a series, and properties -------------------------------------------------------------------------------


def test_the_facts_of_a_series() -> None:
    series = Series(
        "p",
        (result(1, -3000, "5"), result(2, -1500, None), result(3, -10, None), result(4, -5, None, control="9000")),
        (course(-3200, None),),
        fact(FactKind.MUTATION),
        first_dmr_on=None,
    )
    facts = facts_of_series(series, STOP)
    assert [str(p.response_class) for p in facts.points] == ["NO_MMR", "MR4_5", "MR4_5"]
    assert facts.assay_sensitivity is ResponseClass.MR4_5
    found = eligibility(dataclasses.replace(facts, age_at_stop=40), rule_set("eligibility-eln-2020.1"))
    states = {c.id: str(c.state) for c in found.criteria}
    assert states["dmr_duration"] == "not_known"  # nothing was seen for four years
    assert states["no_prior_failure"] == "not_met"
    assert states["transcript"] == "not_known"


@pytest.mark.parametrize(
    ("values", "state"),
    [([None, None], "not_met"), (["5", None], "not_known"), ([None, "0.002"], "not_known")],
)
def test_an_unknown_transcript_that_the_assay_has_never_detected_is_not_eligible(
    values: list[str | None], state: str
) -> None:
    results = tuple(result(n, -300 + n, percent) for n, percent in enumerate(values, start=1))
    facts = facts_of_series(Series("p", results, (course(-3200, None),)), STOP)
    found = eligibility(dataclasses.replace(facts, age_at_stop=40), rule_set("eligibility-eln-2020.1"))
    assert {c.id: str(c.state) for c in found.criteria}["transcript"] == state
    assert state != "not_met" or found.overall == "not_met"


CLASSES = st.sampled_from(["NO_MMR", "MMR", "MR4", "MR4_5", "MR5"])
RUNS = st.dictionaries(st.integers(0, 4000), CLASSES, max_size=8)


@given(RUNS, st.integers(0, 5000), st.sampled_from([r.id for r in rule_sets_of("eligibility")]), st.integers(0, 99))
def test_waiting_until_the_earliest_day_and_not_a_day_less(
    rows: dict[int, str], offset: int, rules: str, seed: int
) -> None:
    start = on("2008-02-29")
    stop = start + dt.timedelta(days=offset)
    seen = tuple(
        TimePoint(start + dt.timedelta(days=d), ResponseClass(c), key=str(d)) for d,
        c in sorted(rows.items()) if d <= offset
    )  # fmt: skip
    known = filled(seen, stop)
    facts = dataclasses.replace(
        LONG, stop_on=stop, courses=(taken("2008-02-29"),), points=known, age_at_diagnosis=15, age_at_stop=30, born=None
    )
    found = eligibility(facts, rule_set(rules))
    shuffled = random.Random(seed).sample(known, len(known))
    assert eligibility(dataclasses.replace(facts, points=tuple(shuffled)), rule_set(rules)) == found
    for item in found.criteria:
        assert item.reason.text_code in TEXTS
        assert "%(" not in in_english(item.reason)
        if item.earliest_on is None or item.unit != "months" or item.state == "met":
            continue
        states = []
        for day in (item.earliest_on, item.earliest_on - dt.timedelta(days=1)):
            then = eligibility(dataclasses.replace(facts, stop_on=day, points=filled(seen, day)), rule_set(rules))
            states.append(next(c.state for c in then.criteria if c.id == item.id))
        assert states[0] == "met"
        assert states[1] != "met"


@given(st.dates(dt.date(1950, 1, 1), dt.date(2050, 1, 1)), st.integers(1, 240), st.sampled_from([">", ">="]))
def test_the_day_a_limit_is_passed(start: dt.date, months: int, operator: str) -> None:
    day = passed_on(start, operator, months)
    lengths = [Duration(start, end) for end in (day - dt.timedelta(days=1), day)]
    answers = [d.exceeds(months) if operator == ">" else d.reaches(months) for d in lengths]
    assert answers == [False, True]
    assert add_months(start, months) <= day


# --- what is not in our sources -----------------------------------------------------------------------------------

SILENT = [
    # rule set, motivation and agreement, overall, the first thing that is not in our sources
    ("eln-2025.1", True, "not_known", "chronic_phase"),
    ("chinese-2020.1", True, "not_known", "chronic_phase"),
    ("chinese-2020.1", False, "not_met", "chronic_phase"),
    ("nhc-2022.1", True, "not_known", "chronic_phase"),
    ("paediatric-panel-2025.1", True, "not_known", "chronic_phase"),
]


@pytest.mark.parametrize(("rules", "agrees", "overall", "first"), SILENT)
def test_a_set_of_which_criteria_are_not_in_our_sources_never_says_met(
    rules: str, agrees: bool, overall: str, first: str
) -> None:
    found = said(rules, patient_agreement=agrees)
    assert (found.overall, found.earliest_on, found.optimal) == (overall, None, "not_known")
    assert found.not_in_our_sources[0] == first
    assert {c.id for c in found.criteria}.isdisjoint(found.not_in_our_sources)


def test_a_set_whose_age_is_not_in_our_sources_says_so() -> None:
    found = said("paediatric-panel-2025.1")
    assert found.reason is not None
    assert in_english(found.reason) == "Of which age this rule set speaks is not in our sources."
    assert said(ELN).not_in_our_sources == ()


@pytest.mark.parametrize(
    ("courses", "words"),
    [(RESISTANT, "imatinib was left before (resistance)"), (SWITCHED, "imatinib was left before (switch)")],
)
def test_a_second_line_says_why_the_first_was_left(courses: tuple[Course, ...], words: str) -> None:
    assert words in in_english(criterion(ELN, "line", courses=courses).reason)


@pytest.mark.parametrize("drug", ["flumatinib", "radotinib"])
def test_a_drug_that_no_set_names_is_asked_the_limit_of_imatinib_and_told_so(drug: str) -> None:
    courses = (
        taken("2015-06-01", drug=drug),
    )  # 57 months: enough for a second-generation drug of ELN, not for imatinib
    assert [c.id for c in said(ELN, courses=courses).criteria if c.id.startswith("tki_duration_second")] == []
    found = criterion(ELN, "tki_duration", courses=courses)
    assert (found.state, found.threshold) == ("not_met", 60)
    assert f"no limit of its own for {drug}" in in_english(found.reason)
