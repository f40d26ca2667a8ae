"""The parameters of scoring, read from the response rule set."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from monitoring.domain.rules.rule_sets import RuleSet, rule_set


@dataclass(frozen=True, slots=True)
class ResponseRules:
    """Parameters of the response rule set; disagreements D1, D13 and D20 of the register."""

    version: str
    low_positive_floor_copies: Decimal
    cap_positive_by_control: bool
    mismatch_fraction: Decimal
    old_sample_hours: int


def response_rules(rules: RuleSet) -> ResponseRules:
    """The scoring parameters of a response rule set."""
    return ResponseRules(
        version=rules.value("version", str),
        low_positive_floor_copies=rules.value("low_positive_floor_copies", Decimal),
        cap_positive_by_control=rules.value("cap_positive_by_control", bool),
        mismatch_fraction=rules.value("mismatch_fraction", Decimal),
        old_sample_hours=rules.value("old_sample_hours", int),
    )


EUTOS_2015 = response_rules(rule_set("response-eutos-2015.1"))
