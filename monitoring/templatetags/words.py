"""Codes as the words people read, in their language."""

from functools import partial

from django import template

from monitoring.wording.codes import (
    LOOKED_UP,
    about_words,
    closing_words,
    deed_word,
    factor_word,
    flag_words,
    kind_word,
    look_up,
    outcome_words,
    owed_word,
    signed,
    value_words,
    verdict_word,
)

register = template.Library()
for words in (
    flag_words,
    factor_word,
    signed,
    value_words,
    owed_word,
    verdict_word,
    kind_word,
    closing_words,
    outcome_words,
    about_words,
    deed_word,
):
    register.filter(words.__name__, words)
for name, choices in LOOKED_UP.items():
    register.filter(name, partial(look_up, choices=choices))
