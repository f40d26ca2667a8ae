"""One poison in each step of a round: the others are done, the poisoned one is named and told, and after the repair
it is done.
"""

import datetime as dt
import io
import itertools
import logging
import threading
import time
import zoneinfo
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client

from config.management.commands import alertd
from config.management.commands.alertd import Rounds
from monitoring import clock
from monitoring.domain import replay
from monitoring.intake.uploads import take_upload
from monitoring.intake.values import CellProblem, Cells
from monitoring.models import (
    Alert,
    AlertDelivery,
    Centre,
    ClassificationRequest,
    EscalationPolicy,
    Heartbeat,
    ImportRun,
    Laboratory,
    MonitoringPlan,
    Patient,
    PcrResult,
    ResponseAssessment,
    Role,
    SetAside,
    TkiCourse,
)
from monitoring.models.centres import zone_of
from monitoring.notify.mail import Message
from monitoring.notify.relay import Relay
from monitoring.selectors.set_aside import now_set_aside
from monitoring.services.alerts import by_the_clock, deliveries, escalation, plans, sending
from monitoring.services.alerts.ladders import Ladder, Ladders
from monitoring.services.classification import classify
from monitoring.services.classification.classify import classify_pending
from monitoring.services.entry import verification
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from monitoring.services.foundation import set_aside
from tasks.classification import classify_bulk
from tests.builders import report

pytestmark = pytest.mark.django_db

LINE_SEPARATOR = "\u2028"


def ago(days: int) -> str:
    return (clock.now().date() - dt.timedelta(days=days)).isoformat()


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No night begins and nothing waits for ten seconds."""
    monkeypatch.setattr(alertd, "NIGHTLY_GRACE", dt.timedelta(days=2))
    monkeypatch.setattr(alertd, "OWED_FOR_SECONDS", 0.0)


@pytest.fixture
def elsewhere() -> Centre:
    return Centre.objects.create(code="H2")


@pytest.fixture
def people(centre: Centre, elsewhere: Centre, member: Callable[..., User]) -> dict[str, User]:
    """Grace treats in the first hospital and Gil in the second; Adam and Alma administer them."""
    found = {}
    for name, where, role in (
        ("grace", centre, Role.CLINICIAN), ("gil", elsewhere, Role.CLINICIAN),
        ("adam", centre, Role.ADMINISTRATOR), ("alma", elsewhere, Role.ADMINISTRATOR),
    ):  # fmt: skip
        found[name] = member(name, where, role)
        User.objects.filter(pk=found[name].pk).update(email=f"{name}@example.org")
    return found


@pytest.fixture
def lost(centre: Centre, elsewhere: Centre, ada: User, people: dict[str, User]) -> tuple[Patient, Patient]:
    """One patient in each hospital who has lost MMR off treatment; nothing is classified yet."""
    found = []
    for number, where in enumerate((centre, elsewhere)):
        patient = Patient.objects.create(centre=where, patient_id=f"P{number}")
        TkiCourse.objects.create(
            patient=patient, drug="imatinib", started_on="2010-01-01", stopped_on=ago(60), stop_reason="tfr_attempt"
        )
        for accession, days, tubes in ((f"B{number}", 70, "nd/60000"), (f"L{number}", 5, "100/50000")):
            record_result(
                report(accession, ago(days), tubes), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now()
            )
        found.append(patient)
    return found[0], found[1]


def later(monkeypatch: pytest.MonkeyPatch, **passed: float) -> None:
    """The clock goes on."""
    now = clock.now() + dt.timedelta(**passed)
    monkeypatch.setattr(clock, "now", lambda: now)


def rounds_of(number: int = 3) -> Rounds:
    rounds = Rounds()
    for _ in range(number):
        rounds.one()
    return rounds


def shown_to(client: Client, person: User) -> str:
    client.force_login(person)
    return client.get("/operations/").content.decode()


def mails_to(name: str) -> list[str]:
    return [m.subject for m in mail.outbox if m.to == [f"{name}@example.org"]]


def raw(statement: str, *values: object) -> None:
    """Something that no door would have taken."""
    with connection.cursor() as cursor:
        cursor.execute("set constraints all immediate")
        cursor.execute(statement, values)


OPERATIONAL = "work of the service was set aside"


def is_told(centre: Centre) -> bool:
    return Alert.objects.live().filter(kind="set_aside", centre=centre).count() == 1


# --- one poison in each step --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError, KeyError, UnicodeError, AttributeError, RecursionError], ids=str)
def test_a_message_that_fails_for_an_unforeseen_reason_holds_up_no_other(
    client: Client, lost: tuple[Patient, Patient], people: dict[str, User], centre: Centre, error: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    send = Relay.send

    def poisoned(relay: Relay, message: EmailMessage) -> None:
        if message.to[0].startswith("grace"):
            raise error("Meier, born 1980")
        send(relay, message)

    monkeypatch.setattr(Relay, "send", poisoned)
    rounds_of()
    assert mails_to("gil") == ["Centre H2: URGENT: a haematology result needs review"]
    assert any(OPERATIONAL in subject for subject in mails_to("adam"))
    assert mails_to("alma") == [], "what belongs to a centre is told in this centre"
    page = shown_to(client, people["adam"])
    owed = AlertDelivery.objects.get(recipient=people["grace"])
    assert owed.key in page
    assert error.__name__ in page
    assert "Meier" not in page + owed.outcome
    assert owed.key not in shown_to(client, people["alma"])
    assert "set aside: delivery 1" in Heartbeat.objects.get().detail
    monkeypatch.setattr(Relay, "send", send)
    later(monkeypatch, minutes=2)
    rounds_of()
    assert mails_to("grace") == ["Centre H1: URGENT: a haematology result needs review"]
    assert owed.key not in shown_to(client, people["adam"])
    later(monkeypatch, minutes=20)
    rounds_of(1)
    assert not is_told(centre), "the alert closes itself"
    assert Heartbeat.objects.get().detail == ""


def test_a_message_that_cannot_be_built_is_passed_over_with_growing_pauses_and_never_given_up(
    lost: tuple[Patient, Patient], people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    build = deliveries._message

    def poisoned(group: Sequence[AlertDelivery]) -> Message:
        if group[0].recipient == people["grace"]:
            raise KeyError("certainty")
        return build(group)

    monkeypatch.setattr(deliveries, "_message", poisoned)
    classify_pending(now=clock.now())
    owed = AlertDelivery.objects.get(recipient=people["grace"])
    pauses = []
    for attempt in range(1, 10):
        rounds_of(1)
        row = SetAside.objects.get(kind="delivery", key=owed.key)
        assert row.attempts == attempt
        rounds_of(1)
        row.refresh_from_db()
        assert row.attempts == attempt, "it is passed over until its time"
        pauses.append(row.retry_at - row.last_at)
        later(monkeypatch, hours=7)
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (dt.timedelta(minutes=1), dt.timedelta(hours=6))
    monkeypatch.setattr(deliveries, "_message", build)
    rounds_of()
    assert any("needs review" in subject for subject in mails_to("grace"))


@pytest.mark.parametrize("odd", ["\n", "\r\nBcc: mallory@example.org\r\n", LINE_SEPARATOR, "\x85", "\u202e", "\x0b"])
def test_a_centre_code_put_in_behind_every_door_stops_no_message(
    lost: tuple[Patient, Patient], centre: Centre, odd: str
) -> None:
    raw("alter table monitoring_centre drop constraint centre_code_plain")
    raw("update monitoring_centre set code = %s where id = %s", f"H{odd}1", centre.pk)
    rounds_of()
    (message,) = [m for m in mail.outbox if m.to == ["grace@example.org"]]
    assert message.subject.startswith("Centre H ")
    assert len(message.subject.splitlines()) == 1
    assert message.message()["Bcc"] is None
    assert len(mails_to("gil")) == 1
    assert not SetAside.objects.exists()


def test_an_address_that_is_none_holds_up_no_other(
    client: Client, lost: tuple[Patient, Patient], people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    User.objects.filter(username="grace").update(email="grace@@example.org,\r\nBcc: x@example.org")
    rounds_of()
    assert len(mails_to("gil")) == 1
    assert "e-mail address of a person" in shown_to(client, people["adam"])
    User.objects.filter(username="grace").update(email="grace@example.org")
    later(monkeypatch, minutes=2)
    rounds_of()
    assert len(mails_to("grace")) >= 1
    assert not now_set_aside().filter(kind="address").exists()


@pytest.mark.parametrize("zone", ["Mars/Olympus", "America", "../etc/passwd", "UTC\n", "\u2028"])
def test_a_time_zone_that_is_none_is_utc_and_told_until_it_is_mended(
    client: Client, lost: tuple[Patient, Patient], people: dict[str, User], centre: Centre, zone: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    raw("alter table monitoring_centre drop constraint centre_time_zone_plain")
    raw("update monitoring_centre set time_zone = %s where id = %s", zone, centre.pk)
    rounds_of()
    assert (len(mails_to("gil")), len([s for s in mails_to("grace") if "needs review" in s])) == (1, 1)
    assert "time zone of a centre" in shown_to(client, people["adam"])
    assert is_told(centre)
    client.force_login(people["grace"])
    assert client.get(f"/patients/{lost[0].public_id}/?known_at={ago(1)}").status_code == 200
    centre.refresh_from_db()
    assert zone_of(centre) == zoneinfo.ZoneInfo("UTC")
    Centre.objects.update(time_zone="Asia/Shanghai")
    rounds_of(1)
    assert not now_set_aside().exists()
    later(monkeypatch, minutes=11)
    rounds_of(1)
    assert not is_told(centre)


def test_an_escalation_policy_that_cannot_be_read_loses_no_alert_and_is_told(
    client: Client, lost: tuple[Patient, Patient], people: dict[str, User], centre: Centre
) -> None:
    EscalationPolicy.objects.create(centre=centre, steps=[{"roles": ["ward"]}], signed_by="Dr Example")
    rounds_of()
    assert len([s for s in mails_to("grace") if "needs review" in s]) == 1, "the built-in ladder holds"
    assert "escalation policy of a centre" in shown_to(client, people["adam"])
    EscalationPolicy.objects.update(steps=[{"roles": ["clinician"], "wait_hours": 6}])
    rounds_of(1)
    assert not now_set_aside().exists()


def test_an_alert_whose_ladder_raises_holds_up_no_other(
    client: Client, lost: tuple[Patient, Patient], people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    classify_pending(now=clock.now())
    poisoned = Alert.objects.get(patient=lost[0])
    of = Ladders.of

    def ladder(self: Ladders, alert: Alert) -> Ladder:
        if alert.pk == poisoned.pk:
            raise ZeroDivisionError
        return of(self, alert)

    monkeypatch.setattr(Ladders, "of", ladder)
    later(monkeypatch, hours=13)
    rounds_of()
    rounds = dict(Alert.objects.filter(kind="loss_of_mmr").values_list("patient", "round"))
    assert rounds == {lost[0].pk: 1, lost[1].pk: 2}
    page = shown_to(client, people["adam"])
    assert f"/alerts/{poisoned.public_id}/" in page
    assert "ZeroDivisionError" in page
    monkeypatch.setattr(Ladders, "of", of)
    later(monkeypatch, minutes=2)
    rounds_of()
    assert set(Alert.objects.filter(kind="loss_of_mmr").values_list("round", flat=True)) == {2}
    assert not now_set_aside().exists()


@pytest.mark.parametrize("error", [ArithmeticError, RuntimeError, AttributeError, RecursionError], ids=str)
def test_a_patient_whose_replay_raises_holds_up_no_other(
    client: Client, lost: tuple[Patient, Patient], people: dict[str, User], error: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def poisoned(series: replay.Series, *rules: Any) -> replay.Replay:
        if series.patient_key == str(lost[0].public_id):
            raise error("HN-77")
        return replay.replay(series, *rules)

    monkeypatch.setattr(classify, "replay", poisoned)
    rounds_of()
    assert ResponseAssessment.objects.filter(result__patient=lost[1]).count() == 2
    assert len(mails_to("gil")) == 1
    assert len(mails_to("adam")) == 1
    page = shown_to(client, people["adam"])
    assert f"/patients/{lost[0].public_id}/" in page
    assert "HN-77" not in page
    monkeypatch.setattr(classify, "replay", replay.replay)
    later(monkeypatch, minutes=2)
    rounds_of()
    assert not ClassificationRequest.objects.exists()
    assert len(mails_to("grace")) == 1
    assert not now_set_aside().exists()


def test_the_tasks_go_on_past_a_patient_whose_replay_raises(
    lost: tuple[Patient, Patient], monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(series: replay.Series, *rules: Any) -> replay.Replay:
        if series.patient_key == str(lost[0].public_id):
            raise RuntimeError
        return replay.replay(series, *rules)

    monkeypatch.setattr(classify, "replay", poisoned)
    assert classify_bulk() == 0, "the other was classified in the round in which one failed"
    assert set(ClassificationRequest.objects.values_list("patient", flat=True)) == {lost[0].pk}
    assert SetAside.objects.get().kind == "classification"


def test_new_facts_of_a_patient_who_is_set_aside_do_not_wait(
    lost: tuple[Patient, Patient], ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classify, "replay", lambda series: 1 // 0)
    rounds_of(1)
    assert SetAside.objects.filter(kind="classification").count() == 2
    monkeypatch.setattr(classify, "replay", replay.replay)
    record_result(report("L9", ago(1), "nd/60000"), patient=lost[0], by=ada, reach=EVERYWHERE, now=clock.now())
    rounds_of(1)
    assert not ClassificationRequest.objects.filter(patient=lost[0]).exists()
    rounds_of(1)
    assert now_set_aside().filter(kind="classification").count() == 1


def test_a_watched_result_that_raises_holds_up_no_other(
    client: Client, lost: tuple[Patient, Patient], people: dict[str, User], ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, patient in enumerate(lost):
        waiting = report(f"W{number}", ago(1), "nd/60000", status="preliminary")
        record_result(waiting, patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    poisoned = PcrResult.objects.get(accession_number="W0")
    opened = verification.open_by_the_clock

    def raising(kind: Any, *, evidence: PcrResult, **values: Any) -> bool:
        if evidence.pk == poisoned.pk:
            raise TypeError
        return opened(kind, evidence=evidence, **values)

    monkeypatch.setattr(verification, "open_by_the_clock", raising)
    later(monkeypatch, hours=5)
    rounds_of(1)
    assert Alert.objects.get(kind="unverified").patient == lost[1]
    assert f"/results/{poisoned.public_id}/" in shown_to(client, people["adam"])
    monkeypatch.setattr(verification, "open_by_the_clock", opened)
    later(monkeypatch, minutes=2)
    rounds_of(1)
    assert Alert.objects.filter(kind="unverified").count() == 2


def test_a_plan_that_raises_holds_up_no_other(
    client: Client, lost: tuple[Patient, Patient], people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    classify_pending(now=clock.now())
    due = clock.now().date() - dt.timedelta(days=30)
    MonitoringPlan.objects.update(
        slot_known_on=due, earliest_on=due, due_on=due, latest_on=due, followed_until=ago(-300), checked_on=None
    )
    planned = plans.next_sample_due

    def raising(series: replay.Series, *more: Any, **named: Any) -> Any:
        if series.patient_key == str(lost[0].public_id):
            raise LookupError
        return planned(series, *more, **named)

    monkeypatch.setattr(plans, "next_sample_due", raising)
    by_the_clock.raise_overdue(now=clock.now())
    assert MonitoringPlan.objects.get(checked_on__isnull=False).patient == lost[1]
    assert f"/patients/{lost[0].public_id}/" in shown_to(client, people["adam"])
    monkeypatch.setattr(plans, "next_sample_due", planned)
    later(monkeypatch, minutes=2)
    by_the_clock.raise_overdue(now=clock.now())
    assert not MonitoringPlan.objects.filter(checked_on__isnull=True).exists()
    assert not now_set_aside().exists()


class Reader:
    """A child that reads a file; the poisoned file kills it."""

    poison = 0
    started: list[int] = []

    def __init__(self, words: list[str], **options: Any) -> None:
        self.run = int(words[-1])
        self.started.append(self.run)
        if self.run != self.poison:
            ImportRun.objects.filter(pk=self.run).update(finished_at=clock.now())

    def poll(self) -> int:
        return -9 if self.run == self.poison else 0


def test_a_file_that_kills_its_reader_holds_up_no_other(
    client: Client, people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [take_upload("results", f"{n}.csv", b"x", by=people["adam"], dry_run=True) for n in range(3)]
    monkeypatch.setattr(Reader, "poison", runs[0].pk)
    monkeypatch.setattr(Reader, "started", [])
    monkeypatch.setattr(alertd.subprocess, "Popen", Reader)
    rounds = rounds_of(5)
    assert Reader.started == [run.pk for run in runs]
    assert str(runs[0].public_id) in shown_to(client, people["adam"])
    assert len(mails_to("adam")) == 1
    monkeypatch.setattr(Reader, "poison", 0)
    later(monkeypatch, minutes=2)
    rounds.one()
    rounds.one()
    assert not ImportRun.objects.filter(finished_at__isnull=True).exists()
    assert not now_set_aside().exists()


def test_a_reader_that_never_ends_is_ended(people: dict[str, User], monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(Reader):
        def poll(self) -> None:  # type: ignore[override]
            return None

        def kill(self) -> None:
            pass

        def wait(self) -> int:
            return -9

    run = take_upload("results", "a.csv", b"x", by=people["adam"], dry_run=True)
    monkeypatch.setattr(Reader, "poison", run.pk)
    monkeypatch.setattr(alertd.subprocess, "Popen", Hanging)
    monkeypatch.setattr(alertd, "UPLOAD_LIMIT_SECONDS", 0.0)
    rounds_of(2)
    assert SetAside.objects.get(kind="upload").error == "its reader ended with -9"


STEPS = {
    "classify": "classify_pending", "watch unverified results": "raise_unverified",
    "watch suspicious values": "raise_suspicious", "watch overdue samples": "raise_overdue",
    "watch restarts": "raise_no_restart", "watch responses after a restart": "raise_no_mmr_after_restart",
    "look after uploads": "owed_uploads", "check settings": "check_settings",
}  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_as_a_whole_ends_neither_the_round_nor_alertd(
    client: Client, lost: tuple[Patient, Patient], people: dict[str, User], step: str, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def raising(*_: Any, **more: Any) -> int:
        raise NotImplementedError

    if step != "classify":
        rounds_of(1)
    monkeypatch.setattr(alertd, STEPS[step], raising)
    with caplog.at_level(logging.ERROR):
        rounds_of(3)
    assert any(record.exc_info and step in record.getMessage() for record in caplog.records)
    assert f"step of a round {step}" in shown_to(client, people["adam"])
    assert step in shown_to(client, people["alma"]), "what belongs to no centre is told to all"
    assert all(any(OPERATIONAL in s for s in mails_to(name)) for name in ("adam", "alma"))
    assert "step 1" in Heartbeat.objects.get().detail
    assert SetAside.objects.get(kind="step").attempts == 1, "it is not written down every two seconds"
    if step != "classify":
        assert len([s for s in mails_to("gil") if "needs review" in s]) == 1
    monkeypatch.undo()
    monkeypatch.setattr(alertd, "NIGHTLY_GRACE", dt.timedelta(days=2))
    rounds_of(1)
    assert not now_set_aside().exists()


# --- what is nobody's fault, and what must stay bounded ---------------------------------------------------------------


def test_a_lost_database_is_no_fault_of_the_work_and_goes_up(
    lost: tuple[Patient, Patient], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any, **more: Any) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(classify, "load_series", gone)
    with pytest.raises(OperationalError):
        rounds_of(1)
    assert not SetAside.objects.exists()
    assert not ClassificationRequest.objects.filter(attempts__gt=0).exists()


def test_a_statement_that_the_database_refuses_is_the_fault_of_its_piece(lost: tuple[Patient, Patient]) -> None:
    def cancelled(pks: Any) -> int:
        if lost[0].pk in pks:
            raw("set local statement_timeout = 20")
            raw("select pg_sleep(1)")
        return len(pks)

    done = set_aside.work_off(
        "overdue", Patient.objects.order_by("pk"), cancelled, key="public_id", centre="centre_id", limit=9,
        now=clock.now(),
    )  # fmt: skip
    assert done == 1
    assert SetAside.objects.get().key == str(lost[0].public_id)
    assert SetAside.objects.get().error.startswith("OperationalError at ")


def test_what_is_not_owed_any_more_is_settled_without_being_done(
    lost: tuple[Patient, Patient], monkeypatch: pytest.MonkeyPatch
) -> None:
    def off(rows: Any) -> int:
        return set_aside.work_off(
            "overdue", rows, lambda pks: 1 // 0, key="public_id", centre="centre_id", limit=9, now=clock.now()
        )

    off(Patient.objects.all())
    assert now_set_aside().count() == 2
    later(monkeypatch, minutes=2)
    off(Patient.objects.none())
    assert now_set_aside().count() == 0


def test_an_alert_that_a_person_closed_comes_back_only_for_something_new(
    people: dict[str, User], centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_aside.put("night", "a", "said", centre_id=centre.pk, now=clock.now())
    rounds_of(1)
    escalation.act(
        Alert.objects.get(), by=people["adam"], action=escalation.ActionTaken.OTHER, note="known", now=clock.now()
    )
    monkeypatch.setattr(set_aside, "settle_all_but", lambda *_, **more: 0)
    rounds_of(1)
    assert not is_told(centre)
    later(monkeypatch, minutes=1)
    set_aside.put("night", "b", "said", centre_id=centre.pk, now=clock.now())
    rounds_of(2)
    assert is_told(centre)


def test_sends_that_never_end_are_replaced_bounded_and_told(
    client: Client, lost: tuple[Patient, Patient], people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    released, begun = threading.Event(), itertools.count()
    send = Relay.send

    def hang(relay: Relay, message: EmailMessage) -> None:
        next(begun)
        released.wait(30)
        raise TimeoutError

    classify_pending(now=clock.now())
    monkeypatch.setattr(Relay, "send", hang)
    monkeypatch.setattr(alertd, "SEND_ONCE_SECONDS", 0.5)
    for name, value in (("DEADLINE_SECONDS", 0.0), ("HANGS_AFTER_SECONDS", 0.0), ("MOST_HANGING", 2)):
        monkeypatch.setattr(sending, name, value)
    rounds = Rounds()
    for _ in range(4):
        rounds.one()
    assert next(begun) == 2, "what hangs is not sent again meanwhile"
    assert "SendersHang" in shown_to(client, people["adam"])
    monkeypatch.setattr(Relay, "send", send)
    monkeypatch.setattr(sending, "DEADLINE_SECONDS", 20.0)
    released.set()
    rounds.senders[0].finish(10)
    AlertDelivery.objects.filter(settled_at__isnull=True).update(next_attempt_at=clock.now())
    time.sleep(sending.LONGEST_REST_SECONDS / 5)  # the sender rests after a server that answered nobody
    rounds_of()
    assert (len(mails_to("grace")), len(mails_to("gil"))) == (1, 1)


# --- values are right where they are made -------------------------------------------------------------------------

ODD = ["\n", "\r", "\x00", "\x07", "\x85", "\xad", "\u200b", LINE_SEPARATOR, "\u2029", "\u202e", "\ufeff", "\U000e0041"]


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_a_code_with_an_odd_character_is_refused_at_every_door(odd: str) -> None:
    for column in ("centre", "laboratory", "patient_id", "accession_number"):
        with pytest.raises(CellProblem, match=r"line break|invisible"):
            Cells({column: f"H{odd}1"}).identifier(column)
    for model in (Centre, Laboratory):
        with pytest.raises(ValidationError):
            model(code=f"H{odd}1").full_clean()


@pytest.mark.parametrize("odd", [o for o in ODD if o != "\x00"], ids=ascii)
@pytest.mark.parametrize("table", ["centre", "laboratory"])
def test_a_code_with_an_odd_character_is_refused_by_the_database(table: str, odd: str) -> None:
    with pytest.raises(Exception, match="code_plain"):
        {"centre": Centre, "laboratory": Laboratory}[table].objects.create(code=f"H{odd}1")


@pytest.mark.parametrize("code", ["H1", "上海 儿童医院", "Köln/Süd", "a'b\"c", "𝔘1"])
def test_codes_of_all_languages_are_taken(code: str) -> None:
    centre = Centre(code=code, time_zone="Asia/Shanghai")
    centre.full_clean()
    centre.save()


@pytest.mark.parametrize("zone", ["Mars/Olympus", "America", "../UTC", "UTC\n", "posixrules"])
def test_a_time_zone_is_one_of_the_known(zone: str) -> None:
    with pytest.raises(ValidationError):
        Centre(code="H9", time_zone=zone).full_clean()


@pytest.mark.django_db(transaction=True)
def test_the_migration_repairs_what_stands(ada: User, capsys: pytest.CaptureFixture[str]) -> None:
    centre = Centre.objects.create(code="H1", time_zone="Asia/Shanghai")
    patient = Patient.objects.create(centre=centre, patient_id="P1")
    record_result(report("A1", ago(5), "nd/60000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    try:
        call_command("migrate", "monitoring", "0022", verbosity=0)
        loader = MigrationExecutor(connection).loader
        state = loader.project_state([key for key in loader.applied_migrations if key[0] == "monitoring"])
        then = state.apps.get_model("monitoring", "Centre").objects  # with the columns of that day
        then.create(code="H_2")
        then.create(code=f"H{LINE_SEPARATOR}2", look="the second")
        then.create(code="H\n2", look="the third", time_zone="Mars/Olympus")
        then.create(code="x" * 59 + "\x85")
        Laboratory.objects.filter(code="LAB").update(code="L\nAB")
    finally:
        call_command("migrate", "monitoring", verbosity=0, stdout=io.StringIO())
    assert list(Centre.objects.order_by("pk").values_list("code", "time_zone")) == [
        ("H1", "Asia/Shanghai"), ("H_2", ""), ("H_2-2", ""), ("H_2-3", ""), ("x" * 59 + "_", ""),
    ]  # fmt: skip
    assert Laboratory.objects.get().code == "L_AB"
    assert ClassificationRequest.objects.get().patient == patient
    told = capsys.readouterr().out
    assert "'Mars/Olympus' is no time zone" in told
    assert r"code 'H\n2' is now 'H_2-3'" in told
