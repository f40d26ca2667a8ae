"""Who looked at identifiable data or took an export: written down, never changed."""

from __future__ import annotations

from django.contrib.auth.models import User

from monitoring.models import AccessEvent, Patient


def record_access(by: User, *, action: str, patient: Patient | None = None, detail: str = "") -> None:
    """Add one line to the record of access."""
    AccessEvent.objects.create(user=by, action=action, patient=patient, detail=detail[:200])
