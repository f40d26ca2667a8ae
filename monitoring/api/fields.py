"""How values look in answers: exact decimals as JSON numbers, partly known dates as they were said."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from monitoring.domain.vocabulary.dates import PartialDate, Precision


def partly(on: dt.date | None, precision: str) -> str | None:
    """A date as it was said: ``2025-03-10``, ``2025-03`` or ``2025``."""
    return None if on is None else str(PartialDate(on, Precision(precision)))


def precision_column(name: str) -> str:
    """The column that says how exactly a date is known."""
    return f"{name.removesuffix('_on')}_precision"


def instant(at: dt.datetime | None) -> str | None:
    """An instant in UTC."""
    return None if at is None else at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


@extend_schema_field({"oneOf": [{"type": "number"}, {"type": "string", "maxLength": 60}], "nullable": True})
class NumberIn(serializers.Field):  # type: ignore[type-arg]  # only its schema is used
    """A number, or its text; a decimal comma is understood."""


@extend_schema_field({"type": "string", "nullable": True, "example": "2025-03-10"})
class PartialDateField(serializers.Field):  # type: ignore[type-arg]  # bodies are read by ``intake``, as files are
    """A date, month or year: ``2025-03-10``, ``2025-03``, ``2025``; its precision stands in a column beside it."""

    def get_attribute(self, instance: Any) -> str | None:
        return partly(super().get_attribute(instance), getattr(instance, precision_column(str(self.source))))

    def to_representation(self, value: str) -> str:
        return value


@extend_schema_field({"type": "number", "nullable": True})
class NumberOut(serializers.Field):  # type: ignore[type-arg]  # answers only
    """A number."""

    def to_representation(self, value: Decimal) -> float:
        return float(value)


class WordsOf(serializers.CharField):
    """Words that are made of the whole row."""

    def __init__(self, words: Callable[[Any], str], **options: Any) -> None:
        super().__init__(**options)
        self._words = words

    def get_attribute(self, instance: Any) -> str:
        return self._words(instance)
