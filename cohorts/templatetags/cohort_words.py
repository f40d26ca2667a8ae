"""Codes and figures of cohorts as people read them."""

from django import template

from cohorts.wording import figures

register = template.Library()
for name in (
    "criterion_step_word",
    "end_word",
    "exclusion_word",
    "factor_name",
    "flow_step_words",
    "median_words",
    "moved_word",
    "p_value",
    "read_apart_words",
    "selection_word",
    "two_decimals",
    "warning_words",
    "withheld_words",
):
    register.filter(name, getattr(figures, name))
