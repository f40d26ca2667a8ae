"""The watchdog: each condition is provoked and found, an ordinary moment is quiet, and people are told once."""

import datetime as dt
import os
import time
from collections.abc import Callable
from pathlib import Path

import environ
import psycopg
import pytest

from cohorts.models import Cohort, CohortRun
from config import watch
from config.management.commands.watchdog import _Channel
from config.watch import Finding, Watch, look
from monitoring import clock
from monitoring.models import Alert, AlertDelivery, Centre, ClassificationRequest, Heartbeat, JobRun, Patient
from monitoring.models.centres import CANARY_CODE
from monitoring.services.foundation.actors import system_actor
from tests.processes import on_this_database
from tests.smtp_stub import smtp_stub

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def address() -> str:
    return on_this_database(os.environ.get("DATABASE_WATCHDOG_URL") or os.environ["DATABASE_URL"])


@pytest.fixture
def ordinary(patient: Patient, centre: Centre) -> Alert:
    """An alert that was told, a worker and an alertd that live, a cohort of last night."""
    now = clock.now()
    for name in ("alertd", "worker classify"):
        Heartbeat.objects.create(name=name, beat_at=now)
    cohort = Cohort.objects.create(slug="c", title="C", definition={})
    CohortRun.objects.create(cohort=cohort, as_of=now.date(), ok=True, finished_at=now - dt.timedelta(hours=20))
    alert = Alert.objects.create(
        public_id="00000000-0000-0000-0000-000000000001", kind="loss_of_mmr", subject_key="S", centre=centre,
        patient=patient, certainty="confirmed", evidence_key="E", evidence_on=now.date(), rule_version="test",
        next_action_at=now + dt.timedelta(hours=12),
    )  # fmt: skip
    AlertDelivery.objects.create(
        alert=alert, key="k", recipient=system_actor("test"), owed_at=now, next_attempt_at=now, urgency=0
    )
    return alert


def ago(**lasting: float) -> dt.datetime:
    return clock.now() - dt.timedelta(**lasting)


PROVOKED: dict[str, Callable[[Alert], object]] = {
    "classification": lambda alert: ClassificationRequest.objects.create(
        patient=alert.patient, requested_at=ago(minutes=3)
    ),
    "escalation": lambda alert: Alert.objects.update(next_action_at=ago(minutes=2)),
    "urgent messages": lambda alert: AlertDelivery.objects.update(owed_at=ago(minutes=3)),
    "messages": lambda alert: AlertDelivery.objects.update(owed_at=ago(minutes=16), urgency=5),
    "alertd": lambda alert: Heartbeat.objects.filter(name="alertd").update(beat_at=ago(minutes=2)),
    "worker": lambda alert: Heartbeat.objects.filter(name="worker classify").delete(),
    "canary": lambda alert: (
        Centre.objects.create(code=CANARY_CODE, is_canary=True),
        Alert.objects.update(centre=Centre.objects.get(is_canary=True)),
        AlertDelivery.objects.update(settled_at=ago(minutes=71), owed_at=ago(minutes=72), delivered=True),
    ),
    "housekeeping": lambda alert: JobRun.objects.create(
        job="housekeeping", slot_at=ago(hours=27), claimed_at=ago(hours=27), finished_at=ago(hours=27), ok=True
    ),
    "night": lambda alert: CohortRun.objects.update(finished_at=ago(hours=27)),
}


def test_a_sign_from_a_clock_that_was_set_back_is_no_sign(address: str, ordinary: Alert, tmp_path: Path) -> None:
    Heartbeat.objects.update(beat_at=ago(hours=-1))
    assert {"alertd", "worker"} <= {finding.name for finding in look(address, [tmp_path])}


def test_every_condition_of_the_table_is_provoked_here() -> None:
    assert PROVOKED.keys() == {condition.name for condition in watch.CONDITIONS}


def test_an_ordinary_moment_is_quiet(address: str, ordinary: Alert, tmp_path: Path) -> None:
    assert look(address, []) == []


@pytest.mark.parametrize("name", PROVOKED)
def test_each_condition_is_found_and_names_nobody(address: str, ordinary: Alert, name: str) -> None:
    PROVOKED[name](ordinary)
    (found,) = look(address, [])
    assert (found.name, found.is_never) == (name, name == "worker")
    assert "P1" not in found.words


def test_housekeeping_that_fails_every_night_is_found(address: str, ordinary: Alert) -> None:
    JobRun.objects.create(job="housekeeping", slot_at=ago(hours=2), claimed_at=ago(hours=2), ok=False)
    assert look(address, []) == []
    JobRun.objects.update(claimed_at=ago(hours=27), finished_at=ago(hours=1))
    assert [one.name for one in look(address, [])] == ["housekeeping"]


def test_a_backup_that_is_missing_or_old_is_found(address: str, ordinary: Alert, tmp_path: Path) -> None:
    (found,) = look(address, [], tmp_path)
    assert found.words == f"there is no backup in {tmp_path}"
    backup = tmp_path / "base.tar"
    backup.write_bytes(b"x")
    assert look(address, [], tmp_path) == []
    os.utime(backup, (time.time() - 27.2 * 3600,) * 2)
    (found,) = look(address, [], tmp_path)
    assert (found.name, found.words) == ("backup", "the last backup is 27 hours old")
    (found,) = look(address, [], tmp_path / "not there")
    assert found.name == "backup"


def test_a_failed_night_is_found_though_it_finished(address: str, ordinary: Alert) -> None:
    CohortRun.objects.update(ok=False, started_at=ago(hours=30))
    assert [one.name for one in look(address, [])] == ["night"]


def test_disk_clock_and_a_database_that_is_away(
    address: str, ordinary: Alert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [one.name for one in look("postgresql://nobody@127.0.0.1:1/none", [])] == ["database"]
    monkeypatch.setattr(watch, "MOST_DISK_PERCENT", -1.0)
    assert [one.name for one in look(address, [tmp_path])] == [f"disk {tmp_path}"]
    started = time.time()
    monkeypatch.setattr(watch.time, "time", lambda: started + 30)
    assert [one.name for one in look(address, [])] == ["clock"]


@pytest.mark.skipif("DATABASE_WATCHDOG_URL" not in os.environ, reason="a named database without the watchdog's login")
def test_its_login_reads_and_writes_nothing(address: str, ordinary: Alert) -> None:
    with psycopg.connect(address, autocommit=True) as session:
        for statement in (
            b"update monitoring_heartbeat set beat_at = now()", b"delete from monitoring_classificationrequest",
            b"select encrypted from monitoring_patientidentity", b"select email from auth_user",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(statement)


def test_people_are_told_when_it_begins_every_six_hours_and_when_it_ends() -> None:
    told: list[str] = []
    watched = Watch(lambda subject, words: told.append(subject))
    down = [Finding("alertd", "alertd has done no whole round: for 2 minutes")]
    for now in (0.0, 30.0, 60.0):
        watched.take(down, now)
    assert told == ["CML monitoring: alertd"]
    watched.take(down, 6 * 3600.0)
    watched.take([], 6 * 3600.0 + 30)
    watched.take([], 6 * 3600.0 + 60)
    assert told[1:] == ["CML monitoring: alertd", "CML monitoring: alertd is right again"]
    watched.take(down, 7 * 3600.0)
    assert len(told) == 4


def test_its_mail_leaves_by_a_server_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with smtp_stub() as stub:
        monkeypatch.setenv("WATCHDOG_EMAIL_URL", f"smtp://127.0.0.1:{stub.port}")
        monkeypatch.setenv("WATCHDOG_MAIL_TO", "ops@example.org,boss@example.org")
        _Channel(environ.Env()).send("CML monitoring: alertd", "no round for 3 minutes")
        (taken,) = stub.taken
    assert "no round for 3 minutes" in taken[-1]


def test_without_people_or_server_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMAIL_URL", raising=False)
    monkeypatch.setenv("WATCHDOG_MAIL_TO", "ops@example.org")
    _Channel(environ.Env()).send("s", "w")
