"""Numbers as people read them."""

from __future__ import annotations

from decimal import Decimal

from django import template

from monitoring.intake.reports import plain_number

register = template.Library()
ABSENT = "–"


@register.filter
def percent(value: float | None) -> str:
    """A proportion as a percentage with one decimal, whole where it is whole."""
    if value is None:
        return ABSENT
    text = f"{value * 100:.1f}"
    return text.removesuffix(".0") if value * 100 == round(value * 100) else text


@register.filter
def one_decimal(value: float | None) -> str:
    """A number with one decimal."""
    return ABSENT if value is None else f"{value:.1f}"


@register.filter
def significant(value: Decimal | None) -> str:
    """A percentage on the International Scale with three significant digits, never rounded across a class limit."""
    if value is None:
        return ABSENT
    rounded = Decimal(f"{value:.3g}")
    limits = (Decimal("0.1"), Decimal("0.01"), Decimal("0.0032"), Decimal("0.001"))
    if any((value <= limit) != (rounded <= limit) for limit in limits):
        return plain_number(value)
    return plain_number(rounded)


@register.filter
def plain(value: Decimal | None) -> str:
    """A number as it was given, without a false digit."""
    return ABSENT if value is None else plain_number(value)
