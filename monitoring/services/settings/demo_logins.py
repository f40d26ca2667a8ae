"""The demo: synthetic patients through the real import, and one user per role. Never into a database with patients."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction

from monitoring import clock
from monitoring.models import ApiToken, Centre, Membership, Protocol, Role
from monitoring.services.foundation.actors import recorded_as
from monitoring.services.settings.tokens import create_token

DEMO_FOLDER = Path(settings.BASE_DIR) / "monitoring" / "demo"
DEMO_ACTOR = "demo"
DEMO_USERS = {
    Role.TECHNICIAN: "ada",
    Role.VERIFIER: "vera",
    Role.CLINICIAN: "grace",
    Role.ANALYST: "anna",
    Role.ADMINISTRATOR: "adam",
}


DEMO_PROTOCOL = {
    "schedule": "schedule-chinese-2020.1",
    "milestones": "milestones-chinese-2020.1",
    "eligibility_adult": "eligibility-chinese-2020.1",
}


def follow_the_chinese_guideline() -> None:
    """Let the demo's centres, which are Chinese, follow the Chinese guideline; children by the set that has numbers."""
    with transaction.atomic(), recorded_as(DEMO_ACTOR, "the demo's centres are Chinese"):
        values = {"title": "Chinese guideline 2020", **DEMO_PROTOCOL}
        protocol, _ = Protocol.objects.get_or_create(code="chinese-2020", defaults=values)
        Centre.objects.filter(is_canary=False).update(protocol=protocol)


def demo_logins_path() -> Path:
    """Where the demo's log-ins are kept."""
    return Path(settings.VAR_DIR) / "demo-logins.json"


def make_demo_users(say: Callable[[str], None] = lambda text: None) -> None:
    """One user per role in every synthetic centre, with a fresh password and token each, written to a 0600 file."""
    logins: dict[str, dict[str, str]] = {}
    with transaction.atomic(), recorded_as(DEMO_ACTOR, "demo users"):
        Centre.objects.filter(is_synthetic=False, is_canary=False).update(is_synthetic=True)
        centres = list(Centre.objects.filter(is_canary=False))
        for role, username in DEMO_USERS.items():
            user, _ = get_user_model().objects.get_or_create(username=username, defaults={"is_active": True})
            password = secrets.token_urlsafe(12)
            user.set_password(password)
            user.email = user.email or f"{username}@demo.invalid"
            user.save(update_fields=["password", "email"])
            Membership.objects.bulk_create(
                [Membership(user=user, centre=c, role=role, valid_from=clock.now().date()) for c in centres
                 if not Membership.objects.filter(user=user, centre=c, role=role).exists()]
            )  # fmt: skip
            logins[role.value] = {"user": username, "password": password, "token": _fresh_token(user)}
    _write_secret(demo_logins_path(), json.dumps(logins, indent=2) + "\n")
    say(f"demo log-ins: {demo_logins_path()}")


def _fresh_token(user: User) -> str:
    ApiToken.objects.filter(user=user, revoked_at__isnull=True).update(revoked_at=clock.now())
    return create_token(user)


def _write_secret(path: Path, content: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as handle:
        handle.write(content)
    fresh.replace(path)
