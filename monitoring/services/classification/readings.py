"""Readings for the statistics: written with every classification, built for everybody when a rule is new."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from django.db import transaction

from monitoring.domain.course.episodes import DmrRule
from monitoring.domain.course.relapse import LossRule
from monitoring.domain.following.reading import EpisodeReading, PatientHistory, read_episodes
from monitoring.domain.vocabulary.scale import ResponseClass
from monitoring.models import Patient, ReadingRule, StoredReading, TkiCourse
from monitoring.selectors.histories import load_histories_of, without_collecting
from monitoring.services.foundation.copy_rows import copy_rows

BATCH_PATIENTS = 1000
READING_COLUMNS = EpisodeReading._fields
Row = tuple[Any, ...]
StandingReadings = dict[tuple[int, int, dt.date], tuple[int, Row]]


# The version of what a reading says. Raising it makes every rule a new one, which is built anew.
READING_VERSION = 3


def rule_key(loss: LossRule, deep_response: DmrRule) -> str:
    """The version and both rules as text, the same for the same rules."""
    return json.dumps([READING_VERSION, dataclasses.asdict(loss), dataclasses.asdict(deep_response)], sort_keys=True)


def rules_of(rule: ReadingRule) -> tuple[LossRule, DmrRule]:
    """The rules as the domain reads them."""
    level = ResponseClass(rule.deep_response["level"])
    return LossRule(**rule.loss), DmrRule(**{**rule.deep_response, "level": level})


def keep(loss: LossRule, deep_response: DmrRule) -> ReadingRule:
    """The row of these rules; from now on whoever is classified is read by them.

    It stays until the end of the caller's transaction: ``forget_all_but`` waits for it and looks again.
    """
    values = {"loss": dataclasses.asdict(loss), "deep_response": dataclasses.asdict(deep_response)}
    key = rule_key(loss, deep_response)
    with transaction.atomic():
        rule, _created = ReadingRule.objects.select_for_update(no_key=True).get_or_create(key=key, defaults=values)
    return rule


def store_readings(histories: Mapping[int, PatientHistory]) -> None:
    """Write what differs of these patients under every rule that is kept. Their locks are held."""
    rules = list(ReadingRule.objects.all())
    if rules:
        write_readings(histories, rules)


def write_readings(histories: Mapping[int, PatientHistory], rules: Sequence[ReadingRule]) -> None:
    """Write what differs of these patients under these rules; what does not change is not touched."""
    standing = standing_readings(list(histories), rules)
    obsolete: list[int] = []
    fresh: list[Row] = []
    for rule in rules:
        loss, deep_response = rules_of(rule)
        for patient_id, history in histories.items():
            for reading in read_episodes(history, loss, deep_response):
                found = standing.pop((rule.pk, patient_id, reading.stopped_on), None)
                if found is not None and found[1] == reading:
                    continue
                if found is not None:
                    obsolete.append(found[0])
                fresh.append((rule.pk, patient_id, *reading))
    obsolete += [pk for pk, _values in standing.values()]  # of stops that are no longer there
    if obsolete:
        StoredReading.objects.filter(pk__in=obsolete).delete()
    if fresh:
        copy_rows(StoredReading, ["rule_id", "patient_id", *READING_COLUMNS], fresh)


def standing_readings(patient_ids: Sequence[int], rules: Sequence[ReadingRule]) -> StandingReadings:
    """The stored readings of these patients: by rule, patient and stop, with their ids."""
    rows = StoredReading.objects.filter(patient_id__in=patient_ids, rule__in=rules)
    stop = READING_COLUMNS.index("stopped_on")
    return {
        (rule_id, patient_id, values[stop]): (pk, tuple(values))
        for pk, rule_id, patient_id, *values in rows.values_list("pk", "rule_id", "patient_id", *READING_COLUMNS)
    }


def build_next(rule: ReadingRule, *, now: dt.datetime, limit: int = BATCH_PATIENTS) -> bool:
    """Read the next patients who ever stopped a drug by a new rule; returns whether more are left.

    Each batch is a transaction of its own that also says how far the building is: a killed worker goes on from there,
    and two workers at once write the same. Whoever is classified meanwhile is read by the rule anyway.
    """
    with transaction.atomic(), without_collecting():
        # No key lock: a classification that adds readings under this rule must not wait for a batch.
        locked_rule = ReadingRule.objects.select_for_update(no_key=True).filter(pk=rule.pk).first()
        if locked_rule is None or locked_rule.built_at is not None:
            return False
        rule = locked_rule
        ids = _stopped_after(rule.built_up_to, limit)
        if ids:
            patients = Patient.objects.order_by("pk").filter(pk__in=ids)
            locked = list(patients.select_for_update(no_key=True).values_list("pk", flat=True))
            write_readings(load_histories_of(locked), [rule])
            rule.built_up_to = ids[-1]
        else:
            rule.built_at = now
        rule.save(update_fields=["built_up_to", "built_at"])
    return bool(ids)


def _stopped_after(patient_id: int, limit: int) -> list[int]:
    """The next patients, in order of id, who ever stopped a drug."""
    stops = TkiCourse.objects.filter(stopped_on__isnull=False, patient_id__gt=patient_id)
    return list(stops.order_by("patient_id").values_list("patient_id", flat=True).distinct()[:limit])


def progress(loss: LossRule, deep_response: DmrRule) -> tuple[int, int] | None:
    """How many of the patients who ever stopped a drug are read by these rules; None once all of them are."""
    rule = ReadingRule.objects.filter(key=rule_key(loss, deep_response)).first()
    if rule is not None and rule.built_at is not None:
        return None
    stopped = TkiCourse.objects.filter(stopped_on__isnull=False)
    total = stopped.values("patient_id").distinct().count()
    done = stopped.filter(patient_id__lte=rule.built_up_to) if rule else stopped.none()
    return done.values("patient_id").distinct().count(), total


def forget_all_but(used: Callable[[], Collection[str]]) -> None:
    """Delete the rules that nobody uses, with their readings, as one: a rule without readings would seem built.

    ``used`` gives the keys in use; it is asked again once the rules are locked, for a cohort may have come meanwhile.
    """
    with transaction.atomic():
        locked = list(ReadingRule.objects.exclude(key__in=used()).select_for_update())
        keys = used()
        unused = [rule.pk for rule in locked if rule.key not in keys]
        StoredReading.objects.filter(rule__in=unused).delete()
        ReadingRule.objects.filter(pk__in=unused).delete()
