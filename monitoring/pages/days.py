"""The field of a day: typed as the centre writes it, or taken from the browser's calendar beside it."""

from __future__ import annotations

from typing import Any

from django import forms


class DayInput(forms.TextInput):
    """A text of digits; ``parts/field.html`` puts a calendar beside it that writes its day as ISO 8601."""

    is_day = True

    def __init__(self) -> None:
        super().__init__(attrs={"placeholder": "2025-03-10", "inputmode": "numeric", "autocomplete": "off"})


def day_field(label: Any, **more: Any) -> forms.CharField:
    """A day that is read by the readers of all doors, so that every habit of writing dates is understood alike."""
    return forms.CharField(label=label, required=False, max_length=60, widget=DayInput(), **more)
