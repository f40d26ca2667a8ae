"""Tokens of programs: shown once, stored as a hash."""

from __future__ import annotations

import hashlib
import secrets

from django.contrib.auth.models import User

from monitoring.models import ApiToken


def create_token(user: User) -> str:
    """A new token of a user; only its hash is kept."""
    token = secrets.token_urlsafe(32)
    ApiToken.objects.create(user=user, token_hash=token_hash(token))
    return token


def token_hash(token: str) -> bytes:
    """What is stored of a token. A random token of 256 bits needs no slow hash."""
    return hashlib.sha256(token.encode()).digest()
