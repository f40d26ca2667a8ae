"""Load one file that was uploaded on the page and that no worker has taken."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from monitoring.intake.uploads import load_upload
from monitoring.management.door import DoorCommand


class Command(DoorCommand):
    help = "Load one file that was given on the page, unless somebody else does."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", type=int)

    def work(self, **options: Any) -> bool:
        load_upload(options["run"])
        return True
