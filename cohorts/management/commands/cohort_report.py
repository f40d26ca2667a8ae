"""Write a snapshot of a cohort: figures, rows, printed report, pictures, bundle; check it, name it, compare it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import translation

from cohorts.models import Cohort, CohortPublication
from cohorts.selectors.snapshots import kept, members_csv, named, published, snapshot_json
from cohorts.services.names import NameProblem, name_snapshot
from monitoring.management.door import DoorCommand
from monitoring.services.foundation.actors import system_actor

LANGUAGES = ("en", "zh-hans")


class Command(DoorCommand):
    help = "Write the published snapshot of a cohort, or another one by its digest or name."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug")
        parser.add_argument(
            "--format",
            choices=("json", "csv", "pdf", "bundle", "pictures"),
            default="json",
            help="figures (json), member rows (csv), printed report (pdf), the statistician's bundle (a zip of rows, "
            "dictionary and scripts), pictures as SVG and PNG (a zip)",
        )
        parser.add_argument("--language", choices=LANGUAGES, default="en", help="of report, pictures and comparison")
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--digest", help="a kept snapshot by the beginning of its digest, instead of the published")
        which.add_argument("--name", help="a kept snapshot by its name, instead of the published")
        instead = parser.add_mutually_exclusive_group()
        instead.add_argument("--pin", metavar="NAME", help="give the snapshot a name, for good, and write nothing")
        instead.add_argument("--compare-with", metavar="DIGEST", help="say what is different from an earlier snapshot")
        instead.add_argument(
            "--check", action="store_true", help="compute the figures again from the frozen rows and name what differs"
        )
        parser.add_argument("--output", type=Path, help="file to write; standard output without it")

    def work(self, **options: Any) -> bool:
        cohort = Cohort.objects.filter(slug=options["slug"]).first()
        if cohort is None:
            raise CommandError(f"cohort {options['slug']}: not known", returncode=2)
        publication = self._chosen(cohort, options)
        if options["check"]:
            return self._check(publication)
        if options["pin"] is not None:
            return self._pin(publication, options["pin"])
        with translation.override(options["language"]):
            content = (
                self._compared(publication, options)
                if options["compare_with"] is not None
                else _made(publication, options)
            )
        return self._write(content, options["output"])

    def _chosen(self, cohort: Cohort, options: dict[str, Any]) -> CohortPublication:
        """The snapshot that is asked for."""
        if options["digest"] is not None:
            found = kept(cohort, options["digest"]) if options["digest"] else None
            if found is None:
                problem = f"--digest {options['digest']}: no snapshot of {cohort.slug} begins so"
                raise CommandError(problem, returncode=2)
            return found
        if options["name"] is not None:
            found = named(cohort, options["name"])
            if found is None:
                raise CommandError(f"--name {options['name']}: no snapshot of {cohort.slug} has it", returncode=2)
            return found
        found = published(cohort)
        if found is None:
            raise CommandError(f"cohort {cohort.slug}: nothing is published yet; run recompute_cohorts")
        return found

    def _pin(self, publication: CohortPublication, name: str) -> bool:
        try:
            name_snapshot(publication.snapshot, name, by=system_actor("import"))
        except NameProblem as problem:
            raise CommandError(f"--pin {name}: {problem}", returncode=2) from None
        self.tell(f"{publication.cohort.slug} {publication.snapshot.digest[:12]}: named {name}")
        return True

    def _compared(self, publication: CohortPublication, options: dict[str, Any]) -> bytes:
        from cohorts.services.making import NoRows, differences_text  # it loads the statistics

        earlier = kept(publication.cohort, options["compare_with"]) if options["compare_with"] else None
        if earlier is None:
            words = f"--compare-with {options['compare_with']}: no snapshot of {publication.cohort.slug} begins so"
            raise CommandError(words, returncode=2)
        try:
            return differences_text(earlier.snapshot, publication.snapshot, None).encode()
        except NoRows as problem:
            raise CommandError(str(problem)) from None

    def _write(self, content: bytes, output: Path | None) -> bool:
        if output is None:
            self._print(content)
            return True
        try:
            output.write_bytes(content)
        except OSError as problem:
            raise CommandError(f"{output}: cannot be written ({problem.strerror})", returncode=2) from None
        self.tell(f"{output}: {len(content):,} bytes")
        return True

    def _print(self, content: bytes) -> None:
        """To standard output, as text where it is text; a terminal is not filled with a file."""
        try:
            self.stdout.write(content.decode(), ending="")
        except UnicodeDecodeError:
            if sys.stdout.isatty():
                raise CommandError("this is a file and no text; name it with --output", returncode=2) from None
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()

    def _check(self, publication: CohortPublication) -> bool:
        from cohorts.services.recheck import NotRecomputable, differences  # it loads the statistics

        try:
            found = differences(publication.snapshot)
        except NotRecomputable as problem:
            raise CommandError(f"{publication.snapshot.digest[:12]} cannot be computed again: {problem}") from None
        for line in found:
            self.stdout.write(line)
        state = f"{len(found)} differences" if found else "every figure is the same"
        self.tell(f"{publication.cohort.slug} {publication.snapshot.digest[:12]}: {state}")
        return not found


def _made(publication: CohortPublication, options: dict[str, Any]) -> bytes:
    """The file of a format."""
    if options["format"] == "csv":
        return members_csv(publication)
    shown = snapshot_json(publication)
    if options["format"] == "json":
        return json.dumps(shown, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    # They load the statistics, matplotlib and Typst.
    from cohorts.reports.bundle import bundle_of
    from cohorts.reports.printed import printed_report
    from cohorts.services.making import NoRows, pictures_archive, table_of

    try:
        if options["format"] == "pdf":
            return printed_report(shown, options["language"])
        if options["format"] == "pictures":
            return pictures_archive(shown)
        return bundle_of(shown, table_of(publication.snapshot))
    except NoRows as problem:
        raise CommandError(str(problem)) from None
