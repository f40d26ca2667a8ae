"""The event off treatment as a protocol defines it: loss of MMR, or also a confirmed loss of a deeper class.

``relapse`` finds the loss of MMR that opens an alert; here a loss rule set defines the event of a protocol (register
D6, D7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from monitoring.domain.course.relapse import LossRule, find_loss, off_treatment
from monitoring.domain.course.series import TimePoint
from monitoring.domain.rules.rule_sets import RuleSet
from monitoring.domain.vocabulary.reasons import Reason
from monitoring.domain.vocabulary.scale import CLASS_LIMIT_PERCENT, ResponseClass


@dataclass(frozen=True, slots=True)
class ProtocolLoss:
    """The event of a protocol: its date, the class that was lost, the first value and what confirmed it."""

    event_on: date
    lost: ResponseClass
    first: TimePoint
    confirmed_on: date | None
    reason: Reason


def loss_rule(rules: RuleSet) -> LossRule:
    """When a value above MMR is an event, by a loss rule set."""
    return LossRule(
        n_consecutive=rules.value("n_consecutive", int),
        date_of_event=rules.value("date_of_event", str),
        max_gap_days=rules.optional("max_gap_days", int),
        restart_confirms=rules.value("restart_confirms", bool),
    )


def find_protocol_loss(
    points: Sequence[TimePoint], stopped_on: date, restarted_on: date | None, rules: RuleSet
) -> ProtocolLoss | None:
    """The first event off treatment under a loss rule set; None where there is none or its confirmation is awaited."""
    rule = loss_rule(rules)
    loss = find_loss(points, stopped_on, restarted_on, rule)
    events = []
    event_on = loss.event_on(rule) if loss is not None else None
    if loss is not None and event_on is not None:
        reason = rules.reason("n_consecutive", "loss.mmr", on=event_on)
        events.append(ProtocolLoss(event_on, ResponseClass.MMR, loss.first, loss.confirmed_on, reason))
    level = rules.optional("confirmed_loss_of", ResponseClass)
    if level is not None:
        events += _confirmed_loss(off_treatment(points, stopped_on, restarted_on), level, rule.date_of_event, rules)
    return min(events, key=lambda event: event.event_on, default=None)


def _confirmed_loss(
    watched: Sequence[TimePoint], level: ResponseClass, dated_at: str, rules: RuleSet
) -> list[ProtocolLoss]:
    """The first two consecutive values above a class."""
    conclusive = [p for p in watched if not merely_unproven(p, level)]
    for first, second in pairwise(conclusive):
        if not first.response_class.at_least(level) and not second.response_class.at_least(level):
            event_on = first.on if dated_at == "first" else second.on
            reason = rules.reason("confirmed_loss_of", "loss.confirmed", on=event_on, response_class=level.value)
            return [ProtocolLoss(event_on, level, first, second.on, reason)]
    return []


def merely_unproven(point: TimePoint, level: ResponseClass) -> bool:
    """Whether a value is as deep as the class but its sample too poor to prove it: neither the class nor its loss."""
    return point.low_control and point.is_percent is not None and point.is_percent <= CLASS_LIMIT_PERCENT[level]
