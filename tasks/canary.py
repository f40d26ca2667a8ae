"""A sign of life through beat, broker and worker: whoever watches sees that hints still arrive."""

from __future__ import annotations

from celery import shared_task

from monitoring import clock
from monitoring.models import Heartbeat


@shared_task(name="tasks.canary")
def canary(queue: str) -> None:
    """Write that the worker of this queue has just done something."""
    Heartbeat.objects.update_or_create(name=f"worker {queue}", defaults={"beat_at": clock.now()})
