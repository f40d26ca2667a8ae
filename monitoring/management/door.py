"""What all commands share: exit codes, and progress that is shown on a terminal only."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError
from django.db import Error, OperationalError, connection
from redis.exceptions import RedisError

from monitoring.intake.file_problems import FileProblem

MOST_NOTES = 20
DATABASE_WAIT_SECONDS = 20.0
# What a server says that is there and takes nobody yet; libpq gives connections that fail no code.
_NOT_YET = ("starting up", "recovery mode", "shutting down", "not yet accepting connections")


def wait_for_database() -> None:
    """Give a database that starts or recovers a moment; whatever else is wrong is told by the command's own work."""
    until = time.monotonic() + DATABASE_WAIT_SECONDS
    while True:
        try:
            connection.ensure_connection()
        except OperationalError as problem:
            if any(words in str(problem) for words in _NOT_YET) and time.monotonic() < until:
                time.sleep(0.5)
                continue
        return


class DoorCommand(BaseCommand):
    """Exit 0: done. 1: rows refused, differences found, or a cohort failed. 2: wrong usage or an unusable file.
    3: environment or internal failure. Counts go to standard error, results to standard output."""

    requires_system_checks: list[str] = []
    asks_the_database = True

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if self.asks_the_database:
                wait_for_database()
            complete = self.work(**options)
        except FileProblem as problem:
            raise CommandError(str(problem), returncode=2) from None
        except CommandError as problem:
            if problem.returncode == 1:  # Django's own, unless a command says otherwise
                problem.returncode = 2
            raise
        except (Error, psycopg.Error, RedisError) as problem:  # the second of sessions of our own
            words = str(problem).strip() or type(problem).__name__
            raise CommandError(f"the database or broker failed: {words}", returncode=3) from problem
        except BrokenPipeError:  # the reader of our output has closed the pipe
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0) from None
        except OSError as problem:
            raise CommandError(f"{problem.filename or 'output'}: {problem.strerror}", returncode=3) from problem
        if not complete:
            raise SystemExit(1)

    def work(self, **options: Any) -> bool:
        """Do the work; returns False where rows were refused or differences found."""
        raise NotImplementedError

    def tell(self, text: str) -> None:
        """A line of counts or progress."""
        self.stderr.write(text, style_func=lambda line: line)

    def tell_notes(self, notes: Counter[str]) -> None:
        """The notes of a file, such as values read otherwise than written; the most frequent first."""
        for note, count in notes.most_common(MOST_NOTES):
            self.tell(f"note: {note}" + (f" ({count} times)" if count > 1 else ""))
        if len(notes) > MOST_NOTES:
            self.tell(f"note: {len(notes) - MOST_NOTES} other notes")

    def show_progress(self, done: int, total: int) -> None:
        """Progress of a long command, on a terminal only."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{done:,} of {total:,} rows")
            if done >= total:
                sys.stderr.write("\n")
            sys.stderr.flush()
