"""Whether the guarantee loop has done a round lately; for the health check of a container."""

from __future__ import annotations

import datetime as dt
from typing import Any

from monitoring import clock
from monitoring.management.door import DoorCommand
from monitoring.models import Heartbeat

STALE_AFTER = dt.timedelta(minutes=1)


class Command(DoorCommand):
    help = "Exit 0 when alertd has done a round within the last minute, 1 otherwise."

    def work(self, **options: Any) -> bool:
        beat = Heartbeat.objects.filter(name="alertd").first()
        if beat is None:
            self.tell("alertd has never done a round in this database")
            return False
        age = clock.now() - beat.beat_at
        self.tell(f"last round {age.total_seconds():.0f} s ago")
        return age < STALE_AFTER
