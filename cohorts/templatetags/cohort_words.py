"""Codes and figures of cohorts as people read them."""

from django import template

from cohorts.wording import figures

register = template.Library()
for name in (
    "at_month",
    "criterion_step_word",
    "cut_words",
    "dating_rows",
    "dating_word",
    "direction_words",
    "end_word",
    "exclusion_word",
    "factor_name",
    "flow_step_words",
    "incidence_rows",
    "mean_words",
    "median_words",
    "moved_word",
    "p_value",
    "read_apart_words",
    "selection_word",
    "term_words",
    "terms",
    "two_decimals",
    "warning_words",
    "withheld_words",
    "zph_words",
):
    register.filter(name, getattr(figures, name))
