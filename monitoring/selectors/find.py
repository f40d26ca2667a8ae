"""Finding anything from any page: patients by part of the pseudonym or by hospital number, results by accession."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Case, IntegerField, Value, When

from monitoring.models import Laboratory, Patient, PcrResult
from monitoring.selectors.patients import found_patients

MOST_FOUND = 8


@dataclass(frozen=True, slots=True)
class Found:
    """At most ``MOST_FOUND`` of each; ``is_cut`` where there are more patients."""

    patients: list[Patient]
    results: list[PcrResult]
    is_cut: bool

    @property
    def count(self) -> int:
        return len(self.patients) + len(self.results)


def find(user: AbstractBaseUser | AnonymousUser, typed: str, *, hospital_number_index: bytes | None = None) -> Found:
    """What this person may see of what was typed; pseudonyms that begin with it stand first.

    An accession number is looked up whole, as a scanner types it: standing versions only, of every laboratory.
    """
    begins = Case(When(patient_id__istartswith=typed, then=Value(0)), default=Value(1), output_field=IntegerField())
    by_name = found_patients(user, search=typed).select_related("centre").order_by(begins, "patient_id", "pk")
    patients = list(by_name[: MOST_FOUND + 1])
    if not patients and hospital_number_index is not None:
        by_number = found_patients(user, hospital_number_index=hospital_number_index)
        patients = list(by_number.select_related("centre")[:MOST_FOUND])
    # Named one by one, the laboratories let the key of results (laboratory, accession, version) find it.
    laboratories = list(Laboratory.objects.values_list("pk", flat=True))
    results = (
        PcrResult.objects.filter(patient__in=Patient.objects.visible_to(user))
        .filter(laboratory__in=laboratories, accession_number=typed, superseded_by__isnull=True)
        .select_related("patient", "laboratory")
    )
    return Found(patients[:MOST_FOUND], list(results.order_by("pk")[:MOST_FOUND]), len(patients) > MOST_FOUND)
