"""Changing which rule sets a protocol follows: first what would change, then, with a reason, the change itself.

Classes rest on results and the response rules, which no protocol changes; what follows from a protocol is planned and
said anew by a replay, and the old protocol stays in the history.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from monitoring.domain.alerting.kinds import AlertKind
from monitoring.domain.following.schedule import PlanState
from monitoring.models import Centre, Patient, Protocol
from monitoring.models.protocols import KIND_OF
from monitoring.selectors.clinical import ClinicalView, Rules, rules_of, view_of
from monitoring.selectors.series import load_series
from monitoring.selectors.what_if import BATCH_PATIENTS, Preview
from monitoring.services.classification.classification_queue import request_classification
from monitoring.services.foundation.actors import recorded_as


def preview_change(protocol: Protocol, named: Mapping[str, str], *, as_of: dt.date) -> Preview:
    """What would change if the protocol named these rule sets. Stores nothing."""
    wanted = _with(protocol, named)
    wanted.full_clean(exclude=["code"])
    followed = Patient.objects.filter(centre__protocol=protocol)
    return _compared(followed, rules_of(protocol), rules_of(wanted), as_of)


def preview_following(centre: Centre, protocol: Protocol | None, *, as_of: dt.date) -> Preview:
    """What would change if a centre followed this protocol, or with None the defaults. Stores nothing."""
    theirs = Patient.objects.filter(centre=centre)
    return _compared(theirs, rules_of(centre.protocol), rules_of(protocol), as_of)


def follow(centre: Centre, protocol: Protocol | None, *, by: User, reason: str) -> None:
    """Let a centre follow a protocol, or with None the defaults, from now on, and replay its patients."""
    with transaction.atomic(), recorded_as(by.get_username(), reason):
        centre.protocol = protocol
        centre.save(update_fields=["protocol"])
        request_classification(
            Patient.objects.filter(centre=centre).values_list("pk", flat=True), bulk=True, by_rules=True
        )


def _compared(of: QuerySet[Patient], old: Rules, new: Rules, as_of: dt.date) -> Preview:
    found = Preview()
    for patients in _batches(of):
        loaded = load_series([p.pk for p in patients])
        for patient in patients:
            series = loaded[patient.pk].series
            before, after = _said(view_of(series, patient, old, as_of)), _said(view_of(series, patient, new, as_of))
            changes = {topic: (before[topic], after[topic]) for topic in before if before[topic] != after[topic]}
            found.take(patient, changes)
    return found


def change_protocol(protocol: Protocol, named: Mapping[str, str], *, by: User, reason: str) -> Protocol:
    """Let a protocol name other rule sets from now on, and replay its patients. Raises ``ValidationError``."""
    wanted = _with(protocol, named)
    wanted.full_clean()
    with transaction.atomic(), recorded_as(by.get_username(), reason):
        wanted.save()
        touched = Patient.objects.filter(centre__protocol=protocol).values_list("pk", flat=True)
        request_classification(touched, bulk=True, by_rules=True)
    return wanted


def _with(protocol: Protocol, named: Mapping[str, str]) -> Protocol:
    """The same protocol with other names; nothing is saved."""
    values = {f.attname: getattr(protocol, f.attname) for f in Protocol._meta.concrete_fields}
    changed = Protocol(**{**values, **{name: named[name] for name in KIND_OF if name in named}})
    changed._state.adding = False
    changed._state.db = protocol._state.db
    return changed


def _batches(of: QuerySet[Patient]) -> Iterator[list[Patient]]:
    patients = of.select_related("centre__protocol").order_by("pk")
    ids = list(patients.values_list("pk", flat=True))
    for start in range(0, len(ids), BATCH_PATIENTS):
        yield list(patients.filter(pk__in=ids[start : start + BATCH_PATIENTS]))


def _said(view: ClinicalView) -> dict[str, str]:
    """What a view says, topic by topic, as comparable words."""
    plan = view.plan
    return {
        "plan": f"{plan.slot.due} ({plan.slot.earliest} – {plan.slot.latest})" if plan.slot else plan.state.value,
        "milestones": ", ".join(f"{m.month or 'any'} {m.status}" for m in view.milestones),
        "eligibility": ", ".join(f"{e.rule_id} {e.overall.value}" for e in view.eligibility),
        "alerts": ", ".join(_alerts(view)),
        "event": ", ".join(loss.event_on.isoformat() for _, loss in view.losses),
        "month_2": view.month_two.group.value if view.month_two else "",
    }


def _alerts(view: ClinicalView) -> list[str]:
    """The alerts that rest on a protocol's plan and milestones, as they would stand today."""
    found = []
    if view.plan.state is PlanState.OVERDUE_SAMPLE:
        found.append(AlertKind.OVERDUE_SAMPLE.value)
    if view.plan.results_overdue:
        found.append(AlertKind.OVERDUE_RESULT.value)
    if not view.is_off_treatment:
        found += [f"{AlertKind.MILESTONE_FAILED.value} {m.sample_on}" for m in view.milestones if m.is_failure]
    return found
