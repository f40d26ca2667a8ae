"""Load the synthetic demo through the real import."""

from __future__ import annotations

import json
import time
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError

from cohorts.domain import study
from cohorts.services.definitions import define_cohort
from monitoring.intake.loading import load_file
from monitoring.management.door import DoorCommand
from monitoring.models import Centre, ClassificationRequest, Patient
from monitoring.services.foundation.actors import system_actor
from monitoring.services.settings.demo_logins import (
    DEMO_ACTOR,
    DEMO_FOLDER,
    follow_the_chinese_guideline,
    make_demo_users,
)

WAIT_SECONDS = 60


class Command(DoorCommand):
    help = "Load the synthetic demo into an empty database; refuses one that holds patients."

    def work(self, **options: Any) -> bool:
        if Patient.objects.filter(centre__is_canary=False).exists():
            raise CommandError("this database holds patients already; the demo goes into an empty one only")
        by = system_actor(DEMO_ACTOR)
        for kind in ("patients", "treatments", "observations", "results"):
            outcome = load_file(kind, DEMO_FOLDER / f"{kind}.csv", by=by)
            self.tell(f"demo: {outcome.rows} rows of {kind}")
            if kind == "patients":  # which made the centres
                follow_the_chinese_guideline()
                make_demo_users()  # before anything is told: a centre without a clinician is an alert of its own
        define_cohort(json.loads((DEMO_FOLDER / "cohort.json").read_text(encoding="utf-8")), by=DEMO_ACTOR)
        codes = sorted(Centre.objects.filter(is_canary=False).values_list("code", flat=True))
        asked = study.definition("zhao-2025-study", "What Zhao 2025 asked, of the SYNTHETIC twin", codes)
        define_cohort(asked, by=DEMO_ACTOR)
        until = time.monotonic() + WAIT_SECONDS
        while ClassificationRequest.objects.exists() and time.monotonic() < until:
            time.sleep(0.2)  # a worker classifies; without one the command below does
        call_command("recompute_cohorts")
        return True
