"""The reason of a stored class or alert, from its row."""

from __future__ import annotations

from monitoring.domain.alerting.kinds import AlertKind
from monitoring.domain.alerting.why import why_alert
from monitoring.domain.course.relapse import Certainty
from monitoring.domain.scoring.why import StoredClass, why_class
from monitoring.domain.vocabulary.measurement import Flag
from monitoring.domain.vocabulary.reasons import Reason
from monitoring.domain.vocabulary.scale import ControlGene, ResponseClass
from monitoring.models import Alert, PcrResult, ResponseAssessment


def class_reason(assessment: ResponseAssessment, result: PcrResult) -> Reason:
    """Why the class stands; the result's replicates should be prefetched."""
    tubes = [t for t in result.replicates.all() if t.run_valid and t.control_gene_copies is not None]
    return why_class(
        StoredClass(
            response_class=ResponseClass(assessment.response_class),
            rule_version=assessment.rule_version,
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
