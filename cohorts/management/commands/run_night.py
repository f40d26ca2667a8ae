"""Recompute one cohort for one nightly slot, if nobody else has."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.core.management.base import CommandParser

from cohorts.services.night_queue import NIGHT_LEASE_SECONDS
from cohorts.services.nightly import run_night
from monitoring.management.door import DoorCommand


class Command(DoorCommand):
    help = "Recompute one cohort for one nightly slot, if nobody else has."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("slot", type=dt.datetime.fromisoformat)

    def work(self, **options: Any) -> bool:
        run_night(options["slug"], options["slot"], lease_seconds=NIGHT_LEASE_SECONDS)
        return True
