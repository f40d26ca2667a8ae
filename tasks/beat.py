"""Celery beat that shows it is alive: it touches a file at every turn, which tells a frozen one from a quiet one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from celery.beat import PersistentScheduler
from django.conf import settings

ALIVE = "beat-alive"


class VisibleScheduler(PersistentScheduler):
    """The usual scheduler, with a sign of life."""

    def tick(self, *args: Any, **options: Any) -> Any:
        """One turn of the scheduler."""
        Path(settings.VAR_DIR, ALIVE).touch()
        return super().tick(*args, **options)
