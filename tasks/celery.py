"""The Celery application. Run a worker with ``celery -A tasks.celery worker``."""

from __future__ import annotations

import contextlib
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django
from celery import Celery, Task
from celery.signals import task_postrun, task_prerun
from django.conf import settings
from kombu import Queue

from monitoring.tracing import working_for
from tasks.hints import KEY_PREFIX, REQUEST_ID_HEADER, broker_url
from tasks.schedule import beat_schedule

django.setup()

VISIBILITY_TIMEOUT_SECONDS = 300  # longer than twice any time limit but that of the stats queue, whose work is leased

app = Celery("tasks", broker=broker_url())
app.conf.update(
    include=["tasks.classification", "tasks.imports", "tasks.statistics", "tasks.housekeeping", "tasks.canary"],
    result_backend=None,
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_acks_on_failure=True,
    task_acks_on_timeout=True,
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    task_time_limit=60,
    task_soft_time_limit=45,
    broker_transport_options={
        "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_timeout": 15,
        "socket_connect_timeout": 3,
        "socket_keepalive": not settings.REDIS_URL.startswith("unix"),
        "health_check_interval": 10,
        "retry_on_timeout": True,
        "max_retries": 3,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 0.5,
        "global_keyprefix": KEY_PREFIX,
    },
    visibility_timeout=VISIBILITY_TIMEOUT_SECONDS,
    broker_connection_timeout=3,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_pool_acquire_timeout=2,
    broker_pool_limit=10,
    task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.2},
    worker_soft_shutdown_timeout=10,
    worker_enable_soft_shutdown_on_idle=True,
    worker_max_tasks_per_child=1000,
    worker_max_memory_per_child=600_000,  # KiB; the statistics load numpy, pandas and lifelines
    worker_eta_task_limit=100,
    task_serializer="json",
    accept_content=["json"],
    enable_utc=True,
    timezone="UTC",
    task_create_missing_queues=False,
    task_queues=[Queue(name) for name in ("classify", "import", "stats", "housekeeping")],
    task_default_queue="housekeeping",
    task_routes={
        "tasks.classify_patient": {"queue": "classify"},
        "tasks.classify_owed": {"queue": "import"},
        "tasks.load_upload": {"queue": "import"},
        "tasks.recompute_*": {"queue": "stats"},
        "tasks.run_backtest": {"queue": "stats"},
    },
    worker_send_task_events=False,
    task_send_sent_event=False,
    worker_hijack_root_logger=False,
    beat_schedule=beat_schedule(settings.NIGHTLY_HOUR, settings.NIGHTLY_MINUTE),
    beat_max_loop_interval=30,
    beat_scheduler="tasks.beat:VisibleScheduler",
    beat_schedule_filename=str(settings.VAR_DIR / "beat-schedule"),
)


_tracing = contextlib.ExitStack()


@task_prerun.connect
def _work_for_the_request(task: Task[..., object], **_: object) -> None:
    """Let the log lines of a task carry the id of the request that caused it."""
    _tracing.close()
    _tracing.enter_context(working_for((task.request.headers or {}).get(REQUEST_ID_HEADER) or None))


@task_postrun.connect
def _work_is_done(**_: object) -> None:
    _tracing.close()
