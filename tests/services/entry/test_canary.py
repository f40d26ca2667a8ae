"""The hourly canary: the whole path once an hour, in a centre that the database fences."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import Error, transaction
from django.test import Client

from monitoring import clock
from monitoring.domain.course.episodes import DmrRule
from monitoring.domain.course.relapse import LossRule
from monitoring.models import Alert, Centre, JobRun, Membership, MonitoringPlan, Patient, PcrResult, Role, StoredReading
from monitoring.models.centres import CANARY_CODE
from monitoring.selectors.histories import load_histories
from monitoring.services.alerts import digest
from monitoring.services.alerts.by_the_clock import raise_lost, raise_no_restart, raise_overdue
from monitoring.services.alerts.sending import Sender
from monitoring.services.classification.classify import classify_pending
from monitoring.services.classification.readings import keep
from monitoring.services.entry import canary
from monitoring.services.settings.demo_logins import DEMO_USERS, make_demo_users

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def address(settings: Any) -> None:
    settings.CANARY_MAIL_TO = "canary@example.org"


def test_it_goes_the_whole_way_once_an_hour(client: Client, centre: Centre, member: Callable[..., User]) -> None:
    now = clock.now().replace(minute=5)
    assert canary.fly(now=now)
    assert not canary.fly(now=now), "once"
    classify_pending(now=clock.now())
    alert = Alert.objects.get()
    assert (alert.kind, alert.centre.code, alert.state) == ("loss_of_mmr", CANARY_CODE, "open")
    Sender().finish(10)
    (sent,) = mail.outbox
    assert sent.to == ["canary@example.org"]
    assert canary.fly(now=now + dt.timedelta(hours=1))
    classify_pending(now=clock.now())
    assert list(Alert.objects.order_by("pk").values_list("state", flat=True)) == ["closed", "open"]
    assert (Patient.objects.count(), PcrResult.objects.count()) == (2, 4)
    assert MonitoringPlan.objects.get(patient=alert.patient).state == "ended"
    for days in (2, 40, 400):  # nothing else ever comes of the first one
        late = clock.now() + dt.timedelta(days=days)
        raise_overdue(now=late)
        raise_lost(now=late)
        raise_no_restart(now=late)
    assert list(Alert.objects.filter(patient=alert.patient).values_list("kind", flat=True)) == ["loss_of_mmr"]
    client.force_login(member("adam", centre, Role.ADMINISTRATOR))
    for page in ("/", "/alerts/", "/patients/", "/alerts/list/"):
        assert "CANARY" not in client.get(page).content.decode(), page
    operator = User.objects.create_superuser("olaf")
    client.force_login(operator)
    assert client.get(f"/alerts/{alert.public_id}/").status_code == 404


def test_the_statistics_keep_nothing_of_it(settings: Any) -> None:
    keep(LossRule(), DmrRule())
    canary.fly(now=clock.now())
    classify_pending(now=clock.now())
    assert Alert.objects.count() == 1
    assert not StoredReading.objects.exists()
    assert list(load_histories()) == []
    assert digest.send_digests(clock.now(), now=clock.now()) == (0, 0)


def test_nobody_is_let_in_and_no_centre_becomes_one(centre: Centre, member: Callable[..., User]) -> None:
    canary.fly(now=clock.now())
    fenced, adam = Centre.objects.get(is_canary=True), member("adam", centre)
    account = User.objects.get(username="canary")
    for user, where in ((adam, fenced), (account, centre)):
        with pytest.raises(Error, match="Nobody but the canary"), transaction.atomic():
            Membership.objects.create(user=user, centre=where, role=Role.CLINICIAN, valid_from="2020-01-01")
    with pytest.raises(Error, match="centre_canary_code"), transaction.atomic():
        Centre.objects.create(code="H9", is_canary=True)
    with pytest.raises(Error, match="Cannot update"), transaction.atomic():
        Centre.objects.filter(pk=fenced.pk).update(is_canary=False)


def test_without_an_address_nothing_is_invented(settings: Any) -> None:
    settings.CANARY_MAIL_TO = ""
    assert not canary.fly(now=clock.now())
    assert not Centre.objects.exists()


def test_a_killed_one_is_sent_again_and_a_real_centre_of_that_code_is_left_alone() -> None:
    Centre.objects.create(code=CANARY_CODE)
    with pytest.raises(canary.NotFenced):
        canary.fly(now=clock.now())
    assert not Patient.objects.exists()
    Centre.objects.all().delete()
    JobRun.objects.update(lease_until=clock.now())
    assert canary.fly(now=clock.now() + dt.timedelta(seconds=1))


def test_the_demo_s_people_get_no_role_in_it(centre: Centre) -> None:
    canary.fly(now=clock.now())
    make_demo_users()
    assert set(Membership.objects.filter(centre__is_canary=True).values_list("user__username", flat=True)) == {"canary"}
    assert Membership.objects.filter(centre=centre).count() == len(DEMO_USERS)
