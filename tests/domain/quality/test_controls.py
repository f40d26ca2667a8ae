"""Controls of a run: the four kinds, and each rule of the chart by hand-made distances."""

from decimal import Decimal

import pytest

from monitoring.domain.quality.controls import ControlKind, ControlReading, control_percent, judge_control
from monitoring.domain.quality.factors import usual_instead
from monitoring.domain.quality.levey_jennings import LEAST_VALUES, Limits, Rule, broken_rules, limits_of
from monitoring.domain.vocabulary.scale import ControlGene

ONE = Limits(0.0, 1.0)


@pytest.mark.parametrize(
    ("earlier", "value", "broken"),
    [
        ([], 1.9, []),
        ([], 2.1, [Rule.ONE_2S]),
        ([], -3.1, [Rule.ONE_3S, Rule.ONE_2S]),
        ([2.1], 2.2, [Rule.TWO_2S, Rule.ONE_2S]),
        ([2.1], -2.2, [Rule.R_4S, Rule.ONE_2S]),
        ([1.1, 1.2, 1.3], 1.4, [Rule.FOUR_1S]),
        ([1.1, 1.2, -1.3], 1.4, []),
        ([-0.1] * 9, -0.2, [Rule.TEN_X]),
        ([-0.1] * 8, -0.2, []),
        ([0.1, *[-0.1] * 8], -0.2, []),
    ],
)
def test_each_rule(earlier: list[float], value: float, broken: list[Rule]) -> None:
    assert broken_rules(value, earlier, ONE) == broken


def test_the_target_holds_until_there_are_twenty_values_of_the_lot() -> None:
    assert limits_of([1.0] * (LEAST_VALUES - 1), 0.5, 0.2) == Limits(0.5, 0.2)
    own = limits_of([1.0, 1.2] * 10, 0.5, 0.2)
    assert own is not None
    assert (round(own.mean, 3), own.values) == (1.1, 20)
    assert limits_of([], None, 0.2) is None
    flat = limits_of([1.0] * 20, None, 0.2)
    assert flat is not None
    assert flat.sd > 0, "a value is never infinitely far away"


def verdict(kind: ControlKind, copies: str | None, control: str | None, **more: str) -> tuple[str, ...]:
    percent = control_percent(_number(copies), _number(control), Decimal(1))
    target = _number(more.get("target"))
    reading = ControlReading(kind, _number(copies), _number(control), percent, target)
    return judge_control(reading, ControlGene.ABL1).faults


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


@pytest.mark.parametrize(
    ("kind", "copies", "control", "faults"),
    [
        (ControlKind.HIGH, "5000", "50000", ()),
        (ControlKind.HIGH, None, "50000", ("not_detected",)),
        (ControlKind.HIGH, "500", "5000", ("no_control_gene",)),
        (ControlKind.LOW, None, "5000", ("no_control_gene", "not_detected")),
        (ControlKind.NEGATIVE, None, "50000", ()),
        (ControlKind.NEGATIVE, "1", "50000", ("detected",)),
        (ControlKind.NEGATIVE, None, None, ("no_control_gene",)),
        (ControlKind.NO_TEMPLATE, None, None, ()),
        (ControlKind.NO_TEMPLATE, None, "0", ()),
        (ControlKind.NO_TEMPLATE, "2", "3", ("detected", "control_gene")),
    ],
)
def test_each_kind(kind: ControlKind, copies: str | None, control: str | None, faults: tuple[str, ...]) -> None:
    assert verdict(kind, copies, control) == faults


def test_a_value_five_fold_from_its_target_fails_and_three_fold_passes() -> None:
    assert verdict(ControlKind.HIGH, "5000", "50000", target="2") == ()  # 10 % beside 2 %: 0.699 log of 0.7
    assert verdict(ControlKind.HIGH, "5100", "50000", target="2") == ("1-3s",)


@pytest.mark.parametrize(
    ("factor", "registered", "usual"),
    [
        ("75", ["0.75"], "0.75"), ("0.0075", ["0.75"], "0.75"), ("0.5", ["0.75"], None), ("75", [], None),
        ("20", ["0.75", "1.1"], None), ("75", ["0.75", "1.1"], "1.1"),
    ],
)  # fmt: skip
def test_a_factor_a_hundred_times_its_usual(factor: str, registered: list[str], usual: str | None) -> None:
    found = usual_instead(Decimal(factor), [Decimal(one) for one in registered])
    assert found == (None if usual is None else Decimal(usual))
