"""Tokens of programs: shown once, stored as a hash."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets

from django.contrib.auth.models import User
from django.db import transaction

from monitoring.models import ApiToken, Laboratory, Membership, Role
from monitoring.services.foundation.actors import recorded_as

OPERATOR = "operator"


class PersonError(Exception):
    """The account is a person's, and what a person sends is never final at once."""


def create_token(user: User, *, laboratory: Laboratory | None = None) -> str:
    """A new token of a user; only its hash is kept. With ``laboratory`` it is of that laboratory's own system."""
    token = secrets.token_urlsafe(32)
    ApiToken.objects.create(user=user, token_hash=token_hash(token), laboratory=laboratory)
    return token


def create_system_token(name: str, laboratory: Laboratory, *, now: dt.datetime) -> str:
    """A token of a laboratory's own system, which may send final results for the centres the laboratory reports for.

    Its account is made where it is missing and has no password. Raises ``PersonError`` for an account that has one.
    """
    with transaction.atomic(), recorded_as(OPERATOR, f"system of {laboratory.code}"):
        user = User.objects.filter(username=name).first()
        if user is None:
            user = User.objects.create_user(name)
        elif user.has_usable_password():
            raise PersonError
        held = Membership.objects.valid_on(now.date()).filter(user=user, role=Role.TECHNICIAN)
        held_in = set(held.values_list("centre_id", flat=True))
        Membership.objects.bulk_create(
            [
                Membership(user=user, centre=centre, role=Role.TECHNICIAN, valid_from=now.date())
                for centre in laboratory.centres.exclude(pk__in=held_in)
            ]
        )
        return create_token(user, laboratory=laboratory)


def token_hash(token: str) -> bytes:
    """What is stored of a token. A random token of 256 bits needs no slow hash."""
    return hashlib.sha256(token.encode()).digest()
