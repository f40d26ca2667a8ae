"""The limits, just before, on, and just after."""

from decimal import Decimal

import pytest

from monitoring.domain.vocabulary.scale import (
    CONTROL_LIMITS,
    ControlGene,
    IsValue,
    ResponseClass,
    Sensitivity,
    bcr_limits,
    class_of_percent,
    mr_of_percent,
    percent_of_mr,
)


@pytest.mark.parametrize(
    ("percent", "expected"),
    [
        ("0.1000000000000000000000001", "NO_MMR"), ("0.1", "MMR"), ("0.0999999999", "MMR"),
        ("0.0100000000000000000000001", "MMR"), ("0.01", "MR4"), ("0.0032000000000000001", "MR4"),
        ("0.0032", "MR4_5"), ("0.0010000000000000001", "MR4_5"), ("0.001", "MR5"), ("0.0000001", "MR5"), ("100",
        "NO_MMR"),
    ],
)  # fmt: skip
def test_class_limits_are_inclusive(percent: str, expected: str) -> None:
    assert class_of_percent(Decimal(percent)) == expected


@pytest.mark.parametrize("limit", ["0.1", "0.01", "0.0032", "0.001"])
@pytest.mark.parametrize("control", ["30000", "70001", "33333", "99991"])
@pytest.mark.parametrize("factor", ["0.13", "0.83", "1", "2.22"])
def test_copies_exactly_at_a_limit_are_within_it_whatever_the_quotient(limit: str, control: str, factor: str) -> None:
    # The copies that make exactly the limit are a fraction; its numerator is scaled instead of dividing.
    copies = Decimal(limit) * Decimal(control)
    value = IsValue.from_copies(copies, Decimal(control) * 100 * Decimal(factor), Decimal(factor))
    assert value.at_most(Decimal(limit))
    above = IsValue.from_copies(copies + Decimal("1e-20"), Decimal(control) * 100 * Decimal(factor), Decimal(factor))
    assert not above.at_most(Decimal(limit))


def test_the_least_bit_more_is_seen_although_the_quotient_would_round() -> None:
    assert IsValue.from_copies(Decimal(30), Decimal(30_000), Decimal(1)).response_class() == ResponseClass.MMR
    tiny = Decimal("30.0000000000000000000001")
    assert IsValue.from_copies(tiny, Decimal(30_000), Decimal(1)).response_class() == ResponseClass.NO_MMR


@pytest.mark.parametrize(
    ("gene", "copies", "expected"),
    [
        ("ABL1", 9_999, "NONE"), ("ABL1", 10_000, "MR4"), ("ABL1", 31_999, "MR4"), ("ABL1", 32_000, "MR4_5"),
        ("ABL1", 99_999, "MR4_5"), ("ABL1", 100_000, "MR5"), ("GUSB", 23_999, "NONE"), ("GUSB", 24_000, "MR4"),
        ("GUSB", 76_999, "MR4"), ("GUSB", 77_000, "MR4_5"), ("GUSB", 239_999, "MR4_5"), ("GUSB", 240_000, "MR5"),
    ],
)  # fmt: skip
def test_control_copies_decide_the_sensitivity(gene: str, copies: int, expected: str) -> None:
    assert CONTROL_LIMITS[ControlGene(gene)].sensitivity(Decimal(copies)) == expected


def test_bcr_keeps_the_steps_of_the_ladder() -> None:
    limits = bcr_limits(Decimal(20_000))
    assert limits.sensitivity(Decimal(64_000)) == Sensitivity.MR4_5
    assert limits.sensitivity(Decimal(200_000)) == Sensitivity.MR5


@pytest.mark.parametrize(
    ("percent", "mr"), [("0.1", "3.00"), ("0.1001", "3.00"), ("0.0032", "4.49"), ("0.011", "3.96"), ("0.003", "4.52")]
)
def test_mr_value_prints_two_decimals(percent: str, mr: str) -> None:
    assert mr_of_percent(Decimal(percent)) == Decimal(mr)


def test_mr_value_of_zero_does_not_exist() -> None:
    assert mr_of_percent(Decimal(0)) is None


def test_whole_mr_values_are_exact_percentages() -> None:
    assert percent_of_mr(Decimal("3.00")) == Decimal("0.1")
    assert percent_of_mr(Decimal("4.0")) == Decimal("0.01")
