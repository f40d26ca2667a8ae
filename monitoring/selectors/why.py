"""The reason of a stored class or alert, from its row."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from monitoring.domain.alerting.kinds import AlertKind
from monitoring.domain.alerting.why import why_alert
from monitoring.domain.course.relapse import Certainty
from monitoring.domain.scoring.decision import Decision
from monitoring.domain.scoring.why import StoredClass, guessed_decision, why_class
from monitoring.domain.vocabulary.measurement import Flag
from monitoring.domain.vocabulary.reasons import Reason
from monitoring.domain.vocabulary.scale import STORED_DIGITS, ControlGene, ResponseClass
from monitoring.models import Alert, PcrResult, ResponseAssessment


def class_reason(assessment: ResponseAssessment, result: PcrResult) -> Reason:
    """Why the class stands; the result's replicates should be prefetched for classes from before rows were stored."""
    response_class = ResponseClass(assessment.response_class)
    if assessment.decision is not None:
        return why_class(response_class, assessment.rule_version, decision_of(assessment.decision))
    guess = guessed_decision(_without_row(assessment, result, response_class))
    return why_class(response_class, assessment.rule_version, guess, is_guess=True)


def decision_json(decided: Decision) -> dict[str, Any]:
    """A decision as it is stored with the class; numbers as text, with the digits that are stored."""
    facts = {name: None if number is None else str(STORED_DIGITS.plus(number)) for name, number in decided.facts}
    return {"row": decided.row, "code": decided.code, "facts": facts}


def decision_of(stored: Mapping[str, Any]) -> Decision:
    """A stored decision."""
    facts = tuple((name, None if text is None else Decimal(text)) for name, text in stored["facts"].items())
    return Decision(stored["row"], stored["code"], facts)


def _without_row(assessment: ResponseAssessment, result: PcrResult, response_class: ResponseClass) -> StoredClass:
    tubes = [t for t in result.replicates.all() if t.run_valid and t.control_gene_copies is not None]
    return StoredClass(
        response_class=response_class,
        detected=assessment.detected,
        flags=frozenset(Flag(flag) for flag in assessment.flags.split(";") if flag),
        is_percent=assessment.is_percent,
        upper_bound_percent=assessment.upper_bound_percent,
        control_gene=ControlGene(result.control_gene),
        control_copies=[t.control_gene_copies for t in tubes if t.control_gene_copies is not None],
        counted_control_copies=assessment.counted_control_copies,
        reported_percent=result.is_percent,
        names_only_a_class=_names_only_a_class(result),
    )


def _names_only_a_class(result: PcrResult) -> bool:
    """Whether a class without a number is all that the laboratory has said."""
    numbers = (result.is_percent, result.mr_value, result.limit_of_detection)
    return bool(result.reported_class) and all(n is None for n in numbers) and not result.replicates.all()


def alert_reason(alert: Alert) -> Reason:
    """What the alert rests on."""
    return why_alert(
        AlertKind(alert.kind),
        Certainty(alert.certainty),
        alert.rule_version,
        on=alert.evidence_on,
        value=alert.is_percent,
        days=alert.days_off_treatment,
        highest=alert.highest_percent if alert.highest_percent is not None else alert.is_percent,
    )
