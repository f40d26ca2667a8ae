"""Classification: replay whole series, compare with what stands, write the difference.

One patient or thousands go through the same code with the same number of queries. The lock on the patient comes
first, always in order of id, so concurrent and repeated runs converge and never deadlock.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from psycopg.types.json import Jsonb

from monitoring.domain.course.ledger import Event, EventKind
from monitoring.domain.course.series import Assessed
from monitoring.domain.replay import Replay, replay
from monitoring.domain.scoring.laboratory_report import FactorUsed
from monitoring.domain.vocabulary.measurement import flags_text
from monitoring.domain.vocabulary.scale import STORED_DIGITS
from monitoring.models import (
    ClassificationRequest,
    Patient,
    ResponseAssessment,
    ResponseEvent,
    SetAsideKind,
    TfrEpisode,
)
from monitoring.selectors.episodes import VOID, evidence_json
from monitoring.selectors.histories import history_of
from monitoring.selectors.series import LoadedSeries, load_series
from monitoring.selectors.set_aside import now_set_aside
from monitoring.selectors.why import decision_json
from monitoring.services.alerts import lifecycle, plans
from monitoring.services.classification.readings import store_readings
from monitoring.services.foundation import set_aside
from monitoring.services.foundation.actors import CLASSIFIER_ACTOR, recorded_as
from monitoring.services.foundation.copy_rows import copy_rows

logger = logging.getLogger(__name__)

BURST_PATIENTS = 50
BATCH_PATIENTS = 500  # some seconds of work: a single entry never waits longer for its patient's lock
NEEDS_A_PERSON_AFTER_ATTEMPTS = 5


class ClassificationFailed(Exception):
    """Some patients could not be classified and were set aside; the others were. Their requests stay, with the
    error.
    """


def reclassify(
    patient_ids: Collection[int], *, now: dt.datetime, if_free: Collection[int] = (), most: int = BATCH_PATIENTS
) -> int:
    """Replay these patients and write what changed: classes, events, episodes, readings, alerts. Returns how many.

    Everything happens in one transaction, together with the deletion of the requests that were read. ``if_free`` are
    patients to take along unless somebody else holds them, at ``most`` so many: waiting happens only while nothing is
    held.
    """
    with transaction.atomic(), recorded_as(CLASSIFIER_ACTOR):
        patients = Patient.objects.order_by("pk").values_list("pk", flat=True)
        locked = list(patients.filter(pk__in=patient_ids).select_for_update(no_key=True))
        if if_free:
            locked += list(patients.filter(pk__in=if_free).select_for_update(no_key=True, skip_locked=True)[:most])
        # Read the requests before the series: a row that is committed later brings a request of its own.
        owed = ClassificationRequest.objects.filter(patient_id__in=locked)
        answered = dict(owed.values_list("pk", "patient_id"))
        loaded = load_series(locked)
        # Asked after the series was read: a fact that came meanwhile is in it, and its request says that it is a fact.
        by_rules = set(answered.values()) - set(owed.filter(by_rules=False).values_list("patient_id", flat=True))
        replays = {pk: replay(loaded_series.series) for pk, loaded_series in loaded.items()}
        _store_assessments(loaded, replays, now)
        _store_events(replays, now)
        _store_episodes(replays)
        store_readings({pk: history_of(loaded[pk], replayed) for pk, replayed in replays.items()})
        lifecycle.update_from_replays(
            {pk: (loaded[pk].patient, replays[pk]) for pk in replays}, now=now, by_rules=by_rules
        )  # fmt: skip
        plans.store_plans(loaded, replays, now=now, by_rules=by_rules)
        ClassificationRequest.objects.filter(pk__in=list(answered)).delete()
    return len(locked)


def classify_hinted(patient_id: int, *, now: dt.datetime) -> int:
    """Classify a patient who is still pending, and with it other single entries that wait: a burst costs one batch.

    A hint that comes late, because its patient was taken along or a sweep was faster, costs one small query.
    """
    pending = ClassificationRequest.objects.filter(attempts=0)
    if not pending.filter(patient_id=patient_id).exists():
        return 0
    waiting = pending.filter(bulk=False).exclude(patient_id=patient_id).order_by("id")
    also = list(dict.fromkeys(waiting.values_list("patient_id", flat=True)[: 2 * BURST_PATIENTS]))[:BURST_PATIENTS]
    try:
        return reclassify([patient_id], now=now, if_free=also)
    except Exception as problem:  # it surfaces below as the failure of its patient
        if set_aside.is_database_lost(problem):
            raise
        logger.warning("a burst of %d patients failed (%s), going one by one", 1 + len(also), type(problem).__name__)
    return _one_by_one([patient_id], now)


def classify_pending(
    *, now: dt.datetime, limit: int = BATCH_PATIENTS, older_than_seconds: float = 0, pass_over_held: bool = False
) -> int:
    """Classify up to ``limit`` pending patients, single entries before bulk loads.

    With ``pass_over_held`` whoever is locked by somebody else waits alone, for the next call. A patient whose replay
    fails keeps the request with the error, is set aside and tried again with growing pauses, and does not hold up the
    others; the failure is raised at the end. Returns how many patients were classified.
    """
    patient_ids = _next_pending(now, 4 * limit if pass_over_held else limit, older_than_seconds)
    if not patient_ids:
        return 0
    try:
        if pass_over_held:
            return reclassify([], now=now, if_free=patient_ids, most=limit)
        return reclassify(patient_ids, now=now)
    except Exception as problem:  # it surfaces below as the failure of its patient
        if set_aside.is_database_lost(problem):
            raise
        logger.warning("batch of %d patients failed (%s), going one by one", len(patient_ids), type(problem).__name__)
    return _one_by_one(patient_ids, now)


def _next_pending(now: dt.datetime, limit: int, older_than_seconds: float) -> list[int]:
    before = now - dt.timedelta(seconds=older_than_seconds)
    aside = dict(now_set_aside().filter(kind=SetAsideKind.CLASSIFICATION).values_list("key", "retry_at"))
    if aside:
        _settle_classified(aside.keys(), now)
    waiting = [key for key, retry_at in aside.items() if retry_at > now]
    # A request that has not failed yet brings new facts, perhaps the repair: it does not wait for the others.
    pending = ClassificationRequest.objects.filter(
        Q(attempts=0) | ~Q(patient__public_id__in=waiting), requested_at__lte=before
    )
    rows = pending.order_by("bulk", "attempts", "id").values_list("patient_id", flat=True)[: limit * 4]
    return list(dict.fromkeys(rows))[:limit]


def _settle_classified(keys: Collection[str], now: dt.datetime) -> None:
    """A patient who was set aside and is no longer pending was classified meanwhile, by another run."""
    pending = ClassificationRequest.objects.filter(patient__public_id__in=list(keys))
    still = {str(key) for key in pending.values_list("patient__public_id", flat=True)}
    set_aside.settle(SetAsideKind.CLASSIFICATION, set(keys) - still, now=now)


def _one_by_one(patient_ids: Sequence[int], now: dt.datetime) -> int:
    done, failed = 0, []
    for pk in patient_ids:
        try:
            done += reclassify([pk], now=now)
        except Exception as problem:  # whatever it is, it is this patient's: written down and told
            if set_aside.is_database_lost(problem):
                raise
            failed.append(pk)
            public_id, centre_id = Patient.objects.values_list("public_id", "centre_id").get(pk=pk)
            set_aside.put(SetAsideKind.CLASSIFICATION, public_id, problem, centre_id=centre_id, now=now)
            ClassificationRequest.objects.filter(patient_id=pk).update(
                attempts=F("attempts") + 1, last_error=f"{type(problem).__name__}: {problem}"[:300]
            )
    if failed:
        raise ClassificationFailed(f"{len(failed)} patients could not be classified, first id {failed[0]}")
    return done


# --- classes -----------------------------------------------------------------------------------------------------

_ASSESSMENT_COLUMNS = (
    "response_class", "flags", "is_percent", "mr_value", "sensitivity", "detected", "may_exceed_mmr",
    "upper_bound_percent", "counted_control_copies", "conversion_factor", "factor_state", "rule_version", "decision",
)  # fmt: skip


def assessment_values(assessed: Assessed, factor: FactorUsed, rule_version: str) -> tuple[Any, ...]:
    """A class as it is stored, in the order of the assessment's columns."""
    score = assessed.score
    return (
        score.response_class.value,
        flags_text(score.flags),
        _stored(score.is_percent),
        score.mr_value,
        score.sensitivity.value,
        score.detected,
        score.may_exceed_mmr,
        _stored(score.upper_bound_percent),
        _stored(score.counted_control_copies),
        factor.factor,
        factor.state.value,
        rule_version,
        decision_json(score.decided),
    )


def _stored(number: Decimal | None) -> Decimal | None:
    """Eighteen significant digits: beyond any laboratory's, and the same number when it is read again."""
    return None if number is None else STORED_DIGITS.plus(number)


def _store_assessments(loaded: dict[int, LoadedSeries], replays: dict[int, Replay], now: dt.datetime) -> None:
    standing = current_assessments(replays)
    obsolete: list[int] = []
    rows: list[tuple[Any, ...]] = []
    for pk, replayed in replays.items():
        for assessed in replayed.assessed:
            values = assessment_values(assessed, loaded[pk].factors[assessed.result.id], replayed.rule_version)
            current = standing.pop(assessed.result.id, None)
            if current is not None and is_same_class(current[1], values):
                continue
            if current is not None:
                obsolete.append(current[0])
            rows.append((assessed.result.id, *values[:-1], Jsonb(values[-1]), now))
    obsolete.extend(assessment_id for assessment_id, _ in standing.values())  # of results that no longer stand
    if obsolete:
        ResponseAssessment.objects.filter(pk__in=obsolete).update(superseded_at=now)
    if rows:
        copy_rows(ResponseAssessment, ["result_id", *_ASSESSMENT_COLUMNS, "assessed_at"], rows)


def is_same_class(stored: tuple[Any, ...], wanted: tuple[Any, ...]) -> bool:
    """Whether a stored class says what a replay says; one from before rows were stored may lack its row."""
    return stored == wanted or (stored[-1] is None and stored[:-1] == wanted[:-1])


def current_assessments(patient_ids: Iterable[int]) -> dict[int, tuple[int, tuple[Any, ...]]]:
    """The standing classes of these patients by result: id of the assessment and its values."""
    rows = ResponseAssessment.objects.filter(result__patient_id__in=list(patient_ids), superseded_at__isnull=True)
    return {
        result_id: (pk, tuple(values))
        for pk, result_id, *values in rows.values_list("pk", "result_id", *_ASSESSMENT_COLUMNS)
    }


# --- ledger ------------------------------------------------------------------------------------------------------


def standing_events(patient_ids: Iterable[int]) -> dict[int, dict[Event, int]]:
    """The lines of the ledger that hold, by patient, with their ids."""
    standing: dict[int, dict[Event, int]] = {pk: {} for pk in patient_ids}
    rows = ResponseEvent.objects.filter(patient_id__in=list(standing), retracts__isnull=True, retracted_by__isnull=True)
    for pk, patient_id, on, kind, subject_key, result_key, certainty in rows.values_list(
        "pk", "patient_id", "occurred_on", "kind", "subject_key", "result_key", "certainty"
    ):
        standing[patient_id][Event(on, EventKind(kind), subject_key, result_key, certainty)] = pk
    return standing


def _store_events(replays: dict[int, Replay], now: dt.datetime) -> None:
    rows: list[tuple[Any, ...]] = []
    for patient_id, standing in standing_events(replays).items():
        replayed = replays[patient_id]
        version = replayed.rule_version
        wanted = set(replayed.events)
        rows += [_event_row(patient_id, e, version, pk, now) for e, pk in standing.items() if e not in wanted]
        rows += [_event_row(patient_id, e, version, None, now) for e in replayed.events if e not in standing]
    if rows:
        copy_rows(
            ResponseEvent,
            ["patient_id", "kind", "subject_key", "occurred_on", "result_key", "certainty", "rule_version",
             "retracts_id", "recorded_at"],
            rows,
        )  # fmt: skip


def _event_row(
    patient_id: int, event: Event, rule_version: str, retracts: int | None, now: dt.datetime
) -> tuple[Any, ...]:
    return (
        patient_id, event.kind.value, event.subject_key, event.on, event.result_key, event.certainty, rule_version,
        retracts, now,
    )  # fmt: skip


# --- episodes ----------------------------------------------------------------------------------------------------


EPISODE_COLUMNS = (
    "kind", "attempt", "drug", "stopped_on", "baseline_class", "tki_days", "dmr_days", "first_dmr_on", "loss_on",
    "loss_confirmed_on", "restarted_on", "restart_drug", "mmr_regained_on", "dmr_regained_on", "state", "evidence",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class EpisodeRow:
    """An episode as it is stored."""

    subject_key: str
    values: tuple[Any, ...]
    loss_result_id: int | None


def episode_rows(replayed: Replay) -> list[EpisodeRow]:
    """The episodes of a replay as they are stored."""
    ids = {assessed.result.key: assessed.result.id for assessed in replayed.assessed}
    return [
        EpisodeRow(
            summary.subject_key,
            (
                e.kind.value, e.attempt, e.course.drug.value, e.stopped_on,
                e.baseline.response_class.value if e.baseline else "", summary.tki_days, summary.dmr_days,
                summary.first_dmr_on, e.loss.first.on if e.loss else None, e.loss.confirmed_on if e.loss else None,
                e.restarted_on, e.restart.drug.value if e.restart else "", e.mmr_regained_on, e.dmr_regained_on,
                e.state,
                evidence_json(summary.evidence),
            ),
            ids[e.loss.first.key] if e.loss else None,
        )
        for summary in replayed.episodes
        for e in (summary.episode,)
    ]  # fmt: skip


def _store_episodes(replays: dict[int, Replay]) -> None:
    standing = {e.subject_key: e for e in TfrEpisode.objects.filter(patient_id__in=list(replays))}
    fresh: list[TfrEpisode] = []
    changed: list[TfrEpisode] = []
    for patient_id, replayed in replays.items():
        for row in episode_rows(replayed):
            episode = standing.pop(row.subject_key, None) or TfrEpisode(
                patient_id=patient_id, subject_key=row.subject_key
            )
            wanted = (*row.values, row.loss_result_id, replayed.rule_version)
            if episode.pk and wanted == tuple(getattr(episode, name) for name in _EPISODE_FIELDS):
                continue
            for name, value in zip(_EPISODE_FIELDS, wanted, strict=True):
                setattr(episode, name, value)
            (changed if episode.pk else fresh).append(episode)
    for episode in standing.values():
        if episode.state != VOID:  # the stop is gone, or a restart within 28 days made it a switch
            episode.state = VOID
            changed.append(episode)
    TfrEpisode.objects.bulk_create(fresh)
    TfrEpisode.objects.bulk_update(changed, _EPISODE_FIELDS, batch_size=500)


_EPISODE_FIELDS = [*EPISODE_COLUMNS, "loss_result_id", "rule_version"]
