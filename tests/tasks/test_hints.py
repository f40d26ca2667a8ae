"""Hints to a worker with a dead and a frozen broker."""

import os
import signal
import time

import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from monitoring import clock
from monitoring.models import Patient
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from tasks import hints
from tests.builders import report


@pytest.fixture
def fresh_publisher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "_quiet_until", 0.0)


def entry_seconds(patient: Patient, by: User, accession: str) -> float:
    started = time.monotonic()
    with transaction.atomic():
        record_result(report(accession), patient=patient, by=by, reach=EVERYWHERE, now=clock.now())
    return time.monotonic() - started


@pytest.mark.django_db(transaction=True)
def test_a_dead_broker_neither_breaks_nor_delays_a_save(
    patient: Patient, ada: User, fresh_publisher: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints.publisher.conf, "broker_url", "redis://127.0.0.1:1/0")
    dead = hints.Celery("dead", broker="redis://127.0.0.1:1/0", set_as_current=False)
    dead.conf.update({k: v for k, v in hints.publisher.conf.items() if k.startswith("broker_") and "url" not in k})
    monkeypatch.setattr(hints, "publisher", dead)
    assert entry_seconds(patient, ada, "D1") < 5
    assert hints.publish(hints.CLASSIFY_OWED) is False


@pytest.mark.django_db(transaction=True)
@pytest.mark.xdist_group("broker")
def test_a_frozen_broker_delays_one_save_and_then_none(patient: Patient, ada: User, fresh_publisher: None) -> None:
    assert hints.publish(hints.CLASSIFY_OWED), "the broker of the suite answers"
    client = redis.Redis.from_url(settings.REDIS_URL)
    pid = int(client.info("server")["process_id"])
    client.close()
    os.kill(pid, signal.SIGSTOP)
    try:
        first, second = entry_seconds(patient, ada, "F1"), entry_seconds(patient, ada, "F2")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert first < 10, "one timeout, not the worker's patience"
    assert second < first / 2, "after a failure nothing is tried for a while"
