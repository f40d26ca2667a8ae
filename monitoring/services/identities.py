"""Names and hospital numbers: encrypted under a key of each person's own, found by a keyed blind index."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from monitoring.models import Centre, Patient, PatientIdentity


@dataclass(frozen=True, slots=True)
class IdentityFacts:
    """Who a patient is, outside the clinical data."""

    hospital_number: str = ""
    family_name: str = ""
    given_name: str = ""

    @property
    def is_given(self) -> bool:
        return bool(self.hospital_number or self.family_name or self.given_name)


def store_identities(rows: Sequence[tuple[Patient, IdentityFacts]]) -> None:
    """Write or replace the identity of these patients."""
    if not rows:
        return
    PatientIdentity.objects.bulk_create(
        [
            PatientIdentity(
                patient=patient,
                centre_id=patient.centre_id,
                encrypted=_fernet(patient).encrypt(json.dumps(_words(facts)).encode()),
                hospital_number_index=blind_index(facts.hospital_number) if facts.hospital_number else None,
            )
            for patient, facts in rows
        ],
        update_conflicts=True,
        unique_fields=["patient"],
        update_fields=["encrypted", "hospital_number_index"],
    )


def hospital_numbers_taken(numbers: set[str], centres: Iterable[Centre]) -> dict[tuple[str, str], str]:
    """Who has these hospital numbers: (centre, number) to pseudonym."""
    wanted = {blind_index(number): number for number in numbers if number}
    rows = PatientIdentity.objects.filter(centre__in=[c.pk for c in centres if c.pk], hospital_number_index__in=wanted)
    return {
        (code, wanted[bytes(index or b"")]): patient_id
        for code, index, patient_id in rows.values_list("centre__code", "hospital_number_index", "patient__patient_id")
    }


def read_identity(patient: Patient) -> IdentityFacts | None:
    """The identity of a patient in clear; the caller records the access."""
    row = PatientIdentity.objects.filter(patient=patient).first()
    if row is None:
        return None
    return IdentityFacts(**json.loads(_fernet(patient).decrypt(bytes(row.encrypted))))


def blind_index(hospital_number: str) -> bytes:
    """A keyed digest by which a hospital number is found without being readable."""
    normal = unicodedata.normalize("NFKC", hospital_number).strip().upper()
    return hmac.new(settings.IDENTITY_KEY.encode(), normal.encode(), hashlib.sha256).digest()


def _words(facts: IdentityFacts) -> dict[str, str]:
    return {name: getattr(facts, name) for name in facts.__slots__}


def _fernet(patient: Patient) -> Fernet:
    key = HKDF(SHA256(), 32, salt=patient.public_id.bytes, info=b"identity").derive(settings.IDENTITY_KEY.encode())
    return Fernet(base64.urlsafe_b64encode(key))
