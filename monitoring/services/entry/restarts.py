"""A restart of the drug, recorded from an alert: the course closes the alert by the replay."""

from __future__ import annotations

import datetime as dt

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from monitoring.domain.vocabulary.dates import PartialDate
from monitoring.models import Alert
from monitoring.services.alerts.escalation import ActionTaken, AlertConflictError, act
from monitoring.services.classification.classify import reclassify
from monitoring.services.entry.reach import Reach
from monitoring.services.entry.records import CourseFacts, record_courses
from monitoring.services.entry.verdicts import RowOutcome


def record_restart(
    alert: Alert,
    *,
    by: User,
    reach: Reach,
    drug: str,
    started_on: dt.date,
    note: str,
    now: dt.datetime,
    version: str | None = None,
) -> None:
    """Record that the drug was started again, and let the replay settle the alert, in one transaction."""
    if alert.patient is None:
        raise AlertConflictError(_("this alert is of a centre, not of a patient"))
    with transaction.atomic():
        act(
            alert,
            by=by,
            action=ActionTaken.RESTART,
            note=note,
            drug=drug,
            started_on=started_on,
            now=now,
            version=version,
        )
        facts = CourseFacts(alert.patient, drug, PartialDate(started_on), {})
        (verdict,) = record_courses([facts], by=by, reach=reach, now=now)
        if verdict.action is RowOutcome.REFUSED:
            problem = verdict.problems[0]
            raise AlertConflictError(f"{problem.column}: {problem.reason}")
        reclassify([alert.patient.pk], now=now)
