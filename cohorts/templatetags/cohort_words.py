"""Codes and figures of cohorts as people read them."""

from django import template

from cohorts.wording.figures import (
    criterion_step_word,
    end_word,
    exclusion_word,
    factor_name,
    moved_word,
    p_value,
    selection_word,
    two_decimals,
    warning_words,
    withheld_words,
)

register = template.Library()
for words in (
    factor_name,
    exclusion_word,
    criterion_step_word,
    end_word,
    moved_word,
    two_decimals,
    p_value,
    withheld_words,
    selection_word,
    warning_words,
):
    register.filter(words.__name__, words)
