"""Centres and laboratories that an option of a command names."""

from __future__ import annotations

from django.core.management.base import CommandError

from monitoring.models import Centre, Laboratory


def named_centre(option: str, code: str) -> Centre:
    """The centre of this code. Raises ``CommandError`` naming the option."""
    centre = Centre.objects.filter(code=code).first()
    if centre is None:
        raise CommandError(f"{option} {code}: there is no centre of this code", returncode=2)
    return centre


def named_laboratory(place: str, code: str) -> Laboratory:
    """The laboratory of this code. Raises ``CommandError`` that begins with ``place``."""
    laboratory = Laboratory.objects.filter(code=code).first()
    if laboratory is None:
        raise CommandError(f"{place}: there is no laboratory of this code", returncode=2)
    return laboratory
