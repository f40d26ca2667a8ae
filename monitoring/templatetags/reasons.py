"""Statements of the rules in the reader's language."""

from django import template

from monitoring.wording import reasons

register = template.Library()
for name in (
    "criteria_words",
    "criterion_value_words",
    "criterion_word",
    "days_words",
    "evidence_word",
    "fact_words",
    "kinetics_words",
    "milestone_word",
    "month_two_word",
    "operator_word",
    "parameters_words",
    "plan_word",
    "population_word",
    "reason_words",
    "rule_title",
    "source_words",
    "state_word",
    "two_places",
    "unit_word",
    "why_class",
):
    register.filter(name, getattr(reasons, name))
