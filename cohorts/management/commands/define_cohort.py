"""Create or change a cohort from a JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cohorts.domain.definition_file import DefinitionProblem
from cohorts.services.definitions import define_cohort
from monitoring.management.door import DoorCommand


class Command(DoorCommand):
    help = "Create or change a cohort from a JSON file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="JSON definition")

    def work(self, **options: Any) -> bool:
        path: Path = options["file"]
        try:
            data = json.loads(path.read_bytes().decode("utf-8-sig"), object_pairs_hook=_each_key_once)
        except OSError as problem:
            raise CommandError(f"{path}: cannot be read ({problem.strerror})", returncode=2) from None
        except UnicodeDecodeError:
            raise CommandError(f"{path}: the text is not UTF-8", returncode=2) from None
        except json.JSONDecodeError as problem:
            raise CommandError(f"{path}: not JSON at line {problem.lineno}: {problem.msg}", returncode=2) from None
        except (ValueError, RecursionError) as problem:
            raise CommandError(f"{path}: cannot be a definition: {problem}", returncode=2) from None
        try:
            cohort, what = define_cohort(data, by="define_cohort")
        except DefinitionProblem as problem:
            lines = "\n".join(f"  {line}" for line in problem.problems)
            raise CommandError(f"{path}: the definition cannot be used:\n{lines}", returncode=2) from None
        self.tell(f"cohort {cohort.slug}: {what}")
        return True


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without repeated keys: JSON would silently keep the last of them."""
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        twice = next(key for position, (key, _) in enumerate(pairs) if key in dict(pairs[:position]))
        raise ValueError(f"the key {twice!r} stands twice")
    return mapping
