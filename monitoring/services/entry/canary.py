"""Every hour an invented patient loses MMR off treatment in a centre of its own: the whole path, from entry to mail.

The centre is fenced by the database: nobody but the canary's own account is ever a member of it, so nobody sees its
patients, and the statistics keep no reading of them (triggers of the models). The watchdog misses the mail of the hour.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from monitoring.domain.course.series import FactKind
from monitoring.domain.scoring.laboratory_report import LaboratoryReport, ReplicateReport
from monitoring.domain.vocabulary.dates import PartialDate
from monitoring.models import Alert, Centre, JobRun, Membership, MonitoringPlan, Patient, Role
from monitoring.models.centres import CANARY_CODE
from monitoring.services.alerts.escalation import ActionTaken, act
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.records import (
    CourseFacts,
    ObservationFacts,
    PatientFacts,
    record_courses,
    record_observations,
    record_patients,
)  # fmt: skip
from monitoring.services.entry.results import record_results
from monitoring.services.foundation.jobs import claim_slot, finish

LABORATORY = PREFIX = "CANARY"
ACCOUNT = "canary"
JOB = "canary"
LEASE_SECONDS = 300
STOPPED_DAYS, DEEP_DAYS, LOST_DAYS = 90, 100, 5
CONTROL_COPIES = Decimal(50_000)


def fly(*, now: dt.datetime) -> bool:
    """Send this hour's canary unless somebody did; returns whether this call did. Does nothing without an address."""
    if not settings.CANARY_MAIL_TO:
        return False
    slot = now.replace(minute=0, second=0, microsecond=0)
    if JobRun.objects.filter(job=JOB, slot_at=slot, finished_at__isnull=False).exists():
        return False
    run = claim_slot(JOB, slot, now=now, lease_seconds=LEASE_SECONDS)
    if run is None:
        return False
    with transaction.atomic():
        centre, account = _home(now)
        _answer_earlier(centre, account, now)
        _lose(f"{PREFIX}-{slot:%Y%m%d%H}", centre, account, now)
    finish(run, ok=True, detail="", now=now)
    return True


class NotFenced(Exception):
    """A centre of people has the code of the canary's."""


def _home(now: dt.datetime) -> tuple[Centre, User]:
    """The fenced centre and the account that is told; made the first time, with the address as it is set now."""
    centre, _made = Centre.objects.get_or_create(code=CANARY_CODE, defaults={"is_canary": True, "name": "canary"})
    if not centre.is_canary:
        raise NotFenced(f"there is a centre {CANARY_CODE} that is not fenced; give it another code")
    account, is_new = User.objects.get_or_create(username=ACCOUNT)
    if is_new:
        account.set_unusable_password()
    if is_new or account.email != settings.CANARY_MAIL_TO:
        account.email = settings.CANARY_MAIL_TO
        account.save()
    Membership.objects.get_or_create(
        user=account, centre=centre, role=Role.CLINICIAN, defaults={"valid_from": now.date()}
    )  # fmt: skip
    return centre, account


def _answer_earlier(centre: Centre, account: User, now: dt.datetime) -> None:
    """Close what the earlier ones have raised, and follow them no more: nothing else is to come of them."""
    for alert in Alert.objects.live().told_alone().filter(centre=centre):
        act(alert, by=account, action=ActionTaken.OTHER, note="canary", now=now, read_back=alert.is_percent)
    followed = MonitoringPlan.objects.filter(patient__centre=centre, due_on__isnull=False).select_related("patient")
    ends = [ObservationFacts(plan.patient, FactKind.DEATH.value, PartialDate(now.date()), {}) for plan in followed]
    record_observations(ends, by=account, reach=EVERYWHERE, now=now)


def _lose(patient_id: str, centre: Centre, account: User, now: dt.datetime) -> None:
    record_patients([PatientFacts(centre.code, patient_id, {})], by=account, reach=EVERYWHERE, now=now)
    patient = Patient.objects.get(centre=centre, patient_id=patient_id)
    today = now.date()

    def on(days: int) -> PartialDate:
        return PartialDate(today - dt.timedelta(days=days))

    stop = {"stopped_on": on(STOPPED_DAYS), "stop_reason": "tfr_attempt"}
    course = CourseFacts(patient, "imatinib", PartialDate(dt.date(2015, 1, 1)), stop)
    record_courses([course], by=account, reach=EVERYWHERE, now=now)
    reports = [
        LaboratoryReport(
            laboratory=LABORATORY, accession_number=f"{patient_id}-{name}", patient_id=patient_id, centre=centre.code,
            collected=on(days), conversion_factor=Decimal(1),
            replicates=(ReplicateReport(1, copies, CONTROL_COPIES),),
        )
        for name, days, copies in (("DEEP", DEEP_DAYS, None), ("LOST", LOST_DAYS, Decimal(100)))
    ]  # fmt: skip
    record_results(reports, patients=[patient, patient], by=account, reach=EVERYWHERE, now=now)
