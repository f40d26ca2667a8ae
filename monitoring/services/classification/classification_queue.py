"""What is owed: a patient whose facts changed is owed a classification, and says so in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

from tasks import hints

_OWE = """
insert into monitoring_classificationrequest (patient_id, bulk, attempts, last_error)
select patient_id, %s, 0, '' from unnest(%s::bigint[]) patient_id
"""


def owe_classification(patient_ids: Iterable[int], *, bulk: bool) -> None:
    """Write that these patients are owed a classification, and hint to a worker after commit."""
    owed = sorted(set(patient_ids))
    if not owed:
        return
    with connection.cursor() as cursor:
        cursor.execute(_OWE, [bulk, owed])
    if bulk:
        hints.after_commit(hints.CLASSIFY_OWED)
    else:
        for pk in owed:
            hints.after_commit(hints.CLASSIFY_PATIENT, pk)
