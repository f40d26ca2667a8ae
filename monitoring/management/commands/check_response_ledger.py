"""Replay every patient and compare with what stands."""

from __future__ import annotations

from typing import Any

from monitoring.management.door import DoorCommand
from monitoring.models import ClassificationRequest, Patient
from monitoring.services.classification.ledger import check_ledger


class Command(DoorCommand):
    help = "Replay every patient; exit 1 on any difference from the stored classes, episodes, events and alerts."

    def work(self, **options: Any) -> bool:
        differences = 0
        for found in check_ledger():
            differences += 1
            self.stdout.write(f"{found.patient}: {found.what}")
        owed = ClassificationRequest.objects.values("patient_id").distinct().count()
        if owed:
            self.tell(f"{owed} patients are still owed a classification; their differences may be of that")
        self.tell(f"{Patient.objects.count():,} patients replayed, {differences} differences")
        return not differences
