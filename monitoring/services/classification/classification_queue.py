"""Pending patients: whoever's facts change is written down as pending in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

from tasks import hints

_REQUEST = """
insert into monitoring_classificationrequest (patient_id, bulk, by_rules, attempts, last_error)
select patient_id, %s, %s, 0, '' from unnest(%s::bigint[]) patient_id
"""


def request_classification(patient_ids: Iterable[int], *, bulk: bool, by_rules: bool = False) -> None:
    """Write that these patients are pending, and hint to a worker after commit.

    ``by_rules``: rules or settings have changed. Alerts that only this raises become one hand-over of each centre.
    """
    pending = sorted(set(patient_ids))
    if not pending:
        return
    with connection.cursor() as cursor:
        cursor.execute(_REQUEST, [bulk, by_rules, pending])
    if bulk:
        hints.after_commit(hints.CLASSIFY_OWED)
    else:
        for pk in pending:
            hints.after_commit(hints.CLASSIFY_PATIENT, pk)
