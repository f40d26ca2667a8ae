"""Numbers as people read them."""

from __future__ import annotations

from decimal import Decimal

ABSENT = "–"


def plain_number(number: Decimal | None) -> str:
    """A decimal as plain digits, twelve of them significant, empty for None."""
    if number is None:
        return ""
    if number == 0:
        return "0"
    rounded = round(number, 11 - number.adjusted())
    text = format(rounded, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(value: float | None) -> str:
    """A proportion as a percentage with one decimal, whole where it is whole."""
    if value is None:
        return ABSENT
    text = f"{value * 100:.1f}"
    return text.removesuffix(".0") if value * 100 == round(value * 100) else text


def one_decimal(value: float | None) -> str:
    """A number with one decimal."""
    return ABSENT if value is None else f"{value:.1f}"


def significant(value: Decimal | None) -> str:
    """A percentage on the International Scale with three significant digits, never rounded across a class limit."""
    if value is None:
        return ABSENT
    rounded = Decimal(f"{value:.3g}")
    limits = (Decimal("0.1"), Decimal("0.01"), Decimal("0.0032"), Decimal("0.001"))
    if any((value <= limit) != (rounded <= limit) for limit in limits):
        return plain_number(value)
    return plain_number(rounded)


def plain(value: Decimal | None) -> str:
    """A number as it was given, without a false digit."""
    return ABSENT if value is None else plain_number(value)
