"""Replay every patient and compare with what is stored."""

from __future__ import annotations

from typing import Any

from monitoring.management.door import DoorCommand
from monitoring.models import ClassificationRequest, Patient
from monitoring.services.classification.ledger import check_ledger


class Command(DoorCommand):
    help = (
        "Replay every patient and look at every alert, message and history; exit 1 on any difference or broken promise."
    )

    def work(self, **options: Any) -> bool:
        differences = 0
        for difference in check_ledger():
            differences += 1
            self.stdout.write(f"{difference.patient}: {difference.what}")
        pending = ClassificationRequest.objects.values("patient_id").distinct().count()
        if pending:
            self.tell(f"{pending} patients are still owed a classification; their differences may be of that")
        self.tell(f"{Patient.objects.count():,} patients replayed, {differences} differences")
        return not differences
