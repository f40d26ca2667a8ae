"""Rules run against history: alerts gained, lost and moved, samples more; what activation raises is one hand-over."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from monitoring import clock
from monitoring.domain.alerting.kinds import AlertKind
from monitoring.domain.backtest import Difference, Walked, difference, walk
from monitoring.domain.rules.rule_sets import rule_set, rule_sets_of
from monitoring.models import (
    Alert,
    BackTest,
    Centre,
    ConversionFactor,
    Laboratory,
    MonitoringPlan,
    Patient,
    Protocol,
    Role,
    TkiCourse,
)
from monitoring.models.protocols import DEFAULTS, KIND_OF
from monitoring.selectors.series import load_series
from monitoring.services.alerts.by_the_clock import raise_overdue
from monitoring.services.classification.classify import classify_pending
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from monitoring.services.settings import backtests
from monitoring.services.settings.backtests import (
    ask_following,
    ask_protocol,
    ask_setting,
    owed_backtests,
    run_backtest,
)
from monitoring.services.settings.laboratories import save_setting
from monitoring.services.settings.protocols import follow
from tests.builders import report
from tests.conftest import reporting

pytestmark = pytest.mark.django_db
TODAY = dt.date(2026, 6, 1)


@pytest.fixture
def lead(member: Callable[..., User], centre: Centre) -> User:
    return member("lena", centre, Role.ADMINISTRATOR)


@pytest.fixture
def followed(patient: Patient, ada: User) -> Patient:
    """Off treatment for a year, sampled every three months, MMR held, then a sample just above 0.1 %."""
    today = clock.now().date()
    ConversionFactor.objects.create(laboratory=reporting("LAB", patient.centre), factor=1, valid_from="2010-01-01")
    TkiCourse.objects.create(
        patient=patient, drug="imatinib", started_on="2015-01-01", stopped_on=today - dt.timedelta(days=365),
        stop_reason="tfr_attempt",
    )  # fmt: skip
    for n, days in enumerate((400, 280, 190, 100)):
        on = (today - dt.timedelta(days=days)).isoformat()
        record_result(entered(f"D{n}", on, "nd/60000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    on = (today - dt.timedelta(days=20)).isoformat()
    record_result(entered("L", on, "100/50000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    return patient


def entered(accession: str, on: str, tubes: str) -> Any:
    """A result that names no factor of its own."""
    return report(accession, on, tubes, conversion_factor=None)


def schedules() -> list[str]:
    return [rules.id for rules in rule_sets_of("schedule")]


def test_a_history_is_walked_as_it_became_known(followed: Patient) -> None:
    series = load_series([followed.pk])[followed.pk].series
    today = clock.now().date()
    found = walk(series, rule_set(DEFAULTS["schedule"]), rule_set(DEFAULTS["milestones"]), today)
    losses = {on for (kind, _which), on in found.alerts.items() if kind is AlertKind.LOSS_OF_MMR}
    assert losses == {today - dt.timedelta(days=20)}
    late = [on for (kind, _which), on in found.alerts.items() if kind is AlertKind.OVERDUE_SAMPLE]
    assert late, "monthly samples in the first half year were not taken"
    assert all(dt.date(2015, 1, 1) < on <= today for on in late)
    assert found.samples >= 8
    earlier = walk(
        series, rule_set(DEFAULTS["schedule"]), rule_set(DEFAULTS["milestones"]), today - dt.timedelta(days=21)
    )  # fmt: skip
    assert AlertKind.LOSS_OF_MMR not in {kind for kind, _which in earlier.alerts}
    assert earlier.samples < found.samples


def test_the_difference_counts_gained_lost_moved_and_samples() -> None:
    a, b, c = ((AlertKind.OVERDUE_SAMPLE, which) for which in "abc")
    old = Walked({a: TODAY, b: TODAY}, 4)
    new = Walked({b: TODAY - dt.timedelta(days=3), c: TODAY}, 6)
    found = difference(old, new)
    assert (found.gained, found.lost, found.moved, found.extra_samples) == (
        ((c, TODAY),), ((a, TODAY),), ((b, -3),), 2
    )  # fmt: skip
    assert difference(old, old) == Difference((), (), (), 0)


@pytest.mark.parametrize("schedule", schedules())
def test_the_rules_of_today_against_themselves_change_nothing(followed: Patient, lead: User, schedule: str) -> None:
    protocol = Protocol.objects.create(code="p", title="P", schedule=schedule)
    Centre.objects.filter(pk=followed.centre_id).update(protocol=protocol)
    named = {name: getattr(protocol, name) for name in KIND_OF}
    asked = ask_protocol(protocol, named, by=lead)
    assert not run_backtest(asked.pk, seconds=60)
    asked.refresh_from_db()
    assert asked.failed == ""
    assert asked.answer["centres"] == {
        followed.centre.code: {
            "patients": 1, "gained": {}, "lost": {}, "earlier": [], "later": [], "extra_samples": 0
        }
    }  # fmt: skip
    assert asked.answer["shown"] == []


def test_another_schedule_says_how_many_samples_and_alerts_it_brings(
    followed: Patient, lead: User, client: Client
) -> None:
    protocols = [Protocol.objects.create(code=f"p{n}", title=f"P{n}", schedule=s) for n, s in enumerate(schedules())]
    differs = []
    for protocol in protocols:
        asked = ask_following(followed.centre, protocol, by=lead)
        run_backtest(asked.pk, seconds=60)
        asked.refresh_from_db()
        (centre,) = asked.answer["centres"].values()
        differs.append((centre["extra_samples"], bool(centre["gained"] or centre["lost"] or centre["later"])))
        client.force_login(lead)
        page = client.get(f"/backtests/{asked.public_id}/").content.decode()
        assert f"{followed.centre.code}" in page
    assert len(set(differs)) > 1, "schedules that differ are told apart"


def test_another_factor_gains_or_loses_a_loss(followed: Patient, lead: User) -> None:
    row = ConversionFactor.objects.get()
    row.factor = row.factor / 4
    asked = ask_setting(row, "factor", by=lead)
    run_backtest(asked.pk, seconds=60)
    asked.refresh_from_db()
    assert asked.failed == ""
    (centre,) = asked.answer["centres"].values()
    assert centre["lost"].get("loss_of_mmr") == 1
    assert asked.answer["shown"][0]["patient_id"] == followed.patient_id
    assert Alert.objects.get(kind="loss_of_mmr").state == "open", "nothing is stored with the patient"


def test_a_killed_worker_s_successor_goes_on_and_nobody_is_counted_twice(
    followed: Patient, lead: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(4):
        Patient.objects.create(patient_id=f"X{n}", centre=followed.centre)
    monkeypatch.setattr(backtests, "BATCH_PATIENTS", 2)
    asked = ask_following(followed.centre, None, by=lead)
    assert run_backtest(asked.pk, seconds=0)
    asked.refresh_from_db()
    assert asked.answer["looked_at"] == 2
    BackTest.objects.update(lease_until=clock.now() - dt.timedelta(seconds=1))
    assert owed_backtests(now=clock.now()) == [asked.pk]
    while run_backtest(asked.pk, seconds=0):
        pass
    asked.refresh_from_db()
    assert (asked.answer["looked_at"], asked.patients, asked.finished_at is not None) == (5, 5, True)
    assert not run_backtest(asked.pk, seconds=0), "twice is once"
    assert owed_backtests(now=clock.now() + dt.timedelta(days=1)) == []


def test_one_that_cannot_be_run_says_why(lead: User, centre: Centre, client: Client) -> None:
    asked = ask_following(centre, None, by=lead)
    BackTest.objects.update(change={"centre": centre.pk, "follows": 10**9})
    assert not run_backtest(asked.pk, seconds=1)
    client.force_login(lead)
    page = client.get(f"/backtests/{asked.public_id}/").content.decode()
    assert "It could not be run to its end: DoesNotExist" in page
    assert client.get("/backtests/").status_code == 200


def test_from_the_pages_on_which_rules_are_changed(client: Client, followed: Patient, lead: User) -> None:
    protocol = Protocol.objects.create(code="p", title="P")
    Centre.objects.filter(pk=followed.centre_id).update(protocol=protocol)
    client.force_login(lead)
    named = {name: getattr(protocol, name) for name in KIND_OF}
    answers = [
        client.post("/protocols/p/", named | {"backtest": "1", "reason": ""}),
        client.post(
            "/protocols/p/centres/", {"centre": followed.centre_id, "follows": "defaults", "backtest": "1"}
        ),
        client.post(
            f"/laboratories/{Laboratory.objects.get().pk}/factors/{ConversionFactor.objects.get().pk}/",
            {"assay_name": "", "control_gene": "ABL1", "factor": "0.5", "valid_from": "2010-01-01", "backtest": "1"},
        ),
    ]  # fmt: skip
    assert [answer.status_code for answer in answers] == [302, 302, 302]
    assert BackTest.objects.count() == 3
    for asked in BackTest.objects.all():
        assert run_backtest(asked.pk, seconds=30) is False
        assert client.get(f"/backtests/{asked.public_id}/", headers={"HX-Request": "true"}).status_code == 200
    Protocol.objects.get().refresh_from_db()
    assert Centre.objects.get(pk=followed.centre_id).protocol == protocol, "nothing was changed"


# --- after activation --------------------------------------------------------------------------------------------


def test_what_a_change_of_settings_raises_is_one_hand_over(
    followed: Patient, lead: User, ada: User, member: Callable[..., User]
) -> None:
    member("grace", followed.centre)
    on = (clock.now().date() - dt.timedelta(days=5)).isoformat()
    record_result(entered("B", on, "60/50000"), patient=followed, by=ada, reach=EVERYWHERE, now=clock.now())
    Alert.objects.all().update(state="closed", closed_at=clock.now(), next_action_at=None)
    other = Patient.objects.create(patient_id="P2", centre=followed.centre)
    today = clock.now().date()
    TkiCourse.objects.create(
        patient=other, drug="imatinib", started_on="2015-01-01", stopped_on=today - dt.timedelta(days=365),
        stop_reason="tfr_attempt",
    )  # fmt: skip
    record_result(entered("O", on, "40/50000"), patient=other, by=ada, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    assert not Alert.objects.live().filter(patient=other, kind="loss_of_mmr").exists()
    row = ConversionFactor.objects.get()
    row.factor = row.factor * 4
    save_setting(row, by="lena", reason="measured anew")
    classify_pending(now=clock.now())
    loss = Alert.objects.live().get(patient=other, kind="loss_of_mmr")
    assert loss.hand_over is not None
    assert (loss.hand_over.kind, loss.hand_over.state) == ("hand_over", "open")
    assert not loss.deliveries.exists(), "told by its worklist"
    assert loss.hand_over.deliveries.exists()
    record_result(
        entered("N", today.isoformat(), "900/50000"), patient=other, by=ada, reach=EVERYWHERE, now=clock.now()
    )
    classify_pending(now=clock.now())
    fresh = Patient.objects.create(patient_id="P3", centre=followed.centre)
    TkiCourse.objects.create(
        patient=fresh, drug="imatinib", started_on="2015-01-01", stopped_on=today - dt.timedelta(days=365),
        stop_reason="tfr_attempt",
    )  # fmt: skip
    record_result(entered("F", on, "900/50000"), patient=fresh, by=ada, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    assert Alert.objects.live().get(patient=fresh, kind="loss_of_mmr").hand_over is None, "a fact is told by itself"


def test_samples_that_a_new_schedule_plans_into_the_past_are_one_hand_over(
    followed: Patient, lead: User, member: Callable[..., User]
) -> None:
    member("grace", followed.centre)
    for schedule in schedules():
        protocol = Protocol.objects.create(code=f"p-{schedule}"[:50].replace(".", "-"), title="P", schedule=schedule)
        MonitoringPlan.objects.update(due_on=clock.now().date() + dt.timedelta(days=300), by_rules=False)
        follow(Centre.objects.get(pk=followed.centre_id), protocol, by=lead, reason="trial")
        classify_pending(now=clock.now())
        plan = MonitoringPlan.objects.get(patient=followed)
        assert plan.by_rules == (plan.state == "overdue_sample"), schedule
    MonitoringPlan.objects.update(
        by_rules=True, slot_known_on=clock.now().date() - dt.timedelta(days=1), checked_on=None
    )  # fmt: skip
    late = clock.now() + dt.timedelta(days=60)
    raise_overdue(now=late)
    opened: list[Any] = list(Alert.objects.filter(kind="overdue_sample"))
    assert opened
    assert all(alert.hand_over_id for alert in opened)
