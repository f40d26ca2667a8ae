"""What is kept of a file that somebody gave: encrypted under a key of its own, as identities are."""

from __future__ import annotations

import base64
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


def seal(content: bytes, *, owner: UUID, purpose: str) -> bytes:
    """Encrypt under a key that only this owner and purpose have."""
    return _fernet(owner, purpose).encrypt(content)


def unseal(sealed: bytes | memoryview, *, owner: UUID, purpose: str) -> bytes | None:
    """What was sealed; None where the key has changed or the bytes have."""
    try:
        return _fernet(owner, purpose).decrypt(bytes(sealed))
    except InvalidToken:
        return None


def _fernet(owner: UUID, purpose: str) -> Fernet:
    key = HKDF(SHA256(), 32, salt=owner.bytes, info=purpose.encode()).derive(settings.IDENTITY_KEY.encode())
    return Fernet(base64.urlsafe_b64encode(key))
