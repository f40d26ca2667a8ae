"""Why a stored alert was opened: the rung of the alert ladder, with its facts and its source."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from monitoring.domain.alerting.kinds import KINDS, AlertKind
from monitoring.domain.course.relapse import Certainty
from monitoring.domain.vocabulary.reasons import FactValue, Reason


def why_alert(
    kind: AlertKind,
    certainty: Certainty,
    rule_version: str,
    *,
    on: date,
    value: Decimal | None = None,
    days: int | None = None,
    highest: Decimal | None = None,
) -> Reason:
    """What an alert rests on: ``on`` is the day of its evidence, ``value`` and ``highest`` are % IS off treatment."""
    line, citation = KINDS[kind].rung, KINDS[kind].source
    code = kind.value
    if kind is AlertKind.LOSS_OF_MMR:
        line = "A5" if certainty is Certainty.CONFIRMED else line
        code += "" if value is not None else ".no_value"
    elif kind is AlertKind.LOSS_OF_MMR_ON_TREATMENT and certainty is Certainty.CONFIRMED:
        code += ".confirmed"
    facts: dict[str, FactValue] = {"on": on, "value": value, "days": days, "highest": highest}
    return Reason(rule_version, line, citation, tuple(facts.items()), f"alert.{code}")
