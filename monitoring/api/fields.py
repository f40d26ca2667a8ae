"""How values look in answers: exact decimals as JSON numbers, partly known dates as they were said."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from monitoring.domain.vocabulary.dates import PartialDate, Precision


def number(value: Decimal | None) -> float | None:
    """A stored decimal as a JSON number (the nearest double, which prints a laboratory's digits back)."""
    return None if value is None else float(value)


def partly(on: dt.date | None, precision: str) -> str | None:
    """A date as it was said: ``2025-03-10``, ``2025-03`` or ``2025``."""
    return None if on is None else str(PartialDate(on, Precision(precision)))


def instant(at: dt.datetime | None) -> str | None:
    """An instant in UTC."""
    return None if at is None else at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


@extend_schema_field({"oneOf": [{"type": "number"}, {"type": "string", "maxLength": 60}], "nullable": True})
class NumberIn(serializers.Field):  # type: ignore[type-arg]  # only its schema is used
    """A number, or its text; a decimal comma is understood."""


@extend_schema_field({"type": "string", "nullable": True, "example": "2025-03-10"})
class PartialDateField(serializers.Field):  # type: ignore[type-arg]  # only its schema is used
    """A date, month or year: ``2025-03-10``, ``2025-03``, ``2025``."""


@extend_schema_field({"type": "number", "nullable": True})
class NumberOut(serializers.Field):  # type: ignore[type-arg]  # only its schema is used
    """A number."""
