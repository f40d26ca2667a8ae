"""Vetoes: what is on record against a stop. They count against every rule set, whether or not the set asks for them."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from monitoring.domain.course.series import FactKind
from monitoring.domain.stopping.criteria import evidence_of_failure
from monitoring.domain.stopping.criterion import Criterion, EligibilityFacts, State
from monitoring.domain.vocabulary.measurement import Transcript
from monitoring.domain.vocabulary.reasons import FactValue, Reason

VETO = "veto"
VETO_RULE_ID = "vetoes.1"
# Row of the criteria table, and the source of each veto.
_VETOES = {
    "chronic_phase": ("V1", "ASH 10062881, ASH 10062882, PMC10403330, PMC7520857"),
    "no_prior_failure": ("V2", "ASH 10062882, PMC10403330, PMC7520857"),
    "transcript": ("V3", "ASH 10062881, PMC7520857"),
    "pregnancy": ("V4", "design"),
    "transplant": ("V5", "design"),
}


def vetoes(facts: EligibilityFacts, asked: Collection[str]) -> Iterator[Criterion]:
    """Everything on record against a stop, except what the rule set asks for itself.

    ``asked`` are the criteria of the set, which state the same with its own source.
    """
    candidates = (
        _veto_of_phase(facts),
        _veto("no_prior_failure", "yes", evidence_of_failure(facts, "no_prior_failure", _veto_reason)),
        _veto_of_transcript(facts),
        _veto_of_pregnancy(facts),
        _veto_of_transplant(facts),
    )
    return (veto for veto in candidates if veto is not None and veto.id not in asked)


def _veto_reason(line: str, code: str, **facts: FactValue) -> Reason:
    row, citation = _VETOES[line]
    return Reason(VETO_RULE_ID, row, citation, tuple(facts.items()), code)


def _veto(name: str, value: FactValue, reason: Reason | None) -> Criterion | None:
    if reason is None:
        return None
    return Criterion(name, _VETOES[name][0], VETO, State.NOT_MET, value, "!=", value, "", None, reason)


def _veto_of_phase(facts: EligibilityFacts) -> Criterion | None:
    if facts.phase in ("", "CP"):
        return None
    return _veto(
        "chronic_phase", facts.phase, _veto_reason("chronic_phase", "eligibility.veto.phase", phase=facts.phase)
    )


def _veto_of_transcript(facts: EligibilityFacts) -> Criterion | None:
    known, name = facts.transcript is not Transcript.UNKNOWN, "transcript"
    if known and not facts.transcript.is_on_scale:
        value = facts.transcript.value
        return _veto(name, value, _veto_reason(name, "eligibility.veto.transcript", transcript=value))
    if not known and facts.never_detected:
        return _veto(name, None, _veto_reason(name, "eligibility.never_detected"))
    return None


def _veto_of_pregnancy(facts: EligibilityFacts) -> Criterion | None:
    known = [f for f in facts.facts if f.observed_on <= facts.stop_on]
    pregnancies = [f for f in known if f.kind in (FactKind.PREGNANCY, FactKind.PREGNANCY_END)]
    latest = max(pregnancies, key=lambda f: (f.observed_on, f.kind is FactKind.PREGNANCY_END), default=None)
    if latest is None or latest.kind is FactKind.PREGNANCY_END:
        return None
    return _veto("pregnancy", "yes", _veto_reason("pregnancy", "eligibility.veto.pregnancy", on=latest.observed_on))


def _veto_of_transplant(facts: EligibilityFacts) -> Criterion | None:
    on = facts.first(FactKind.ALLOGENEIC_TRANSPLANT)
    reason = None if on is None else _veto_reason("transplant", "eligibility.veto.transplant", on=on)
    return _veto("transplant", "yes", reason)
