"""Tokens and the logins of the demo."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from monitoring.models import ApiToken, Centre, Role
from monitoring.services.settings.demo_logins import make_demo_users
from monitoring.services.settings.tokens import token_hash


@pytest.mark.django_db
def test_a_token_is_shown_once_and_stored_as_a_hash(ada: User) -> None:
    out = io.StringIO()
    call_command("create_token", "ada", stdout=out)
    token = out.getvalue().strip()
    assert bytes(ApiToken.objects.get().token_hash) == token_hash(token)
    with pytest.raises(CommandError):
        call_command("create_token", "nobody", stdout=out)


@pytest.mark.django_db
def test_demo_logins_are_one_a_role_readable_by_their_owner_only(tmp_path: Path, settings: Any, centre: Centre) -> None:
    settings.VAR_DIR = tmp_path
    make_demo_users()
    path = tmp_path / "demo-logins.json"
    assert path.stat().st_mode & 0o777 == 0o600
    logins = json.loads(path.read_text())
    assert set(logins) == {r.value for r in Role}
    client = Client()
    for entry in logins.values():
        assert client.login(username=entry["user"], password=entry["password"])
    before = logins["clinician"]["password"]
    call_command("demo_logins", "--reset", stdout=io.StringIO())
    assert json.loads(path.read_text())["clinician"]["password"] != before
