"""Settings of laboratories. A setting that decides classes makes their patients owed a classification."""

from __future__ import annotations

from django.db import transaction

from monitoring.models import Assay, ConversionFactor, Laboratory, PcrResult
from monitoring.services.actors import recorded_as
from monitoring.services.owed import owe_classification


def save_setting(row: Laboratory | Assay | ConversionFactor, *, by: str, reason: str = "laboratory setting") -> None:
    """Save a laboratory, an assay or a conversion factor, and replay the patients whose results rest on it.

    The earlier setting stays in the history; classes that change are written beside the old ones.
    """
    with transaction.atomic(), recorded_as(by, reason):
        row.save()
        laboratory_id = row.pk if isinstance(row, Laboratory) else row.laboratory_id
        results = PcrResult.objects.filter(laboratory_id=laboratory_id)
        if isinstance(row, ConversionFactor):
            results = results.filter(control_gene=row.control_gene)
        owe_classification(results.values_list("patient_id", flat=True).distinct(), bulk=True)
