"""The self-audit finds what somebody changes behind the service's back, and says of whom."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection

from monitoring import clock
from monitoring.models import Alert, AlertDelivery, Centre, Patient, Role, TkiCourse
from monitoring.services.alerts import escalation
from monitoring.services.alerts.escalation import ActionTaken, acknowledge, act
from monitoring.services.alerts.sending import Sender
from monitoring.services.classification.classify import classify_pending
from monitoring.services.classification.ledger import check_ledger
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from tests.builders import report

pytestmark = pytest.mark.django_db


def ago(days: int) -> dt.date:
    return clock.now().date() - dt.timedelta(days=days)


@pytest.fixture
def told(patient: Patient, ada: User, centre: Centre, member: Callable[..., User]) -> Alert:
    """A loss that was told, acknowledged, came back, was told again, and is open."""
    grace = member("grace", centre)
    User.objects.update(email="grace@example.org")
    TkiCourse.objects.create(
        patient=patient, drug="imatinib", started_on="2010-01-01", stopped_on=ago(60), stop_reason="tfr_attempt"
    )
    for accession, days, tubes in (("BASE", 70, "nd/60000"), ("L1", 5, "100/50000")):
        record_result(
            report(accession, ago(days).isoformat(), tubes), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now()
        )
    classify_pending(now=clock.now())
    Sender().finish(10)
    acknowledge(Alert.objects.get(), by=grace, note="seen", now=clock.now())
    Alert.objects.update(next_action_at=clock.now())
    escalation.advance(now=clock.now())
    Sender().finish(10)
    assert list(check_ledger()) == []
    return Alert.objects.get()


PLANTED = {
    "closed with no act": "update monitoring_alert set state = 'closed', closed_at = now(), closing_reason = 'acted'",
    "closed for no reason": "update monitoring_alert set state = 'closed', closed_at = now(), next_action_at = null",
    "withdrawn by nobody": (
        "update monitoring_alert set state = 'withdrawn', closed_at = now(), closing_reason = 'withdrawn'"
    ),
    "closed by a restart that never was": (
        "update monitoring_alert set state = 'closed', closed_at = now(), closing_reason = 'restart'"
    ),
    "asleep": "update monitoring_alert set next_action_at = null",
    "overdue": "update monitoring_alert set next_action_at = now() - interval '1 hour'",
    "another value": "update monitoring_alert set is_percent = 0.05",
    "another day": "update monitoring_alert set evidence_on = evidence_on - 1",
    "another evidence": "update monitoring_alert set evidence_key = 'LAB/OTHER/1'",
    "less certain": "update monitoring_alert set certainty = 'provisional'",
    "fewer days off treatment": "update monitoring_alert set days_off_treatment = 1",
    "a lower highest value": "update monitoring_alert set highest_percent = 0.11",
    "a level nobody reached": "update monitoring_alert set level_percent = 10",
    "another rule": "update monitoring_alert set rule_version = 'other'",
    "another id": "update monitoring_alert set public_id = gen_random_uuid()",
    "in a worklist": "update monitoring_alert set hand_over_id = id",
    "messages deleted": (
        "with gone as (delete from monitoring_deliveryattempt where delivery_id in"
        " (select id from monitoring_alertdelivery where round = 2))"
        " delete from monitoring_alertdelivery where round = 2"
    ),
    "a message that counts as sent": "update monitoring_alertdelivery set attempts = 0",
    "a message settled before it was owed": (
        "update monitoring_alertdelivery set settled_at = owed_at - interval '1 minute'"
    ),
    "a message that waits": (
        "update monitoring_alertdelivery set owed_at = now() - interval '1 hour', settled_at = null, delivered = null"
    ),
    "the beginning of its history gone": "delete from monitoring_alertevent where pgh_label = 'insert'",
    "the acknowledgement gone from its history": (
        "delete from monitoring_alertevent where acknowledged_at is not null and state = 'acknowledged'"
    ),
    "the end of its history gone": (
        "delete from monitoring_alertevent where pgh_id = (select max(pgh_id) from monitoring_alertevent)"
    ),
    "the history of a course gone": "delete from monitoring_tkicourseevent",
    "the history of a patient gone": "delete from monitoring_patientevent",
    "a course changed with its trigger off": "update monitoring_tkicourse set drug = 'dasatinib'",
}


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_planted_is_found_and_says_whose_it_is(told: Alert, planted: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("select tablename from pg_tables where schemaname = 'public' and tablename like 'monitoring%'")
        tables = [row[0] for row in cursor.fetchall()] if "history" in planted or "trigger" in planted else []
        tables += ["monitoring_alertdelivery", "monitoring_deliveryattempt"] if "deleted" in planted else []
        cursor.execute("set constraints all immediate")  # an owner who knows what he does
        for table in tables:
            cursor.execute(f"alter table {table} disable trigger user")
        cursor.execute(PLANTED[planted])
        assert cursor.rowcount > 0
    found = list(check_ledger())
    assert found, planted
    assert {one.patient for one in found} <= {"H1/P1", "H1"}, found


def test_deeds_of_people_and_quiet_alerts_are_no_findings(
    told: Alert, centre: Centre, member: Callable[..., User]
) -> None:
    grace = User.objects.get(username="grace")
    member("adam", centre, Role.ADMINISTRATOR)
    act(told, by=grace, action=ActionTaken.WATCH, note="", until=ago(-20), now=clock.now())
    assert list(check_ledger()) == []
    act(Alert.objects.get(), by=grace, action=ActionTaken.OTHER, note="moved away", now=clock.now())
    assert list(check_ledger()) == []
    assert AlertDelivery.objects.filter(delivered=True).count() == 2
