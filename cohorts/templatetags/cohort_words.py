"""Codes and figures of cohorts as people read them."""

from django import template

from cohorts.wording import differences, figures, plots

register = template.Library()
for name in (
    "at_month",
    "bounds_words",
    "criterion_step_word",
    "cut_words",
    "dating_rows",
    "dating_word",
    "direction_words",
    "end_word",
    "exclusion_word",
    "factor_name",
    "flow_step_words",
    "funnel_limits",
    "incidence_rows",
    "level_word",
    "mean_words",
    "median_words",
    "missing_words",
    "moved_word",
    "odds_words",
    "p_value",
    "period_words",
    "read_apart_words",
    "selection_word",
    "share_words",
    "term_words",
    "terms",
    "two_decimals",
    "warning_words",
    "withheld_words",
    "zph_words",
):
    register.filter(name, getattr(figures, name))
for name in ("funnel_plot", "residual_plot", "spline_plot"):
    register.filter(name, getattr(plots, name))
register.filter("moved_words", differences.moved_words)
