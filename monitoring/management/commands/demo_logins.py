"""The demo's log-ins."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from monitoring.management.door import DoorCommand
from monitoring.models import Centre
from monitoring.services.settings.demo_logins import demo_logins_path, make_demo_users


class Command(DoorCommand):
    help = "Show where the demo's log-ins are kept; --reset makes new passwords and tokens."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reset", action="store_true", help="make new passwords and tokens")

    def work(self, **options: Any) -> bool:
        people = Centre.objects.filter(is_canary=False)
        if people.filter(is_synthetic=False).exists() or not people.exists():
            raise CommandError("this database does not hold the demo, so there are no demo log-ins")
        if options["reset"]:
            make_demo_users()
        if not demo_logins_path().exists():
            raise CommandError(f"{demo_logins_path()} is missing; make new log-ins with --reset")
        self.stdout.write(str(demo_logins_path()))
        return True
