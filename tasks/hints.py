"""Hints to the workers: names and ids, after commit, never in the way of a save.

The database already holds what is owed, so a hint that is lost costs latency only. Publishing has one-second limits
and no retry; after a failure nothing is tried for ten seconds, so a frozen broker delays one request and not each.
This module is the one leaf that services may import.
"""

from __future__ import annotations

import logging
import time

from celery import Celery
from django.conf import settings
from django.db import transaction
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from monitoring.tracing import current_request_id

logger = logging.getLogger(__name__)

QUIET_SECONDS_AFTER_FAILURE = 10
KEY_PREFIX = "cml:"
REQUEST_ID_HEADER = "cml_request_id"

CLASSIFY_PATIENT = "tasks.classify_patient"
CLASSIFY_OWED = "tasks.classify_owed"
RECOMPUTE_NIGHT = "tasks.recompute_night"
BUILD_READINGS = "tasks.build_readings"
LOAD_UPLOAD = "tasks.load_upload"
MAKE_OUTPUT = "tasks.make_output"
COUNT_MEMBERS = "tasks.count_members"
RUN_BACKTEST = "tasks.run_backtest"
QUEUE_OF = {
    CLASSIFY_PATIENT: "classify",
    CLASSIFY_OWED: "import",
    RECOMPUTE_NIGHT: "stats",
    BUILD_READINGS: "stats",
    LOAD_UPLOAD: "import",
    MAKE_OUTPUT: "stats",
    COUNT_MEMBERS: "stats",
    RUN_BACKTEST: "stats",
}


def broker_url() -> str:
    """REDIS_URL as Celery spells it: a socket path needs a scheme of its own."""
    url: str = settings.REDIS_URL
    return url.replace("unix://", "redis+socket://", 1)


publisher = Celery("hints", broker=broker_url(), set_as_current=False)
publisher.conf.update(
    broker_transport_options={
        "socket_timeout": 1,
        "socket_connect_timeout": 1,
        "retry_on_timeout": False,
        "max_retries": 0,
        "global_keyprefix": KEY_PREFIX,
    },
    broker_connection_timeout=1,
    broker_connection_retry=False,
    broker_pool_acquire_timeout=1,
    task_ignore_result=True,
    task_create_missing_queues=True,
    task_serializer="json",
)

_quiet_until = 0.0


def after_commit(task: str, *arguments: int | str) -> None:
    """Publish a hint once the present transaction is committed; a failure is logged and never raised."""
    transaction.on_commit(lambda: publish(task, *arguments), robust=True)


def publish(task: str, *arguments: int | str) -> bool:
    """Publish a hint now. Returns whether the broker took it."""
    global _quiet_until
    if time.monotonic() < _quiet_until:
        return False
    try:
        publisher.send_task(
            task, args=arguments, queue=QUEUE_OF[task], retry=False, ignore_result=True,
            headers={REQUEST_ID_HEADER: current_request_id()},
        )  # fmt: skip
    except (KombuError, RedisError, OSError) as problem:
        _quiet_until = time.monotonic() + QUIET_SECONDS_AFTER_FAILURE
        logger.warning("hint %s not published, the sweep will find the work: %s", task, type(problem).__name__)
        return False
    return True
