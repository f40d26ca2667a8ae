"""The next sample in the service: planned with every replay, overdue by the clock, answered by what is recorded."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from monitoring import clock
from monitoring.domain.vocabulary.dates import add_months
from monitoring.models import (
    Alert,
    AlertDelivery,
    Centre,
    MonitoringPlan,
    Observation,
    Patient,
    Protocol,
    Role,
    TkiCourse,
)
from monitoring.models.protocols import KIND_OF
from monitoring.services.alerts.by_the_clock import raise_no_mmr_after_restart, raise_no_restart, raise_overdue
from monitoring.services.classification.classify import classify_pending, reclassify
from monitoring.services.classification.ledger import check_ledger
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from monitoring.services.entry.verification import raise_suspicious
from monitoring.services.settings.demo_logins import follow_the_chinese_guideline
from monitoring.services.settings.tokens import create_token
from tests.builders import report

pytestmark = pytest.mark.django_db


def ago(days: int) -> dt.date:
    return clock.now().date() - dt.timedelta(days=days)


def later(days: int) -> dt.datetime:
    return clock.now() + dt.timedelta(days=days)


@pytest.fixture
def enter(patient: Patient, ada: User, member: Callable[..., User]) -> Callable[..., None]:
    """Results of a patient who stopped 60 days ago, seen by Grace."""
    member("grace", patient.centre)
    TkiCourse.objects.create(
        patient=patient, drug="imatinib", started_on="2010-01-01", stopped_on=ago(60), stop_reason="tfr_attempt"
    )

    def record(accession: str, days: int, tubes: str = "nd/60000", **more: Any) -> None:
        record_result(
            report(accession, ago(days).isoformat(), tubes, **more),
            patient=patient,
            by=ada,
            reach=EVERYWHERE,
            now=clock.now(),
        )
        classify_pending(now=clock.now())

    return record


def test_a_replay_plans_the_next_sample(enter: Callable[..., None], patient: Patient) -> None:
    enter("A1", 5)
    plan = MonitoringPlan.objects.get(patient=patient)
    assert (plan.state, plan.rule_id) == ("planned", "schedule-eln-2020.1")
    assert plan.due_on is not None
    assert 20 <= (plan.due_on - clock.now().date()).days <= 27, "a month after the last sample in the first half-year"
    reclassify([patient.pk], now=clock.now())
    assert MonitoringPlan.objects.count() == 1


def test_an_overdue_sample_alerts_once_and_the_next_sample_closes_it(
    enter: Callable[..., None], patient: Patient, ada: User
) -> None:
    enter("A1", 5)
    assert raise_overdue(now=clock.now()) == 0
    assert raise_overdue(now=later(60)) == 1
    assert raise_overdue(now=later(60)) == 0, "each plan is looked at once a day"
    assert raise_overdue(now=later(61)) == 0, "and one alert is open"
    alert = Alert.objects.get(kind="overdue_sample")
    assert alert.deliveries.count() == 1
    assert list(check_ledger()) == []
    enter("A2", 1)
    alert.refresh_from_db()
    assert alert.state == "closed"


def test_an_inevaluable_sample_answers_nothing(enter: Callable[..., None]) -> None:
    enter("A1", 5)
    raise_overdue(now=later(60))
    enter("A2", 1, "nd/4000")
    assert Alert.objects.get(kind="overdue_sample").evidence_on == MonitoringPlan.objects.get().due_on


def test_who_was_overdue_before_the_service_watched_is_a_row_of_one_worklist(
    enter: Callable[..., None], centre: Centre, ada: User
) -> None:
    for n in range(5):
        patient = Patient.objects.create(centre=centre, patient_id=f"H{n}")
        TkiCourse.objects.create(
            patient=patient,
            drug="imatinib",
            started_on="2010-01-01",
            stopped_on=ago(300 + n),
            stop_reason="tfr_attempt",
        )
        record_result(
            report(f"H{n}", ago(200).isoformat(), "nd/60000"),
            patient=patient,
            by=ada,
            reach=EVERYWHERE,
            now=clock.now(),
        )
    classify_pending(now=clock.now())
    assert raise_overdue(now=clock.now()) == 0, "the rest of a load may answer it"
    assert raise_overdue(now=later(1)) == 5
    assert raise_overdue(now=later(2)) == 0
    worklist = Alert.objects.get(kind="hand_over")
    rows = Alert.objects.filter(kind="overdue_sample")
    assert [row.hand_over for row in rows] == [worklist] * 5
    assert {delivery.alert for delivery in AlertDelivery.objects.all()} == {worklist}


def test_a_sample_without_a_result_is_an_overdue_result(enter: Callable[..., None], patient: Patient) -> None:
    enter("A1", 40)
    Observation.objects.create(patient=patient, kind="sample_taken", observed_on=ago(1))
    reclassify([patient.pk], now=clock.now())
    assert MonitoringPlan.objects.get().state == "awaiting_result"
    assert raise_overdue(now=later(20)) == 1
    assert Alert.objects.get(kind="overdue_result").evidence_on == ago(1)
    enter("A2", 1)
    assert Alert.objects.get(kind="overdue_result").state == "closed"


@pytest.mark.parametrize(("pregnant", "kind"), [(False, "no_restart"), (True, "loss_in_pregnancy")])
def test_no_restart_28_days_after_a_loss_is_told(
    enter: Callable[..., None], patient: Patient, pregnant: bool, kind: str
) -> None:
    enter("A1", 10, "100/50000")
    if pregnant:
        Observation.objects.create(patient=patient, kind="pregnancy", observed_on=ago(20))
    assert raise_no_restart(now=later(17)) == 0, "27 days after the loss"
    assert raise_no_restart(now=later(18)) == 1, "28 days"
    assert raise_no_restart(now=later(19)) == 0
    assert Alert.objects.get(kind=kind).state == "open"
    TkiCourse.objects.create(patient=patient, drug="imatinib", started_on=ago(0))
    reclassify([patient.pk], now=clock.now())
    assert Alert.objects.get(kind=kind).state == "closed"


def test_a_centre_follows_its_protocol(enter: Callable[..., None], patient: Patient) -> None:
    patient.centre.protocol = Protocol.objects.create(code="q", title="Quarterly", schedule="schedule-quarterly.1")
    patient.centre.save()
    enter("A1", 5)
    plan = MonitoringPlan.objects.get()
    assert plan.rule_id == "schedule-quarterly.1"
    assert plan.due_on is not None
    assert (plan.due_on - clock.now().date()).days > 70


def test_who_is_due_is_a_list_of_the_own_centres(
    enter: Callable[..., None], client: Client, member: Callable[..., User], django_assert_max_num_queries: Any
) -> None:
    enter("A1", 29)
    client.force_login(User.objects.get(username="grace"))
    with django_assert_max_num_queries(12):
        assert "P1" in client.get("/due/").content.decode()
    assert "Nothing is overdue." in client.get("/due/?which=overdue").content.decode()
    client.force_login(member("mallory", Centre.objects.create(code="H2")))
    assert "Nobody is due within a week." in client.get("/due/").content.decode()


def test_the_page_and_the_api_say_what_the_rules_say_and_why(
    enter: Callable[..., None], patient: Patient, client: Client
) -> None:
    enter("A1", 40, "nd/60000")
    enter("A2", 5, "20/60000")
    grace = User.objects.get(username="grace")
    token = {"Authorization": f"Token {create_token(grace)}"}
    said = client.get(f"/api/v1/patients/{patient.public_id}/monitoring/", headers=token).json()
    assert said["off_treatment"] is True
    assert said["plan"]["reason"]["rule"] == "schedule-eln-2020.1"
    assert said["plan"]["reason"]["line"] == "after_loss_of_mr4"
    assert said["plan"]["reason"]["citation"]
    assert said["change"]["direction"] == "rising"
    client.force_login(grace)
    page = client.get(f"/patients/{patient.public_id}/").content.decode()
    for words in (
        "Next sample",
        "MR4 was lost on",
        "schedule-eln-2020.1",
        "doubling time",
        "nothing here is a treatment instruction",
    ):
        assert words in page, words


def test_criteria_before_a_stop_are_shown_on_treatment_and_adult_rules_refuse_children(
    patient: Patient, ada: User, member: Callable[..., User], client: Client
) -> None:
    Patient.objects.filter(pk=patient.pk).update(born_on=ago(365 * 10), diagnosed_on=ago(365 * 6))
    TkiCourse.objects.create(patient=patient, drug="imatinib", started_on=ago(365 * 5))
    record_result(
        report("A1", ago(30).isoformat(), "nd/60000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now()
    )
    classify_pending(now=clock.now())
    client.force_login(member("grace", patient.centre))
    page = client.get(f"/patients/{patient.public_id}/").content.decode()
    assert "does not apply" in page
    assert "This rule set speaks of people of 18 years or more at the stop." in page
    assert "Criteria before a stop" in page
    assert "Milestones on treatment" in page


def test_other_rules_are_shown_first_and_changed_with_a_reason(
    enter: Callable[..., None], patient: Patient, client: Client, member: Callable[..., User]
) -> None:
    protocol = Protocol.objects.create(code="std", title="Standard")
    patient.centre.protocol = protocol
    patient.centre.save()
    enter("A1", 5)
    client.force_login(member("adam", patient.centre, Role.ADMINISTRATOR))
    rules = {name: getattr(protocol, name) for name in KIND_OF} | {"schedule": "schedule-quarterly.1"}
    shown = client.post("/protocols/std/", {**rules, "preview": "1"}).content.decode()
    assert "1 patient follows this protocol." in shown
    assert "next sample" in shown
    before = MonitoringPlan.objects.get().due_on
    assert client.post("/protocols/std/", {**rules, "change": "1"}).status_code == 400, "a reason"
    assert client.post("/protocols/std/", {**rules, "change": "1", "reason": "quarterly visits"}).status_code == 302
    classify_pending(now=clock.now())
    plan = MonitoringPlan.objects.get()
    assert plan.rule_id == "schedule-quarterly.1"
    assert plan.due_on != before
    history = Protocol.pgh_event_model.objects.order_by("pgh_id").last()  # type: ignore[attr-defined]
    assert history.pgh_context["reason"] == "quarterly visits"
    assert client.post("/protocols/std/", {**rules, "schedule": "loss-enestop.1", "preview": "1"}).status_code == 400
    offered = client.get("/protocols/std/").content.decode()
    assert "ELN 2025 sampling (schedule-eln-2025.1); adults; not in our sources, or only in part" in offered
    assert "adults; a newer set of the same body is available: ELN 2025 sampling" in offered
    other = Centre.objects.create(code="H2", protocol=protocol)
    assert client.get("/protocols/std/").status_code == 403, f"{other.code} is not adam's"
    index = client.get("/protocols/").content.decode()
    for words in (
        "ELN 2020 sampling stands in",
        "a newer set of the same body is available: ELN 2025 sampling",
        "(read in a secondary source)",
        "sampling after a restart until MMR; sampling after a restart in MMR",
        "D11, D12, D23",
        "any age",
    ):
        assert words in index, words


def test_a_centre_of_the_demo_is_told_what_is_not_in_our_sources(
    patient: Patient, ada: User, member: Callable[..., User], client: Client
) -> None:
    follow_the_chinese_guideline()
    TkiCourse.objects.create(patient=patient, drug="imatinib", started_on=ago(366))
    record_result(
        report("A1", ago(5).isoformat(), "600/60000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now()
    )
    classify_pending(now=clock.now())
    plan = MonitoringPlan.objects.get()
    assert (plan.rule_id, plan.due_on) == ("schedule-chinese-2020.1", add_months(ago(5), 3)), "planned all the same"
    grace = member("grace", patient.centre)
    client.force_login(grace)
    page = client.get(f"/patients/{patient.public_id}/").content.decode()
    for words in (
        "Chinese guideline 2020 sampling: not in our sources. ELN 2020 sampling stands in and is named beside "
        "each line.",
        "Not in our sources: first chronic phase only; PCR on the International Scale, of quality; sensitivity of "
        "the assay",
        "Of which age this rule set speaks is not in our sources.",
    ):
        assert words in page, words
    assert "milestones-eln-2020.1" in page, "the lines that stand in are cited as what they are"
    token = {"Authorization": f"Token {create_token(grace)}"}
    said = client.get(f"/api/v1/patients/{patient.public_id}/monitoring/", headers=token).json()
    schedule = next(one for one in said["rule_sets"] if one["id"] == "schedule-chinese-2020.1")
    assert (schedule["stands_in"], schedule["superseded_by"]) == ("schedule-eln-2020.1", None)
    assert "off_treatment" in schedule["not_in_our_sources"]
    assert "tki_duration" in said["eligibility"][0]["not_in_our_sources"]


def test_a_centre_on_an_older_set_is_told_of_the_newer_one(
    enter: Callable[..., None], patient: Patient, client: Client
) -> None:
    enter("A1", 5)
    grace = User.objects.get(username="grace")
    client.force_login(grace)
    words = "a newer set of the same body is available"
    page = " ".join(client.get(f"/patients/{patient.public_id}/").content.decode().split())
    assert f"ELN 2020 sampling: {words}: ELN 2025 sampling (not in our sources, or only in part)" in page
    patient.centre.protocol = Protocol.objects.create(
        code="new", title="New", schedule="schedule-eln-2025.1", milestones="milestones-eln-2025.1",
        eligibility_adult="eligibility-eln-2025.1",
    )  # fmt: skip
    patient.centre.save()
    assert words not in client.get(f"/patients/{patient.public_id}/").content.decode()


# --- on treatment -------------------------------------------------------------------------------------------------


@pytest.fixture
def on_drug(patient: Patient, ada: User, member: Callable[..., User]) -> Callable[..., None]:
    """Results of a patient who began imatinib some 366 days ago: the 12-month window is open."""
    member("grace", patient.centre)
    TkiCourse.objects.create(patient=patient, drug="imatinib", started_on=ago(366))

    def record(accession: str, days: int, tubes: str, **more: Any) -> None:
        record_result(
            report(accession, ago(days).isoformat(), tubes, **more),
            patient=patient,
            by=ada,
            reach=EVERYWHERE,
            now=clock.now(),
        )
        classify_pending(now=clock.now())

    return record


def test_a_failed_milestone_alerts_once_and_a_correction_ends_it(
    on_drug: Callable[..., None], patient: Patient, ada: User
) -> None:
    on_drug("M12", 2, "1000/50000")  # 2 %
    alert = Alert.objects.get(kind="milestone_failed")
    assert (alert.evidence_on, alert.rule_version) == (ago(2), "milestones-eln-2020.1")
    assert alert.deliveries.count() == 1
    reclassify([patient.pk], now=clock.now())
    assert Alert.objects.filter(kind="milestone_failed").count() == 1
    assert list(check_ledger()) == []
    corrected = report("M12", ago(2).isoformat(), "10/50000", status="corrected", reason="tubes exchanged")
    record_result(corrected, patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    assert Alert.objects.get(kind="milestone_failed").state == "closed"


@pytest.mark.parametrize(("tubes", "days"), [("250/50000", 2), ("1000/50000", 100)])
def test_a_warning_or_old_history_is_no_failed_milestone(on_drug: Callable[..., None], tubes: str, days: int) -> None:
    on_drug("M", days, tubes)
    assert not Alert.objects.filter(kind="milestone_failed").exists()


def test_no_mmr_three_months_after_a_restart_is_told_until_it_is_back(
    enter: Callable[..., None], patient: Patient
) -> None:
    enter("A1", 55, "100/50000")
    TkiCourse.objects.create(patient=patient, drug="dasatinib", started_on=ago(50))
    enter("A2", 30, "100/50000")
    assert raise_no_mmr_after_restart(now=later(38)) == 0, "88 days"
    assert raise_no_mmr_after_restart(now=later(43)) == 1, "93 days: three calendar months"
    assert raise_no_mmr_after_restart(now=later(44)) == 0
    enter("A3", 1, "10/50000")
    assert Alert.objects.get(kind="no_mmr_after_restart").state == "closed"
    assert list(check_ledger()) == []


def test_a_doubtful_value_that_would_lose_mmr_has_a_clock_of_its_own(
    enter: Callable[..., None], patient: Patient, member: Callable[..., User]
) -> None:
    vera = member("vera", patient.centre, Role.VERIFIER)
    enter("A1", 30, "nd/60000")
    enter("PLAIN", 9, "100/50000", status="preliminary")
    enter("SLIP", 3, "100/50000", status="preliminary", is_percent=Decimal("20"))  # the copies make 0.2 %
    now = later(0)
    assert raise_suspicious(now=now + dt.timedelta(minutes=59)) == 0
    assert raise_suspicious(now=now + dt.timedelta(minutes=61)) == 1
    assert raise_suspicious(now=now + dt.timedelta(minutes=62)) == 0
    alert = Alert.objects.get(kind="suspicious_value")
    assert alert.evidence is not None
    assert alert.evidence.accession_number == "SLIP"
    assert [one.recipient for one in alert.deliveries.all()] == [vera]
    loss = Alert.objects.get(kind="loss_of_mmr")
    assert (loss.state, loss.certainty) == ("open", "provisional"), "the doubt hides nothing"
    assert list(check_ledger()) == []
    enter("SLIP", 3, "100/50000", is_percent=Decimal("0.2"), status="corrected", reason="multiplied by 100")
    assert Alert.objects.get(kind="suspicious_value").state == "closed"


# --- without evidence, not confirmed, repeated -------------------------------------------------------------------


def test_two_samples_in_a_row_that_prove_nothing_are_an_alert_of_their_own(
    enter: Callable[..., None], patient: Patient
) -> None:
    enter("A0", 35)
    enter("A1", 30, "nd/4000")
    assert not Alert.objects.filter(kind="no_evidence").exists()
    enter("A2", 10, "nd/5000")
    alert = Alert.objects.get(kind="no_evidence")
    assert (alert.state, alert.evidence_on) == ("open", ago(35))
    assert not list(check_ledger())
    enter("A3", 2)
    alert.refresh_from_db()
    assert (alert.state, alert.closing_reason) == ("closed", "answered")


def test_history_of_poor_samples_alerts_though_the_last_one_is_recent(
    patient: Patient, ada: User, member: Callable[..., User]
) -> None:
    member("grace", patient.centre)
    TkiCourse.objects.create(
        patient=patient, drug="imatinib", started_on="2010-01-01", stopped_on=ago(300), stop_reason="tfr_attempt"
    )
    for number, days in enumerate((310, 270, 210, 150, 90, 20)):
        tubes = "nd/60000" if days == 310 else "nd/4000"
        record_result(
            report(f"A{number}", ago(days).isoformat(), tubes),
            patient=patient,
            by=ada,
            reach=EVERYWHERE,
            now=clock.now(),
        )
    classify_pending(now=clock.now())
    assert {alert.kind for alert in Alert.objects.live()} == {"no_evidence", "hand_over"}


def test_one_poor_sample_and_the_next_overdue_is_no_evidence_and_not_only_overdue(
    enter: Callable[..., None], patient: Patient
) -> None:
    enter("A0", 70)
    enter("A1", 40, "nd/4000")
    assert raise_overdue(now=later(1)) == 0, "told already, when the sample was classified"
    assert [alert.kind for alert in Alert.objects.live()] == ["no_evidence"]


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize(
    ("samples", "restart", "code"),
    [
        ([(70, "nd/60000"), (30, "nd/4000"), (10, "nd/5000")], None, "not_known"),
        ([(70, "nd/60000"), (30, "70/60000", "preliminary")], None, "in_doubt"),
        ([(70, "nd/60000"), (30, "120/60000")], 10, "restarted"),
        ([(70, "nd/60000"), (30, "66/60000"), (10, "48/60000")], None, "not_confirmed"),
        ([(70, "nd/60000"), (10, "nd/60000")], None, "held"),
    ],
)
def test_page_list_home_alerts_and_api_say_the_same_of_a_patient(
    enter: Callable[..., None],
    patient: Patient,
    client: Client,
    samples: list[tuple[Any, ...]],
    restart: int | None,
    code: str,
    language: str,
) -> None:
    for number, (days, tubes, *status) in enumerate(samples):
        enter(f"A{number}", days, tubes, **({"status": status[0]} if status else {}))
    if restart is not None:
        TkiCourse.objects.create(patient=patient, drug="imatinib", started_on=ago(restart))
        reclassify([patient.pk], now=clock.now())
    client.force_login(User.objects.get(username="grace"))
    client.post("/language/", {"language": language, "next": "/"})
    found = client.get("/api/v1/episodes/", headers={"Accept-Language": language}).json()["results"][0]
    assert found["state"] == code
    sentence = found["standing"]["text"]
    page = client.get(f"/patients/{patient.public_id}/").content.decode()
    assert sentence in page
    assert f'data-state="{code}"' in page
    assert (
        f'data-state="{code}"'
        in client.get("/patients/?state=off_treatment" if restart is None else "/patients/").content.decode()
    )
    alerts = Alert.objects.live().filter(patient=patient)
    for address in ("/", "/alerts/", *(f"/alerts/{alert.public_id}/" for alert in alerts)):
        shown = client.get(address).content.decode()
        assert (sentence in shown) is alerts.exists(), address
    for alert in client.get("/api/v1/alerts/?open=true", headers={"Accept-Language": language}).json()["results"]:
        assert alert["patient_state"]["text"] == sentence
    if code != "held":
        assert "MMR held" not in page


def test_a_single_value_above_is_not_confirmed_and_asks_for_no_restart(
    enter: Callable[..., None], patient: Patient
) -> None:
    enter("A1", 40, "66/60000")
    assert raise_no_restart(now=clock.now()) == 1
    enter("A2", 5, "48/60000")
    assert Alert.objects.get(kind="no_restart").state == "closed"
    assert Alert.objects.get(kind="loss_of_mmr").state == "open"
    assert raise_no_restart(now=later(30)) == 0
    episode = patient.episodes.get()
    assert (episode.state, episode.evidence["again_on"]) == ("loss_not_confirmed", ago(5).isoformat())


def test_a_loss_on_treatment_is_repeated_within_four_weeks_beside_its_mutation(
    patient: Patient, ada: User, member: Callable[..., User], client: Client
) -> None:
    TkiCourse.objects.create(patient=patient, drug="imatinib", started_on="2015-01-01")
    Observation.objects.create(patient=patient, kind="mutation", observed_on=ago(3), detail="T315I")
    for number, (days, tubes) in enumerate(((200, "6/60000"), (100, "60/60000"), (5, "600/60000"))):
        record_result(
            report(f"A{number}", ago(days).isoformat(), tubes),
            patient=patient,
            by=ada,
            reach=EVERYWHERE,
            now=clock.now(),
        )
    classify_pending(now=clock.now())
    plan = MonitoringPlan.objects.get()
    assert plan.text_code == "schedule.on_treatment.repeat_after_loss"
    assert plan.latest_on == ago(5) + dt.timedelta(days=28)
    client.force_login(member("grace", patient.centre))
    alert = Alert.objects.get(kind="loss_of_mmr_on_treatment")
    assert "T315I" in client.get(f"/alerts/{alert.public_id}/").content.decode()
    assert any("T315I" in m for m in client.get(f"/api/v1/alerts/{alert.public_id}/").json()["mutations"])
