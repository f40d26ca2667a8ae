"""Patients looked up by pseudonym, among those that a writer may write about.

Files, forms and the API look patients up here. A patient out of reach and one who does not exist are answered alike.
"""

from __future__ import annotations

from collections.abc import Collection
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from monitoring.domain.text.lookalike import look_of
from monitoring.intake.values import CellProblem
from monitoring.models import Patient
from monitoring.models.centres import said_zone_of
from monitoring.services.entry.reach import Reach, alike, patient_out_of_reach


class NamedPatients:
    """The patients with these pseudonyms within a writer's reach, found with one query."""

    def __init__(self, patient_ids: Collection[str], reach: Reach) -> None:
        self._reach = reach
        self._found: dict[str, list[Patient]] = {}
        for patient in self._within(Patient.objects.filter(patient_id__in=patient_ids)):
            standing = patient.merged_into or patient  # what is said of a merged record is said of the other
            self._found.setdefault(patient.patient_id, []).append(standing)

    def _within(self, patients: QuerySet[Patient]) -> QuerySet[Patient]:
        if self._reach.centres is not None:
            patients = patients.filter(centre__in=self._reach.centres)
        return patients.select_related("centre", "merged_into__centre")

    def patient(self, centre: str, patient_id: str) -> Patient:
        """The patient of a row. Raises ``CellProblem`` where no patient, or more than one, has this pseudonym."""
        patients = self._found.get(patient_id, [])
        if centre:
            patients = [p for p in patients if p.centre.code == centre]
        if not patients:
            raise CellProblem("patient_id", patient_id, self._unknown(centre, patient_id))
        if len(patients) > 1:
            values = {"patient": patient_id, "centres": ", ".join(sorted(p.centre.code for p in patients))}
            raise CellProblem("centre", centre, _("is needed: patient %(patient)s is known in %(centres)s") % values)
        return patients[0]

    def _unknown(self, centre: str, patient_id: str) -> str:
        looking_alike = self._within(Patient.objects.filter(look=look_of(patient_id)).exclude(patient_id=patient_id))
        if centre:
            looking_alike = looking_alike.filter(centre__code=centre)
        known = looking_alike.first()
        if known is not None:
            return alike("patient_id", patient_id, known.patient_id).reason
        if not self._reach.is_operator:
            return patient_out_of_reach(patient_id).reason
        if centre:
            return _("is not known in centre %(centre)s; import the patient first") % {"centre": centre}
        return _("is not known; import the patient first")

    def zone(self, centre: str, patient_id: str) -> ZoneInfo | None:
        """The time zone of the patient's centre; None where none was entered."""
        return said_zone_of(self.patient(centre, patient_id).centre)


def find_patient(reach: Reach, centre: str, patient_id: str) -> Patient:
    """The patient that one body or form names. Raises ``CellProblem`` as ``NamedPatients`` does."""
    return NamedPatients([patient_id], reach).patient(centre, patient_id)
