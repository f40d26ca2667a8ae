"""Write the published snapshot of a cohort."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cohorts.models import Cohort, CohortPublication
from cohorts.selectors.snapshots import kept, members_csv, published, snapshot_json
from monitoring.management.door import DoorCommand


class Command(DoorCommand):
    help = "Write the published snapshot of a cohort: figures (json) or member rows (csv)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("--format", choices=("json", "csv"), default="json")
        parser.add_argument("--digest", help="a kept snapshot by the beginning of its digest, instead of the published")
        parser.add_argument(
            "--check", action="store_true", help="compute the figures again from the frozen rows and name what differs"
        )
        parser.add_argument("--output", type=Path, help="file to write; standard output without it")

    def work(self, **options: Any) -> bool:
        cohort = Cohort.objects.filter(slug=options["slug"]).first()
        if cohort is None:
            raise CommandError(f"cohort {options['slug']}: not known", returncode=2)
        publication = kept(cohort, options["digest"]) if options["digest"] else published(cohort)
        if publication is None and options["digest"]:
            raise CommandError(f"--digest {options['digest']}: no snapshot of {cohort.slug} begins so", returncode=2)
        if publication is None:
            raise CommandError(f"cohort {cohort.slug}: nothing is published yet; run recompute_cohorts")
        if options["check"]:
            return self._check(publication)
        if options["format"] == "csv":
            content = members_csv(publication)
        else:
            text = json.dumps(snapshot_json(publication), indent=2, ensure_ascii=False, allow_nan=False)
            content = text.encode() + b"\n"
        if options["output"] is None:
            sys.stdout.write(content.decode())
            return True
        try:
            options["output"].write_bytes(content)
        except OSError as problem:
            raise CommandError(f"{options['output']}: cannot be written ({problem.strerror})", returncode=2) from None
        self.tell(f"{options['output']}: {len(content):,} bytes")
        return True

    def _check(self, publication: CohortPublication) -> bool:
        from cohorts.services.recheck import NotRecomputable, differences  # it loads the statistics

        try:
            found = differences(publication.snapshot)
        except NotRecomputable as problem:
            raise CommandError(f"{publication.snapshot.digest[:12]} cannot be computed again: {problem}") from None
        for line in found:
            sys.stdout.write(f"{line}\n")
        state = f"{len(found)} differences" if found else "every figure is the same"
        self.tell(f"{publication.cohort.slug} {publication.snapshot.digest[:12]}: {state}")
        return not found
