"""What is owed: a patient whose facts changed is owed a classification, and says so in the same transaction."""

from __future__ import annotations

from collections.abc import Iterable

from monitoring.models import ClassificationRequest
from monitoring.services.bulk import copy_rows
from tasks import hints


def owe_classification(patient_ids: Iterable[int], *, bulk: bool) -> None:
    """Write that these patients are owed a classification, and hint to a worker after commit."""
    owed = sorted(set(patient_ids))
    if not owed:
        return
    copy_rows(
        ClassificationRequest, ["patient_id", "bulk", "attempts", "last_error"], ((pk, bulk, 0, "") for pk in owed)
    )
    if bulk:
        hints.after_commit(hints.CLASSIFY_OWED)
    else:
        for pk in owed:
            hints.after_commit(hints.CLASSIFY_PATIENT, pk)
