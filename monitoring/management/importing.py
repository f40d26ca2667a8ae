"""The base of the four import commands, which differ by the kind of file only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser

from monitoring.intake.file_problems import FileProblem
from monitoring.intake.loading import FileOutcome, load_file
from monitoring.management.door import DoorCommand
from monitoring.services.entry.verdicts import RowOutcome
from monitoring.services.foundation.actors import IMPORT_ACTOR, system_actor


class ImportCommand(DoorCommand):
    """Load one file. A refused row never stops the others."""

    kind = ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="CSV (UTF-8) or XLSX")
        parser.add_argument("--dry-run", action="store_true", help="say what would happen and store nothing")
        parser.add_argument("--errors", type=Path, help="write refused rows here: row,column,value,reason")
        parser.add_argument("--amend", metavar="REASON", default="", help="accept differences, for this reason")
        parser.add_argument("--by", metavar="USER", default=IMPORT_ACTOR, help="who loads the file")

    def work(self, **options: Any) -> bool:
        by = _actor(options["by"])
        if options["errors"]:
            _check_writable(options["errors"], options["file"])
        outcome = load_file(
            self.kind,
            options["file"],
            by=by,
            amend_reason=options["amend"].strip(),
            dry_run=options["dry_run"],
            errors=options["errors"],
            progress=self.show_progress,
        )
        self._report(outcome, dry_run=options["dry_run"])
        return not outcome.refused_rows

    def _report(self, outcome: FileOutcome, *, dry_run: bool) -> None:
        for line, column, value, reason in outcome.examples:
            where = f": {column} {value!r}" if column else ""
            self.tell(f"line {line}{where}: {reason}")
        if outcome.refused_rows > len(outcome.examples):
            self.tell("… more refused rows; --errors FILE lists all of them")
        if outcome.contradictions:
            self.tell(
                f"{outcome.contradictions} records say something else than what is stored: --amend REASON changes it"
            )
        self.tell_notes(outcome.notes)
        for name in outcome.created_names:
            self.tell(f"new: {name}")
        counts = ", ".join(f"{outcome.actions[action]} {action}" for action in RowOutcome if outcome.actions[action])
        prefix = "dry run, nothing stored: " if dry_run else ""
        self.tell(f"{prefix}{outcome.rows} rows read; records: {counts or 'none'}")


def _actor(username: str) -> User:
    if username == IMPORT_ACTOR:
        return system_actor(IMPORT_ACTOR)
    user = get_user_model().objects.filter(username=username).first()
    if user is None:
        raise CommandError(f"--by {username}: there is no such user", returncode=2)
    return user


def _check_writable(path: Path, source: Path) -> None:
    """Refuse an error file that cannot be written, before anything is loaded. Its old content stays until then."""
    if path.exists() and source.exists() and path.samefile(source):
        raise FileProblem(f"{path}: --errors names the file that is to be loaded; name another one")
    try:
        path.open("a", encoding="utf-8").close()
    except OSError as problem:
        raise FileProblem(f"{path}: cannot be written ({problem.strerror})") from None
