"""Messages leave: the urgent first, fast, over kept connections, each once; and whatever the mail server does, somebody
is told.
"""

import datetime as dt
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from monitoring import clock
from monitoring.domain.alerting.kinds import KINDS, AlertKind, Urgency, urgency_of
from monitoring.domain.course.relapse import Certainty
from monitoring.models import Alert, AlertDelivery, Centre, Patient, Role, SetAside, SetAsideKind
from monitoring.selectors.freshness import freshness, owed_work
from monitoring.services.alerts import deliveries, escalation, sending
from monitoring.services.alerts.identity import alert_public_id
from monitoring.services.alerts.sending import Sender
from tests.smtp_stub import Manner, SmtpStub, Visit, drips, smtp_stub, takes_all

pytestmark = pytest.mark.django_db


@pytest.fixture
def grace(member: Callable[..., User], centre: Centre) -> User:
    return _reachable(member("grace", centre))


def _reachable(person: User) -> User:
    person.email = f"{person.username}@example.org"
    person.save()
    return person


@pytest.fixture
def relay(settings: Any) -> Any:
    """A function that makes a mail server of this manner and lets the service use it."""
    opened: list[Any] = []

    def make(manner: Manner = takes_all) -> SmtpStub:
        context = smtp_stub(manner)
        stub = context.__enter__()
        opened.append(context)
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", stub.port, 5
        return stub

    yield make
    for context in opened:
        context.__exit__(None, None, None)


def an_alert(
    centre: Centre, number: int, kind: AlertKind = AlertKind.LOSS_OF_MMR, certainty: str = "confirmed"
) -> Alert:
    """An alert of a patient of its own, told to the first step of its ladder."""
    patient = Patient.objects.create(centre=centre, patient_id=f"{kind.value}-{number}")
    alert = Alert.objects.create(
        public_id=alert_public_id(kind, patient.patient_id, "E"), kind=kind.value, subject_key=patient.patient_id,
        centre=centre, patient=patient, certainty=certainty, evidence_key="E", evidence_on=clock.now().date(),
        rule_version="test", opened_at=clock.now(),
    )  # fmt: skip
    escalation.begin([alert], now=clock.now())
    return alert


def owed_long_ago(by: dt.timedelta = dt.timedelta(hours=1)) -> None:
    """Everything that is owed became due a while ago."""
    AlertDelivery.objects.update(owed_at=clock.now() - by, next_attempt_at=clock.now() - by)


# --- the order and the speed -------------------------------------------------------------------------------------


def test_every_kind_has_a_place_in_the_order() -> None:
    places = {kind: urgency_of(KINDS[kind], Certainty.CONFIRMED) for kind in AlertKind}
    assert {places[kind] for kind in AlertKind} == set(Urgency) - {Urgency.SUSPECTED}
    assert [urgency_of(KINDS[AlertKind.LOSS_OF_MMR], c) for c in Certainty] == [
        Urgency.PROVISIONAL, Urgency.SUSPECTED, Urgency.CONFIRMED,
    ]  # fmt: skip
    assert places[AlertKind.SET_ASIDE] == places[AlertKind.NO_CLINICIAN] == Urgency.OPERATIONAL
    assert places[AlertKind.FLUCTUATION] is Urgency.EARLY_SIGN
    assert places[AlertKind.OVERDUE_SAMPLE] is Urgency.PLAN
    urgent = [kind for kind in AlertKind if KINDS[kind].severity.value == "urgent"]
    assert not any(places[kind].is_lesser for kind in urgent)


def test_a_loss_leaves_before_what_was_owed_earlier_and_lesser_ones_leave_as_one_list(
    centre: Centre, grace: User, relay: Any
) -> None:
    stub = relay()
    for number in range(30):
        an_alert(centre, number, AlertKind.FLUCTUATION)
        an_alert(centre, number, AlertKind.OVERDUE_SAMPLE)
    owed_long_ago()
    late = [an_alert(centre, 100, certainty="provisional"), an_alert(centre, 101)]
    Sender(at_once=1).finish(20)
    assert len(stub.taken) == 4
    urgent = [key.split(":")[0] for key in stub.keys()[:2]]
    assert urgent == [str(late[1].public_id), str(late[0].public_id)]
    of_lists = [text for _at, _to, text in stub.taken[2:]]
    assert [text.count("/alerts/") for text in of_lists] == [30, 30]
    assert "fluct" not in "".join(of_lists), "a message names no kind"
    assert not AlertDelivery.objects.filter(settled_at__isnull=True).exists()
    assert AlertDelivery.objects.filter(delivered=True).count() == 62


def test_two_people_and_two_centres_share_no_list(centre: Centre, grace: User, member: Any, relay: Any) -> None:
    elsewhere = Centre.objects.create(code="H2")
    _reachable(member("olga", elsewhere))
    _reachable(member("pia", centre))
    for number in range(3):
        an_alert(centre, number, AlertKind.FLUCTUATION)
        an_alert(elsewhere, 10 + number, AlertKind.FLUCTUATION)
    stub = relay()
    Sender().finish(20)
    assert sorted((to, text.count("/alerts/")) for _at, to, text in stub.taken) == [
        ("grace@example.org", 3), ("olga@example.org", 3), ("pia@example.org", 3),
    ]  # fmt: skip


def test_hundreds_of_losses_leave_over_few_connections(centre: Centre, grace: User, relay: Any) -> None:
    stub = relay()
    for number in range(200):
        an_alert(centre, number)
    Sender().finish(60)
    assert len(stub.taken) == len(set(stub.keys())) == 200
    assert len(stub.visits) <= sending.SEND_AT_ONCE


def test_claiming_costs_the_same_queries_for_few_and_for_many(
    centre: Centre, grace: User, django_assert_num_queries: Any
) -> None:
    for number in range(40):
        an_alert(centre, number)
        an_alert(centre, number, AlertKind.FLUCTUATION)
    for limit, urgent in ((1, 1), (39, 39)):
        with django_assert_num_queries(10):
            assert len(deliveries.claim_due(now=clock.now(), limit=limit)) == urgent
    assert len(deliveries.claim_due(now=clock.now(), limit=5)) == 1, "all forty lesser ones are one message"


# --- mail servers ------------------------------------------------------------------------------------------------


def test_a_dripping_server_is_cut_off_and_nothing_is_sent_twice_meanwhile(
    centre: Centre, grace: User, relay: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "DEADLINE_SECONDS", 1.0)
    stub = relay(drips)
    an_alert(centre, 1)
    sender = Sender()
    began = time.monotonic()
    sender.finish(10)
    assert 1.0 <= time.monotonic() - began < 4
    owed = AlertDelivery.objects.get()
    assert (owed.settled_at, owed.attempts) == (None, 1)
    assert owed.outcome == "took too long and was ended"
    assert len(stub.visits) == 1
    stub.manner = takes_all
    AlertDelivery.objects.update(next_attempt_at=clock.now())
    sender.finish(10)
    assert len(stub.taken) == 1


def test_while_a_try_is_alive_its_claim_is_kept(
    centre: Centre, grace: User, relay: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "EXTEND_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(deliveries, "LEASE_SECONDS", 1)
    relay(drips)
    an_alert(centre, 1)
    sender = Sender()
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        sender.turn(0.1)
        assert deliveries.claim_due(now=clock.now(), limit=5) == []
    assert AlertDelivery.objects.get().attempts == 1
    monkeypatch.setattr(sending, "DEADLINE_SECONDS", 0.0)
    sender.finish(5)


def test_a_text_that_may_have_arrived_goes_again_at_most_three_times_an_hour(
    centre: Centre, grace: User, relay: Any
) -> None:
    def drops_after_taking(visit: Visit, line: str) -> str | None:
        return None if line == "." else takes_all(visit, line)

    stub = relay(drops_after_taking)
    an_alert(centre, 1)
    Sender().finish(10)
    owed = AlertDelivery.objects.get()
    assert (owed.settled_at, len(stub.taken)) == (None, 1)
    pause = owed.next_attempt_at - clock.now()
    assert dt.timedelta(minutes=19) < pause <= dt.timedelta(minutes=20)
    AlertDelivery.objects.update(next_attempt_at=clock.now())
    stub.manner = takes_all
    Sender().finish(10)
    assert len(set(stub.keys())) == 1, "a repeat carries the same key"


def test_a_server_that_is_away_is_said_once_and_losses_leave_first_afterwards(
    centre: Centre, grace: User, relay: Any, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stub = relay()
    port, settings.EMAIL_PORT = stub.port, 1
    an_alert(centre, 1, AlertKind.FLUCTUATION)
    for number in range(2, 12):
        an_alert(centre, number)
    sender = Sender(at_once=1)
    until = time.monotonic() + 3
    while time.monotonic() < until:
        sender.turn(0.05)
    assert sum("cannot be reached" in record.message for record in caplog.records) == 1
    assert AlertDelivery.objects.filter(attempts=0).count() > 5, "what was not begun was not tried"
    waits = AlertDelivery.objects.order_by("-next_attempt_at").values_list("next_attempt_at", flat=True)[0]
    assert waits - clock.now() < dt.timedelta(seconds=31)
    settings.EMAIL_PORT = port
    AlertDelivery.objects.update(next_attempt_at=clock.now())
    sender._rests_until = 0.0
    sender.finish(20)
    assert len(stub.taken) == 11
    assert "URGENT" in stub.subjects()[0]
    assert "URGENT" not in stub.subjects()[-1]


@pytest.mark.parametrize(("code", "is_final"), [("550 no such user", True), ("450 try later", False)])
def test_an_address_that_is_refused_for_good_hurries_the_next_person(
    centre: Centre, grace: User, member: Any, relay: Any, code: str, is_final: bool
) -> None:
    adam = _reachable(member("adam", centre, Role.ADMINISTRATOR))
    relay(
        lambda visit, line: (
            code if line == "RCPT" and visit.recipients == ["grace@example.org"] else takes_all(visit, line)
        )
    )
    alert = an_alert(centre, 1)
    Sender().finish(10)
    owed = AlertDelivery.objects.get()
    assert (owed.settled_at is not None) == is_final
    assert (owed.outcome_code == "refused") == is_final
    for _step in range(3):
        escalation.advance(now=clock.now())
        Sender().finish(10)
    told = AlertDelivery.objects.filter(alert=alert, recipient=adam, delivered=True)
    assert told.exists() == is_final
    aside = SetAside.objects.filter(kind=SetAsideKind.ADDRESS)
    assert [row.error.startswith("grace:") for row in aside] == [True] * is_final
    alert.refresh_from_db()
    rounds = alert.round
    assert escalation.advance(now=clock.now()) == 0, "on the last step the wait of the ladder holds"
    assert rounds == (3 if is_final else 1)


def test_a_person_without_an_address_is_no_local_mailbox(centre: Centre, member: Any, relay: Any) -> None:
    member("nemo", centre)
    stub = relay()
    alert = an_alert(centre, 1)
    Sender().finish(10)
    owed = AlertDelivery.objects.get(alert=alert)
    assert (owed.delivered, owed.outcome_code, stub.taken) == (False, "no_address", [])
    assert SetAside.objects.get(kind=SetAsideKind.ADDRESS).centre == centre


def test_an_address_that_is_mended_is_no_longer_set_aside(centre: Centre, member: Any, relay: Any) -> None:
    nemo = member("nemo", centre)
    relay()
    an_alert(centre, 1)
    Sender().finish(10)
    _reachable(nemo)
    an_alert(centre, 2)
    Sender().finish(10)
    assert SetAside.objects.get(kind=SetAsideKind.ADDRESS).settled_at is not None


def test_who_loses_the_lead_records_what_was_on_its_way_and_gives_back_the_rest(
    centre: Centre, grace: User, relay: Any
) -> None:
    stub = relay()
    for number in range(5):
        an_alert(centre, number)
    sender = Sender(at_once=2)
    sender.turn()
    sender.wind_up(10)
    assert len(stub.taken) == AlertDelivery.objects.filter(delivered=True).count() == 2
    assert AlertDelivery.objects.filter(attempts=0, lease_until__isnull=True).count() == 3
    Sender().finish(10)
    assert len(stub.keys()) == len(set(stub.keys())) == 5


def test_one_outcome_that_cannot_be_recorded_holds_up_no_other(
    centre: Centre, grace: User, relay: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = relay(lambda visit, line: "550 no such user" if line == "RCPT" else takes_all(visit, line))
    an_alert(centre, 1)

    def poisoned(*_words: Any, **_options: Any) -> None:
        raise KeyError("certainty")

    monkeypatch.setattr(escalation, "hurry_on", poisoned)
    sender = Sender()
    sender.finish(10)
    owed = AlertDelivery.objects.get()
    assert owed.settled_at is None, "refused and told are one"
    assert SetAside.objects.get(kind=SetAsideKind.DELIVERY).key == owed.key
    refused.manner = takes_all
    an_alert(centre, 2)
    sender.finish(10)
    assert len(refused.taken) == 1


# --- told that mail is broken ------------------------------------------------------------------------------------


def test_the_age_of_a_message_counts_from_when_it_was_owed(
    client: Client, centre: Centre, grace: User, relay: Any
) -> None:
    relay(lambda visit, line: "450 try later" if line == "RCPT" else takes_all(visit, line))
    an_alert(centre, 1)
    AlertDelivery.objects.update(owed_at=clock.now() - dt.timedelta(minutes=5))
    Sender().finish(10)
    now = clock.now()
    assert AlertDelivery.objects.get().next_attempt_at > now, "it was tried, and is not due"
    aged = {one.name: one for one in owed_work(now)}
    assert 290 < aged["deliveries"].oldest_seconds < 310
    assert aged["urgent_deliveries"].count == 1
    client.force_login(grace)
    assert "have not left since" in client.get("/").content.decode()
    assert "have not left since" in client.get("/api/v1/alerts/").headers["X-Data-Stale"]
    client.post("/language/", {"language": "zh-hans", "next": "/"})
    assert "have not left since" not in client.get("/").content.decode()


def test_a_lesser_message_may_wait_for_longer(centre: Centre, grace: User) -> None:
    an_alert(centre, 1, AlertKind.FLUCTUATION)
    AlertDelivery.objects.update(owed_at=clock.now() - dt.timedelta(minutes=5))
    assert freshness(clock.now()).unsent is None
    AlertDelivery.objects.update(owed_at=clock.now() - dt.timedelta(minutes=16))
    assert freshness(clock.now()).unsent is not None


# --- each try, and once more -------------------------------------------------------------------------------------


def test_each_try_stands_on_the_page_of_the_alert_and_a_person_can_send_again(
    client: Client, centre: Centre, grace: User, member: Any, relay: Any, django_assert_max_num_queries: Any
) -> None:
    stub = relay(lambda visit, line: "450 mailbox is full" if line == "RCPT" else takes_all(visit, line))
    alert = an_alert(centre, 1)
    sender = Sender()
    sender.finish(10)
    stub.manner = takes_all
    AlertDelivery.objects.update(next_attempt_at=clock.now())
    sender.finish(10)
    owed = AlertDelivery.objects.get()
    tries = list(owed.tries.order_by("pk").values_list("is_taken", flat=True))
    assert tries == [False, True]
    client.force_login(grace)
    with django_assert_max_num_queries(25):
        page = client.get(f"/alerts/{alert.public_id}/").content.decode()
    assert "mailbox is full" in page
    again = f"/alerts/{alert.public_id}/messages/{owed.pk}/again/"
    assert client.post(again).status_code == 302
    assert client.post(again).status_code == 409, "it is on its way"
    sender.finish(10)
    assert len(stub.taken) == 2
    assert len(set(stub.keys())) == 2, "what a person asks for is no repeat"
    assert "sent again by grace" in client.get(f"/alerts/{alert.public_id}/").content.decode()
    olga = member("olga", Centre.objects.create(code="H2"))
    client.force_login(olga)
    assert client.post(again).status_code == 404
    client.force_login(member("tom", centre, Role.TECHNICIAN))
    assert client.post(again).status_code == 403
    assert client.post(f"/alerts/{alert.public_id}/messages/999999/again/").status_code == 403
