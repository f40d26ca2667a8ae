"""Codes and figures of cohorts as people read them."""

from __future__ import annotations

from django import template
from django.utils.translation import gettext as _

register = template.Library()
ABSENT = "–"


@register.filter
def factor_name(name: str) -> str:
    """The name of a factor with its unit."""
    words = {
        "dmr_months": _("deep response before the stop, months"),
        "tki_months": _("TKI treatment before the stop, months"),
        "time_to_dmr_months": _("time to deep response, months"),
        "age_at_diagnosis": _("age at diagnosis, years"),
        "age_at_stop": _("age at the stop, years"),
        "sex": _("sex"),
        "transcript": _("transcript"),
        "drug_at_stop": _("drug at the stop"),
        "risk_group": _("risk group"),
        "centre": _("centre"),
    }
    return words.get(name, name)


@register.filter
def exclusion_word(code: str) -> str:
    """Why an episode is not a member."""
    words = {
        "NOT_IN_MMR_AT_STOP": _("not in MMR at the stop"),
        "NO_BASELINE_PCR": _("no evaluable PCR at the stop"),
        "NO_PCR_AFTER_STOP": _("no evaluable PCR after the stop"),
    }
    return words.get(code, code)


@register.filter
def two_decimals(value: float | None) -> str:
    """A figure with two decimals; one beyond printing is said to be so."""
    if value is None:
        return ABSENT
    return f"{value:.2f}" if abs(value) < 1e5 else f"{value:.1e}"


@register.filter
def p_value(value: float | None) -> str:
    """A P value: three decimals, and never zero."""
    if value is None:
        return ABSENT
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
