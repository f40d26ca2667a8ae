"""Recording patients, courses and observations: rows that may change, each change with its author in the history.

The three kinds share one rule: the same facts change nothing, facts that fill an empty cell complete the row, facts
that contradict it are refused unless a reason for the amendment is given.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.db import models, transaction
from django.utils.translation import gettext as _

from monitoring.domain.course.series import FactKind
from monitoring.domain.text.lookalike import look_of
from monitoring.domain.vocabulary.dates import PartialDate
from monitoring.models import Centre, Observation, Patient, TkiCourse
from monitoring.selectors.patients import Birth, birth_of, born_alike
from monitoring.services.classification.classification_queue import request_classification
from monitoring.services.entry.identities import Identities, IdentityFacts
from monitoring.services.entry.reach import Reach, alike, centre_out_of_reach, not_treating, patient_out_of_reach
from monitoring.services.entry.reconciling import Row, put, reconcile, value_of, write
from monitoring.services.entry.verdicts import COLUMN_OF, Problem, RowOutcome, Verdict, is_empty
from monitoring.services.foundation.actors import recorded_as

PATIENT_DATES = ("born_on", "diagnosed_on", "first_mmr_on", "first_dmr_on")
COURSE_DATES = ("started_on", "stopped_on")
OBSERVATION_DATES = ("observed_on",)


@dataclass(frozen=True, slots=True)
class PatientFacts:
    """What a door says of one patient; ``values`` by field name, None or an empty text for not known."""

    centre: str
    patient_id: str
    values: dict[str, Any]
    identity: IdentityFacts = field(default_factory=IdentityFacts)


@dataclass(frozen=True, slots=True)
class CourseFacts:
    """What a door says of one course of a drug."""

    patient: Patient
    drug: str
    started_on: PartialDate
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ObservationFacts:
    """What a door says of one observation."""

    patient: Patient
    kind: str
    observed_on: PartialDate
    values: dict[str, Any]


def record_patients(
    facts: Sequence[PatientFacts],
    *,
    by: User,
    reach: Reach,
    now: dt.datetime,
    amend_reason: str = "",
    bulk: bool = False,
    dry_run: bool = False,
) -> list[Verdict]:
    """Store patients, one verdict each; centres that the operator names for the first time are created."""
    with transaction.atomic(), recorded_as(by.get_username(), amend_reason):
        centre_twins = _centre_twins({f.centre for f in facts}) if reach.is_operator else {}
        wanted = {f.centre for f in facts} - centre_twins.keys()
        centres = centres_by_code(wanted, create=reach.is_operator and not dry_run)
        stored = {
            (p.centre.code, p.patient_id): p
            for p in Patient.objects.filter(
                centre__in=centres.values(), patient_id__in={f.patient_id for f in facts}
            ).select_related("centre", "merged_into")
        }

        def fresh(f: PatientFacts) -> Patient:
            return Patient(
                centre=centres.get(f.centre) or Centre(code=f.centre), patient_id=f.patient_id, recorded_at=now
            )

        within = {code: centre for code, centre in centres.items() if reach.covers(centre.pk)}
        looks = _known_looks(facts, within)

        def barred(f: PatientFacts) -> Problem | None:
            if f.centre in centre_twins:
                return alike("centre", f.centre, centre_twins[f.centre])
            if not reach.is_operator and f.centre not in within:
                return centre_out_of_reach(f.centre)
            standing = stored.get((f.centre, f.patient_id))
            if standing is not None and (problem := merged_away(standing)):
                return problem
            known = looks.setdefault((f.centre, look_of(f.patient_id)), f.patient_id)
            if known != f.patient_id and (f.centre, f.patient_id) not in stored:
                return alike("patient_id", f.patient_id, known)
            return None

        identities = Identities([f for f in facts if not barred(f)], stored.values(), amend_reason)
        outcome = reconcile(
            facts, stored, key=lambda f: (f.centre, f.patient_id), fresh=fresh, values=lambda f: f.values,
            amend_reason=amend_reason, barred=barred, normalise=lambda row: _normalise(row, now),
            check=lambda f, row: (
                identities.problem(f, row) or _not_yet(row, now, PATIENT_DATES) or _patient_in_order(row)
            ),
        )  # fmt: skip
        for position, (f, row) in enumerate(zip(facts, outcome.rows, strict=True)):
            if (
                row is not None
                and identities.take(f, row)
                and outcome.verdicts[position].action is RowOutcome.UNCHANGED
            ):
                outcome.verdicts[position] = Verdict(RowOutcome.COMPLETED, id=row.pk)
        _note_doubles(outcome.verdicts, outcome.rows)
        if not dry_run:
            write(Patient, outcome)
            identities.store()
            request_classification({row.pk for row in outcome.changed}, bulk=bulk)
        return outcome.verdicts


def _known_looks(facts: Sequence[PatientFacts], centres: dict[str, Centre]) -> dict[tuple[str, str], str]:
    """The patients of these centres that look like one of the named: centre and look to the id that is known."""
    alike_rows = Patient.objects.filter(centre__in=centres.values(), look__in={look_of(f.patient_id) for f in facts})
    return {(code, look): known for code, look, known in alike_rows.values_list("centre__code", "look", "patient_id")}


def _note_doubles(verdicts: list[Verdict], rows: Sequence[Patient | None]) -> None:
    """A word beside each new patient who is probably known already, stored or in the same file; nothing is refused."""
    fresh = {
        position: birth
        for position, row in enumerate(rows)
        if row is not None and verdicts[position].action is RowOutcome.CREATED and (birth := birth_of(row)) is not None
    }
    if not fresh:
        return
    known: dict[Birth | None, dict[int | None, str]] = defaultdict(dict)  # by birth and centre
    for other in born_alike(set(fresh.values())).order_by("-pk"):
        known[birth_of(other)][other.centre_id] = other.patient_id
    for position, birth in fresh.items():
        row = rows[position]
        assert row is not None
        alike_in = known[birth]
        other_id = alike_in.get(row.centre_id)
        shown = {"patient": row.patient_id, "other": other_id}
        note = ""
        if other_id is not None and other_id != row.patient_id:
            note = _("%(patient)s has the sex, birth and diagnosis of %(other)s: one person twice?") % shown
        elif other_id is None and alike_in:  # whose, another centre does not learn
            note = (
                _("%(patient)s has the sex, birth and diagnosis of a patient of another centre: one person twice?")
                % shown
            )
        if note:
            verdicts[position] = dataclasses.replace(verdicts[position], notes=(note,))
        alike_in.setdefault(row.centre_id, row.patient_id)


def record_courses(
    facts: Sequence[CourseFacts],
    *,
    by: User,
    reach: Reach,
    now: dt.datetime,
    amend_reason: str = "",
    bulk: bool = False,
    dry_run: bool = False,
) -> list[Verdict]:
    """Store courses of drugs, one verdict each; of a writer who does not treat they end no alert until confirmed."""
    with transaction.atomic(), recorded_as(by.get_username(), amend_reason):
        stored = {
            (c.patient_id, c.drug, value_of(c, "started_on").as_imputed): c
            for c in TkiCourse.objects.filter(patient__in={f.patient.pk for f in facts})
        }
        outcome = reconcile(
            facts, stored, key=lambda f: (f.patient.pk, f.drug, f.started_on.as_imputed),
            fresh=lambda f: TkiCourse(
                patient=f.patient, drug=f.drug, started_on=f.started_on.on,
                started_precision=f.started_on.precision.value, recorded_at=now,
                is_confirmed=reach.treats(f.patient.centre_id),
            ),
            values=lambda f: {"started_on": f.started_on, **f.values}, amend_reason=amend_reason,
            barred=lambda f: _patient_barred(f.patient, reach), treats=lambda f: reach.treats(f.patient.centre_id),
            normalise=lambda row: _normalise(row, now),
            check=lambda f, row: (
                _not_yet(row, now, COURSE_DATES) or _before_birth(row, f.patient, "started_on") or _course_in_order(row)
            ),
        )  # fmt: skip
        if not dry_run:
            write(TkiCourse, outcome)
            request_classification({row.patient_id for row in (*outcome.created, *outcome.changed)}, bulk=bulk)
        return outcome.verdicts


def record_observations(
    facts: Sequence[ObservationFacts],
    *,
    by: User,
    reach: Reach,
    now: dt.datetime,
    amend_reason: str = "",
    bulk: bool = False,
    dry_run: bool = False,
) -> list[Verdict]:
    """Store observations, one verdict each; of a writer who does not treat they end no alert until confirmed."""
    with transaction.atomic(), recorded_as(by.get_username(), amend_reason):
        stored = {
            (o.patient_id, o.kind, value_of(o, "observed_on").as_imputed): o
            for o in Observation.objects.filter(patient__in={f.patient.pk for f in facts})
        }
        deaths = {o.patient_id: o for o in stored.values() if o.kind == FactKind.DEATH}

        def remember(row: Observation) -> None:
            if row.kind == FactKind.DEATH:
                deaths[row.patient_id] = row

        outcome = reconcile(
            facts, stored, key=lambda f: (f.patient.pk, f.kind, f.observed_on.as_imputed),
            fresh=lambda f: Observation(
                patient=f.patient, kind=f.kind, observed_on=f.observed_on.on,
                observed_precision=f.observed_on.precision.value, recorded_at=now,
                is_confirmed=reach.treats(f.patient.centre_id),
            ),
            values=lambda f: {"observed_on": f.observed_on, **f.values}, amend_reason=amend_reason,
            barred=lambda f: _patient_barred(f.patient, reach), treats=lambda f: reach.treats(f.patient.centre_id),
            normalise=lambda row: _normalise(row, now),
            check=lambda f, row: (
                _not_yet(row, now, OBSERVATION_DATES)
                or _before_birth(row, f.patient, "observed_on")
                or _second_death(row, deaths.get(row.patient_id))
            ),
            passed=remember,
        )  # fmt: skip
        if not dry_run:
            write(Observation, outcome)
            request_classification({row.patient_id for row in (*outcome.created, *outcome.changed)}, bulk=bulk)
        return outcome.verdicts


def _patient_barred(patient: Patient, reach: Reach) -> Problem | None:
    return None if reach.covers(patient.centre_id) else patient_out_of_reach(patient.patient_id)


def change(
    row: Row, values: dict[str, Any], *, by: User, reach: Reach, reason: str, now: dt.datetime
) -> Problem | None:
    """Change one stored row, which the caller has locked; None in ``values`` empties a field.

    What contradicts a stored value needs a reason, and of a treatment somebody who treats. Returns why nothing was
    stored, or None.
    """
    patient = row if isinstance(row, Patient) else row.patient
    if not reach.covers(patient.centre_id):
        return patient_out_of_reach(patient.patient_id)
    if problem := merged_away(patient):
        return problem
    before = {name: value_of(row, name) for name in values}
    changed = [name for name, value in values.items() if not _same(before[name], value)]
    if not changed:
        return None
    overwritten = next((name for name in changed if not is_empty(before[name])), None)
    if overwritten is not None and not reason:
        shown = {"column": COLUMN_OF.get(overwritten, overwritten), "value": before[overwritten]}
        return Problem("reason", "", _("%(column)s is %(value)s by now; say why it changes") % shown)
    if not isinstance(row, Patient):
        if overwritten is not None and not reach.treats(patient.centre_id):
            return not_treating(COLUMN_OF.get(overwritten, overwritten), str(values[overwritten] or ""))
        row.is_confirmed |= reach.treats(patient.centre_id)
    for name in changed:
        put(row, name, values[name])
    _normalise(row, now)
    problem = _CHECKS[type(row)](row, now)
    if problem is not None:
        return problem
    with transaction.atomic(), recorded_as(by.get_username(), reason):
        row.save()
        request_classification([row.pk if isinstance(row, Patient) else row.patient_id], bulk=False)
    return None


def merged_away(patient: Patient) -> Problem | None:
    """Why nothing is written to a record that was merged into another one."""
    if patient.merged_into is None:
        return None
    reason = _("is the same person as %(other)s, into whose record it was merged; write about that one")
    return Problem("patient_id", patient.patient_id, reason % {"other": patient.merged_into.patient_id})


def _same(stored: Any, given: Any) -> bool:
    return stored == given or (is_empty(stored) and is_empty(given))


def _check_patient(row: Patient, now: dt.datetime) -> Problem | None:
    return _not_yet(row, now, PATIENT_DATES) or _patient_in_order(row)


def _check_course(row: TkiCourse, now: dt.datetime) -> Problem | None:
    return _not_yet(row, now, COURSE_DATES) or _before_birth(row, row.patient, "started_on") or _course_in_order(row)


def _check_observation(row: Observation, now: dt.datetime) -> Problem | None:
    recorded = Observation.objects.filter(patient=row.patient_id, kind=FactKind.DEATH).exclude(pk=row.pk).first()
    return (
        _not_yet(row, now, OBSERVATION_DATES)
        or _before_birth(row, row.patient, "observed_on")
        or _second_death(row, recorded)
    )


_CHECKS: dict[type, Callable[[Any, dt.datetime], Problem | None]] = {
    Patient: _check_patient,
    TkiCourse: _check_course,
    Observation: _check_observation,
}


def centres_by_code(codes: set[str], *, create: bool) -> dict[str, Centre]:
    """Centres by code; unknown ones are created when asked for."""
    known = {c.code: c for c in Centre.objects.filter(code__in=codes)}
    if create and codes - known.keys():
        Centre.objects.bulk_create([Centre(code=code) for code in sorted(codes - known.keys())], ignore_conflicts=True)
        known = {c.code: c for c in Centre.objects.filter(code__in=codes)}
    return known


def _centre_twins(codes: set[str]) -> dict[str, str]:
    """Which of these new centre codes look like a known centre, or like an earlier one of them, and like which."""
    looks = {look_of(code) for code in codes}
    seen = dict(Centre.objects.filter(look__in=looks).values_list("look", "code"))
    known = set(Centre.objects.filter(code__in=codes).values_list("code", flat=True))
    first = ((code, seen.setdefault(look_of(code), code)) for code in sorted(codes - known))
    return {code: other for code, other in first if other != code}


_DATES: dict[type, Sequence[str]] = {
    Patient: PATIENT_DATES,
    TkiCourse: COURSE_DATES,
    Observation: OBSERVATION_DATES,
}


def _normalise(row: Row, now: dt.datetime) -> None:
    """Move partly known dates as far as their precision allows: not after today, a stop not before its start."""
    for name in _DATES[type(row)]:
        value = value_of(row, name)
        if value is not None:
            put(row, name, value.within(latest=now.date()))
    if isinstance(row, TkiCourse) and row.stopped_on is not None:
        stopped = value_of(row, "stopped_on").within(earliest=row.started_on)
        put(row, "stopped_on", stopped)
        put(row, "started_on", value_of(row, "started_on").within(latest=stopped.on))


def _not_yet(row: models.Model, now: dt.datetime, names: Sequence[str]) -> Problem | None:
    """Nothing is recorded before it happened; a day is left for time zones."""
    tomorrow = now.date() + dt.timedelta(days=1)
    for name in names:
        value = value_of(row, name)
        if value is not None and value.earliest > tomorrow:
            reason = _("this day has not come yet; check day, month and year")
            return Problem(COLUMN_OF.get(name, name), str(value), reason)
    return None


def _before_birth(row: models.Model, patient: Patient, name: str) -> Problem | None:
    born, value = value_of(patient, "born_on"), value_of(row, name)
    if born is not None and value.latest < born.earliest:
        reason = _("lies before the birth of the patient (%(born)s); check the date or the id") % {"born": born}
        return Problem(name, str(value), reason)
    return None


def _second_death(row: Observation, recorded: Observation | None) -> Problem | None:
    """A person dies once; ``recorded`` is the death that stands, if there is one."""
    if row.kind != FactKind.DEATH or recorded is None or recorded is row:
        return None
    reason = _("the death on %(day)s is on record already") % {"day": recorded.observed_on}
    return Problem("observed_on", str(row.observed_on), reason)


def _patient_in_order(row: Patient) -> Problem | None:
    born, diagnosed = value_of(row, "born_on"), value_of(row, "diagnosed_on")
    if born is not None and diagnosed is not None and diagnosed.latest < born.earliest:
        return Problem("diagnosed_on", str(diagnosed), _("lies before the birth (%(born)s)") % {"born": born})
    return None


def _course_in_order(row: TkiCourse) -> Problem | None:
    if row.stopped_on is None:
        if not row.stop_reason:
            return None
        return Problem("stop_reason", row.stop_reason, _("a reason needs the day of the stop in stopped_on"))
    if row.stopped_on < row.started_on:
        shown = {"day": value_of(row, "started_on")}
        return Problem("stopped_on", str(value_of(row, "stopped_on")), _("lies before the start on %(day)s") % shown)
    return None
