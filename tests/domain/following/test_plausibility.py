"""Questions at entry: slips, doubles, replicates, age; each limit just before and just after."""

import datetime as dt
from decimal import Decimal

import pytest

from monitoring.domain.course.series import Assessed, ResultFact
from monitoring.domain.following.plausibility import questions
from monitoring.domain.scoring.response import score
from monitoring.domain.vocabulary.measurement import Measurement, Reported
from tests.builders import copies, day, reported

# copies, control, factor, reported % IS -> the question asked ("" for none)
SLIPS = [
    ("60/60000", "1", "0.1", ""),
    ("60/60000", "1", "0.001", "entry.fraction_for_percent"),
    ("60/60000", "1", "10", "entry.percent_twice"),
    ("60/60000", "1", "1", "entry.decimal_point"),
    ("60/60000", "1", "0.01", "entry.decimal_point"),
    ("60/60000", "0.5", "0.025", "entry.factor_twice"),
    ("60/60000", "0.5", "0.1", "entry.factor_missing"),
    ("60/60000", "2.2", "0.484", "entry.factor_twice"),
    ("60/60000", "1", "0.49", ""),
    ("60/60000", "1", "0.55", "entry.copies_disagree"),
    ("2/60000", "1", "0.005", ""),
]


def assessed(measurement: Measurement, offset: int = 0, key: str = "L/1/v1", **more: object) -> Assessed:
    fact = ResultFact(1, key, day(offset), "L", measurement, **more)  # type: ignore[arg-type]
    return Assessed(fact, score(measurement))


def codes(new: Assessed, *others: Assessed, died_on: dt.date | None = None) -> list[str]:
    return [q.reason.text_code for q in questions(new, others, None, died_on)]


@pytest.mark.parametrize(("tubes", "factor", "percent", "code"), SLIPS)
def test_a_reported_value_against_its_own_copies(tubes: str, factor: str, percent: str, code: str) -> None:
    both = copies(tubes, factor=factor)
    measurement = Measurement(
        **{**{n: getattr(both, n) for n in both.__slots__}, "reported": Reported(Decimal(percent))}
    )
    assert codes(assessed(measurement)) == ([code] if code else [])


# last % IS, new lone % IS -> question
UNITS = [
    ("0.0032", "4.5", "entry.mr_for_percent"),
    ("0.0032", "0.5", ""),
    ("0.05", "3.3", "entry.mr_for_percent"),
    ("10", "12", ""),
    ("0.05", "0.0005", "entry.fraction_like_last"),
    ("0.05", "0.004", ""),
]


@pytest.mark.parametrize(("last", "new", "code"), UNITS)
def test_a_lone_value_against_the_last_one(last: str, new: str, code: str) -> None:
    before = assessed(reported(last), -30, key="L/0/v1")
    assert codes(assessed(reported(new)), before) == ([code] if code else [])


def test_the_same_numbers_on_one_day_are_asked_about_once() -> None:
    twin = assessed(copies("60/60000"), key="L/0/v1")
    assert codes(assessed(copies("60/60000")), twin) == ["entry.double"]
    assert codes(assessed(copies("61/60000")), twin) == []
    assert codes(assessed(copies("60/60000"), 1), twin) == []


@pytest.mark.parametrize(
    ("tubes", "expected"),
    [
        ("60/60000; 180/60000", []),
        ("60/60000; 200/60000", ["entry.replicates_apart"]),
        ("60/60000; nd/60000", []),
        ("60/10000001", ["entry.control_implausible"]),
        ("60/10000000", []),
        ("600001/60000", ["entry.copies_exchanged"]),
        ("600000/60000", []),
    ],
)
def test_copies_and_replicates(tubes: str, expected: list[str]) -> None:
    assert codes(assessed(copies(tubes))) == expected


@pytest.mark.parametrize(("hours", "expected"), [(72, []), (72.1, ["entry.too_old"]), (None, [])])
def test_age_of_the_sample(hours: float | None, expected: list[str]) -> None:
    assert codes(assessed(copies("60/60000"), hours_to_laboratory=hours)) == expected


def test_a_sample_after_death_is_asked_about() -> None:
    assert codes(assessed(copies("60/60000"), 5), died_on=day(4)) == ["entry.after_death"]
    assert codes(assessed(copies("60/60000"), 5), died_on=day(5)) == []
