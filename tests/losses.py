"""A patient who loses MMR off treatment, entered and classified as people do."""

import datetime as dt

from django.contrib.auth.models import User

from monitoring import clock
from monitoring.models import Alert, Patient, TkiCourse
from monitoring.services.classification.classify import classify_pending
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from tests.builders import report


def lose(patient: Patient, by: User, *later: tuple[str, int, str]) -> Alert:
    """Deep before a stop ninety days ago, above 0.1 % nine days ago; ``later`` are accession, days ago and tubes."""
    today = clock.now().date()
    TkiCourse.objects.create(
        patient=patient, drug="imatinib", started_on="2015-01-01", stopped_on=today - dt.timedelta(days=90),
        stop_reason="tfr_attempt",
    )  # fmt: skip
    for name, days, tubes in (("L0", 100, "nd/60000"), ("L1", 9, "100/50000"), *later):
        on = (today - dt.timedelta(days=days)).isoformat()
        record_result(report(name, on, tubes), patient=patient, by=by, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    return Alert.objects.get(patient=patient, kind="loss_of_mmr")
