"""What the nightly task does, now, in this process."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cohorts.models import Cohort
from cohorts.services.kept_readings import KeptReadings
from cohorts.services.nightly import classify_pending_patients
from cohorts.services.recompute import recompute, record_failure
from monitoring import clock
from monitoring.management.door import DoorCommand
from monitoring.services.classification.classify import ClassificationFailed


class Command(DoorCommand):
    help = "Recompute the cohorts' figures now and publish what changed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--cohort", metavar="SLUG", help="only this cohort")
        parser.add_argument("--as-of", metavar="DATE", help="leave out what was collected after this day")
        parser.add_argument(
            "--known-at", metavar="DATE", help="use only what was recorded by the end of this day (UTC)"
        )

    def work(self, **options: Any) -> bool:
        as_of = _day("--as-of", options["as_of"])
        known = _day("--known-at", options["known_at"])
        known_at = dt.datetime.combine(known + dt.timedelta(days=1), dt.time(), dt.UTC) if known else None
        cohorts = list(Cohort.objects.filter(is_active=True))
        if options["cohort"]:
            cohorts = list(Cohort.objects.filter(slug=options["cohort"]))
            if not cohorts:
                slugs = ", ".join(Cohort.objects.values_list("slug", flat=True)) or "none"
                raise CommandError(f"--cohort {options['cohort']}: not known; known are {slugs}", returncode=2)
        unclassified = _classify()
        good = True
        kept = KeptReadings()
        for cohort in cohorts:
            if unclassified is not None:
                run = record_failure(cohort, unclassified, as_of=as_of or known, known_at=known_at)
            else:
                run = recompute(cohort, as_of=as_of or known, known_at=known_at, kept=kept)
            if run.ok and run.snapshot:
                counts = run.snapshot.figures["counts"]
                looked_back = as_of is not None or known_at is not None
                state = "unchanged" if run.unchanged else "published"
                if looked_back:
                    state = f"not published; cohort_report {cohort.slug} --digest {run.snapshot.digest[:12]} writes it"
                self.tell(f"{cohort.slug}: {counts['members']} members, {counts['events']} events, {state}")
            else:
                good = False
                self.tell(f"{cohort.slug}: failed, the earlier figures stay up: {run.error}")
        if not cohorts:
            self.tell("no cohort is defined; use define_cohort")
        return good


def _classify() -> ClassificationFailed | None:
    """Classify whoever is pending; returns why somebody could not be."""
    try:
        classify_pending_patients(before=clock.now())
    except ClassificationFailed as problem:
        return problem
    return None


def _day(option: str, text: str | None) -> dt.date | None:
    if text is None:
        return None
    try:
        day = dt.date.fromisoformat(text)
        if not 1900 <= day.year <= 2200:
            raise ValueError
        return day
    except ValueError:
        raise CommandError(f"{option} {text}: write the date as 2025-03-10", returncode=2) from None
