"""Every command under every fault of its database: exit 3 and words, never 1, which a script reads as rows refused."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import get_commands
from django.db import OperationalError, connection
from django.db.backends.postgresql.base import DatabaseWrapper

import manage
from monitoring import clock
from monitoring.intake.loading import KILLED_AFTER, end_killed_runs
from monitoring.intake.staging import Staging
from monitoring.management import door
from monitoring.models import Centre, ImportRun, Membership
from monitoring.services.foundation.actors import system_actor
from monitoring.services.settings.demo_logins import DEMO_FOLDER
from tests.conftest import reporting

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

OURS = {name for name, app in get_commands().items() if app in ("monitoring", "cohorts", "config", "tasks")}
# Without a database these do all their work, or they are the ones that supervise it.
ASK_NO_DATABASE = {"score", "serve", "prepare_database", "watchdog"}
COMMANDS = {
    "alertd": ["--once"],
    "check_heartbeat": [],
    "check_response_ledger": [],
    "cohort_report": ["c"],
    "create_token": ["ada"],
    "define_cohort": ["{cohort}"],
    "demo_logins": ["--reset"],
    "give_role": ["ada", "--centre", "H1", "--role", "clinician"],
    "import_observations": ["{folder}/observations.csv"],
    "import_patients": ["{folder}/patients.csv"],
    "import_results": ["{folder}/results.csv"],
    "import_treatments": ["{folder}/treatments.csv"],
    "laboratory_centres": ["LAB", "--add", "H1"],
    "load_demo": [],
    "load_upload": ["1"],
    "recompute_cohorts": [],
    "run_housekeeping": [],
    "run_night": ["c", "2026-01-01T02:00:00+00:00"],
}


def test_the_table_names_every_command() -> None:
    assert COMMANDS.keys() | ASK_NO_DATABASE == OURS


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, centre: Centre, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], tuple[int, str]]:
    """A command as a shell would run it: its exit code, and what it said."""
    cohort = tmp_path / "c.json"
    cohort.write_text(json.dumps({"slug": "c"}))
    reporting("LAB", centre)
    monkeypatch.setattr(door, "DATABASE_WAIT_SECONDS", 0.6)

    def call(name: str) -> tuple[int, str]:
        words = [word.format(folder=DEMO_FOLDER, cohort=cohort) for word in COMMANDS[name]]
        monkeypatch.setattr(sys, "argv", ["manage.py", name, *words])
        try:
            code = manage.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return code, said.out + said.err

    return call


def _no_connection(words: str) -> Callable[[pytest.MonkeyPatch], None]:
    def break_it(monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_words: Any, **_options: Any) -> None:
            raise psycopg.OperationalError(words)

        connection.close()
        monkeypatch.setattr(DatabaseWrapper, "get_new_connection", refuse)
        monkeypatch.setattr(psycopg, "connect", refuse)

    return break_it


def _statements_that_fail(
    error: type[psycopg.Error], words: str, begin: str = ""
) -> Callable[[pytest.MonkeyPatch], None]:
    """The connection stands; statements that begin so fail from then on, those of sessions of our own too."""

    def break_it(monkeypatch: pytest.MonkeyPatch) -> None:
        def fails(statement: Any) -> bool:
            text = statement.decode() if isinstance(statement, bytes) else str(statement)
            return text.lstrip().lower().startswith(begin) and "clock_timestamp" not in text[:30]

        def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            if fails(sql):
                raise OperationalError(words) from error(words)
            return execute(sql, params, many, context)

        own = psycopg.Connection.execute

        def of_session(self: psycopg.Connection, query: Any, *more: Any, **options: Any) -> Any:
            if fails(query):
                raise error(words)
            return own(self, query, *more, **options)

        connection.ensure_connection()
        monkeypatch.setattr(connection, "execute_wrappers", [wrapper])
        monkeypatch.setattr(psycopg.Connection, "execute", of_session)

    return break_it


FAULTS = {
    "refused": _no_connection("connection refused"),
    "recovering": _no_connection("FATAL:  the database system is in recovery mode"),
    "lost midway": _statements_that_fail(psycopg.errors.AdminShutdown, "terminating connection"),
    "disk full": _statements_that_fail(psycopg.errors.DiskFull, "could not extend file: No space left", "insert"),
}
# With a disk that is full these read, find nothing to do, and say so.
WRITE_NOTHING = {
    "check_heartbeat": 1, "check_response_ledger": 0, "cohort_report": 2, "create_token": 2, "demo_logins": 2,
    "give_role": 2, "laboratory_centres": 0, "load_upload": 0, "recompute_cohorts": 0, "run_night": 0,
}  # fmt: skip


CASES = [
    (name, fault)
    for fault in FAULTS
    for name in (COMMANDS if fault != "recovering" else ("alertd", "check_heartbeat", "import_results"))
]


@pytest.mark.parametrize(("name", "fault"), CASES)
def test_a_lost_database_is_told_and_is_no_verdict(
    name: str, fault: str, run: Callable[[str], tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        FAULTS[fault](broken)
        code, said = run(name)
    connection.close()
    if fault == "disk full" and name in WRITE_NOTHING:
        assert code == WRITE_NOTHING[name], said
        return
    assert code == 3, said
    assert "Traceback" not in said
    assert "database" in said


def test_a_database_that_recovers_is_waited_for(
    run: Callable[[str], tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = DatabaseWrapper.get_new_connection
    asked: Iterator[int] = iter(range(100))

    def recovers(self: DatabaseWrapper, *words: Any) -> Any:
        if next(asked) < 1:
            raise psycopg.OperationalError("FATAL:  the database system is starting up")
        return opened(self, *words)

    connection.close()
    monkeypatch.setattr(DatabaseWrapper, "get_new_connection", recovers)
    code, said = run("import_patients")
    assert (code, Membership.objects.count()) == (0, 0), said
    assert ImportRun.objects.get().finished_at is not None


def test_the_run_of_a_killed_importer_is_ended_and_one_at_work_is_not(centre: Centre) -> None:
    def begun(name: str) -> ImportRun:
        return ImportRun.objects.create(
            kind="results", file_name=name, sha256=name, by=system_actor("test"),
            started_at=clock.now() - 2 * KILLED_AFTER,
        )  # fmt: skip

    killed, at_work = begun("killed.csv"), begun("working.csv")
    with Staging() as staging:
        staging.stands_for(at_work.pk)
        assert end_killed_runs(now=clock.now()) == 1
    killed.refresh_from_db()
    at_work.refresh_from_db()
    assert (killed.finished_at is not None, at_work.finished_at) == (True, None)
    assert "run the file again" in killed.problem
    assert end_killed_runs(now=clock.now()) == 1, "now it is gone too"
