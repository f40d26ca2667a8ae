"""Alerts that arrive: owed with the alert, sent with a lease, escalated, taken back; alertd with nothing but a
database.
"""

import datetime as dt
import io
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client

from cohorts.services.definitions import define_cohort
from config.management.commands import alertd
from config.management.commands.alertd import Rounds
from monitoring import clock
from monitoring.models import (
    Alert,
    AlertDelivery,
    Centre,
    ClassificationRequest,
    Heartbeat,
    JobRun,
    Membership,
    Patient,
    Role,
    TkiCourse,
)
from monitoring.notify.relay import Relay
from monitoring.services.alerts import deliveries, escalation
from monitoring.services.alerts.escalation import ActionTaken, AlertConflictError, acknowledge, act, advance
from monitoring.services.alerts.sending import Sender
from monitoring.services.classification.classify import classify_pending
from monitoring.services.classification.ledger import check_ledger
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.restarts import record_restart
from monitoring.services.entry.results import record_result
from monitoring.services.foundation.lead import Lead
from monitoring.services.foundation.sessions import own_session
from monitoring.services.foundation.stale_version import StaleVersionError
from tests.builders import report

pytestmark = pytest.mark.django_db


def ago(days: int) -> str:
    return (clock.now().date() - dt.timedelta(days=days)).isoformat()


@pytest.fixture
def grace(member: Callable[..., User], centre: Centre) -> User:
    person = member("grace", centre)
    person.email = "grace@example.org"
    person.save()
    return person


@pytest.fixture
def enter(patient: Patient, ada: User) -> Callable[..., None]:
    TkiCourse.objects.create(
        patient=patient, drug="imatinib", started_on="2010-01-01", stopped_on=ago(60), stop_reason="tfr_attempt"
    )

    def call(accession: str, days_ago: int, tubes: str, **more: Any) -> None:
        verdict = record_result(
            report(accession, ago(days_ago), tubes, **more), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now()
        )
        assert not verdict.problems
        classify_pending(now=clock.now())

    call("BASE", 70, "nd/60000")
    return call


def send_all() -> None:
    Sender().finish(10)


# --- owed, sent, recorded ----------------------------------------------------------------------------------------


def test_an_alert_and_its_messages_are_born_together_and_tell_nothing_of_the_patient(
    enter: Callable[..., None], grace: User, patient: Patient
) -> None:
    enter("L1", 5, "100/50000")
    owed = AlertDelivery.objects.get()
    alert = Alert.objects.get()
    assert owed.key == f"{alert.public_id}:0:1:email:{grace.pk}"
    send_all()
    (message,) = mail.outbox
    assert message.to == ["grace@example.org"]
    text = message.subject + message.body + str(message.extra_headers)
    assert f"/alerts/{alert.public_id}/" in text
    for secret in ("P1", "0.2", "L1", "LAB", str(patient.public_id)):
        assert secret not in text.replace(str(alert.public_id), ""), secret
    owed.refresh_from_db()
    assert (owed.delivered, owed.attempts) == (True, 1)


def test_the_same_classification_twice_owes_one_message(
    enter: Callable[..., None], grace: User, patient: Patient
) -> None:
    enter("L1", 5, "100/50000")
    ClassificationRequest.objects.create(patient=patient)
    classify_pending(now=clock.now())
    assert AlertDelivery.objects.count() == 1


def test_a_rise_in_certainty_is_a_new_round(enter: Callable[..., None], grace: User) -> None:
    enter("L1", 20, "100/50000")
    send_all()
    enter("L2", 5, "100/50000")
    send_all()
    assert [m.subject for m in mail.outbox] == [
        "Centre H1: URGENT: a haematology result needs review",
        "Centre H1: URGENT: a haematology result still needs review",
    ]
    assert sorted(AlertDelivery.objects.values_list("key", flat=True))[-1].split(":")[2] == "2"


def test_a_withdrawn_alert_tells_whoever_was_told_and_nobody_else(
    enter: Callable[..., None], grace: User, centre: Centre, member: Callable[..., User]
) -> None:
    enter("L1", 5, "100/50000")
    send_all()
    member("late", centre)
    enter("L1", 5, "nd/60000", status="corrected", reason="wrong tube")
    send_all()
    assert [(m.subject, m.to) for m in mail.outbox][1:] == [
        ("Centre H1: an alert was withdrawn", ["grace@example.org"])
    ]


def test_what_was_withdrawn_before_it_was_sent_is_not_sent(enter: Callable[..., None], grace: User) -> None:
    enter("L1", 5, "100/50000")
    enter("L1", 5, "nd/60000", status="corrected", reason="wrong tube")
    send_all()
    assert mail.outbox == []
    assert not AlertDelivery.objects.filter(settled_at__isnull=True).exists()


def test_a_centre_without_clinicians_tells_the_administrators_and_is_an_alert_itself(
    enter: Callable[..., None], member: Callable[..., User], centre: Centre
) -> None:
    adam = member("adam", centre, Role.ADMINISTRATOR)
    enter("L1", 5, "100/50000")
    assert set(AlertDelivery.objects.values_list("recipient", flat=True)) == {adam.pk}
    assert Alert.objects.filter(kind="no_clinician").count() == 1
    assert AlertDelivery.objects.filter(alert__kind="no_clinician", recipient=adam).count() == 1


def test_a_centre_with_nobody_in_it_is_told_to_those_who_run_the_service_who_see_it(
    client: Client, enter: Callable[..., None], member: Callable[..., User], centre: Centre
) -> None:
    operator = User.objects.create_superuser(
        "olaf", email="olaf@example.org", password="a long enough password"
    )  # of a test
    elsewhere = member("mallory", Centre.objects.create(code="H2"))
    enter("L1", 5, "100/50000")
    loss = Alert.objects.get(kind="loss_of_mmr")
    told = {(d.alert.kind, d.recipient) for d in AlertDelivery.objects.all()}
    assert told == {("loss_of_mmr", operator), ("no_clinician", operator)}
    client.force_login(operator)
    assert client.get(f"/alerts/{loss.public_id}/").status_code == 200
    page = client.get("/operations/").content.decode()
    assert "Centres in which nobody treats or administers" in page
    assert "2 open alerts" in page
    client.force_login(elsewhere)
    assert client.get(f"/alerts/{loss.public_id}/").status_code == 404
    grace = member("grace", centre)
    assert escalation.tell_newcomers(now=clock.now()) == 1
    assert escalation.tell_newcomers(now=clock.now()) == 0
    assert AlertDelivery.objects.filter(recipient=grace, alert=loss).exists(), "a newcomer hears of what waits"
    assert Alert.objects.get(kind="no_clinician").closing_reason == "answered"
    client.force_login(operator)
    assert client.get(f"/alerts/{loss.public_id}/").status_code == 404, "somebody is there again"


def test_a_mail_that_does_not_leave_is_tried_again_with_the_same_key_for_ever(
    enter: Callable[..., None], grace: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(relay: Relay, message: Any) -> None:
        raise ConnectionRefusedError("no mail server")

    enter("L1", 5, "100/50000")
    monkeypatch.setattr(Relay, "send", refuse)
    for attempt in range(1, 13):
        AlertDelivery.objects.update(next_attempt_at=clock.now())
        send_all()
        owed = AlertDelivery.objects.get()
        assert (owed.attempts, owed.settled_at) == (attempt, None)
        assert "no mail server" in owed.outcome
        assert clock.now() < owed.next_attempt_at < clock.now() + dt.timedelta(seconds=31), (
            "a loss waits a minute at most"
        )
    monkeypatch.undo()
    AlertDelivery.objects.update(next_attempt_at=clock.now())
    send_all()
    assert len(mail.outbox) == 1


def test_a_paused_sender_cannot_record_over_its_successor(enter: Callable[..., None], grace: User) -> None:
    enter("L1", 5, "100/50000")
    now = clock.now()
    (zombie,) = deliveries.claim_due(now=now, limit=5)
    assert deliveries.claim_due(now=now, limit=5) == []
    later = now + dt.timedelta(seconds=deliveries.LEASE_SECONDS + 1)
    (successor,) = deliveries.claim_due(now=later, limit=5)
    assert successor.message.key == zombie.message.key
    assert not deliveries.settle(zombie.deliveries, delivered=True, outcome="taken", now=later)
    assert not deliveries.postpone(zombie.deliveries, problem="", now=later)
    assert deliveries.extend([zombie], now=later) == set()
    assert deliveries.settle(successor.deliveries, delivered=True, outcome="taken", now=later)


# --- escalation --------------------------------------------------------------------------------------------------


def test_silence_escalates_without_end(
    enter: Callable[..., None], grace: User, member: Callable[..., User], centre: Centre
) -> None:
    adam = member("adam", centre, Role.ADMINISTRATOR)
    enter("L1", 5, "100/50000")
    now = clock.now()
    for _ in range(6):
        now += dt.timedelta(hours=25)
        assert advance(now=now) == 1
        assert advance(now=now) == 0
    alert = Alert.objects.get()
    assert (alert.state, alert.round) == ("open", 7)
    assert AlertDelivery.objects.filter(recipient=adam).count() == 5
    assert AlertDelivery.objects.values("key").distinct().count() == AlertDelivery.objects.count()


def test_an_acknowledged_alert_is_quiet_and_comes_back_without_an_action(
    enter: Callable[..., None], grace: User
) -> None:
    enter("L1", 5, "100/50000")
    alert = acknowledge(Alert.objects.get(), by=grace, note="called the patient", now=clock.now())
    send_all()
    assert mail.outbox == [], "a message that nobody needs any more is not sent"
    assert advance(now=clock.now() + dt.timedelta(days=6)) == 0
    assert advance(now=clock.now() + dt.timedelta(days=8)) == 1
    alert.refresh_from_db()
    assert (alert.state, alert.note) == ("open", "called the patient")


def test_the_second_of_two_people_is_told(enter: Callable[..., None], grace: User, ada: User) -> None:
    enter("L1", 5, "100/50000")
    alert = Alert.objects.get()
    acknowledge(alert, by=grace, note="", now=clock.now())
    with pytest.raises(AlertConflictError, match="acknowledged already"):
        acknowledge(alert, by=ada, note="", now=clock.now())
    act(alert, by=grace, action=ActionTaken.OTHER, note="moved to another hospital", now=clock.now())
    with pytest.raises(AlertConflictError, match="closed already"):
        act(alert, by=ada, action=ActionTaken.OTHER, note="me too", now=clock.now())
    assert advance(now=clock.now() + dt.timedelta(days=400)) == 0


def test_watching_and_repeats_come_back_on_their_day(enter: Callable[..., None], grace: User) -> None:
    enter("L1", 5, "100/50000")
    alert = Alert.objects.get()
    for until in (None, clock.now().date()):
        with pytest.raises(AlertConflictError, match="day after today"):
            act(alert, by=grace, action=ActionTaken.WATCH, note="", until=until, now=clock.now())
    with pytest.raises(AlertConflictError, match="a few words"):
        act(alert, by=grace, action=ActionTaken.OTHER, note=" ", now=clock.now())
    until = clock.now().date() + dt.timedelta(days=28)
    act(alert, by=grace, action=ActionTaken.WATCH, note="patient abroad", until=until, now=clock.now())
    assert advance(now=clock.now() + dt.timedelta(days=26)) == 0
    assert advance(now=clock.now() + dt.timedelta(days=29)) == 1
    assert Alert.objects.get().state == "open"


@pytest.mark.django_db(transaction=True)
def test_what_people_did_stays_with_the_alert_for_ever(client: Client, enter: Callable[..., None], grace: User) -> None:
    enter("L1", 5, "100/50000")
    alert = Alert.objects.get()
    acknowledge(alert, by=grace, note="I call the ward", now=clock.now())
    until = clock.now().date() + dt.timedelta(days=28)
    act(alert, by=grace, action=ActionTaken.WATCH, note="patient abroad", until=until, now=clock.now())
    today = clock.now().date()
    record_restart(alert, by=grace, reach=EVERYWHERE, drug="dasatinib", started_on=today, note="back", now=clock.now())
    client.force_login(grace)
    page = client.get(f"/alerts/{alert.public_id}/").content.decode()
    for words in (
        "I call the ward",
        "decided to watch",
        until.isoformat(),
        "patient abroad",
        "drug restarted",
        "dasatinib",
        "restart on",
    ):
        assert words in page, words
    deeds = client.get(f"/api/v1/alerts/{alert.public_id}/").json()["deeds"]
    assert [(d["what"], d["by"], d["drug"], d["on"]) for d in deeds] == [
        ("acknowledged", "grace", "", None), ("watch", "grace", "", until.isoformat()),
        ("restart", "grace", "dasatinib", today.isoformat()),
    ]  # fmt: skip


def test_a_restart_recorded_from_the_alert_is_a_course_and_closes_it(enter: Callable[..., None], grace: User) -> None:
    enter("L1", 5, "100/50000")
    alert = Alert.objects.get()
    record_restart(
        alert, by=grace, reach=EVERYWHERE, drug="dasatinib", started_on=clock.now().date(), note="", now=clock.now()
    )
    alert.refresh_from_db()
    assert (alert.state, alert.acknowledged_by) == ("closed", grace)
    assert (alert.closing_reason, alert.closing_values) == ("restart", {"on": clock.now().date().isoformat()})
    assert TkiCourse.objects.filter(drug="dasatinib").count() == 1
    assert list(check_ledger()) == []


def test_a_restart_that_cannot_be_stores_nothing(enter: Callable[..., None], grace: User) -> None:
    enter("L1", 5, "100/50000")
    future = clock.now().date() + dt.timedelta(days=30)
    with pytest.raises(AlertConflictError, match="not come yet"):
        record_restart(
            Alert.objects.get(),
            by=grace,
            reach=EVERYWHERE,
            drug="dasatinib",
            started_on=future,
            note="",
            now=clock.now(),
        )
    assert Alert.objects.get().state == "open"


# --- the inbox ---------------------------------------------------------------------------------------------------


def test_a_clinician_reads_acknowledges_and_acts_in_the_inbox(
    client: Client, enter: Callable[..., None], grace: User, django_assert_max_num_queries: Any
) -> None:
    enter("L1", 5, "100/50000")
    address = f"/alerts/{Alert.objects.get().public_id}/"
    client.force_login(grace)
    with django_assert_max_num_queries(15):
        assert "loss of MMR off treatment" in client.get("/alerts/").content.decode()
    page = client.get(address).content.decode()
    assert "0.2 % IS" in page
    assert Alert.objects.get().state == "open", "opening a link acknowledges nothing"
    assert client.get(address + "acknowledge/").status_code == 405
    assert client.post(address + "acknowledge/", {"note": "seen"}).status_code == 400, "what was read is not said"
    read = {"version": Alert.objects.get().version_tag}
    assert client.post(address + "acknowledge/", {"note": "seen", **read}).status_code == 302
    assert client.post(address + "acknowledge/", {"note": "again", **read}).status_code == 409
    read = {"version": Alert.objects.get().version_tag}
    assert client.post(address + "act/", {"action": "dance", **read}).status_code == 400
    assert client.post(address + "act/", {"action": "restart", **read}).status_code == 409
    today = {"day": clock.now().date().isoformat()}
    assert client.post(address + "act/", {"action": "restart", "drug": "imatinib", **today, **read}).status_code == 302
    assert Alert.objects.get().state == "closed"
    assert "No open alerts" in client.get("/alerts/").content.decode()
    client.post("/language/", {"language": "zh-hans", "next": "/"})
    assert "谁已被通知" in client.get(address).content.decode()


def test_a_page_that_is_stale_acknowledges_nothing_and_shows_what_stands(
    client: Client, enter: Callable[..., None], grace: User
) -> None:
    enter("L1", 5, "100/50000")
    address = f"/alerts/{Alert.objects.get().public_id}/"
    client.force_login(grace)
    read = client.get(address).context["acknowledge_form"]["version"].value()
    enter("L2", 3, "9000/50000")  # confirmed, and above 10 %
    for verb, said in (("acknowledge/", {"note": "seen"}), ("act/", {"action": "other", "note": "done"})):
        answer = client.post(address + verb, {**said, "version": read})
        assert answer.status_code == 409
        page = answer.content.decode()
        assert "the alert has changed since you read it" in page
        assert "confirmed" in page
        assert Alert.objects.get().state == "open"
    now_read = answer.context["acknowledge_form"]["version"].value()
    assert (
        client.post(
            address + "acknowledge/",
            {"note": "seen", "version": now_read, "is_percent": str(Alert.objects.get().is_percent)},
        ).status_code
        == 302
    )


def test_roles_and_centres_decide_who_may_see_and_who_may_act(
    client: Client, enter: Callable[..., None], grace: User, member: Callable[..., User], centre: Centre
) -> None:
    enter("L1", 5, "100/50000")
    address = f"/alerts/{Alert.objects.get().public_id}/"
    elsewhere = Centre.objects.create(code="H2")
    expected = {
        (Role.TECHNICIAN, centre): (200, 403), (Role.ANALYST, centre): (200, 403), (Role.CLINICIAN, centre): (200, 302),
        (Role.CLINICIAN, elsewhere): (404, 404), (Role.ADMINISTRATOR, elsewhere): (404, 404),
    }  # fmt: skip
    for number, ((role, where), (seen, acted)) in enumerate(expected.items()):
        client.force_login(member(f"person{number}", where, role))
        assert client.get(address).status_code == seen
        read = {"version": Alert.objects.get().version_tag}
        assert client.post(address + "acknowledge/", read).status_code == acted
    # A clinician of another centre who is a technician here may look and not act.
    mallory = member("mallory", elsewhere)
    Membership.objects.create(user=mallory, centre=centre, role=Role.TECHNICIAN, valid_from=clock.now().date())
    client.force_login(mallory)
    assert (client.get(address).status_code, client.post(address + "act/", {"action": "other"}).status_code) == (
        200,
        403,
    )


def test_the_inbox_is_paginated_with_flat_queries(
    client: Client, centre: Centre, grace: User, ada: User, django_assert_max_num_queries: Any
) -> None:
    for n in range(30):
        patient = Patient.objects.create(centre=centre, patient_id=f"Q{n}")
        TkiCourse.objects.create(
            patient=patient, drug="imatinib", started_on="2010-01-01", stopped_on=ago(60), stop_reason="tfr_attempt"
        )
        record_result(report(f"L{n}", ago(5), "100/50000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    client.force_login(grace)
    with django_assert_max_num_queries(15):
        first = client.get("/alerts/").content.decode()
    assert first.count('class="tag"') == 25
    assert client.get("/alerts/?page=2").content.decode().count('class="tag"') == 5


def test_a_silent_alertd_is_shown_to_everybody(client: Client, grace: User) -> None:
    Heartbeat.objects.create(name="alertd", beat_at=clock.now() - dt.timedelta(minutes=7))
    client.force_login(grace)
    assert "Data is not current since" in client.get("/").content.decode()


@pytest.fixture
def enter_old_loss(centre: Centre, ada: User) -> Callable[[int], None]:
    """A patient whose loss is history when it is first known; not classified yet."""

    def enter(n: int) -> None:
        patient = Patient.objects.create(centre=centre, patient_id=f"OLD{n}")
        TkiCourse.objects.create(
            patient=patient, drug="imatinib", started_on="2010-01-01", stopped_on=ago(500), stop_reason="tfr_attempt"
        )
        for accession, days, tubes in ((f"B{n}", 510, "nd/60000"), (f"L{n}", 400, "100/50000")):
            record_result(
                report(accession, ago(days), tubes), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now()
            )

    return enter


@pytest.fixture
def old_loss(enter_old_loss: Callable[[int], None]) -> Callable[[int], None]:
    """The same, classified at once."""

    def enter(n: int) -> None:
        enter_old_loss(n)
        classify_pending(now=clock.now())

    return enter


def test_older_losses_send_one_message_a_centre(enter_old_loss: Callable[[int], None], grace: User) -> None:
    for n in range(3):
        enter_old_loss(n)
    classify_pending(now=clock.now())
    assert Alert.objects.count() == 4
    assert AlertDelivery.objects.get().alert.kind == "hand_over"


def test_a_row_that_joins_a_worklist_tells_it_again_and_changes_what_was_read(
    old_loss: Callable[[int], None], grace: User
) -> None:
    old_loss(1)
    send_all()
    worklist = Alert.objects.get(kind="hand_over")
    read = worklist.version_tag
    acknowledge(worklist, by=grace, note="", now=clock.now())
    worklist.refresh_from_db()
    read_later = worklist.version_tag
    old_loss(2)
    worklist.refresh_from_db()
    assert worklist.state == "open", "nobody has acknowledged the new row"
    for version in (read, read_later):
        with pytest.raises(StaleVersionError):
            act(worklist, by=grace, action=ActionTaken.OTHER, note="done", now=clock.now(), version=version)
    send_all()
    assert len(mail.outbox) == 2


def test_a_go_live_in_many_files_is_few_messages(old_loss: Callable[[int], None], grace: User) -> None:
    for n in range(6):
        old_loss(n)
        send_all()
    assert len(mail.outbox) == 1
    worklist = Alert.objects.get(kind="hand_over")
    assert worklist.rows_joined == 6
    later = clock.now() + dt.timedelta(minutes=16)
    assert advance(now=later) == 1, "what joined meanwhile is told within a quarter of an hour"
    worklist.refresh_from_db()
    assert (worklist.step, worklist.round) == (0, 2)
    assert advance(now=later + dt.timedelta(minutes=1)) == 0


def test_nobody_can_put_an_alert_off_for_a_year(enter: Callable[..., None], grace: User, settings: Any) -> None:
    enter("L1", 5, "100/50000")
    today = clock.now().date()
    for action in (ActionTaken.WATCH, ActionTaken.REPEAT):
        with pytest.raises(AlertConflictError, match="more than 92 days"):
            act(
                Alert.objects.get(), by=grace, action=action, note="", until=today + dt.timedelta(days=93),
                now=clock.now(),
            )  # fmt: skip
    act(
        Alert.objects.get(), by=grace, action=ActionTaken.WATCH, note="", until=today + dt.timedelta(days=92),
        now=clock.now(),
    )  # fmt: skip


# --- alertd ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_one_round_classifies_what_hints_lost_sends_it_and_beats(
    patient: Patient, ada: User, grace: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alertd, "OWED_FOR_SECONDS", 0.0)
    monkeypatch.setattr(alertd, "NIGHTLY_GRACE", dt.timedelta(days=2))
    TkiCourse.objects.create(
        patient=patient, drug="imatinib", started_on="2010-01-01", stopped_on=ago(60), stop_reason="tfr_attempt"
    )
    record_result(report("L1", ago(5), "100/50000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    call_command("alertd", "--once", stderr=io.StringIO())
    assert not ClassificationRequest.objects.exists()
    assert len(mail.outbox) == 1
    assert clock.now() - Heartbeat.objects.get(name="alertd").beat_at < dt.timedelta(minutes=1)


@pytest.mark.django_db(transaction=True)
def test_a_second_copy_waits_until_the_lease_of_the_first_has_ended() -> None:
    first, second = Lead("alertd", lease_seconds=1), Lead("alertd", lease_seconds=1)
    assert first.take()
    with pytest.raises(CommandError, match="another alertd"):
        call_command("alertd", "--once", stderr=io.StringIO())
    assert not second.take()
    assert first.keep()
    time.sleep(1.1)  # frozen for longer than its lease
    assert not first.is_held, "it knows by itself"
    assert second.take()
    assert not first.keep(), "and cannot take back what another has"
    assert (first.is_held, second.is_held) == (False, True)
    second.release()
    assert first.take()


@pytest.mark.django_db(transaction=True)
def test_a_copy_that_lost_the_lead_does_no_further_step_and_writes_no_heartbeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lead = Lead("alertd", lease_seconds=30)
    assert lead.take()
    rounds = Rounds(lead)
    done: list[str] = []
    monkeypatch.setattr(
        alertd.escalation, "advance", lambda now: done.append("escalate") or setattr(lead, "_confirmed", 0)
    )
    monkeypatch.setattr(rounds, "_classify", lambda: done.append("classify"))
    rounds.one()
    assert done == ["escalate"]
    assert not Heartbeat.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_rounds_that_hang_give_the_lead_away(monkeypatch: pytest.MonkeyPatch) -> None:
    lead = Lead("alertd", lease_seconds=1)
    assert lead.take()
    monkeypatch.setattr(alertd, "KEEP_LEAD_SECONDS", 0.05)
    monkeypatch.setattr(alertd, "STEP_LIMIT_SECONDS", 0.5)
    rounds = Rounds(lead)
    rounds.keep_lead()  # returns when the lead is lost: the round does not go on
    assert Lead("alertd").take()


@pytest.mark.django_db(transaction=True)
def test_a_patient_whom_somebody_holds_waits_alone(
    patient: Patient, centre: Centre, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Patient.objects.create(centre=centre, patient_id="P2")
    for one in (patient, other):
        record_result(
            report(f"L-{one.patient_id}", ago(5), "100/50000"), patient=one, by=ada, reach=EVERYWHERE, now=clock.now()
        )
    monkeypatch.setattr(alertd, "OWED_FOR_SECONDS", 0.0)
    with own_session() as held:
        held.execute("select 1 from monitoring_patient where id = %s for update", [patient.pk])
        began = time.monotonic()
        Rounds().one()
        assert time.monotonic() - began < 10
        assert set(ClassificationRequest.objects.values_list("patient", flat=True)) == {patient.pk}
        held.rollback()
    Rounds().one()
    assert not ClassificationRequest.objects.exists()


def test_the_night_that_beat_missed_is_owed_and_worked_off_in_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    define_cohort({"slug": "c"}, by="test")
    started: list[list[str]] = []

    class Child:
        def __init__(self, words: list[str], **options: Any) -> None:
            started.append(words)

        def poll(self) -> int | None:
            return None

    monkeypatch.setattr(alertd.subprocess, "Popen", Child)
    monkeypatch.setattr(alertd, "NIGHTLY_GRACE", dt.timedelta(seconds=-1))
    monkeypatch.setattr(alertd, "NIGHTLY_CATCH_UP", dt.timedelta(days=1))
    rounds = Rounds()
    rounds._look_after_the_night()
    rounds._look_after_the_night()
    assert [words[2:4] for words in started] == [["run_night", "c"]]
    slot = JobRun.objects.get().slot_at
    call_command("run_night", "c", slot.isoformat(), stderr=io.StringIO())
    assert JobRun.objects.get().ok
    call_command("run_night", "c", slot.isoformat(), stderr=io.StringIO())
    assert JobRun.objects.get().attempts == 1


def test_a_membership_that_has_ended_is_told_nothing(enter: Callable[..., None], grace: User) -> None:
    Membership.objects.update(valid_from=ago(10), valid_to=ago(1))
    enter("L1", 5, "100/50000")
    assert not AlertDelivery.objects.filter(recipient=grace).exists()
