"""Doubling and halving times. Expected days are worked by hand: log10(2) x days / log10(second / first)."""

import dataclasses
import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.domain.course.series import ResultFact, Series, assess
from monitoring.domain.following.kinetics import (
    Change,
    Direction,
    Value,
    change_between,
    latest_change,
    project_crossing,
    reference_change_log10,
    sd_log10,
    values_of,
)
from monitoring.domain.following.landmarks import early_halving_time, month_two
from monitoring.domain.rules.rule_sets import rule_set
from monitoring.domain.vocabulary.dates import Precision
from monitoring.domain.vocabulary.measurement import Method
from monitoring.domain.vocabulary.scale import ControlGene
from monitoring.wording.reason_texts import TEXTS, in_english
from tests.builders import STOP, copies, day, reported, result

RULES = rule_set("kinetics-ln-ratio.1")


def value(offset: int, percent: str | None, *, bound: str | None = None, **more: object) -> Value:
    """A value so many days after the stop; ``percent`` None is not detected, at most ``bound``."""
    return Value(
        day(offset),
        None if percent is None else Decimal(percent),
        detected=percent is not None,
        upper_bound_percent=None if bound is None else Decimal(bound),
        laboratory="L",
        key=f"L/{offset}",
        **more,  # type: ignore[arg-type]
    )


def change(days: int, first: str | None, second: str | None, *, bound: str | None = None) -> Change:
    return change_between(value(0, first, bound=bound), value(days, second), RULES)


def rounded(number: Decimal | None, places: str = "0.01") -> str:
    return "" if number is None else str(number.quantize(Decimal(places)))


TIMES = [
    # days between, first % IS, second % IS, direction, doubling or halving time in days
    (28, "0.05", "0.2", "rising", "14.00"),  # 4-fold: two doublings, not the 4.85 d of fold per day
    (9, "0.01", "0.02", "rising", "9.00"),
    (30, "0.01", "0.1", "rising", "9.03"),  # 0.30103 x 30
    (51, "0.002", "0.032", "rising", "12.75"),  # 16-fold: four doublings
    (42, "0.01", "0.1", "rising", "12.64"),
    (90, "80", "20", "falling", "45.00"),
    (76, "80", "40", "falling", "76.00"),
    (21, "0.2", "0.05", "falling", "10.50"),
    (28, "0.1", "0.1", "unchanged", ""),
    (28, "0.10", "0.1", "unchanged", ""),
]


@pytest.mark.parametrize(("days", "first", "second", "direction", "expected"), TIMES)
def test_doubling_and_halving_time(days: int, first: str, second: str, direction: str, expected: str) -> None:
    found = change(days, first, second)
    assert (found.direction, rounded(found.days)) == (direction, expected)


LIMITS = [
    # days, first, second, shortest, longest, change log10, reference change, real
    (30, "0.1", "1", "5.71", "21.61", "1.0000", "0.5821", True),  # 9.0309 / 1.5821 and 9.0309 / 0.4179
    (30, "1", "0.1", "5.71", "21.61", "-1.0000", "0.5821", True),
    (30, "0.01", "0.1", "5.31", "30.28", "1.0000", "0.7018", True),  # SD 0.29 and 0.21
    (30, "0.001", "0.01", "4.74", "96.14", "1.0000", "0.9061", True),  # SD 0.36 and 0.29: 9.0309 / 1.9061 and / 0.0939
    (28, "0.1", "0.2", "9.54", "", "0.3010", "0.5821", False),  # 8.4288 / 0.8831; the other side is open
    (28, "1", "3.81", "7.25", "", "0.5809", "0.5821", False),  # just within noise
    (28, "1", "3.83", "7.23", "7604", "0.5832", "0.5821", True),  # just beyond
]


@pytest.mark.parametrize(("days", "first", "second", "shortest", "longest", "size", "noise", "real"), LIMITS)
def test_limits_from_assay_noise(
    days: int, first: str, second: str, shortest: str, longest: str, size: str, noise: str, real: bool
) -> None:
    found = change(days, first, second)
    assert rounded(found.shortest) == shortest
    assert (rounded(found.change_log10, "0.0001"), rounded(found.reference_change_log10, "0.0001")) == (size, noise)
    assert found.is_real == real
    if longest:
        assert found.longest is not None
        assert abs(found.longest - Decimal(longest)) < Decimal(longest) / 100
    else:
        assert found.longest is None


ASSAY_SD = [
    # % IS, SD in log10 units (MR 3.5 is 0.031623 %, MR 4.25 is 0.0056234 %)
    ("250", "0.21"),
    ("0.1", "0.21"),
    ("0.03163", "0.21"),
    ("0.03162", "0.29"),
    ("0.01", "0.29"),
    ("0.005624", "0.29"),
    ("0.005623", "0.36"),
    ("0.0001", "0.36"),
]


@pytest.mark.parametrize(("percent", "sd"), ASSAY_SD)
def test_sd_by_range(percent: str, sd: str) -> None:
    assert sd_log10(Decimal(percent), RULES) == Decimal(sd)


REFERENCE_CHANGES = [
    # both values, 1.96 x root 2 x SD
    ("1", "2", "0.58"),
    ("0.01", "0.02", "0.80"),
    ("0.001", "0.002", "1.00"),
]


@pytest.mark.parametrize(("one", "other", "expected"), REFERENCE_CHANGES)
def test_reference_change(one: str, other: str, expected: str) -> None:
    assert rounded(reference_change_log10(Decimal(one), Decimal(other), RULES)) == expected


BOUNDS = [
    # days, bound of the undetected first value, second value, doubling time at most
    (28, "0.03", "0.12", "14.00"),
    (28, "0.03", "0.0301", "5831.66"),  # 28 x 0.30103 / log10(1.003333)
]


@pytest.mark.parametrize(("days", "bound", "second", "at_most"), BOUNDS)
def test_an_undetected_first_value_gives_an_upper_bound(days: int, bound: str, second: str, at_most: str) -> None:
    found = change(days, None, second, bound=bound)
    assert (found.direction, found.at_most, found.shortest, found.longest) == ("rising", True, None, None)
    assert found.days is not None
    assert abs(found.days - Decimal(at_most)) < Decimal("0.5")


REFUSED = [
    # what is different about the second value, text code
    ({"on": day(0)}, "same_day"),
    ({"laboratory": "M"}, "laboratory_changed"),
    ({"method": Method.DPCR}, "method_changed"),
    ({"control_gene": ControlGene.GUSB}, "control_gene_changed"),
    ({"conversion_factor": Decimal("0.8")}, "factor_changed"),
    ({"is_bone_marrow": True}, "specimen_changed"),
    ({"is_final": False}, "not_final"),
    ({"exact_date": False}, "date_not_exact"),
    ({"is_percent": None}, "value_missing"),
    ({"is_percent": Decimal(0)}, "value_missing"),
    ({"is_percent": None, "detected": False}, "second_undetected"),
    ({"is_percent": None, "upper_bound_percent": Decimal("0.003")}, "value_missing"),
]


@pytest.mark.parametrize(("more", "code"), REFUSED)
def test_refused(more: dict[str, object], code: str) -> None:
    found = change_between(value(0, "0.01"), dataclasses.replace(value(28, "0.04"), **more), RULES)  # type: ignore[arg-type]
    assert (found.direction, found.days, found.is_real) == (Direction.REFUSED, None, False)
    assert found.reason.text_code == f"kinetics.refused.{code}"


@pytest.mark.parametrize(
    ("bound", "second", "code"),
    [(None, "0.1", "value_missing"), ("0.03", "0.03", "below_bound"), ("0.03", "0.02", "below_bound")],
)
def test_refused_after_an_undetected_value(bound: str | None, second: str, code: str) -> None:
    assert change(28, None, second, bound=bound).reason.text_code == f"kinetics.refused.{code}"


def test_the_latest_change_is_that_of_the_last_two_values() -> None:
    rows = [value(56, "0.2"), value(0, "0.01"), value(28, "0.05")]
    found = latest_change(rows, RULES)
    assert found is not None
    assert (found.first.on, found.second.on, rounded(found.days)) == (day(28), day(56), "14.00")
    assert latest_change(rows[:1], RULES) is None


# --- from classed results ----------------------------------------------------------------------------------------


def test_values_of_a_series_are_those_that_stand_for_their_dates() -> None:
    results = (
        result(1, 0, None),  # not detected in 60,000 copies: at most 3 / 60,000 = 0.005 %
        result(2, 28, "0.02"),
        result(3, 28, "0.05"),  # the worst of the day stands
        result(4, 40, None, control="9000"),
        result(5, 50, "0.2", is_preliminary=True),
        result(6, 55, "0.2", is_bone_marrow=True),
        ResultFact(7, "L/7/v1", day(60), "L", reported(">55"), precision=Precision.MONTH),
        ResultFact(8, "L/8/v1", day(70), "L", copies("12/30000", factor="0.8")),
    )
    found = values_of(assess(Series("p", results)), ())
    assert [(v.key, v.is_percent, v.upper_bound_percent) for v in found] == [
        ("L/1/v1", None, Decimal("0.005")),
        ("L/3/v1", Decimal("0.05"), None),
        ("L/7/v1", None, None),
        ("L/8/v1", Decimal("0.032"), None),
    ]
    assert (found[0].detected, found[2].exact_date, found[3].conversion_factor) == (False, False, Decimal("0.8"))
    rise = change_between(found[0], found[1], RULES)
    assert (rise.at_most, rounded(rise.days)) == (True, "8.43")  # 10-fold in 28 d: 0.30103 x 28


# --- month 2 after the stop (31 January 2020; 31 March is day 60, window day 46 to 74) ----------------------------

MONTH_2 = [
    # values (days after the stop, % IS; None is not detected, at most 0.001 %), group
    ([(10, "0.002"), (60, "0.032")], "fast"),  # 16-fold in 50 d: 12.5 d
    ([(9, "0.002"), (60, "0.032")], "slow"),  # in 51 d: 12.75 d is not below 12.75 d
    ([(8, "0.002"), (60, "0.032")], "slow"),
    ([(30, "0.02"), (60, "0.02")], "not_rising"),
    ([(30, "0.02"), (60, "0.01")], "not_rising"),
    ([(30, "0.02"), (60, None)], "not_rising"),
    ([(60, None)], "not_rising"),
    ([(60, "0.02")], "not_known"),
    ([(30, "0.002"), (45, "0.2")], "not_known"),  # before the window
    ([(30, "0.002"), (46, "0.2")], "fast"),
    ([(30, "0.002"), (74, "2")], "fast"),
    ([(30, "0.002"), (75, "2")], "not_known"),  # after the window
    ([(-14, "0.002"), (60, "0.2")], "fast"),  # 100-fold in 74 d: 11.1 d
    ([(-15, "0.002"), (60, "0.2")], "not_known"),  # the first value lies too long before the stop
    ([(30, None), (60, "0.032")], "fast"),  # at most 6.0 d
    ([(9, None), (60, "0.004")], "not_known"),  # at most 25.5 d: may be below or not
    ([(30, "0.002"), (59, "0.2"), (61, "0.002")], "fast"),  # equally near: the earlier
]


MONTH_2_WORDS = {
    "fast": "Doubling time of ",
    "slow": "Doubling time of ",
    "not_rising": "Not rising in month 2.",
    "not_known": ("Month 2 has no pair of comparable values.", "Doubling time of at most "),
}


@pytest.mark.parametrize(("rows", "group"), MONTH_2)
def test_month_two(rows: list[tuple[int, str | None]], group: str) -> None:
    found = month_two([value(d, p, bound="0.001") for d, p in rows], STOP, RULES)
    assert found.group == group
    assert in_english(found.reason).startswith(MONTH_2_WORDS[group])


def test_month_two_knows_nothing_after_a_restart_or_a_change_of_laboratory() -> None:
    rows = [value(30, "0.002"), value(60, "0.2")]
    assert month_two(rows, STOP, RULES, restarted_on=day(60)).group == "fast"
    assert month_two(rows, STOP, RULES, restarted_on=day(59)).group == "not_known"
    moved = [rows[0], dataclasses.replace(rows[1], laboratory="M")]
    found = month_two(moved, STOP, RULES)
    assert (found.group, found.reason.text_code) == ("not_known", "kinetics.refused.laboratory_changed")


# --- when 0.1 % would be passed -----------------------------------------------------------------------------------

PROJECTED = [
    # days between, first, second, days from the second value until above 0.1 %
    (9, "0.005", "0.01", 30),  # 3.32 doublings x 9 d = 29.9
    (9, "0.0016", "0.0032", 45),  # 4.97 x 9 = 44.7
    (51, "0.0002", "0.0032", 64),  # 4.97 x 12.75 = 63.3
    (9, "0.05", "0.1", 1),  # exactly at the limit: not above yet
    (9, "0.05", "0.1001", 0),  # above already
    (28, "0.05", "0.05", None),
    (28, "0.1", "0.05", None),
    (3000, "0.0001", "0.0002", None),  # 8.97 x 3000 d is beyond ten years
]


@pytest.mark.parametrize(("days", "first", "second", "until"), PROJECTED)
def test_projection(days: int, first: str, second: str, until: int | None) -> None:
    found = project_crossing(change(days, first, second), RULES)
    assert found.on == (None if until is None else day(days + until))
    if until is None:
        words = "Not rising: nothing is projected." if days < 3000 else "Not projected to pass 0.1 % within 3650 days."
    elif until == 0:
        words = f"Above 0.1 % already on {found.on}."
    else:
        words = f"Above 0.1 % projected for {found.on} if the rise goes on unchanged."
    assert in_english(found.reason) == words


def test_the_range_of_a_projection_is_that_of_the_doubling_time() -> None:
    found = project_crossing(change(30, "0.001", "0.01"), RULES)
    # 3.3219 doublings at 4.738, 9.0309 and 96.14 d: 15.7, exactly 30 (above it the day after), 319.4 d
    assert found.earliest == day(30 + 16)
    assert found.on == day(30 + 31)
    assert found.latest == day(30 + 320)
    uncertain = project_crossing(change(9, "0.005", "0.01"), RULES)
    assert uncertain.latest is None


def test_a_bound_projects_at_most() -> None:
    found = project_crossing(change(9, None, "0.01", bound="0.005"), RULES)
    assert (found.on, found.earliest, found.latest, found.at_most) == (day(39), None, None, True)


# --- halving time after the start ---------------------------------------------------------------------------------

START = STOP  # three months after 31 January 2020 is 30 April, day 90
EARLY = [
    # values (days after the start, % IS), halving time, below 76 days, text code
    ([(0, "80"), (75, "40")], "75.00", True, "below_cut"),
    ([(0, "80"), (76, "40")], "76.00", False, "not_below_cut"),
    ([(0, "80"), (77, "40")], "77.00", False, "not_below_cut"),
    ([(0, "80"), (90, "20")], "45.00", True, "below_cut"),
    ([(0, "80"), (90, "10")], "30.00", None, "cut_not_asked"),
    ([(0, "80"), (90, "10.1")], "30.14", True, "below_cut"),
    ([(0, "20"), (90, "20")], "", None, "not_falling"),
    ([(0, "20"), (90, "40")], "90.00", None, "not_falling"),
    ([(-90, "80"), (60, "20")], "75.00", True, "below_cut"),
    ([(-91, "80"), (60, "20")], "", None, "no_baseline"),
    ([(7, "80"), (90, "20")], "41.50", True, "below_cut"),
    ([(8, "80"), (90, "20")], "", None, "no_baseline"),
    ([(0, "80"), (59, "20")], "", None, "no_value"),
    ([(0, "80"), (120, "20")], "60.00", True, "below_cut"),
    ([(0, "80"), (121, "20")], "", None, "no_value"),
]


@pytest.mark.parametrize(("rows", "days", "below", "code"), EARLY)
def test_early_halving_time(rows: list[tuple[int, str]], days: str, below: bool | None, code: str) -> None:
    found = early_halving_time([value(d, p) for d, p in rows], START, RULES)
    assert rounded(found.change.days if found.change else None) == days
    assert (found.below_cut, found.reason.text_code) == (below, f"kinetics.early.{code}")


# --- properties --------------------------------------------------------------------------------------------------

PERCENT = st.decimals(Decimal("0.000001"), Decimal(500), allow_nan=False, allow_infinity=False, places=6)


@given(st.integers(1, 4000), PERCENT, PERCENT, st.integers(-20_000, 20_000))
def test_order_and_calendar_never_matter_and_numbers_are_finite(
    days: int, first: Decimal, second: Decimal, shift: int
) -> None:
    one, other = value(0, str(first)), value(days, str(second))
    found = change_between(one, other, RULES)
    assert found == change_between(other, one, RULES)
    moved = dt.timedelta(days=shift)
    later = change_between(*(dataclasses.replace(v, on=v.on + moved) for v in (one, other)), RULES)
    assert (later.days, later.shortest, later.longest, later.is_real) == (
        found.days, found.shortest, found.longest, found.is_real,
    )  # fmt: skip
    for number in (found.days, found.shortest, found.longest, found.change_log10):
        assert number is None or number.is_finite()
    projected = project_crossing(found, RULES)
    assert projected.on is None or projected.on >= found.second.on
    assert {found.reason.text_code, projected.reason.text_code} <= set(TEXTS)


@given(st.integers(1, 400), PERCENT, PERCENT)
def test_a_fall_read_backwards_is_a_rise_of_the_same_time(days: int, first: Decimal, second: Decimal) -> None:
    there, back = change(days, str(first), str(second)), change(days, str(second), str(first))
    assert there.days == back.days
    assert there.is_real == back.is_real
    if there.days is not None:
        assert there.shortest is not None
        assert there.shortest <= there.days <= (there.longest or there.days)
