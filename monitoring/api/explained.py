"""Statements of the rules as JSON: each with the rule, the line, the citation and the facts it rests on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from monitoring.domain.following.kinetics import Change
from monitoring.domain.following.milestones import Milestone
from monitoring.domain.following.schedule import SamplePlan
from monitoring.domain.rules.rule_sets import RuleSet, superseded_by
from monitoring.domain.stopping.eligibility import Eligibility
from monitoring.domain.vocabulary.reasons import FactValue, Reason
from monitoring.selectors.clinical import ClinicalView
from monitoring.wording.reasons import reason_words


class ReasonOut(serializers.Serializer[Any]):
    """Why a statement stands."""

    rule = serializers.CharField()
    line = serializers.CharField()
    citation = serializers.CharField()
    code = serializers.CharField(help_text="stable; the text is in the language of the request")
    text = serializers.CharField()
    facts = serializers.DictField()

    def __init__(self, *args: Any, of: Callable[[Any], Reason] | None = None, **options: Any) -> None:
        """``of`` says how the reason is found of the row; without it the row has it as an attribute."""
        super().__init__(*args, **options)
        self._of = of

    def get_attribute(self, instance: Any) -> Any:
        return super().get_attribute(instance) if self._of is None else self._of(instance)

    def to_representation(self, instance: Reason) -> dict[str, Any]:
        return reason_json(instance)


def reason_json(reason: Reason) -> dict[str, Any]:
    """One reason; ``text`` is in the language of the request, ``code`` is stable."""
    return {
        "rule": reason.rule_id,
        "line": f"{reason.line} (worked out afterwards)" if reason.is_guess else reason.line,
        "citation": reason.citation,
        "code": reason.text_code,
        "text": reason_words(reason),
        "facts": {name: plain(value) for name, value in reason.facts},
    }


def plain(value: FactValue | bool) -> str | int | float | None:
    """A fact as JSON: days as ISO dates, decimals as numbers."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    return value


def monitoring_json(view: ClinicalView) -> dict[str, Any]:
    """Everything the rules say of one patient on one day."""
    rules = view.rules
    return {
        "as_of": view.as_of.isoformat(),
        "rules": {name: rule_set.id for name, rule_set in rules.named},
        "rule_sets": [_rule_set(rule_set) for _, rule_set in rules.named],
        "off_treatment": view.is_off_treatment,
        "plan": _plan(view.plan),
        "change": _change(view.change) if view.change else None,
        "projection": {
            "on": plain(view.projection.on),
            "earliest": plain(view.projection.earliest),
            "latest": plain(view.projection.latest),
            "reason": reason_json(view.projection.reason),
        }
        if view.projection
        else None,
        "month_2": {"group": view.month_two.group.value, "reason": reason_json(view.month_two.reason)}
        if view.month_two
        else None,
        "protocol_events": [
            {
                "stopped_on": stopped_on.isoformat(),
                "on": loss.event_on.isoformat(),
                "lost": loss.lost.value,
                "reason": reason_json(loss.reason),
            }
            for stopped_on, loss in view.losses
        ],
        "early_halving": {
            "days": plain(view.early_halving.change.days) if view.early_halving.change else None,
            "below_cut": view.early_halving.below_cut,
            "reason": reason_json(view.early_halving.reason),
        }
        if view.early_halving
        else None,
        "milestones": [_milestone(milestone) for milestone in view.milestones],
        "eligibility": [_eligibility(eligibility) for eligibility in view.eligibility],
        "episodes": [
            {
                "stopped_on": findings.episode.stopped_on.isoformat(),
                "kind": findings.episode.kind.value,
                "attempt": findings.episode.attempt or None,
                "state": findings.episode.state,
                "statements": [reason_json(reason) for reason in findings.statements],
            }
            for findings in view.episodes
        ],
        "series": [reason_json(reason) for reason in view.about_series],
    }


def _rule_set(rules: RuleSet) -> dict[str, Any]:
    """What a reader must know of a rule set before relying on it."""
    newer = superseded_by(rules)
    return {
        "id": rules.id,
        "title": rules.title,
        "population": rules.population.value,
        "evidence": rules.evidence.value,
        "citation": str(rules.citation),
        "not_in_our_sources": list(rules.not_in_our_sources),
        "stands_in": rules.lender.id if rules.lender else None,
        "superseded_by": newer.id if newer else None,
    }


def _plan(plan: SamplePlan) -> dict[str, Any]:
    return {
        "state": plan.state.value,
        "earliest": plain(plan.slot.earliest) if plan.slot else None,
        "due": plain(plan.slot.due) if plan.slot else None,
        "latest": plain(plan.slot.latest) if plan.slot else None,
        "results_awaited": [on.isoformat() for on in plan.awaited],
        "results_overdue": [on.isoformat() for on in plan.results_overdue],
        "reason": reason_json(plan.reason),
        "notes": [reason_json(note) for note in plan.notes],
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "direction": change.direction.value,
        "days": plain(change.days),
        "shortest_days": plain(change.shortest),
        "longest_days": plain(change.longest),
        "at_most": change.at_most,
        "log10": plain(change.change_log10),
        "reference_change_log10": plain(change.reference_change_log10),
        "is_real": change.is_real,
        "reason": reason_json(change.reason),
    }


def _milestone(milestone: Milestone) -> dict[str, Any]:
    return {
        "month": milestone.month,
        "status": milestone.status,
        "opens_on": plain(milestone.opens_on),
        "closes_on": plain(milestone.closes_on),
        "window_is_open": milestone.is_open,
        "sample_on": plain(milestone.sample_on),
        "reasons": [reason_json(reason) for reason in milestone.reasons],
    }


def _eligibility(eligibility: Eligibility) -> dict[str, Any]:
    return {
        "rule": eligibility.rule_id,
        "stop_on": eligibility.stop_on.isoformat(),
        "overall": eligibility.overall.value,
        "optimal": eligibility.optimal.value if eligibility.optimal else None,
        "earliest_on": plain(eligibility.earliest_on),
        "reason": reason_json(eligibility.reason) if eligibility.reason else None,
        "not_in_our_sources": list(eligibility.not_in_our_sources),
        "criteria": [
            {
                "id": criterion.id,
                "level": criterion.level,
                "state": criterion.state.value,
                "value": plain(criterion.value),
                "operator": criterion.operator,
                "threshold": plain(criterion.threshold),
                "unit": criterion.unit,
                "earliest_on": plain(criterion.earliest_on),
                "reason": reason_json(criterion.reason),
            }
            for criterion in eligibility.criteria
        ],
    }
