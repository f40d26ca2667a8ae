"""The hazards as people meet them: on pages, in lists, in the API and in messages, in both languages."""

import datetime as dt
import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from monitoring import clock
from monitoring.models import Alert, AlertDelivery, Centre, Observation, Patient, TkiCourse
from monitoring.services.alerts.by_the_clock import raise_lost, raise_no_mmr_after_restart, raise_overdue
from monitoring.services.alerts.escalation import ActionTaken, AlertConflictError, act, advance, withdraw
from monitoring.services.classification.classify import classify_pending, reclassify
from monitoring.services.classification.ledger import check_ledger
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from monitoring.services.settings.tokens import create_token
from tests.builders import report

pytestmark = pytest.mark.django_db
Samples = tuple[tuple[int, str], ...]


def ago(days: int) -> dt.date:
    return clock.now().date() - dt.timedelta(days=days)


def later(days: int) -> dt.datetime:
    return clock.now() + dt.timedelta(days=days)


@pytest.fixture
def grace(centre: Centre, member: Callable[..., User]) -> User:
    return member("grace", centre)


@pytest.fixture
def load(centre: Centre, ada: User, grace: User) -> Callable[..., Patient]:
    """A patient with a stop (None: still on imatinib) and samples so many days ago, as a file would bring them."""

    def one(
        name: str,
        stopped: int | None,
        samples: Samples,
        specimen: str = "PB",
        restarted: int | None = None,
        **more: str,
    ) -> Patient:
        patient = Patient.objects.create(centre=centre, patient_id=name, **more)
        stop = {} if stopped is None else {"stopped_on": ago(stopped), "stop_reason": "tfr_attempt"}
        TkiCourse.objects.create(patient=patient, drug="imatinib", started_on=ago(3000), **stop)
        if restarted is not None:
            TkiCourse.objects.create(patient=patient, drug="imatinib", started_on=ago(restarted))
        for days, tubes in samples:
            sent = report(
                f"{name}-{days}", ago(days).isoformat(), tubes, specimen=specimen if days == samples[-1][0] else "PB"
            )
            record_result(sent, patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
        classify_pending(now=clock.now())
        return patient

    return one


ATYPICAL = {
    "en": ("detectable again, ratio 30 %", "ratio 30 %, after not detected"),
    "zh-hans": ("再次检出", "比值 30 %，此前未检出"),
}


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_an_atypical_relapse_is_told_at_every_door(language: str, load: Callable[..., Patient], grace: User) -> None:
    patient = load("E19", 60, ((90, "nd/60000"), (10, "18000/60000")), transcript="e19a2")
    alert = Alert.objects.get(patient=patient)
    assert (alert.kind, alert.state, alert.hand_over) == ("off_scale_relapse", "open", None)
    assert AlertDelivery.objects.filter(alert=alert, recipient=grace).exists()
    client = Client(headers={"Accept-Language": language})
    client.force_login(grace)
    state, value = ATYPICAL[language]
    for address in (f"/patients/{patient.public_id}/", "/alerts/", f"/alerts/{alert.public_id}/", "/"):
        text = client.get(address).content.decode()
        assert state in text, re.findall(r"data-state[^<]*<[^<]*<", text)
        assert "MMR held" not in text
    page = client.get(f"/patients/{patient.public_id}/").content.decode()
    assert re.search(rf"<td>\s*{re.escape(value)}", page)
    assert "evaluable" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert '"shape": "off_scale"' in page
    token = create_token(grace)
    said = (
        Client(headers={"Authorization": f"Token {token}", "Accept-Language": language}).get("/api/v1/alerts/").json()
    )
    assert [one["kind"] for one in said["results"]] == ["off_scale_relapse"]
    assert not list(check_ledger())


def test_marrow_is_labelled_wherever_it_is_shown(load: Callable[..., Patient], grace: User, client: Client) -> None:
    patient = load("BM", 60, ((90, "nd/60000"), (10, "120/60000")), specimen="BM")
    alert = Alert.objects.get(patient=patient, kind="loss_of_mmr")
    assert alert.certainty == "provisional"
    assert alert.evidence is not None
    client.force_login(grace)
    for address in (
        f"/patients/{patient.public_id}/", "/patients/", "/alerts/", f"/alerts/{alert.public_id}/",
        f"/results/{alert.evidence.public_id}/",
    ):  # fmt: skip
        assert "bone marrow" in client.get(address).content.decode(), address


@pytest.fixture
def gone_live(load: Callable[..., Patient]) -> Alert:
    """The history of a centre, loaded at once: what is over, and five patients for whom it is still so."""
    load("OVER", 700, ((710, "nd/60000"), (600, "120/60000"), (300, "nd/60000")), restarted=580)
    load("LOW", 700, ((710, "nd/60000"), (300, "90/60000")))
    load("HIGH", 400, ((410, "nd/60000"), (330, "120/60000"), (300, "12000/60000")))
    load("FAST", 650, ((660, "nd/60000"), (310, "30/60000"), (300, "90/60000")))
    load("MR4", 400, ((410, "nd/60000"), (200, "30/60000"), (120, "30/60000")))
    load("DRUG", None, ((900, "nd/60000"), (300, "120/60000")))
    return Alert.objects.get(kind="hand_over")


def test_what_is_still_so_is_one_worklist_by_level_speed_and_days_without_drug(
    gone_live: Alert, grace: User, client: Client
) -> None:
    rows = Alert.objects.filter(hand_over=gone_live)
    assert {(row.patient.patient_id, row.kind) for row in rows if row.patient} == {
        ("LOW", "loss_of_mmr"), ("HIGH", "loss_of_mmr"), ("FAST", "loss_of_mmr"), ("MR4", "loss_of_mr4"),
        ("DRUG", "loss_of_mmr_on_treatment"),
    }  # fmt: skip
    assert {delivery.alert for delivery in AlertDelivery.objects.filter(recipient=grace)} == {gone_live}
    said = Client(headers={"Authorization": f"Token {create_token(grace)}"}).get("/api/v1/alerts/").json()["results"]
    assert {one["worklist"] for one in said} == {None, str(gone_live.public_id)}
    assert {one["patient_id"] for one in said if one["doubling_days"]} >= {"FAST", "HIGH"}
    client.force_login(grace)
    page = client.get(f"/alerts/{gone_live.public_id}/").content.decode()
    shown = [page.index(f">{name}</a>") for name in ("HIGH", "DRUG", "FAST", "LOW", "MR4")]
    assert shown == sorted(shown)
    assert "act_action" not in page, "a worklist is signed off in its rows"
    assert not list(check_ledger())


def test_a_worklist_ends_with_its_last_row_and_not_before(gone_live: Alert, grace: User) -> None:
    now = clock.now()
    with pytest.raises(AlertConflictError, match="5 rows are not signed off yet"):
        act(gone_live, by=grace, action=ActionTaken.OTHER, note="all old", now=now)
    with pytest.raises(AlertConflictError, match="5 rows"):
        withdraw(gone_live, by=grace, reason="all old", now=now)
    assert advance(now=later(2)) == 1, "it escalates; its rows do not by themselves"
    *rest, last = Alert.objects.filter(hand_over=gone_live).order_by("pk")
    for row in rest:
        act(
            row, by=grace, action=ActionTaken.OTHER, note="known, followed elsewhere", now=now, read_back=row.is_percent
        )
    gone_live.refresh_from_db()
    assert gone_live.state == "open"
    act(last, by=grace, action=ActionTaken.WATCH, note="", until=ago(-30), now=now, read_back=last.is_percent)
    gone_live.refresh_from_db()
    assert (gone_live.state, gone_live.closing_reason) == ("closed", "emptied")
    assert advance(now=later(20)) == 0
    assert advance(now=later(31)) == 1, "what was only put off comes back, told by itself"
    last.refresh_from_db()
    assert AlertDelivery.objects.filter(alert=last, recipient=grace).exists()


def test_an_answer_takes_a_row_out_of_the_worklist(gone_live: Alert) -> None:
    for row in Alert.objects.filter(hand_over=gone_live).exclude(patient__patient_id__in=["MR4", "DRUG"]):
        TkiCourse.objects.create(patient=row.patient, drug="imatinib", started_on=ago(1))
    reclassify(list(Patient.objects.values_list("pk", flat=True)), now=clock.now())
    left = Alert.objects.live().filter(hand_over=gone_live)
    assert {row.patient.patient_id for row in left if row.patient} == {"MR4", "DRUG"}


def test_who_is_not_seen_any_more_is_an_alert_until_seen(load: Callable[..., Patient], ada: User) -> None:
    patient = load("GONE", 200, ((210, "nd/60000"), (20, "nd/60000")))
    assert raise_lost(now=later(300)) == 0
    assert raise_overdue(now=later(60)) == 1
    assert raise_lost(now=later(346)) == 1
    assert raise_lost(now=later(347)) == 0
    kinds = {alert.kind for alert in Alert.objects.live().filter(patient=patient)}
    assert kinds == {"overdue_sample", "lost_to_follow_up"}
    record_result(
        report("SEEN", ago(1).isoformat(), "nd/60000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now()
    )
    classify_pending(now=clock.now())
    assert not Alert.objects.live().filter(patient=patient).exists()


def test_a_recorded_loss_to_follow_up_is_told_at_once(load: Callable[..., Patient]) -> None:
    patient = load("LEFT", 200, ((210, "nd/60000"), (20, "nd/60000")))
    Observation.objects.create(patient=patient, kind="lost_to_follow_up", observed_on=ago(5))
    reclassify([patient.pk], now=clock.now())
    assert [a.kind for a in Alert.objects.live().filter(patient=patient)] == ["lost_to_follow_up"]


def test_no_mmr_long_after_a_restart_is_still_so(load: Callable[..., Patient]) -> None:
    patient = load("SLOW", 900, ((910, "nd/60000"), (800, "120/60000"), (200, "120/60000")), restarted=780)
    assert raise_no_mmr_after_restart(now=clock.now()) == 1
    row = Alert.objects.get(patient=patient, kind="no_mmr_after_restart")
    assert row.hand_over is not None


def test_without_a_factor_the_raw_value_stands_beside_the_alert(
    load: Callable[..., Patient], ada: User, grace: User, client: Client
) -> None:
    patient = load("RAW", 60, ((90, "nd/60000"),))
    sent = report("NOCF", ago(5).isoformat(), "120/60000", conversion_factor=None)
    record_result(sent, patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    client.force_login(grace)
    kinds = set()
    for alert in Alert.objects.live().filter(patient=patient):
        kinds.add(alert.kind)
        page = client.get(f"/alerts/{alert.public_id}/").content.decode()
        assert "raw ratio, not on the scale" in page
        assert "0.2 %" in page
    assert kinds == {"factor_missing", "loss_of_mmr"}


def test_a_loss_at_a_reduced_dose_says_so(load: Callable[..., Patient], grace: User, client: Client) -> None:
    patient = load("DOSE", None, ())
    TkiCourse.objects.filter(patient=patient).update(
        dose_mg_per_day=400, stopped_on=ago(200), stop_reason="dose_change"
    )
    TkiCourse.objects.create(patient=patient, drug="imatinib", started_on=ago(199), dose_mg_per_day=200)
    for days, tubes in ((300, "nd/60000"), (10, "120/60000")):
        sent = report(f"D{days}", ago(days).isoformat(), tubes)
        record_result(sent, patient=patient, by=grace, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    client.force_login(grace)
    alert = Alert.objects.get(patient=patient, kind="loss_of_mmr_on_treatment")
    page = client.get(f"/alerts/{alert.public_id}/").content.decode()
    assert f"At a reduced dose since {ago(199)}" in page
    assert "A mutation analysis and a look at adherence belong to it." in page


def test_what_comes_after_a_transplant_is_no_event_of_the_stop(
    load: Callable[..., Patient], grace: User, client: Client
) -> None:
    patient = load("GRAFT", 800, ((810, "nd/60000"), (400, "nd/60000"), (20, "120/60000")))
    client.force_login(grace)
    assert "Event of the protocol" in client.get(f"/patients/{patient.public_id}/").content.decode()
    Observation.objects.create(patient=patient, kind="allogeneic_transplant", observed_on=ago(600))
    reclassify([patient.pk], now=clock.now())
    page = client.get(f"/patients/{patient.public_id}/").content.decode()
    assert "Event of the protocol" not in page
    assert "relapse after transplant" in page
    assert [a.kind for a in Alert.objects.live().filter(patient=patient)] == ["relapse_after_transplant"]
