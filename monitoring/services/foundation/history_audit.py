"""Whether the history of every tracked row is whole: its first version, and as the last what stands now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pghistory.models
from django.apps import apps
from django.db import connection, models


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One thing that is not as it must be, and of whom: a patient, a centre, or the name of a table and row."""

    patient: str
    what: str


def check_histories() -> Iterator[Discrepancy]:
    """Every row whose history lacks its beginning, or ends with something else than what stands."""
    for event in apps.get_models():
        if issubclass(event, pghistory.models.Event):
            tracked = event._meta.get_field("pgh_obj").related_model
            if isinstance(tracked, type) and issubclass(tracked, models.Model):
                yield from _check(tracked, event)


def _check(tracked: type[models.Model], event: type[models.Model]) -> Iterator[Discrepancy]:
    kept = [f.column for f in event._meta.concrete_fields if not f.column.startswith("pgh_")]
    table, history, key = tracked._meta.db_table, event._meta.db_table, tracked._meta.pk.column
    standing, last = (", ".join(f'{row}."{column}"' for column in kept) for row in ("t", "e"))
    begins = f"select 1 from {history} b where b.pgh_obj_id = t.{key} and b.pgh_label = 'insert'"  # noqa: S608  # names of tables
    last_of = f"select * from {history} h where h.pgh_obj_id = t.{key} order by h.pgh_id desc limit 1"  # noqa: S608  # the same
    with connection.cursor() as cursor:
        cursor.execute(
            f"select t.{key}, e.pgh_id is null or not exists ({begins})"  # noqa: S608  # names of tables
            f" from {table} t left join lateral ({last_of}) e on true"
            f" where e.pgh_id is null or ({standing}) is distinct from ({last}) or not exists ({begins})"
            f" order by t.{key}"
        )
        found = cursor.fetchall()
    for pk, lacks_beginning in found:
        what = "lacks its beginning" if lacks_beginning else "ends with another version than what stands"
        yield Discrepancy(_whose(tracked, pk), f"the history of {table} {pk} {what}")


def _whose(tracked: type[models.Model], pk: int) -> str:
    """The patient of a row, or its table where it has none."""
    row: Any = tracked._default_manager.get(pk=pk)
    patient = row if hasattr(row, "patient_id") and isinstance(row.patient_id, str) else getattr(row, "patient", None)
    return f"{patient.centre.code}/{patient.patient_id}" if patient is not None else tracked._meta.model_name or "-"
