"""Every night: a list for paper, a mail that says what waits, and forgetting what is old, by kind and with figures."""

import datetime as dt
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.management import call_command
from django.db import Error, connection, transaction
from django.test import Client

from config.management.commands import alertd
from config.privileges import grant_after_migrate
from config.walls import RETENTION_FLOORS
from monitoring import clock
from monitoring.models import (
    AccessEvent,
    Alert,
    AlertDelivery,
    Centre,
    DeliveryAttempt,
    ImportRun,
    JobRun,
    Patient,
    Role,
    SetAside,
)
from monitoring.services.alerts import digest
from monitoring.services.foundation.lead import Lead
from monitoring.services.foundation.retention import KINDS, forget_old
from monitoring.wording.numbers import significant
from tests.losses import lose

pytestmark = pytest.mark.django_db


@pytest.fixture
def grace(member: Callable[..., User], centre: Centre) -> User:
    person = member("grace", centre)
    person.email = "grace@example.org"
    person.save()
    return person


@pytest.fixture
def loss(patient: Patient, ada: User, grace: User) -> Alert:
    return lose(patient, ada)


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.OPEN_ALERTS_DIR = tmp_path / "open"
    return tmp_path / "open"


def test_every_centre_leaves_a_list_on_disk_that_only_the_service_reads(loss: Alert, folder: Path) -> None:
    other = Centre.objects.create(code="H2")
    assert digest.write_lists(now=clock.now()) == 2
    pages = {file.name: file for file in folder.iterdir()}
    assert set(pages) == {f"{loss.centre_id}-{loss.centre.code}.html", f"{other.pk}-H2.html"}
    page = pages[f"{loss.centre_id}-{loss.centre.code}.html"]
    text = page.read_text()
    assert loss.patient is not None
    assert loss.patient.patient_id in text
    assert "loss of MMR off treatment" in text
    assert f"<td>{significant(loss.is_percent)}</td>" in text
    assert "No open alerts" in pages[f"{other.pk}-H2.html"].read_text()
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / page.with_suffix(".part").name).write_text("of a killed one")
    digest.write_lists(now=clock.now())
    assert not list(folder.glob("*.part"))


def test_the_list_on_the_page_holds_the_own_centres_and_is_written_down(client: Client, loss: Alert, grace: User,
    member: Callable[..., User], django_assert_max_num_queries: Any) -> None:  # fmt: skip
    client.force_login(grace)
    with django_assert_max_num_queries(12):
        page = client.get("/alerts/list/").content.decode()
    assert loss.patient is not None
    assert loss.patient.patient_id in page
    assert AccessEvent.objects.get().action == "print open alerts"
    elsewhere = Client()
    elsewhere.force_login(member("mallory", Centre.objects.create(code="H2")))
    assert loss.patient.patient_id not in elsewhere.get("/alerts/list/").content.decode()


def test_the_number_beside_the_menu_counts_the_own_centres(
    client: Client, loss: Alert, grace: User, member: Callable[..., User], django_assert_max_num_queries: Any
) -> None:
    client.force_login(grace)
    with django_assert_max_num_queries(6):
        assert client.get("/alerts/count/").json() == {
            "open": 1, "urgent": 1, "words": "1 open alerts, 1 of them urgent"
        }  # fmt: skip
    elsewhere = Client()
    elsewhere.force_login(member("mallory", Centre.objects.create(code="H2")))
    assert elsewhere.get("/alerts/count/").json()["open"] == 0


def test_a_centre_is_told_once_a_night_what_waits_and_nothing_of_a_patient(loss: Alert, folder: Path) -> None:
    Centre.objects.create(code="QUIET")
    slot = clock.now().replace(microsecond=0)
    assert digest.send_digests(slot, now=clock.now()) == (1, 0)
    assert digest.send_digests(slot, now=clock.now()) == (0, 0), "once"
    (sent,) = mail.outbox
    assert sent.to == ["grace@example.org"]
    assert sent.subject == f"Centre {loss.centre.code}: 1 alerts are open, 1 of them urgent"
    assert "/alerts/list/" in str(sent.body)
    assert loss.patient is not None
    assert loss.patient.patient_id not in f"{sent.subject}{sent.body}"
    assert digest.send_digests(slot + dt.timedelta(days=1), now=clock.now()) == (1, 0), "and again the next"


def test_mails_that_nobody_takes_are_tried_again_and_stop_no_other_part(
    loss: Alert, folder: Path, settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    slot = clock.now().replace(microsecond=0)
    assert digest.send_digests(slot, now=clock.now()) == (0, 1)
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert digest.send_digests(slot, now=clock.now()) == (1, 0)


def test_a_slot_whose_mails_nobody_took_stays_owed(loss: Alert, folder: Path, settings: Any) -> None:
    taken = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    slot = clock.now().replace(microsecond=0).isoformat()
    with pytest.raises(SystemExit) as ended:
        call_command("run_housekeeping", slot)
    assert ended.value.code == 1
    run = JobRun.objects.get(job="housekeeping")
    assert run.finished_at is None
    assert "0 mails taken, 1 not" in run.detail
    assert run.lease_until is not None
    assert run.lease_until > clock.now() + dt.timedelta(minutes=10)
    settings.EMAIL_BACKEND = taken
    JobRun.objects.filter(pk=run.pk).update(lease_until=clock.now())
    call_command("run_housekeeping", slot)
    run.refresh_from_db()
    assert run.ok
    assert len(mail.outbox) == 1


def test_the_command_does_a_slot_once_and_says_what_it_did(
    loss: Alert, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = clock.now().replace(microsecond=0)
    call_command("run_housekeeping", slot.isoformat())
    said = capsys.readouterr().err
    assert "1 lists; 1 mails; 0 jobs, 0 deliveries, 0 imports, 0 access forgotten" in said
    run = JobRun.objects.get(job="housekeeping")
    assert (run.ok, run.detail) == (True, said.strip())
    call_command("run_housekeeping", slot.isoformat())
    assert "it is done" in capsys.readouterr().err
    folder.chmod(0o700)
    monkeypatch.setattr(digest, "render_to_string", lambda *_: 1 / 0)
    with pytest.raises(SystemExit) as ended:
        call_command("run_housekeeping", (slot + dt.timedelta(days=1)).isoformat())
    assert ended.value.code == 1
    assert "lists failed: ZeroDivisionError" in capsys.readouterr().err
    assert len(mail.outbox) == 2, "the other parts went on"


# --- forgetting --------------------------------------------------------------------------------------------------


def rows(now: dt.datetime, days: int, loss: Alert, by: User) -> None:
    """One row of each kind that is so old."""
    then = now - dt.timedelta(days=days)
    JobRun.objects.create(job=f"j{days}", slot_at=then, finished_at=then, ok=True)
    JobRun.objects.create(job=f"unfinished{days}", slot_at=then)
    ImportRun.objects.create(kind="results", file_name="f.csv", sha256="x", by=by, started_at=then, finished_at=then)
    delivery = AlertDelivery.objects.create(
        alert=loss, key=f"k{days}", recipient=by, next_attempt_at=then, settled_at=then, delivered=True, owed_at=then
    )  # fmt: skip
    DeliveryAttempt.objects.create(delivery=delivery, at=then, is_taken=True, words="")
    event = AccessEvent(user=by, action="look", at=then)
    event.save()


def left() -> dict[str, int]:
    return {
        "jobs": JobRun.objects.filter(finished_at__isnull=False).count(), "deliveries": DeliveryAttempt.objects.count(),
        "imports": ImportRun.objects.count(), "access": AccessEvent.objects.count(),
    }  # fmt: skip


def test_what_is_older_than_its_time_is_forgotten_and_nothing_else(loss: Alert, ada: User, settings: Any) -> None:
    now = clock.now()
    assert settings.RETENTION_DAYS.keys() == set(KINDS) == RETENTION_FLOORS.keys()
    for days in (10, 100, 1100, 4000):
        rows(now, days, loss, ada)
    Alert.objects.filter(pk=loss.pk).update(
        state="closed", opened_at=now - dt.timedelta(days=5000), closed_at=now - dt.timedelta(days=1099),
        next_action_at=None,
    )  # fmt: skip
    assert forget_old(now=now) == {"jobs": 3, "deliveries": 2, "imports": 2, "access": 1}
    assert left() == {"jobs": 1, "deliveries": 2, "imports": 2, "access": 3}
    assert JobRun.objects.filter(job__startswith="unfinished").count() == 4
    assert forget_old(now=now) == dict.fromkeys(KINDS, 0)


def test_an_end_that_was_written_into_the_past_makes_nothing_old(loss: Alert, ada: User) -> None:
    now, long_ago = clock.now(), clock.now() - dt.timedelta(days=5000)
    run = JobRun.objects.create(job="j", slot_at=now, finished_at=long_ago)
    given = ImportRun.objects.create(kind="results", file_name="f.csv", sha256="x", by=ada, finished_at=long_ago)
    delivery = AlertDelivery.objects.get(alert=loss)
    DeliveryAttempt.objects.create(delivery=delivery, at=now, is_taken=True, words="")
    AlertDelivery.objects.filter(pk=delivery.pk).update(settled_at=long_ago)
    Alert.objects.filter(pk=loss.pk).update(state="closed", closed_at=long_ago, next_action_at=None)
    assert forget_old(now=now) == dict.fromkeys(KINDS, 0)
    for row in (run, given, delivery):
        row.refresh_from_db()


def test_messages_of_an_alert_that_is_open_are_kept_however_old(loss: Alert, ada: User) -> None:
    rows(clock.now(), 4000, loss, ada)
    assert forget_old(now=clock.now())["deliveries"] == 0


@pytest.mark.parametrize("kind", [*KINDS, "results", ""])
def test_the_database_forgets_nothing_younger_than_its_floor(kind: str) -> None:
    least = RETENTION_FLOORS.get(kind, (0, 0))[0]
    asked = clock.now() - dt.timedelta(days=least) + dt.timedelta(hours=1)
    with pytest.raises(Error, match="at least"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select cml_forget(%s, %s)", [kind, asked])


def test_the_service_s_login_may_forget_by_this_one_way_only(loss: Alert, ada: User) -> None:
    grant_after_migrate(using="default")
    rows(clock.now(), 4000, loss, ada)
    with connection.cursor() as cursor:
        cursor.execute("set role cml_app")
        try:
            for table in ("monitoring_jobrun", "monitoring_accessevent", "monitoring_alertdelivery"):
                with pytest.raises(Error, match="permission denied"), transaction.atomic():
                    cursor.execute(f"delete from {table}")  # a table of ours
            before = clock.now() - dt.timedelta(days=3700)
            cursor.execute("select cml_forget('access', %s)", [before])
            assert cursor.fetchone() == (1,)
            with pytest.raises(Error, match="permission denied"), transaction.atomic():
                cursor.execute("delete from monitoring_accessevent")
        finally:
            cursor.execute("reset role")


def test_a_technician_may_print_the_list_too(client: Client, centre: Centre, member: Callable[..., User]) -> None:
    client.force_login(member("tina", centre, Role.TECHNICIAN))
    assert client.get("/alerts/list/").status_code == 200


# --- who starts it -----------------------------------------------------------------------------------------------


class Child:
    """A process that ends when it is told to."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.ended: int | None = None

    def code(self) -> int | None:
        return self.ended


def test_the_leader_starts_it_once_a_slot_and_says_when_it_failed(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.DIGEST_HOUR = clock.now().hour
    begun: list[Child] = []

    def begin(key: str, _limit: float, *words: str) -> Child:
        assert words[0] == "run_housekeeping"
        begun.append(Child(key))
        return begun[-1]

    monkeypatch.setattr(alertd, "_begin", begin)
    lead = Lead("alertd")
    assert lead.take()
    rounds = alertd.Rounds(lead)
    rounds._look_after_the_house()
    rounds._look_after_the_house()
    assert len(begun) == 1, "while it works no other is started"
    begun[0].ended = 1
    slot = dt.datetime.fromisoformat(begun[0].key.partition("@")[2])
    run = JobRun.objects.create(job="housekeeping", slot_at=slot, finished_at=clock.now(), ok=False)
    rounds._look_after_the_house()
    assert len(begun) == 1, "the slot is done"
    aside = SetAside.objects.get(kind="house")
    assert aside.settled_at is None
    run.delete()
    rounds._look_after_the_house()
    assert len(begun) == 1, "it is tried again in the pauses of what is set aside"
    SetAside.objects.update(retry_at=clock.now())
    rounds._look_after_the_house()
    begun[1].ended = 0
    rounds._look_after_the_house()
    aside.refresh_from_db()
    assert aside.settled_at is not None
    alertd.Rounds()._look_after_the_house()
    assert len(begun) == 3, "a round by itself starts none"
