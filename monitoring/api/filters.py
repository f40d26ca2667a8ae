"""Filters of lists that need more care than their library takes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import django_filters
from django.core.exceptions import ValidationError
from django_filters.fields import IsoDateTimeField


class InstantField(IsoDateTimeField):
    """An instant, brought to UTC: the database knows fewer offsets than a text can name."""

    def clean(self, value: Any) -> dt.datetime | None:
        """The instant in UTC; one that no calendar holds is refused."""
        instant = super().clean(value)
        try:
            return instant.astimezone(dt.UTC) if instant else None
        except OverflowError:
            raise ValidationError("This instant lies outside the calendar.") from None


class InstantFilter(django_filters.IsoDateTimeFilter):
    """Filters by an instant."""

    field_class = InstantField
