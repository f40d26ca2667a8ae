"""Programs that are told: signed, at least once with one key, never at an address inside, never with a patient."""

import datetime as dt
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from monitoring import clock
from monitoring.domain.alerting.kinds import Severity
from monitoring.models import (
    Alert,
    AlertDelivery,
    AlertEndpoint,
    Centre,
    EndpointKind,
    Patient,
    Role,
    SetAside,
)
from monitoring.notify import outside
from monitoring.notify.mail import Message
from monitoring.notify.outside import ForbiddenAddress, resolve
from monitoring.notify.webhook import Webhook
from monitoring.services.alerts import deliveries, escalation
from monitoring.services.alerts.endpoints import add_endpoint, end_endpoint, secret_of
from monitoring.services.alerts.sending import Sender
from monitoring.services.foundation.field_problem import FieldProblem
from tests.losses import lose
from tests.web_stub import WebStub, web_stub

pytestmark = pytest.mark.django_db
HUSH = lambda _call: (200, {})  # noqa: E731  # a manner


@pytest.fixture
def lead(member: Callable[..., User], centre: Centre) -> User:
    return member("lena", centre, Role.ADMINISTRATOR)


@pytest.fixture(autouse=True)
def grace(member: Callable[..., User], centre: Centre) -> User:
    person = member("grace", centre)
    User.objects.filter(pk=person.pk).update(email="grace@example.org")
    return person


@pytest.fixture
def stub(tmp_path: Path, settings: Any) -> Iterator[WebStub]:
    with web_stub(tmp_path) as listening:
        settings.WEBHOOK_INTERNAL_HOSTS = frozenset({"localhost"})
        settings.WEBHOOK_CA_FILE = str(listening.authority)
        yield listening


@pytest.fixture
def hook(stub: WebStub, centre: Centre, lead: User) -> tuple[AlertEndpoint, str]:
    return add_endpoint(
        centre, EndpointKind.WEBHOOK, name="pager", address=stub.address, severity=Severity.URGENT, by=lead
    )  # fmt: skip


def send() -> None:
    for sender in (Sender(), Sender(to_programs=True)):
        sender.finish(20)


def of_program() -> AlertDelivery:
    return AlertDelivery.objects.get(endpoint__isnull=False)


def test_a_program_is_told_signed_and_without_a_patient(
    hook: tuple[AlertEndpoint, str], stub: WebStub, patient: Patient, ada: User, settings: Any
) -> None:
    alert = lose(patient, ada)
    send()
    (call,) = stub.calls
    assert call.path == "/hook?x=1"
    stamp = call.headers["x-cml-timestamp"]
    expected = hmac.new(hook[1].encode(), f"{stamp}.".encode() + call.body, hashlib.sha256).hexdigest()
    assert call.headers["x-cml-signature"] == f"v1={expected}"
    assert abs(int(stamp) - clock.now().timestamp()) < 30
    said = json.loads(call.body)
    assert call.headers["idempotency-key"] == said["id"] == of_program().key
    assert said["alerts"] == [{"id": str(alert.public_id), "url": f"{settings.PUBLIC_URL}/alerts/{alert.public_id}/"}]
    assert (said["event"], said["severity"], said["centre"]) == ("alert.opened", "urgent", patient.centre.code)
    text = call.body.decode()
    assert patient.patient_id not in text
    assert "0.104" not in text
    assert of_program().delivered


def test_a_program_does_not_stand_in_for_a_person(
    hook: tuple[AlertEndpoint, str], patient: Patient, ada: User, grace: User
) -> None:
    lose(patient, ada)
    assert {d.addressee for d in AlertDelivery.objects.all()} == {"grace", "pager"}
    User.objects.filter(pk=grace.pk).update(email="")
    send()
    assert of_program().delivered
    alert = Alert.objects.get()
    assert alert.next_action_at is not None
    assert alert.next_action_at <= clock.now(), "nobody was reached: the next step comes now"


@pytest.mark.parametrize(
    ("answer", "settled", "says"),
    [
        ((204, {}), True, "accepted"),
        ((500, {}), None, "HTTP 500"),
        ((429, {"Retry-After": "1"}), None, "HTTP 429"),
        ((302, {"Location": "http://169.254.169.254/"}), False, "HTTP 302"),
        ((404, {}), False, "HTTP 404"),
        (None, None, "RemoteDisconnected"),
    ],
)
def test_what_a_program_answers_decides_what_becomes_of_it(
    hook: tuple[AlertEndpoint, str], stub: WebStub, patient: Patient, ada: User,
    answer: tuple[int, dict[str, str]] | None, settled: bool | None, says: str,
) -> None:  # fmt: skip
    stub.manner = lambda _call: answer
    lose(patient, ada)
    send()
    delivery = of_program()
    assert delivery.delivered is settled
    assert says in delivery.outcome
    assert len(stub.calls) == 1, "no redirect is followed, and nothing is repeated at once"
    assert [one.is_taken for one in delivery.tries.all()] == [bool(settled)]
    aside = SetAside.objects.filter(kind="address", settled_at__isnull=True)
    assert aside.exists() == (settled is False)
    if settled is None:
        stub.manner = HUSH
        AlertDelivery.objects.filter(pk=delivery.pk).update(next_attempt_at=clock.now())
        send()
        assert len({call.headers["idempotency-key"] for call in stub.calls}) == 1 < len(stub.calls)
        assert of_program().delivered


def test_people_and_programs_are_told_apart_so_that_neither_holds_up_the_other(
    hook: tuple[AlertEndpoint, str], stub: WebStub, patient: Patient, ada: User, settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    lose(patient, ada)
    mail, programs = Sender(), Sender(to_programs=True)
    mail.finish(3)
    programs.finish(5)
    assert of_program().delivered
    assert not AlertDelivery.objects.filter(endpoint__isnull=True, delivered=True).exists()


def test_a_program_that_hangs_rests_and_is_told_of(
    hook: tuple[AlertEndpoint, str], stub: WebStub, patient: Patient, ada: User
) -> None:
    stub.manner = lambda _call: (503, {})
    alert = lose(patient, ada)
    second = AlertDelivery.objects.create(
        alert=alert, key="second", channel="webhook", endpoint=hook[0], next_attempt_at=clock.now(), urgency=5
    )  # fmt: skip
    Sender(at_once=1, to_programs=True).finish(5)
    second.refresh_from_db()
    assert second.next_attempt_at > clock.now(), "it waits with the program"
    for _ in range(8):
        AlertDelivery.objects.filter(settled_at__isnull=True).update(next_attempt_at=clock.now(), lease_until=None)
        send()
    aside = SetAside.objects.get(kind="address", settled_at__isnull=True)
    assert "pager: NotTaken: HTTP 503" in aside.error
    stub.manner = HUSH
    AlertDelivery.objects.filter(settled_at__isnull=True).update(next_attempt_at=clock.now(), lease_until=None)
    send()
    aside.refresh_from_db()
    assert aside.settled_at is not None


def test_a_handshake_that_never_ends_can_be_cut(tmp_path: Path, settings: Any) -> None:
    settings.WEBHOOK_INTERNAL_HOSTS = frozenset({"localhost"})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        webhook = Webhook()
        address = f"https://localhost:{silent.getsockname()[1]}/"
        message = Message("k", address, "opened", "H1", ("a",), "confirmed", 1, secret=b"x")
        ended: list[BaseException] = []

        def run() -> None:
            try:
                webhook.send(message)
            except OSError as problem:
                ended.append(problem)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        accepted, _where = silent.accept()
        began = time.monotonic()
        while not ended and time.monotonic() - began < 8:
            webhook.cut()
            thread.join(0.1)
        accepted.close()
        assert ended, "cut before its own time was over"


def test_a_program_hears_from_its_severity_on_and_nothing_once_it_has_ended(
    hook: tuple[AlertEndpoint, str], stub: WebStub, patient: Patient, ada: User, lead: User, centre: Centre
) -> None:
    quiet = Alert(centre=centre, kind="fluctuation", certainty="confirmed", public_id="0" * 32, subject_key="x",
                  evidence_key="x", evidence_on="2026-01-01", rule_version="x", patient=patient)  # fmt: skip
    quiet.save()
    escalation.begin([quiet], now=clock.now())
    assert not AlertDelivery.objects.filter(endpoint__isnull=False).exists()
    alert = lose(patient, ada)
    owed = of_program()
    end_endpoint(hook[0], by=lead, now=clock.now())
    send()
    owed.refresh_from_db()
    assert (owed.delivered, owed.outcome_code, stub.calls) == (False, "ended", [])
    escalation.advance(now=clock.now() + dt.timedelta(hours=13))
    escalation.withdraw(alert, by=lead, reason="slip", now=clock.now())
    assert AlertDelivery.objects.filter(endpoint__isnull=False).count() == 1, "neither the next step nor the withdrawal"
    with pytest.raises(deliveries.OnItsWay):
        deliveries.send_again(owed, by=lead, now=clock.now())


# --- addresses ---------------------------------------------------------------------------------------------------

INSIDE = (
    "127.0.0.1", "10.1.2.3", "172.16.0.9", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1",
    "64:ff9b::a00:1", "2002:a00:1::", "ff02::1", "fec0::1", "64:ff9b:1::a00:1", "::10.0.0.1",
)  # fmt: skip


@pytest.mark.parametrize("ip", INSIDE)
def test_an_address_inside_is_never_called(monkeypatch: pytest.MonkeyPatch, ip: str) -> None:
    found = [("93.184.216.34", 443), (ip, 443)]  # one good address does not excuse a bad one
    monkeypatch.setattr(outside.socket, "getaddrinfo", lambda *_a, **_o: [(2, 1, 6, "", at) for at in found])
    with pytest.raises(ForbiddenAddress, match="which is inside"):
        resolve("https://hooks.example.org/x")


def test_an_address_of_the_internet_is_called_where_it_was_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["93.184.216.34", "127.0.0.1"])  # a name that leads elsewhere when asked again
    monkeypatch.setattr(
        outside.socket, "getaddrinfo", lambda *_a, **_o: [(2, 1, 6, "", (next(answers), 443))]
    )  # fmt: skip
    target = resolve("https://hooks.example.org:8443/x?y=1")
    assert (target.ip, target.host, target.port, target.path) == ("93.184.216.34", "hooks.example.org", 8443, "/x?y=1")


@pytest.mark.parametrize(
    "address",
    [
        "http://hooks.example.org/", "ftp://hooks.example.org/", "file:///etc/passwd", "https://", "https:///x",
        "https://user:pass@hooks.example.org/", "https://hooks.example.org/#x", "https://hooks.example.org:22/",
        "https://hooks.example.org:99999/", "https://hooks.example.org/a b", "https://hooks.example.org/\r\nX: y",
        "javascript:alert(1)", "", "https://x..y/", f"https://{'a' * 64}.example/", "https://hooks.example.org/\u00e4",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_webhook_is_refused(centre: Centre, lead: User, address: str) -> None:
    with pytest.raises(FieldProblem) as refused:
        add_endpoint(centre, EndpointKind.WEBHOOK, name="x", address=address, severity=Severity.URGENT, by=lead)
    assert refused.value.field == "address"
    assert not AlertEndpoint.objects.exists()


def test_a_name_that_later_leads_inside_is_refused_when_it_is_called(
    hook: tuple[AlertEndpoint, str], stub: WebStub, patient: Patient, ada: User, settings: Any
) -> None:
    settings.WEBHOOK_INTERNAL_HOSTS = frozenset()
    lose(patient, ada)
    send()
    assert not stub.calls
    assert of_program().delivered is False
    assert "which is inside" in of_program().outcome


def test_a_certificate_of_another_name_is_refused(
    tmp_path: Path, settings: Any, centre: Centre, lead: User, patient: Patient, ada: User
) -> None:
    with web_stub(tmp_path, name="other.example.org") as stub:
        settings.WEBHOOK_INTERNAL_HOSTS, settings.WEBHOOK_CA_FILE = frozenset({"localhost"}), str(stub.authority)
        add_endpoint(centre, EndpointKind.WEBHOOK, name="x", address=stub.address, severity=Severity.URGENT, by=lead)
        lose(patient, ada)
        send()
        assert not stub.calls
        assert of_program().delivered is False


def test_the_key_is_sealed_and_a_lost_one_stops_no_other_message(
    hook: tuple[AlertEndpoint, str], stub: WebStub, patient: Patient, ada: User, settings: Any
) -> None:
    endpoint, key = hook
    assert secret_of(endpoint) == key.encode()
    assert key.encode() not in bytes(AlertEndpoint.objects.get().sealed)
    settings.IDENTITY_KEY = "another key, which is long enough to be one, of a restored server"
    lose(patient, ada)
    send()
    assert AlertDelivery.objects.get(endpoint__isnull=True).delivered
    assert SetAside.objects.filter(kind="delivery", settled_at__isnull=True).count() == 1
    assert not stub.calls


# --- gateways ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("json://10.0.0.1/", "must begin with one of"), ("file:///etc/passwd", "must begin with one of"),
        ("mailto://a:b@example.org", "must begin with one of"),
        ("mmosts://inside.example/token", "the operator allows it"),
        ("slack://", "cannot be read by apprise"),
        ("workflows://10.0.0.5:8443/x/y?template=/etc/passwd", "without options"),
        ("workflows://10.0.0.5:8443/x/y", "must begin with one of"),
        ("discord://1/abc,json://10.0.0.5/x", "names one service"),
        ("discord://1/abc;json://10.0.0.5/x", "names one service"),
        ("discord://1/abc json://10.0.0.5/x", "names one service"),
        ("slack://AAAAAAAAA/BBBBBBBBB/cccccccccccccccccccccccc/#one/#two", "names several targets"),
    ],
)  # fmt: skip
def test_a_gateway_that_could_call_inside_is_refused(centre: Centre, lead: User, address: str, says: str) -> None:
    with pytest.raises(FieldProblem, match=says):
        add_endpoint(centre, EndpointKind.GATEWAY, name="x", address=address, severity=Severity.URGENT, by=lead)


def test_a_gateway_is_told_and_its_password_is_not_shown(
    centre: Centre, lead: User, patient: Patient, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    import apprise

    told: list[dict[str, Any]] = []
    monkeypatch.setattr(apprise.NotifyBase, "notify", lambda _self, **said: bool(told.append(said)) or len(told) > 1)
    address = "slack://AAAAAAAAA/BBBBBBBBB/cccccccccccccccccccccccc/#ward"
    endpoint, _key = add_endpoint(
        centre, EndpointKind.GATEWAY, name="ward", address=address, severity=Severity.SOON, by=lead
    )  # fmt: skip
    assert endpoint.address == "slack://…"
    lose(patient, ada)
    send()
    waits = of_program()
    assert waits.delivered is None, "it was not taken, and goes again"
    assert waits.next_attempt_at > clock.now() + dt.timedelta(minutes=10), "at most three times an hour"
    AlertDelivery.objects.update(next_attempt_at=clock.now())
    send()
    assert of_program().delivered
    assert patient.patient_id not in str(told)
    assert "URGENT" in told[0]["title"]


# --- the page ----------------------------------------------------------------------------------------------------


def test_the_page_adds_shows_the_key_once_and_ends(client: Client, stub: WebStub, centre: Centre, lead: User) -> None:
    client.force_login(lead)
    address = f"/ladders/{centre.pk}/programs/"
    data = {"name": "pager", "kind": "webhook", "address": stub.address, "severity": "urgent"}
    page = client.post(address, data).content.decode()
    endpoint = AlertEndpoint.objects.get()
    key = secret_of(endpoint).decode()
    assert key in page
    assert key not in client.get(address).content.decode()
    assert client.post(address, data).status_code == 400, "the name is taken"
    assert client.post(address, data | {"name": "x", "address": "https://10.0.0.1/"}).status_code == 400
    other = Centre.objects.create(code="H2")
    assert client.get(f"/ladders/{other.pk}/programs/").status_code == 404
    assert client.post(f"/ladders/{other.pk}/programs/{endpoint.pk}/end/").status_code == 404
    assert client.post(f"{address}{endpoint.pk}/end/").status_code == 302
    endpoint.refresh_from_db()
    assert endpoint.ended_at is not None
    assert client.post(address, data).status_code == 200, "its name is free again"
