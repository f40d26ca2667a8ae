"""Facts compared with rows that may change in place: the one rule of patients, courses and observations.

The same facts change nothing, facts that fill an empty cell complete the row, facts that contradict it are refused
unless a reason for the amendment is given.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from django.db import models

from monitoring.domain.vocabulary.dates import PartialDate, Precision
from monitoring.models import Observation, Patient, TkiCourse
from monitoring.services.entry.reach import not_treating
from monitoring.services.entry.verdicts import COLUMN_OF, Problem, RowOutcome, Verdict, contradiction, difference

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

AnyFacts = TypeVar("AnyFacts")
Row = TypeVar("Row", Patient, TkiCourse, Observation)


@dataclass
class Reconciled(Generic[Row]):
    """A verdict and a row (None where refused) for each of the facts, and the rows to be written."""

    verdicts: list[Verdict] = field(default_factory=list)
    rows: list[Row | None] = field(default_factory=list)
    created: list[Row] = field(default_factory=list)
    changed: list[Row] = field(default_factory=list)


def reconcile(
    facts: Sequence[AnyFacts],
    stored: dict[Any, Row],
    *,
    key: Callable[[AnyFacts], Hashable],
    fresh: Callable[[AnyFacts], Row],
    values: Callable[[AnyFacts], dict[str, Any]],
    amend_reason: str,
    barred: Callable[[AnyFacts], Problem | None],
    normalise: Callable[[Row], None],
    check: Callable[[AnyFacts, Row], Problem | None],
    treats: Callable[[AnyFacts], bool] | None = None,
    passed: Callable[[Row], None] = lambda _row: None,
) -> Reconciled[Row]:
    """Compare facts with stored rows in order; a key met twice is compared with what the first made of it.

    ``normalise`` brings a row into the form that is stored, and then ``check``, which writes nothing, refuses it or
    not; ``passed`` learns of each row that was not refused.

    Who is ``barred`` from a row is told so before anything is said of what stands there.
    """
    outcome: Reconciled[Row] = Reconciled()

    def refuse(verdict: Verdict) -> None:
        outcome.verdicts.append(verdict)
        outcome.rows.append(None)

    for fact in facts:
        if problem := barred(fact):
            refuse(Verdict(RowOutcome.REFUSED, (problem,)))
            continue
        known = stored.get(key(fact))
        row: Row = fresh(fact) if known is None else known
        given: dict[str, Any] = values(fact)
        differs = difference(_values_of(row, given), given)
        if differs.contradicted and not amend_reason:
            refuse(contradiction(differs))
            continue
        if differs.contradicted and treats is not None and not treats(fact):
            problems = [not_treating(COLUMN_OF.get(n, n), str(new)) for n, (_old, new) in differs.contradicted.items()]
            refuse(Verdict(RowOutcome.REFUSED, tuple(problems)))
            continue
        before = _values_of(row, [*given, *_dates_of(row)])
        for name, value in {**differs.filled, **{n: new for n, (_old, new) in differs.contradicted.items()}}.items():
            put(row, name, value)
        normalise(row)
        problem = check(fact, row)
        if problem is not None:
            for name, value in before.items():
                put(row, name, value)
            refuse(Verdict(RowOutcome.REFUSED, (problem,)))
            continue
        confirms = treats is not None and treats(fact) and _confirm(row)
        stored[key(fact)] = row
        passed(row)
        outcome.rows.append(row)
        action = _action(known is None, bool(differs.filled) or confirms, bool(differs.contradicted))
        outcome.verdicts.append(Verdict(action, id=row.pk))
        if known is None:
            outcome.created.append(row)
        elif action is not RowOutcome.UNCHANGED and row.pk is not None:
            outcome.changed.append(row)
    return outcome


def _confirm(row: Patient | TkiCourse | Observation) -> bool:
    """Take a row of a treatment as recorded by somebody who treats; returns whether it was not before."""
    if isinstance(row, Patient) or row.is_confirmed:
        return False
    row.is_confirmed = True
    return True


def _action(is_new: bool, filled: bool, contradicted: bool) -> RowOutcome:
    if is_new:
        return RowOutcome.CREATED
    if contradicted:
        return RowOutcome.AMENDED
    return RowOutcome.COMPLETED if filled else RowOutcome.UNCHANGED


def _values_of(row: models.Model, names: Iterable[str]) -> dict[str, Any]:
    return {name: value_of(row, name) for name in names}


def _dates_of(row: models.Model) -> list[str]:
    return [name for name in PRECISION_OF if hasattr(row, name)]


def value_of(row: models.Model, name: str) -> Any:
    """A field of a row, a partly known date with its precision."""
    value = getattr(row, name)
    if name in PRECISION_OF and value is not None:
        return PartialDate(value, Precision(getattr(row, PRECISION_OF[name])))
    return value


def put(row: models.Model, name: str, value: Any) -> None:
    """Set a field of a row, a partly known date with its precision; None empties it."""
    if name in PRECISION_OF:
        setattr(row, name, value.on if value else None)
        setattr(row, PRECISION_OF[name], value.precision.value if value else Precision.DAY.value)
    else:
        text = isinstance(row._meta.get_field(name), models.CharField)
        setattr(row, name, "" if value is None and text else value)


def write(model: type[Row], outcome: Reconciled[Row]) -> None:
    """Store the rows that were made or changed."""
    model._default_manager.bulk_create(outcome.created, batch_size=1000)
    if outcome.changed:
        names = [f.name for f in model._meta.concrete_fields if not f.primary_key]
        model._default_manager.bulk_update(list(dict.fromkeys(outcome.changed)), names, batch_size=500)
