"""The names of alerts."""

from __future__ import annotations

import uuid

_NAMESPACE = uuid.UUID("6f1f3a39-6c0e-5f0d-9b7e-2b1d6f0c0a11")


def alert_public_id(kind: str, subject_key: str, evidence_key: str) -> uuid.UUID:
    """The address of an alert: the same kind, subject and opening evidence always make the same one."""
    return uuid.uuid5(_NAMESPACE, f"{kind}|{subject_key}|{evidence_key}")
