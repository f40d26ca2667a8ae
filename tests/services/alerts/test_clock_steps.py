"""A clock that ran an hour ahead and was set back: nothing waits an hour longer for what it wrote meanwhile."""

import datetime as dt

import pytest
from django.contrib.auth.models import User
from django.db import connection

from config.management.commands import alertd
from config.management.commands.alertd import Rounds
from monitoring import clock
from monitoring.models import Alert, AlertDelivery, Centre, ClassificationRequest, Heartbeat, JobRun, Patient, SetAside
from monitoring.services.alerts import deliveries
from monitoring.services.alerts.clock_steps import catch_up
from monitoring.services.foundation.lead import Lead

pytestmark = pytest.mark.django_db

HOUR = dt.timedelta(hours=1)


def alert_of(patient: Patient, opened_at: dt.datetime, number: int = 1) -> Alert:
    return Alert.objects.create(
        public_id=f"00000000-0000-0000-0000-00000000000{number}", kind="loss_of_mmr", subject_key=f"S{number}",
        centre=patient.centre, patient=patient, certainty="confirmed", evidence_key="E", evidence_on=opened_at.date(),
        rule_version="test", opened_at=opened_at, next_action_at=opened_at + 4 * HOUR,
    )  # fmt: skip


def owed(alert: Alert, to: User, owed_at: dt.datetime) -> AlertDelivery:
    return AlertDelivery.objects.create(
        alert=alert, key=f"k{alert.subject_key}", recipient=to, owed_at=owed_at, next_attempt_at=owed_at, urgency=0
    )


def test_what_a_clock_an_hour_ahead_wrote_is_told_now_and_not_in_an_hour(patient: Patient, ada: User) -> None:
    now = clock.now()
    before, meanwhile = alert_of(patient, now - HOUR), alert_of(patient, now + HOUR, 2)
    message = owed(meanwhile, ada, now + HOUR)
    AlertDelivery.objects.update(lease_until=now + HOUR + dt.timedelta(seconds=20), lease_token=before.public_id)
    JobRun.objects.create(job="night", slot_at=now, claimed_at=now + HOUR, lease_until=now + HOUR + HOUR)
    ClassificationRequest.objects.create(patient=patient, requested_at=now + HOUR)
    SetAside.objects.create(kind="step", key="send", first_at=now, last_at=now + HOUR, retry_at=now + 2 * HOUR)
    Heartbeat.objects.create(name="alertd", beat_at=now + HOUR)
    Heartbeat.objects.create(name="worker classify", beat_at=now + HOUR)
    assert catch_up("alertd", now=now) == HOUR
    before.refresh_from_db()
    meanwhile.refresh_from_db()
    message.refresh_from_db()
    assert before.next_action_at == now + 3 * HOUR  # written before: as it was
    assert meanwhile.next_action_at == now + 4 * HOUR
    assert message.owed_at == message.next_attempt_at == now
    assert message.lease_until == now + dt.timedelta(seconds=20)
    assert JobRun.objects.get().lease_until == now + HOUR
    assert ClassificationRequest.objects.get().requested_at == now
    assert SetAside.objects.get().retry_at == now + HOUR
    assert set(Heartbeat.objects.values_list("beat_at", flat=True)) == {now}
    assert not catch_up("alertd", now=now)  # once


@pytest.mark.parametrize("ahead", [dt.timedelta(seconds=-600), dt.timedelta(), dt.timedelta(seconds=4)])
def test_a_clock_that_goes_on_or_is_steered_moves_nothing(patient: Patient, ada: User, ahead: dt.timedelta) -> None:
    now = clock.now()
    Heartbeat.objects.create(name="alertd", beat_at=now + ahead)
    message = owed(alert_of(patient, now), ada, now + HOUR)
    assert not catch_up("alertd", now=now)
    message.refresh_from_db()
    assert message.next_attempt_at == now + HOUR
    assert not catch_up("another", now=now)


def test_a_round_heeds_the_clock_before_it_does_anything_else(patient: Patient, grace_like: User) -> None:
    now = clock.now()
    Heartbeat.objects.create(name=alertd.NAME, beat_at=now + HOUR)
    message = owed(alert_of(patient, now + HOUR), grace_like, now + HOUR)
    Rounds().one()
    message.refresh_from_db()
    assert message.delivered
    assert deliveries.claim_due(now=clock.now(), limit=5) == []


@pytest.fixture
def grace_like(ada: User) -> User:
    ada.email = "ada@example.org"
    ada.save()
    return ada


@pytest.mark.parametrize(("ends_in", "is_taken"), [(-1, True), (3, False), (55, False), (3600, True)])
def test_a_lead_from_the_future_holds_nobody_up(centre: Centre, ends_in: int, is_taken: bool) -> None:
    assert Lead("part").take()
    with connection.cursor() as cursor:
        cursor.execute("update monitoring_lead set until = clock_timestamp() + make_interval(secs => %s)", [ends_in])
    assert Lead("part").take() is is_taken
