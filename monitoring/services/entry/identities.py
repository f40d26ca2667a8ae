"""Names and hospital numbers: encrypted under a key of each person's own, found by a keyed blind index."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.utils.translation import gettext as _

from monitoring.models import Patient, PatientIdentity
from monitoring.services.entry.verdicts import Problem


@dataclass(frozen=True, slots=True)
class IdentityFacts:
    """Who a patient is, outside the clinical data."""

    hospital_number: str = ""
    family_name: str = ""
    given_name: str = ""

    @property
    def is_given(self) -> bool:
        return bool(self.hospital_number or self.family_name or self.given_name)


class Named(Protocol):
    """A patient as a door names it, with the identity it gives."""

    @property
    def centre(self) -> str: ...
    @property
    def patient_id(self) -> str: ...
    @property
    def identity(self) -> IdentityFacts: ...


class Identities:
    """The identities that a batch of patients names: compared with what is stored, completed, and written once."""

    def __init__(self, facts: Sequence[Named], patients: Iterable[Patient], amend_reason: str) -> None:
        self._amend = bool(amend_reason)
        self._known: dict[tuple[str, str], IdentityFacts] = {}
        self._changed: dict[tuple[str, str], Patient] = {}
        self._holder: dict[tuple[str, str], str] = {}
        if not any(f.identity.is_given for f in facts):
            return
        stored = list(patients)
        for row in PatientIdentity.objects.filter(patient__in=stored).select_related("patient__centre"):
            self._known[row.patient.centre.code, row.patient.patient_id] = _decrypted(row)
        self._holder = _hospital_numbers_taken({f.identity.hospital_number for f in facts}, {f.centre for f in facts})

    def problem(self, facts: Named, row: Patient) -> Problem | None:
        """Why this identity cannot stand: a hospital number of somebody else, or another name than the stored one."""
        number = facts.identity.hospital_number
        holder = self._holder.setdefault((facts.centre, number), facts.patient_id) if number else facts.patient_id
        if holder != facts.patient_id:
            reason = _("belongs to patient %(patient)s of this centre already; is it the same person?")
            reason %= {"patient": holder}
            return Problem("hospital_number", number, reason)
        known = self._known.get((facts.centre, facts.patient_id), IdentityFacts())
        for name in known.__slots__:
            old, new = getattr(known, name), getattr(facts.identity, name)
            if old and new and old != new and not self._amend:
                reason = _("another %(name)s is stored; to change it, give a reason") % {"name": name}
                return Problem(name, new, reason, contradicts=True)
        return None

    def take(self, facts: Named, row: Patient) -> bool:
        """Complete the known identity with these facts; returns whether that changed it."""
        key = (facts.centre, facts.patient_id)
        known = self._known.get(key, IdentityFacts())
        given = {name: value for name in known.__slots__ if (value := getattr(facts.identity, name))}
        whole = dataclasses.replace(known, **given)
        if whole == known:
            return False
        self._known[key], self._changed[key] = whole, row
        return True

    def store(self) -> None:
        """Write the identities that changed; their patients must be stored by now."""
        PatientIdentity.objects.bulk_create(
            [
                PatientIdentity(
                    patient=patient,
                    centre_id=patient.centre_id,
                    encrypted=_encrypted(patient, self._known[key]),
                    hospital_number_index=blind_index(number) if (number := self._known[key].hospital_number) else None,
                )
                for key, patient in self._changed.items()
            ],
            update_conflicts=True,
            unique_fields=["patient"],
            update_fields=["encrypted", "hospital_number_index"],
        )


def _hospital_numbers_taken(numbers: set[str], centres: set[str]) -> dict[tuple[str, str], str]:
    """Who has these hospital numbers: (centre, number) to pseudonym."""
    wanted = {blind_index(number): number for number in numbers if number}
    rows = PatientIdentity.objects.filter(centre__code__in=centres, hospital_number_index__in=wanted)
    return {
        (code, wanted[bytes(index or b"")]): patient_id
        for code, index, patient_id in rows.values_list("centre__code", "hospital_number_index", "patient__patient_id")
    }


def leave_hospital(patient: Patient) -> None:
    """Take an identity along to the patient's new centre: the hospital number stays behind, it means nothing there."""
    row = PatientIdentity.objects.filter(patient=patient).first()
    if row is None:
        return
    row.encrypted = _encrypted(patient, dataclasses.replace(_decrypted(row), hospital_number=""))
    row.centre_id, row.hospital_number_index = patient.centre_id, None
    row.save(update_fields=["centre", "encrypted", "hospital_number_index"])


def adopt_identity(patient: Patient, into: Patient) -> bool:
    """Give the identity of a merged record to the one that stays, unless that has one; returns whether it was given."""
    row = PatientIdentity.objects.filter(patient=patient).first()
    known = PatientIdentity.objects.filter(patient=into).first()
    if row is None or (known is not None and _decrypted(known).is_given):
        return False
    identity = _decrypted(row)
    PatientIdentity.objects.filter(pk=row.pk).update(hospital_number_index=None)  # it finds one record, not two
    _put(into, identity)
    return True


def return_identity(patient: Patient, into: Patient) -> None:
    """Take back what ``adopt_identity`` gave."""
    row = PatientIdentity.objects.get(patient=patient)
    _put(into, IdentityFacts())
    _put(patient, _decrypted(row))


def _put(patient: Patient, identity: IdentityFacts) -> None:
    number = identity.hospital_number
    values = {
        "encrypted": _encrypted(patient, identity),
        "hospital_number_index": blind_index(number) if number else None,
    }
    PatientIdentity.objects.update_or_create(
        patient=patient, defaults=values, create_defaults={**values, "centre_id": patient.centre_id}
    )


def read_identity(patient: Patient) -> IdentityFacts | None:
    """The identity of a patient in clear; the caller records the access."""
    row = PatientIdentity.objects.filter(patient=patient).first()
    return _decrypted(row) if row is not None else None


def _encrypted(patient: Patient, identity: IdentityFacts) -> bytes:
    return _fernet(patient).encrypt(json.dumps(dataclasses.asdict(identity)).encode())


def _decrypted(row: PatientIdentity) -> IdentityFacts:
    return IdentityFacts(**json.loads(_fernet(row.patient).decrypt(bytes(row.encrypted))))


def blind_index(hospital_number: str) -> bytes:
    """A keyed digest by which a hospital number is found without being readable."""
    normal = unicodedata.normalize("NFKC", hospital_number).strip().upper()
    return hmac.new(settings.IDENTITY_KEY.encode(), normal.encode(), hashlib.sha256).digest()


def _fernet(patient: Patient) -> Fernet:
    key = HKDF(SHA256(), 32, salt=patient.public_id.bytes, info=b"identity").derive(settings.IDENTITY_KEY.encode())
    return Fernet(base64.urlsafe_b64encode(key))
