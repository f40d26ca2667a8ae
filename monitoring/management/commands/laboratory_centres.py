"""The operator's command for the centres a laboratory reports for; it also serves one that reports for none yet."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from monitoring.management.door import DoorCommand
from monitoring.management.named import named_centre, named_laboratory
from monitoring.services.settings.laboratories import StandingResultsError, start_reporting, stop_reporting
from monitoring.services.settings.tokens import OPERATOR


class Command(DoorCommand):
    help = "Show, add or remove the centres that a laboratory reports for."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("laboratory", help="code of the laboratory")
        parser.add_argument("--add", action="append", default=[], metavar="CENTRE")
        parser.add_argument("--remove", action="append", default=[], metavar="CENTRE")

    def work(self, **options: Any) -> bool:
        laboratory = named_laboratory(options["laboratory"], options["laboratory"])
        added, removed = ([named_centre(f"--{way}", code) for code in options[way]] for way in ("add", "remove"))
        for centre in added:
            start_reporting(laboratory, centre, by=OPERATOR, reason="laboratory_centres")
        for centre in removed:
            try:
                stop_reporting(laboratory, centre, by=OPERATOR, reason="laboratory_centres")
            except StandingResultsError:
                words = f"--remove {centre.code}: results of {laboratory.code} are stored there; it stays"
                raise CommandError(words, returncode=2) from None
        for code in laboratory.centres.order_by("code").values_list("code", flat=True):
            self.stdout.write(code)
        return True
