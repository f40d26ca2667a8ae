"""Codes as the words people read, in their language."""

from functools import partial

from django import template

from monitoring.wording import codes

register = template.Library()
for name in (
    "about_words",
    "change_word",
    "cell_of",
    "cell_word",
    "closing_words",
    "copies_words",
    "deed_word",
    "factor_word",
    "flag_words",
    "kind_word",
    "outcome_words",
    "owed_word",
    "sending_words",
    "sensitivity_word",
    "signed",
    "standing_word",
    "value_words",
    "verdict_word",
    "would_word",
):
    register.filter(name, getattr(codes, name))
for name, choices in codes.LOOKED_UP.items():
    register.filter(name, partial(codes.look_up, choices=choices))
