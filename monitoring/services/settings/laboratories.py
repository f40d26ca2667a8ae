"""Laboratories, the centres they report for, and their settings. A setting that decides classes makes their patients
owed a classification.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.db import transaction

from monitoring.domain.text.lookalike import look_of
from monitoring.models import Centre, ConversionFactor, Laboratory, LaboratoryCentre, LaboratorySetting, PcrResult
from monitoring.selectors.laboratories import ReportingLaboratory, reporting_laboratories
from monitoring.services.classification.classification_queue import request_classification
from monitoring.services.foundation.actors import recorded_as


class StandingResultsError(Exception):
    """A centre has results of the laboratory, which goes on reporting for it."""


def save_setting(row: LaboratorySetting, *, by: str, reason: str = "laboratory setting") -> None:
    """Save a laboratory, an assay or a conversion factor, and replay the patients whose results rest on it.

    The earlier setting stays in the history; classes that change are written beside the old ones.
    """
    with transaction.atomic(), recorded_as(by, reason):
        row.save()
        laboratory_id = row.pk if isinstance(row, Laboratory) else row.laboratory_id
        results = PcrResult.objects.filter(laboratory_id=laboratory_id)
        if isinstance(row, ConversionFactor):
            results = results.filter(control_gene=row.control_gene)
        request_classification(results.values_list("patient_id", flat=True).distinct(), bulk=True, by_rules=True)


def make_laboratories(known: dict[str, ReportingLaboratory], named: Collection[str], dry_run: bool) -> dict[str, str]:
    """Make the laboratories that are named for the first time, beside the known; returns those that look like another.

    For the operator's commands only; with ``dry_run`` nothing is made.
    """
    wanted = sorted(set(named) - known.keys())
    twins = laboratory_twins(wanted)
    fresh = [code for code in wanted if code not in twins]
    if fresh and not dry_run:
        Laboratory.objects.bulk_create([Laboratory(code=code) for code in fresh], ignore_conflicts=True)
        known |= reporting_laboratories(fresh)
    return twins


def laboratory_twins(unknown: Sequence[str]) -> dict[str, str]:
    """Which of these new codes look like a laboratory that is known, or like an earlier one of them, and like which."""
    if not unknown:
        return {}
    seen = dict(Laboratory.objects.filter(look__in={look_of(c) for c in unknown}).values_list("look", "code"))
    first = ((code, seen.setdefault(look_of(code), code)) for code in unknown)
    return {code: other for code, other in first if other != code}


def report_for(pairs: Collection[tuple[int, int]]) -> None:
    """Let laboratories report for centres from now on: what the operator has loaded shows that they do."""
    known = LaboratoryCentre.objects.filter(laboratory__in={laboratory for laboratory, _centre in pairs})
    missing = set(pairs) - set(known.values_list("laboratory_id", "centre_id"))
    LaboratoryCentre.objects.bulk_create(
        [LaboratoryCentre(laboratory_id=laboratory, centre_id=centre) for laboratory, centre in sorted(missing)],
        ignore_conflicts=True,
    )


def start_reporting(laboratory: Laboratory, centre: Centre, *, by: str, reason: str) -> None:
    """Let a laboratory report for a centre from now on."""
    with transaction.atomic(), recorded_as(by, reason):
        LaboratoryCentre.objects.get_or_create(laboratory=laboratory, centre=centre)


def stop_reporting(laboratory: Laboratory, centre: Centre, *, by: str, reason: str) -> None:
    """Let a laboratory report for a centre no longer. Raises ``StandingResultsError`` where the centre has results
    of it.
    """
    with transaction.atomic(), recorded_as(by, reason):
        if PcrResult.objects.filter(laboratory=laboratory, patient__centre=centre).exists():
            raise StandingResultsError
        LaboratoryCentre.objects.filter(laboratory=laboratory, centre=centre).delete()
