"""Messages about alerts: five thousand owed at once to a mail server on this machine, beside bare sends of the same."""

from __future__ import annotations

import datetime as dt
import smtplib
import time

from django.contrib.auth.models import User
from django.test.utils import override_settings

from benchmarks.commands import empty_database
from benchmarks.figures import Figure
from monitoring import clock
from monitoring.domain.alerting.kinds import AlertKind
from monitoring.models import Alert, AlertDelivery, Centre, Membership, Patient, Role
from monitoring.services.alerts import escalation
from monitoring.services.alerts.identity import alert_public_id
from monitoring.services.alerts.sending import Sender
from tests.smtp_stub import smtp_stub

OWED = {AlertKind.FLUCTUATION: 2000, AlertKind.OVERDUE_SAMPLE: 1500, AlertKind.LOSS_OF_MMR: 1500}
CENTRES = 25
BARE = 500


def sending() -> list[Figure]:
    """All that is owed leaves, the losses first although they were owed last."""
    empty_database()
    owe()
    with (
        smtp_stub() as stub,
        override_settings(
            EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend", EMAIL_HOST="127.0.0.1", EMAIL_PORT=stub.port
        ),
    ):
        bare = bare_seconds(stub.port)
        stub.taken.clear()
        began = time.monotonic()
        Sender().finish(600)
        taken = [(at - began, "URGENT" in text) for at, _to, text in stub.taken]
    losses = [at for at, is_urgent in taken if is_urgent]
    if len(losses) != OWED[AlertKind.LOSS_OF_MMR] or AlertDelivery.objects.filter(settled_at__isnull=True).exists():
        raise AssertionError(f"{len(losses)} losses of {OWED[AlertKind.LOSS_OF_MMR]} were sent")
    first_lesser = min(at for at, is_urgent in taken if not is_urgent)
    return [
        Figure("messages about losses, a second", len(losses) / max(losses), "messages/s", f"bare {BARE / bare:.0f}/s"),
        Figure("the last of 1,500 losses among 5,000 messages", max(losses), "s", f"first lesser {first_lesser:.1f} s"),
        Figure("messages that 3,500 lesser ones became", len(taken) - len(losses), "messages", f"{CENTRES} people"),
    ]


def owe() -> None:
    """One clinician in each centre, who is owed all alerts of the centre; the losses were owed last."""
    now = clock.now()
    for number in range(CENTRES):
        centre = Centre.objects.create(code=f"C{number}")
        person = User.objects.create(username=f"clinician{number}", email=f"clinician{number}@example.org")
        Membership.objects.create(user=person, centre=centre, role=Role.CLINICIAN, valid_from=now.date())
        for kind, owed in OWED.items():
            patients = Patient.objects.bulk_create(
                [Patient(centre=centre, patient_id=f"{kind.value}-{n}") for n in range(owed // CENTRES)]
            )
            alerts = [
                Alert(
                    public_id=alert_public_id(kind, f"{patient.pk}", "E"), kind=kind.value, subject_key=f"{patient.pk}",
                    centre=centre, patient=patient, certainty="confirmed", evidence_key="E", evidence_on=now.date(),
                    rule_version="bench", opened_at=now,
                )
                for patient in patients
            ]  # fmt: skip
            Alert.objects.bulk_create(alerts)
            escalation.begin(alerts, now=now)
    lesser = AlertDelivery.objects.exclude(alert__kind=AlertKind.LOSS_OF_MMR)
    lesser.update(owed_at=now - dt.timedelta(hours=1), next_attempt_at=now - dt.timedelta(hours=1))


def bare_seconds(port: int) -> float:
    """As many bare messages over one connection, without a database."""
    began = time.monotonic()
    with smtplib.SMTP("127.0.0.1", port) as session:
        for number in range(BARE):
            session.sendmail("a@example.org", "b@example.org", f"Subject: {number}\r\n\r\nhello\r\n" + "x" * 500)
    return time.monotonic() - began
