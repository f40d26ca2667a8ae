"""A token for a program."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser

from monitoring.management.door import DoorCommand
from monitoring.services.tokens import create_token


class Command(DoorCommand):
    help = "Print a new API token of a user; it is shown once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user")

    def work(self, **options: Any) -> bool:
        user = get_user_model().objects.filter(username=options["user"], is_active=True).first()
        if user is None:
            raise CommandError(f"{options['user']}: there is no such active user", returncode=2)
        self.stdout.write(create_token(user))
        return True
