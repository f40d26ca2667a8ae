"""Times off treatment as lists and pages read them."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from monitoring.domain.course.off_treatment import Evidence, Standing, State, StateCode, state_of
from monitoring.domain.course.series import Course, FactKind, tki_courses
from monitoring.models import Alert, MonitoringPlan, Observation, Patient, TfrEpisode, TkiCourse
from monitoring.selectors.series import course_of

VOID = "void"  # a stop that turned out not to open an episode


def standing_episodes(patients: QuerySet[Patient]) -> QuerySet[TfrEpisode]:
    """The episodes that stand, of these patients."""
    return TfrEpisode.objects.filter(patient__in=patients).exclude(state=VOID).select_related("patient__centre")


def evidence_json(evidence: Evidence) -> dict[str, Any]:
    """The evidence of an episode as it is stored: days and numbers as texts, without what is empty."""
    said = dataclasses.asdict(evidence)
    return {
        name: _plain(value) for name, value in said.items() if value not in (None, "", 0, False) or value == Decimal(0)
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | str) else str(value)


def _evidence_of(stored: Mapping[str, Any]) -> Evidence:
    """The stored evidence of an episode."""
    return Evidence(**{name: _value(name, value) for name, value in stored.items()})


def _value(name: str, value: Any) -> Any:
    if name.endswith("_on"):
        return dt.date.fromisoformat(value)
    return Decimal(value) if name.endswith("_percent") else value


def standing_of(episode: TfrEpisode) -> Standing:
    """A stored episode as far as its state depends on it."""
    ended = episode.state in (StateCode.DEATH, StateCode.TRANSPLANT)
    return Standing(
        episode.stopped_on,
        _evidence_of(episode.evidence),
        loss_confirmed_on=episode.loss_confirmed_on,
        restarted_on=episode.restarted_on,
        restart_drug=episode.restart_drug,
        ended_by=episode.state if ended else "",
    )


def states_of(episodes: Collection[TfrEpisode], as_of: dt.date) -> dict[int, State]:
    """The state of each of these episodes on a day, by its id, with one query."""
    patients = {episode.patient_id for episode in episodes}
    until = dict(MonitoringPlan.objects.filter(patient__in=patients).values_list("patient_id", "latest_on"))
    return {e.pk: state_of(standing_of(e), known_until=until.get(e.patient_id), as_of=as_of) for e in episodes}


def latest_states(patient_ids: Collection[int], as_of: dt.date) -> dict[int, State]:
    """The state of the latest episode of each of these patients, by patient, with two queries."""
    episodes = TfrEpisode.objects.filter(patient__in=patient_ids).exclude(state=VOID)
    latest = list(episodes.order_by("patient_id", "-stopped_on", "-pk").distinct("patient_id"))
    found = states_of(latest, as_of)
    return {episode.patient_id: found[episode.pk] for episode in latest}


def with_states(alerts: Iterable[Alert], as_of: dt.date) -> list[Alert]:
    """Alerts with ``patient_state``: where their patients stand, None where they are on treatment or nobody's."""
    found = list(alerts)
    states = latest_states({alert.patient_id for alert in found if alert.patient_id is not None}, as_of)
    for alert in found:
        alert.patient_state = states.get(alert.patient_id or 0)  # type: ignore[attr-defined]  # for what shows it
    return found


def with_doses(alerts: Iterable[Alert]) -> list[Alert]:
    """Alerts with ``reduced_on``: since when the dose was lower than before on the day of their evidence, else None."""
    found = list(alerts)
    courses: dict[int, list[Course]] = defaultdict(list)
    for row in TkiCourse.objects.filter(patient__in={alert.patient_id for alert in found} - {None}):
        courses[row.patient_id].append(course_of(row))
    for alert in found:
        taken = (c for c in tki_courses(courses[alert.patient_id or 0]) if c.covers(alert.evidence_on))
        since = (c.dose_reduced_on for c in taken if c.dose_reduced_on and c.dose_reduced_on <= alert.evidence_on)
        alert.reduced_on = max(since, default=None)  # type: ignore[attr-defined]  # for what shows it
    return found


def with_mutations(alerts: Iterable[Alert]) -> list[Alert]:
    """Alerts with ``mutations``: those recorded of their patients, latest first; resistance changes what is done."""
    found = list(alerts)
    patients = {alert.patient_id for alert in found}
    recorded = Observation.objects.filter(patient__in=patients - {None}, kind=FactKind.MUTATION)
    by_patient: dict[int, list[Observation]] = defaultdict(list)
    for mutation in recorded.order_by("-observed_on", "-pk"):
        by_patient[mutation.patient_id].append(mutation)
    for alert in found:
        alert.mutations = by_patient[alert.patient_id or 0]  # type: ignore[attr-defined]  # for what shows it
    return found
