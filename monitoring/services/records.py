"""Recording patients, courses and observations: rows that may change, each change with its author in the history.

The three kinds share one rule: the same facts change nothing, facts that fill an empty cell complete the row, facts
that contradict it are refused unless a reason for the amendment is given.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from django.contrib.auth.models import User
from django.db import models, transaction
from django.utils.translation import gettext as _

from monitoring.domain.dates import PartialDate, Precision
from monitoring.domain.series import FactKind
from monitoring.models import Centre, Observation, Patient, TkiCourse
from monitoring.selectors.patients import Birth, birth_of, born_alike
from monitoring.services.actors import recorded_as
from monitoring.services.identities import Identities, IdentityFacts
from monitoring.services.owed import owe_classification
from monitoring.services.verdicts import COLUMN_OF, Action, Problem, Verdict, contradiction, difference, is_empty

Row = TypeVar("Row", Patient, TkiCourse, Observation)

PATIENT_DATES = ("born_on", "diagnosed_on", "first_mmr_on", "first_dmr_on")
COURSE_DATES = ("started_on", "stopped_on")
# Dates that carry a precision in a column of their own.
PRECISION_OF = {
    "born_on": "born_precision",
    "diagnosed_on": "diagnosed_precision",
    "first_mmr_on": "first_mmr_precision",
    "first_dmr_on": "first_dmr_precision",
    "started_on": "started_precision",
    "stopped_on": "stopped_precision",
    "observed_on": "observed_precision",
}


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
    now: dt.datetime,
    amend_reason: str = "",
    bulk: bool = False,
    dry_run: bool = False,
) -> list[Verdict]:
    """Store patients, one verdict each; centres named for the first time are created."""
    with transaction.atomic(), recorded_as(by.get_username(), amend_reason):
        centres = centres_by_code({f.centre for f in facts}, create=not dry_run)
        stored = {
            (p.centre.code, p.patient_id): p
            for p in Patient.objects.filter(
                centre__in=centres.values(), patient_id__in={f.patient_id for f in facts}
            ).select_related("centre")
        }

        def fresh(f: PatientFacts) -> Patient:
            return Patient(
                centre=centres.get(f.centre) or Centre(code=f.centre), patient_id=f.patient_id, recorded_at=now
            )

        identities = Identities(facts, stored.values(), amend_reason)
        outcome = _reconcile(
            facts, stored, key=lambda f: (f.centre, f.patient_id), fresh=fresh, values=lambda f: f.values,
            amend_reason=amend_reason,
            check=lambda f, row: identities.problem(f, row) or _not_yet(row, now, PATIENT_DATES) or _patient_in_order(row),
        )  # fmt: skip
        for position, (f, row) in enumerate(zip(facts, outcome.rows, strict=True)):
            if row is not None and identities.take(f, row) and outcome.verdicts[position].action is Action.UNCHANGED:
                outcome.verdicts[position] = Verdict(Action.COMPLETED, id=row.pk)
        _note_doubles(outcome.verdicts, outcome.rows)
        if not dry_run:
            _write(Patient, outcome)
            identities.store()
            owe_classification({row.pk for row in outcome.changed}, bulk=bulk)
        return outcome.verdicts


def _note_doubles(verdicts: list[Verdict], rows: Sequence[Patient | None]) -> None:
    """A word beside each new patient who is probably known in this centre under another id; nothing is refused."""
    fresh = {
        position: birth
        for position, row in enumerate(rows)
        if row is not None and verdicts[position].action is Action.CREATED and (birth := birth_of(row)) is not None
    }
    if not fresh:
        return
    known: dict[tuple[int, Birth | None], str] = {}
    for other in born_alike(set(fresh.values())).order_by("-pk"):
        known[other.centre_id, birth_of(other)] = other.patient_id
    for position, birth in fresh.items():
        row = rows[position]
        assert row is not None
        other_id = known.get((row.centre_id, birth))
        if other_id is not None and other_id != row.patient_id:
            said = {"patient": row.patient_id, "other": other_id}
            note = _("%(patient)s has the sex, birth and diagnosis of %(other)s: one person twice?") % said
            verdicts[position] = dataclasses.replace(verdicts[position], notes=(note,))


def record_courses(
    facts: Sequence[CourseFacts],
    *,
    by: User,
    now: dt.datetime,
    amend_reason: str = "",
    bulk: bool = False,
    dry_run: bool = False,
) -> list[Verdict]:
    """Store courses of drugs, one verdict each."""
    with transaction.atomic(), recorded_as(by.get_username(), amend_reason):
        stored = {
            (c.patient_id, c.drug, _get(c, "started_on").as_imputed): c
            for c in TkiCourse.objects.filter(patient__in={f.patient.pk for f in facts})
        }
        outcome = _reconcile(
            facts, stored, key=lambda f: (f.patient.pk, f.drug, f.started_on.as_imputed),
            fresh=lambda f: TkiCourse(
                patient=f.patient, drug=f.drug, started_on=f.started_on.on,
                started_precision=f.started_on.precision.value, recorded_at=now,
            ),
            values=lambda f: {"started_on": f.started_on, **f.values}, amend_reason=amend_reason,
            check=lambda f, row: (
                _not_yet(row, now, COURSE_DATES) or _before_birth(row, f.patient, "started_on") or _course_in_order(row)
            ),
        )  # fmt: skip
        if not dry_run:
            _write(TkiCourse, outcome)
            owe_classification({row.patient_id for row in (*outcome.created, *outcome.changed)}, bulk=bulk)
        return outcome.verdicts


def record_observations(
    facts: Sequence[ObservationFacts],
    *,
    by: User,
    now: dt.datetime,
    amend_reason: str = "",
    bulk: bool = False,
    dry_run: bool = False,
) -> list[Verdict]:
    """Store observations, one verdict each."""
    with transaction.atomic(), recorded_as(by.get_username(), amend_reason):
        stored = {
            (o.patient_id, o.kind, _get(o, "observed_on").as_imputed): o
            for o in Observation.objects.filter(patient__in={f.patient.pk for f in facts})
        }
        deaths = {o.patient_id: o for o in stored.values() if o.kind == FactKind.DEATH}
        outcome = _reconcile(
            facts, stored, key=lambda f: (f.patient.pk, f.kind, f.observed_on.as_imputed),
            fresh=lambda f: Observation(
                patient=f.patient, kind=f.kind, observed_on=f.observed_on.on,
                observed_precision=f.observed_on.precision.value, recorded_at=now,
            ),
            values=lambda f: {"observed_on": f.observed_on, **f.values}, amend_reason=amend_reason,
            check=lambda f, row: (
                _not_yet(row, now, ("observed_on",))
                or _before_birth(row, f.patient, "observed_on")
                or _second_death(row, deaths)
            ),
        )  # fmt: skip
        if not dry_run:
            _write(Observation, outcome)
            owe_classification({row.patient_id for row in (*outcome.created, *outcome.changed)}, bulk=bulk)
        return outcome.verdicts


def change(row: Row, values: dict[str, Any], *, by: User, reason: str, now: dt.datetime) -> Problem | None:
    """Change one stored row, which the caller has locked; None in ``values`` empties a field.

    What contradicts a stored value needs a reason. Returns why nothing was stored, or None.
    """
    before = {name: _get(row, name) for name in values}
    changed = [name for name, value in values.items() if not _same(before[name], value)]
    if not changed:
        return None
    overwritten = next((name for name in changed if not is_empty(before[name])), None)
    if overwritten is not None and not reason:
        said = {"column": COLUMN_OF.get(overwritten, overwritten), "value": before[overwritten]}
        return Problem("reason", "", _("%(column)s is %(value)s by now; say why it changes") % said)
    for name in changed:
        _set(row, name, values[name])
    problem = _CHECKS[type(row)](row, now)
    if problem is not None:
        return problem
    with transaction.atomic(), recorded_as(by.get_username(), reason):
        row.save()
        owe_classification([row.pk if isinstance(row, Patient) else row.patient_id], bulk=False)
    return None


def _same(stored: Any, given: Any) -> bool:
    return stored == given or (is_empty(stored) and is_empty(given))


def _check_patient(row: Patient, now: dt.datetime) -> Problem | None:
    return _not_yet(row, now, PATIENT_DATES) or _patient_in_order(row)


def _check_course(row: TkiCourse, now: dt.datetime) -> Problem | None:
    return _not_yet(row, now, COURSE_DATES) or _before_birth(row, row.patient, "started_on") or _course_in_order(row)


def _check_observation(row: Observation, now: dt.datetime) -> Problem | None:
    deaths = {
        o.patient_id: o
        for o in Observation.objects.filter(patient=row.patient_id, kind=FactKind.DEATH).exclude(pk=row.pk)
    }
    return (
        _not_yet(row, now, ("observed_on",))
        or _before_birth(row, row.patient, "observed_on")
        or _second_death(row, deaths)
    )


_CHECKS: dict[type, Callable[[Any, dt.datetime], Problem | None]] = {
    Patient: _check_patient,
    TkiCourse: _check_course,
    Observation: _check_observation,
}


def centres_by_code(codes: set[str], *, create: bool) -> dict[str, Centre]:
    """Centres by code; unknown ones are created when asked for."""
    found = {c.code: c for c in Centre.objects.filter(code__in=codes)}
    if create and codes - found.keys():
        Centre.objects.bulk_create([Centre(code=code) for code in sorted(codes - found.keys())], ignore_conflicts=True)
        found = {c.code: c for c in Centre.objects.filter(code__in=codes)}
    return found


# --- the shared rule ---------------------------------------------------------------------------------------------

AnyFacts = TypeVar("AnyFacts", PatientFacts, CourseFacts, ObservationFacts)


@dataclass
class _Outcome(Generic[Row]):
    verdicts: list[Verdict] = field(default_factory=list)
    rows: list[Row | None] = field(default_factory=list)
    created: list[Row] = field(default_factory=list)
    changed: list[Row] = field(default_factory=list)


def _reconcile(
    facts: Sequence[AnyFacts],
    stored: dict[Any, Row],
    *,
    key: Callable[[AnyFacts], Hashable],
    fresh: Callable[[AnyFacts], Row],
    values: Callable[[AnyFacts], dict[str, Any]],
    amend_reason: str,
    check: Callable[[AnyFacts, Row], Problem | None] | None = None,
) -> _Outcome[Row]:
    """Compare facts with stored rows in order; a key met twice is compared with what the first made of it."""
    outcome: _Outcome[Row] = _Outcome()
    for one in facts:
        row = stored.get(key(one))
        given = values(one)
        is_new = row is None
        if row is None:
            row = fresh(one)
        found = difference({name: _get(row, name) for name in given}, given)
        if found.contradicted and not amend_reason:
            outcome.verdicts.append(contradiction(found))
            outcome.rows.append(None)
            continue
        before = {name: _get(row, name) for name in given}
        for name, value in {**found.filled, **{n: new for n, (_old, new) in found.contradicted.items()}}.items():
            _set(row, name, value)
        problem = check(one, row) if check else None
        if problem is not None:
            for name, value in before.items():
                _set(row, name, value)
            outcome.verdicts.append(Verdict(Action.REFUSED, (problem,)))
            outcome.rows.append(None)
            continue
        stored[key(one)] = row
        outcome.rows.append(row)
        outcome.verdicts.append(Verdict(_action(is_new, bool(found.filled), bool(found.contradicted)), id=row.pk))
        if is_new:
            outcome.created.append(row)
        elif not found.is_none and row.pk is not None:
            outcome.changed.append(row)
    return outcome


def _action(is_new: bool, filled: bool, contradicted: bool) -> Action:
    if is_new:
        return Action.CREATED
    if contradicted:
        return Action.AMENDED
    return Action.COMPLETED if filled else Action.UNCHANGED


def _get(row: models.Model, name: str) -> Any:
    value = getattr(row, name)
    if name in PRECISION_OF and value is not None:
        return PartialDate(value, Precision(getattr(row, PRECISION_OF[name])))
    return value


def _set(row: models.Model, name: str, value: Any) -> None:
    if name in PRECISION_OF:
        setattr(row, name, value.on if value else None)
        setattr(row, PRECISION_OF[name], value.precision.value if value else Precision.DAY.value)
    else:
        text = isinstance(row._meta.get_field(name), models.CharField)
        setattr(row, name, "" if value is None and text else value)


def _write(model: type[Row], outcome: _Outcome[Row]) -> None:
    model._default_manager.bulk_create(outcome.created, batch_size=1000)
    if outcome.changed:
        names = [f.name for f in model._meta.concrete_fields if not f.primary_key]
        model._default_manager.bulk_update(list(dict.fromkeys(outcome.changed)), names, batch_size=500)


def _not_yet(row: models.Model, now: dt.datetime, names: Sequence[str]) -> Problem | None:
    """Nothing is recorded before it happened; a day is left for time zones."""
    tomorrow = now.date() + dt.timedelta(days=1)
    for name in names:
        value = _get(row, name)
        if value is None:
            continue
        if value.earliest > tomorrow:
            return Problem(
                COLUMN_OF.get(name, name), str(value), _("this day has not come yet; check day, month and year")
            )
        _set(row, name, value.within(latest=now.date()))  # a partly known day lies before today
    return None


def _before_birth(row: models.Model, patient: Patient, name: str) -> Problem | None:
    born, value = _get(patient, "born_on"), _get(row, name)
    if born is not None and value.latest < born.earliest:
        reason = _("lies before the birth of the patient (%(born)s); check the date or the id") % {"born": born}
        return Problem(name, str(value), reason)
    return None


def _second_death(row: Observation, deaths: dict[int, Observation]) -> Problem | None:
    """A person dies once; ``deaths`` learns of each death that passes."""
    if row.kind != FactKind.DEATH:
        return None
    known = deaths.setdefault(row.patient_id, row)
    if known is not row:
        reason = _("the death on %(day)s is on record already") % {"day": known.observed_on}
        return Problem("observed_on", str(row.observed_on), reason)
    return None


def _patient_in_order(row: Patient) -> Problem | None:
    born, diagnosed = _get(row, "born_on"), _get(row, "diagnosed_on")
    if born is not None and diagnosed is not None and diagnosed.latest < born.earliest:
        return Problem("diagnosed_on", str(diagnosed), _("lies before the birth (%(born)s)") % {"born": born})
    return None


def _course_in_order(row: TkiCourse) -> Problem | None:
    """Bring partly known dates into the known order, then refuse what still contradicts it."""
    started, stopped = _get(row, "started_on"), _get(row, "stopped_on")
    if stopped is None:
        if not row.stop_reason:
            return None
        return Problem("stop_reason", row.stop_reason, _("a reason needs the day of the stop in stopped_on"))
    stopped = stopped.within(earliest=started.on)
    _set(row, "stopped_on", stopped)
    _set(row, "started_on", started.within(latest=stopped.on))
    if row.stopped_on is not None and row.stopped_on < row.started_on:
        return Problem("stopped_on", str(stopped), _("lies before the start on %(day)s") % {"day": started})
    return None
