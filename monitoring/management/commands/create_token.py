"""A token for a program."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError, CommandParser

from monitoring import clock
from monitoring.management.door import DoorCommand
from monitoring.management.named import named_laboratory
from monitoring.services.settings.tokens import PersonError, create_system_token, create_token


class Command(DoorCommand):
    help = "Print a new API token of a user; it is shown once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user")
        parser.add_argument(
            "--laboratory", metavar="CODE", default="",
            help="the token is of this laboratory's own system, which may send final results; its account is made where"
            " it is missing, and writes for every centre that the laboratory reports for",
        )  # fmt: skip

    def work(self, **options: Any) -> bool:
        if options["laboratory"]:
            self.stdout.write(self._of_system(options["user"], options["laboratory"]))
            return True
        user = get_user_model().objects.filter(username=options["user"], is_active=True).first()
        if user is None:
            raise CommandError(f"{options['user']}: there is no such active user", returncode=2)
        self.stdout.write(create_token(user))
        return True

    def _of_system(self, name: str, code: str) -> str:
        laboratory = named_laboratory(f"--laboratory {code}", code)
        try:
            return create_system_token(name, laboratory, now=clock.now())
        except PersonError:
            words = f"{name} is a person's account; a laboratory's system needs one of its own, without a password"
            raise CommandError(words, returncode=2) from None
