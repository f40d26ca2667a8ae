"""Statements of the rules in the reader's language."""

from django import template

from monitoring.wording.reasons import (
    criteria_words,
    criterion_value_words,
    criterion_word,
    days_words,
    evidence_word,
    fact_words,
    milestone_word,
    month_two_word,
    operator_word,
    parameters_words,
    plan_word,
    population_word,
    reason_words,
    rule_title,
    state_word,
    two_places,
    unit_word,
    why_class,
)

register = template.Library()
for words in (
    reason_words,
    rule_title,
    days_words,
    two_places,
    why_class,
    fact_words,
    criterion_value_words,
    unit_word,
    operator_word,
    plan_word,
    milestone_word,
    population_word,
    evidence_word,
    criterion_word,
    criteria_words,
    parameters_words,
    state_word,
    month_two_word,
):
    register.filter(words.__name__, words)
