"""Whole records that move: to another centre, or into another record of the same person.

One person asks, a second one carries it out or declines. A merge moves the rows themselves, so that every reader finds
them where they belong, and keeps what it moved, so that it can be undone.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from monitoring.domain.text.lookalike import look_of
from monitoring.models import (
    Alert,
    Centre,
    Observation,
    Patient,
    PcrResult,
    RecordChange,
    RecordChangeKind,
    TkiCourse,
)
from monitoring.models.alerts import LIVE_STATES
from monitoring.services.alerts import escalation
from monitoring.services.classification.classification_queue import request_classification
from monitoring.services.entry.identities import adopt_identity, leave_hospital, return_identity
from monitoring.services.entry.reach import Reach
from monitoring.services.entry.reconciling import put, value_of
from monitoring.services.entry.result_versions import Insertion, insert_versions, versions_of_each
from monitoring.services.entry.verdicts import is_empty
from monitoring.services.foundation.actors import recorded_as
from monitoring.services.foundation.field_problem import FieldProblem
from monitoring.services.foundation.races import retry_lost_race

# What one record may know and the other not. Where both know something else, what the remaining record says stays.
FACTS = (
    "sex", "born_on", "diagnosed_on", "transcript", "risk_score", "risk_group", "spleen_cm", "platelets_e9_per_l",
    "blasts_percent", "phase", "first_mmr_on", "first_dmr_on",
)  # fmt: skip


def ask_transfer(
    patient: Patient, centre: Centre, *, patient_id: str, reason: str, by: User, reach: Reach
) -> RecordChange:
    """Ask that a record goes to another centre, there under its own pseudonym or another one.

    Raises ``FieldProblem``.
    """
    _check_may_go(patient, reach)
    if centre.pk == patient.centre_id or centre.is_canary:
        raise FieldProblem("centre", _("choose another centre than the patient's own"))
    _check_name_is_free(centre, patient, patient_id)
    return _asked(RecordChangeKind.TRANSFER, patient, None, centre, patient_id, reason, by)


def ask_merge(patient: Patient, into: Patient, *, reason: str, by: User, reach: Reach) -> RecordChange:
    """Ask that one record of a person goes into another one of the same centre. Raises ``FieldProblem``."""
    _check_may_go(patient, reach)
    _check_may_take(patient, into)
    return _asked(RecordChangeKind.MERGE, patient, into, patient.centre, "", reason, by)


def carry_out(change: RecordChange, *, by: User, reach: Reach, now: dt.datetime) -> None:
    """Do what was asked, as a second person of the centre that the record goes to. Raises ``FieldProblem``.

    Where a result of the record is amended at this very moment, it is begun again with what stands then.
    """
    retry_lost_race(lambda: _carry_out(change, by, reach, now))


def _carry_out(change: RecordChange, by: User, reach: Reach, now: dt.datetime) -> None:
    with transaction.atomic(), recorded_as(by.get_username(), change.reason):
        change = _waiting(change)
        if by.pk == change.asked_by_id:
            raise FieldProblem("", _("a second person carries it out; you have asked for it"))
        if not reach.treats(change.to_centre_id):
            raise FieldProblem("", _("somebody who treats in the centre that the record goes to carries it out"))
        change.moved = move(change, by=by, now=now)
        change.decided_by, change.decided_at, change.is_done = by, now, True
        change.save(update_fields=["moved", "decided_by", "decided_at", "is_done"])


def decline(change: RecordChange, *, note: str, by: User, now: dt.datetime) -> None:
    """Let it be, with a word; also for whoever asked. Raises ``FieldProblem``."""
    if not note.strip():
        raise FieldProblem("note", _("is needed: why not?"))
    with transaction.atomic(), recorded_as(by.get_username(), note):
        change = _waiting(change)
        change.decided_by, change.decided_at, change.is_done, change.note = by, now, False, note.strip()[:500]
        change.save(update_fields=["decided_by", "decided_at", "is_done", "note"])


def move(change: RecordChange, *, by: User, now: dt.datetime) -> dict[str, Any]:
    """Do what was asked, in the caller's transaction, and name what was moved. Raises ``FieldProblem``."""
    ids = sorted({change.patient_id, change.into_id or change.patient_id})
    rows = {row.pk: row for row in Patient.objects.select_for_update().order_by("pk").filter(pk__in=ids)}
    patient = rows[change.patient_id]
    if patient.merged_into_id is not None or patient.centre_id != change.from_centre_id:
        raise FieldProblem("", _("the record has moved meanwhile; ask anew"))
    if change.into_id is None:
        return _transfer(patient, change.to_centre, change.to_patient_id, now)
    _check_may_take(patient, rows[change.into_id])
    return _merge(patient, rows[change.into_id], change.reason, by, now)


def follow_merges(*, now: dt.datetime) -> int:
    """Give on what was written to a record at the moment of its merge; returns how many records had something.

    Whoever had looked the record up before the merge, and wrote after it, wrote where nobody looks any more.
    """
    results = PcrResult.objects.filter(patient=OuterRef("patient"), superseded_by__isnull=True)
    courses = TkiCourse.objects.filter(patient=OuterRef("patient"), recorded_at__gte=OuterRef("asked_at"))
    seen = Observation.objects.filter(patient=OuterRef("patient"), recorded_at__gte=OuterRef("asked_at"))
    merges = RecordChange.objects.filter(is_done=True, undone_at__isnull=True, patient__merged_into__isnull=False)
    late = merges.filter(Exists(results) | Exists(courses) | Exists(seen), kind=RecordChangeKind.MERGE)
    followed = 0
    for change in late.select_related("patient", "decided_by").order_by("pk"):
        by, into_id = change.decided_by, change.patient.merged_into_id
        assert by is not None  # a change that is done was decided
        assert into_id is not None  # asked for above
        with transaction.atomic(), recorded_as(by.get_username(), change.reason):
            rows = Patient.objects.select_for_update().order_by("pk").in_bulk([change.patient_id, into_id])
            patient, into = rows[change.patient_id], rows[into_id]
            if patient.merged_into_id != into.pk:
                continue  # undone meanwhile, or merged on: the next round sees what stands then
            given = _give_rows(patient, into, change.reason, by, now)
            if any(given.values()):
                request_classification({patient.pk, into.pk}, bulk=False)
                followed += 1
    return followed


def undo_merge(change: RecordChange, *, reason: str, by: User, reach: Reach, now: dt.datetime) -> None:
    """Take a merge back: what it moved goes back, what came since under either name stays. Raises ``FieldProblem``."""
    if not reason.strip():
        raise FieldProblem("note", _("is needed: why is the merge undone?"))
    if not reach.treats(change.to_centre_id):
        raise FieldProblem("", _("somebody who treats in the centre undoes it"))
    with transaction.atomic(), recorded_as(by.get_username(), reason):
        change = RecordChange.objects.select_for_update(of=("self",)).get(pk=change.pk)
        if not can_be_undone(change):
            raise FieldProblem("", _("there is no merge to undo any more"))
        move_back(change, reason=reason, by=by, now=now)
        change.undone_by, change.undone_at, change.note = by, now, reason.strip()[:500]
        change.save(update_fields=["undone_by", "undone_at", "note"])


def can_be_undone(change: RecordChange) -> bool:
    """Whether a merge was done and stands."""
    is_merge = change.kind == RecordChangeKind.MERGE and bool(change.is_done) and change.undone_at is None
    return is_merge and Patient.objects.filter(pk=change.patient_id, merged_into=change.into_id).exists()


# --- asking ----------------------------------------------------------------------------------------------------------


def _asked(
    kind: RecordChangeKind, patient: Patient, into: Patient | None, centre: Centre, name: str, reason: str, by: User
) -> RecordChange:
    if not reason.strip():
        raise FieldProblem("reason", _("is needed"))
    try:
        with transaction.atomic(), recorded_as(by.get_username(), reason):
            return RecordChange.objects.create(
                kind=kind, patient=patient, into=into, from_centre=patient.centre, to_centre=centre,
                to_patient_id=name, reason=reason.strip()[:500], asked_by=by,
            )  # fmt: skip
    except IntegrityError:
        raise FieldProblem("", _("a change of this record waits already; decide on that one first")) from None


def _waiting(change: RecordChange) -> RecordChange:
    """The change, locked; raises where it was decided meanwhile."""
    found = RecordChange.objects.select_for_update(of=("self",)).select_related("to_centre").get(pk=change.pk)
    if found.is_done is not None:
        raise FieldProblem("", _("it was decided meanwhile; load the page again"))
    return found


def _check_may_go(patient: Patient, reach: Reach) -> None:
    patient.refresh_from_db(fields=["centre", "merged_into"])
    if not reach.treats(patient.centre_id):
        raise FieldProblem("", _("somebody who treats in the patient's centre asks for it"))
    if patient.merged_into_id is not None:
        raise FieldProblem("", _("this record was merged into another one"))


def _check_may_take(patient: Patient, into: Patient) -> None:
    if into.pk == patient.pk:
        raise FieldProblem("into", _("is the same record"))
    into.refresh_from_db(fields=["centre", "merged_into"])
    if into.centre_id != patient.centre_id:
        raise FieldProblem("into", _("is of another centre; transfer one of the records first"))
    if into.merged_into_id is not None:
        raise FieldProblem("into", _("was merged into another record itself"))


def _check_name_is_free(centre: Centre, patient: Patient, patient_id: str) -> None:
    """Says no more of the other centre than that the name cannot be used."""
    name = patient_id or patient.patient_id
    if Patient.objects.filter(centre=centre).filter(Q(patient_id=name) | Q(look=look_of(name))).exists():
        raise FieldProblem("patient_id", _("cannot be used in that centre; choose another pseudonym"))


# --- moving ----------------------------------------------------------------------------------------------------------


def _transfer(patient: Patient, centre: Centre, patient_id: str, now: dt.datetime) -> dict[str, Any]:
    _check_name_is_free(centre, patient, patient_id)
    before = patient.patient_id
    patient.centre = centre
    patient.patient_id = patient_id or before
    patient.look = look_of(patient.patient_id)
    patient.save(update_fields=["centre", "patient_id", "look"])
    leave_hospital(patient)
    live = list(Alert.objects.select_for_update().filter(patient=patient, state__in=LIVE_STATES).order_by("pk"))
    Alert.objects.filter(patient=patient).update(centre=centre, hand_over=None)
    for alert in live:
        alert.centre, alert.hand_over, alert.round = centre, None, alert.round + 1
    Alert.objects.bulk_update(live, ["round"])
    escalation.begin(live, now=now)  # the people there hear of it at once
    request_classification({patient.pk}, bulk=False)
    return {"patient_id": before}


def _merge(patient: Patient, into: Patient, reason: str, by: User, now: dt.datetime) -> dict[str, Any]:
    moved: dict[str, Any] = {
        **_give_rows(patient, into, reason, by, now),
        "filled": [],
        "pointers": list(Patient.objects.filter(merged_into=patient).values_list("pk", flat=True)),
        "identity": adopt_identity(patient, into),
    }
    for name in FACTS:
        if is_empty(value_of(into, name)) and not is_empty(value := value_of(patient, name)):
            put(into, name, value)
            moved["filled"].append(name)
    into.save()
    Patient.objects.filter(pk__in=[*moved["pointers"], patient.pk]).update(merged_into=into)
    request_classification({patient.pk, into.pk}, bulk=False)
    return moved


def _give_rows(patient: Patient, into: Patient, reason: str, by: User, now: dt.datetime) -> dict[str, list[Any]]:
    """Give results, courses and observations to the other record; returns which of each went."""
    why = _("record of %(patient)s merged: %(reason)s") % {"patient": patient.patient_id, "reason": reason}
    return {
        "results": [str(one) for one in _give_results(patient, into, why, by, now)],
        "courses": _give(TkiCourse.objects.filter(patient=patient), into, ("drug", "started_on")),
        "observations": _give(Observation.objects.filter(patient=patient), into, ("kind", "observed_on")),
    }


def _give_results(
    patient: Patient, into: Patient, why: str, by: User, now: dt.datetime, only: Collection[str] | None = None
) -> list[Any]:
    """Give the standing results of one record to the other: a new version each, of the same content and status."""
    rows = PcrResult.objects.filter(patient=patient, superseded_by__isnull=True).order_by("pk")
    if only is not None:
        rows = rows.filter(public_id__in=list(only))
    results = list(rows)
    if not results:
        return []
    versions = versions_of_each(results)
    insert_versions([_given(row, versions[row.public_id], into, why) for row in results], by, now)
    return [row.public_id for row in results]


def _given(row: PcrResult, versions: Sequence[Any], into: Patient, why: str) -> Insertion:
    standing = versions[-1]
    report = dataclasses.replace(standing.report, reason=why[:500])
    return Insertion(row.public_id, report, into.pk, row.laboratory_id, row.version + 1, standing)


def _give(rows: Any, into: Patient, key: tuple[str, str]) -> list[int]:
    """Give rows to the other record, but those that it has itself; returns the ids of those that went."""
    there = set(rows.model.objects.filter(patient=into).values_list(*key))
    going = [row for row in rows.select_for_update().order_by("pk") if tuple(getattr(row, n) for n in key) not in there]
    rows.model.objects.filter(pk__in=[row.pk for row in going]).update(patient=into)
    return [row.pk for row in going]


def move_back(change: RecordChange, *, reason: str, by: User, now: dt.datetime) -> None:
    """Give back what a merge moved, in the caller's transaction."""
    assert change.into_id is not None
    rows = Patient.objects.select_for_update().order_by("pk").in_bulk([change.patient_id, change.into_id])
    patient, into = rows[change.patient_id], rows[change.into_id]
    moved = change.moved
    why = _("merge of %(patient)s undone: %(reason)s") % {"patient": patient.patient_id, "reason": reason}
    _give_results(into, patient, why, by, now, only=moved["results"])
    for model, name in ((TkiCourse, "courses"), (Observation, "observations")):
        model.objects.filter(pk__in=moved[name], patient=into).update(patient=patient)
    for name in moved["filled"]:
        if value_of(into, name) == value_of(patient, name):
            put(into, name, None)
    into.save()
    if moved["identity"]:
        return_identity(patient, into)
    Patient.objects.filter(pk__in=[*moved["pointers"], patient.pk]).update(merged_into=None)
    Patient.objects.filter(pk__in=moved["pointers"]).update(merged_into=patient)
    request_classification({patient.pk, into.pk}, bulk=False)
