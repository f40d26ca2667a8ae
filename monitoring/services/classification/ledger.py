"""The self-audit: replay every patient and compare with what stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from monitoring import clock
from monitoring.domain.alerting.kinds import EARLY_SIGNS, KINDS, AlertKind, Part
from monitoring.domain.following.reading import PatientHistory, read_episodes
from monitoring.domain.replay import Replay, replay
from monitoring.models import Alert, Patient, ReadingRule, TfrEpisode
from monitoring.models.alerts import LIVE_STATES
from monitoring.models.centres import CANARY_CODE
from monitoring.selectors.episodes import VOID
from monitoring.selectors.histories import history_of
from monitoring.selectors.series import load_series
from monitoring.services.alerts.audit import check_promises
from monitoring.services.alerts.identity import alert_public_id
from monitoring.services.alerts.lifecycle import dealt_with, values_of
from monitoring.services.classification.classify import (
    EPISODE_COLUMNS,
    assessment_values,
    current_assessments,
    episode_rows,
    is_same_class,
    standing_events,
)
from monitoring.services.classification.readings import StandingReadings, rules_of, standing_readings
from monitoring.services.foundation.history_audit import Discrepancy, check_histories

BATCH_PATIENTS = 500


def check_ledger() -> Iterator[Discrepancy]:
    """Every difference between replays and stored classes, events, episodes and alerts, patient by patient; then every
    promise about alerts that is broken, and every history that is not whole.
    """
    ids = list(Patient.objects.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(ids), BATCH_PATIENTS):
        yield from _check_batch(ids[start : start + BATCH_PATIENTS])
    yield from check_promises(clock.now())
    yield from check_histories()


def _check_batch(ids: Sequence[int]) -> Iterator[Discrepancy]:
    loaded = load_series(ids)
    classes = current_assessments(ids)
    events = standing_events(ids)
    episodes: dict[int, dict[str, TfrEpisode]] = {pk: {} for pk in ids}
    for episode in TfrEpisode.objects.filter(patient_id__in=ids).exclude(state=VOID):
        episodes[episode.patient_id][episode.subject_key] = episode
    rules = list(ReadingRule.objects.all())
    readings = standing_readings(ids, rules)
    alerts: dict[int, list[Alert]] = {pk: [] for pk in ids}
    for alert in Alert.objects.filter(patient_id__in=ids):
        alerts[alert.patient_id or 0].append(alert)
    owner = {item.id: pk for pk, loaded_series in loaded.items() for item in loaded_series.series.results}
    orphans = [result_id for result_id in classes if result_id not in owner]
    if orphans:
        yield Discrepancy("-", f"{len(orphans)} classes stand for results that no longer do, first id {orphans[0]}")
    for pk, loaded_series in loaded.items():
        replayed = replay(loaded_series.series)
        name = f"{loaded_series.patient.centre.code}/{loaded_series.patient.patient_id}"
        for item in replayed.assessed:
            wanted = assessment_values(item, loaded_series.factors[item.result.id], replayed.rule_version)
            stored_class = classes.get(item.result.id)
            if stored_class is None:
                yield Discrepancy(name, f"result {item.result.key} has no class")
            elif not is_same_class(stored_class[1], wanted):
                yield Discrepancy(
                    name, f"result {item.result.key}: stored {stored_class[1][:3]}, replay says {wanted[:3]}"
                )
        for event in set(replayed.events) ^ events[pk].keys():
            where = "is missing from" if event in replayed.events else "should not stand in"
            yield Discrepancy(name, f"event {event.kind} on {event.on} {where} the ledger")
        yield from _check_episodes(name, replayed, episodes[pk])
        if loaded_series.patient.centre.code != CANARY_CODE:  # the database keeps no reading of it
            yield from _check_readings(name, history_of(loaded_series, replayed), readings, pk, rules)
        result_ids = {item.result.key: item.result.id for item in replayed.assessed}
        yield from _check_alerts(name, replayed, alerts[pk], result_ids)


def _check_episodes(name: str, replayed: Replay, stored: dict[str, TfrEpisode]) -> Iterator[Discrepancy]:
    for row in episode_rows(replayed):
        episode = stored.pop(row.subject_key, None)
        if episode is None:
            yield Discrepancy(name, f"episode {row.subject_key} is missing")
        elif tuple(getattr(episode, column) for column in EPISODE_COLUMNS) != row.values:
            yield Discrepancy(name, f"episode {row.subject_key} differs from the replay")
    for subject_key in stored:
        yield Discrepancy(name, f"episode {subject_key} should not stand")


def _check_readings(
    name: str, history: PatientHistory, stored: StandingReadings, patient_id: int, rules: Sequence[ReadingRule]
) -> Iterator[Discrepancy]:
    """The readings of a patient under every rule that is built, or built as far as the patient."""
    stops = {(rule_id, stop) for rule_id, of_patient, stop in stored if of_patient == patient_id}
    for rule in rules:
        if rule.built_at is None and patient_id > rule.built_up_to:
            continue
        for reading in read_episodes(history, *rules_of(rule)):
            found = stored.get((rule.pk, patient_id, reading.stopped_on))
            stops.discard((rule.pk, reading.stopped_on))
            if found is None or found[1] != reading:
                what = "is missing" if found is None else "differs from the replay"
                yield Discrepancy(name, f"the reading of the stop on {reading.stopped_on} {what}")
        for stop in sorted(stop for rule_id, stop in stops if rule_id == rule.pk):
            yield Discrepancy(name, f"the reading of the stop on {stop} should not stand")


def _check_alerts(
    name: str, replayed: Replay, stored: Sequence[Alert], result_ids: Mapping[str, int]
) -> Iterator[Discrepancy]:
    live = {(a.kind, a.subject_key): a for a in stored if a.state in LIVE_STATES}
    closed = {a.public_id: a for a in stored if a.state not in LIVE_STATES}
    for intention in replayed.intentions:
        alert = live.pop((intention.kind.value, intention.subject_key), None)
        earlier = closed.get(alert_public_id(intention.kind, intention.subject_key, intention.evidence_key))
        known = earlier is not None and dealt_with(earlier, intention)
        if intention.closing:
            if alert is not None:
                yield Discrepancy(name, f"alert {alert.kind} is open although {intention.closing.by} has ended it")
        elif alert is None and not known and intention.kind not in EARLY_SIGNS:
            yield Discrepancy(name, f"alert {intention.kind} is missing")
        elif alert is not None:
            for column, value in values_of(intention, replayed.rule_version, result_ids).items():
                if getattr(alert, column) != value:
                    yield Discrepancy(
                        name, f"alert {alert.kind}: {column} is {getattr(alert, column)}, replay says {value}"
                    )
    for kind, _ in live:
        if KINDS[AlertKind(kind)].opened_by is Part.REPLAY:
            yield Discrepancy(name, f"alert {kind} should not stand")
