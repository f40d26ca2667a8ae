"""Who does something: people, and the service's own parts under names of their own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pghistory
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User

IMPORT_ACTOR = "import"
CLASSIFIER_ACTOR = "classifier"


def system_actor(name: str) -> User:
    """The account of a part of the service; nobody can sign in with it."""
    user, created = get_user_model().objects.get_or_create(username=name, defaults={"is_active": False})
    if created:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user


@contextlib.contextmanager
def recorded_as(by: str, reason: str = "") -> Iterator[None]:
    """Let the history triggers write who did it and why beside every change inside."""
    with pghistory.context(by=by, reason=reason):
        yield
