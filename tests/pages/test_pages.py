"""Pages of the laboratory, the ward, the registry: what they show, refuse, and change."""

import datetime as dt
import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from cohorts.services.definitions import define_cohort
from monitoring import clock
from monitoring.intake.uploads import forget_old_files, load_upload, owed_uploads, verdict_rows
from monitoring.models import (
    AccessEvent,
    Alert,
    AlertDelivery,
    Centre,
    EscalationPolicy,
    ImportRun,
    JobRun,
    Laboratory,
    Patient,
    PcrResult,
    ResponseAssessment,
    Role,
    TkiCourse,
)
from monitoring.selectors.as_of import day_of, end_of_day
from monitoring.services.alerts import escalation
from monitoring.services.classification.classify import classify_pending
from monitoring.services.entry.identities import IdentityFacts
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.records import PatientFacts, record_patients
from monitoring.services.entry.results import record_result
from monitoring.services.entry.verification import raise_unverified
from monitoring.services.settings.demo_logins import DEMO_FOLDER
from tests.builders import report
from tests.conftest import reporting
from tests.nights import recompute

pytestmark = pytest.mark.django_db
SignIn = Callable[..., Client]


@pytest.fixture(autouse=True)
def laboratory(centre: Centre) -> Laboratory:
    return reporting("LAB", centre)


@pytest.fixture
def sign_in(member: Callable[..., User], patient: Patient) -> SignIn:
    def enter(role: Role, name: str = "", centre: Centre | None = None) -> Client:
        client = Client()
        client.force_login(member(name or f"the_{role}", centre or patient.centre, role))
        return client

    return enter


def entry(**more: str) -> dict[str, str]:
    return {
        "patient_id": "P1", "laboratory": "LAB", "accession_number": "E1", "collected_on": recent(),
        "control_gene": "ABL1",
        "conversion_factor": "1", "bcr_abl1_copies_1": "60", "control_gene_copies_1": "52000",
        "bcr_abl1_copies_2": "44", "control_gene_copies_2": "48000", **more,
    }  # fmt: skip


def recent(days: int = 5) -> str:
    return (clock.now().date() - dt.timedelta(days=days)).isoformat()


def off_treatment(patient: Patient) -> None:
    TkiCourse.objects.create(
        patient=patient,
        drug="imatinib",
        started_on="2010-01-01",
        stopped_on=clock.now().date() - dt.timedelta(days=90),
        stop_reason="tfr_attempt",
    )


# --- entering ---------------------------------------------------------------------------------------------------


def test_the_consequence_is_said_before_anything_is_stored(sign_in: SignIn, patient: Patient, ada: User) -> None:
    off_treatment(patient)
    record_result(report("B1", recent(40), "nd/60000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    text = sign_in(Role.TECHNICIAN).post("/bench/preview/", entry()).content.decode()
    assert "no MMR" in text
    assert "0.104 % IS" in text
    assert "MR4.5 on" in text
    assert "35 days earlier" in text
    assert "Off treatment since" in text
    assert "Saving this opens an alert: loss of MMR off treatment (provisional)." in text
    assert PcrResult.objects.count() == 1
    assert not Alert.objects.exists()


def test_a_change_between_numbers_is_said_in_log(sign_in: SignIn, patient: Patient, ada: User) -> None:
    record_result(report("B1", recent(40), "6/60000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    text = sign_in(Role.TECHNICIAN).post("/bench/preview/", entry()).content.decode()
    assert "Change +1.02 log." in text


def test_an_entered_result_is_preliminary_alerts_at_once_and_is_verified_by_another(
    sign_in: SignIn, patient: Patient
) -> None:
    off_treatment(patient)
    ada, vera = sign_in(Role.TECHNICIAN), sign_in(Role.VERIFIER)
    assert ada.post("/bench/single/", entry()).status_code == 302
    assert ada.post("/bench/single/", entry(), follow=True).content.decode().count("is stored already") == 1, (
        "double click"
    )
    result = PcrResult.objects.get()
    assert result.status == "preliminary"
    classify_pending(now=clock.now())
    assert Alert.objects.get(kind="loss_of_mmr").certainty == "provisional"
    assert "E1" in vera.get("/verify/").content.decode()
    own = ada.get(f"/results/{result.public_id}/").content.decode()
    assert "verifiers of this centre verify" in own
    assert ada.post(f"/results/{result.public_id}/verify/", {"version": 1}).status_code == 403
    assert vera.post(f"/results/{result.public_id}/verify/", {"version": 1}).status_code == 302
    stale = vera.post(f"/results/{result.public_id}/verify/", {"version": 1})
    assert stale.status_code == 409
    classify_pending(now=clock.now())
    assert Alert.objects.get(kind="loss_of_mmr").certainty == "suspected"
    assert "Nothing to verify." in vera.get("/verify/").content.decode()


def test_a_laboratory_without_verification_makes_final_results(sign_in: SignIn) -> None:
    Laboratory.objects.update(verification_required=False)
    sign_in(Role.TECHNICIAN).post("/bench/single/", entry())
    assert PcrResult.objects.get().status == "final"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"patient_id": "nobody"}, "is not known among the patients you may write about"),
        ({"collected_on": "10/03/2025"}, "2025-03-10"),
        ({"bcr_abl1_copies_1": "0"}, "not detected is not zero"),
        ({"control_gene_copies_2": "many"}, "not a plain number"),
        ({"accession_number": ""}, "is needed"),
    ],
)
def test_bad_entries_are_refused_beside_their_field(sign_in: SignIn, change: dict[str, str], words: str) -> None:
    answer = sign_in(Role.TECHNICIAN).post("/bench/single/", entry(**change))
    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert 'value="52000"' in answer.content.decode(), "what was typed stays"
    assert not PcrResult.objects.exists()


def test_other_content_for_a_known_accession_is_refused_in_words(sign_in: SignIn) -> None:
    ada = sign_in(Role.TECHNICIAN)
    ada.post("/bench/single/", entry())
    answer = ada.post("/bench/single/", entry(bcr_abl1_copies_1="61"))
    assert answer.status_code == 409
    assert "is stored" in answer.content.decode()


def test_undetected_is_written_u(sign_in: SignIn) -> None:
    sign_in(Role.TECHNICIAN).post("/bench/single/", entry(bcr_abl1_copies_1="u", bcr_abl1_copies_2="nd"))
    classify_pending(now=clock.now())
    assert ResponseAssessment.objects.get().response_class == "MR5"


# --- the life of a result ---------------------------------------------------------------------------------------


def test_an_amendment_keeps_what_the_form_does_not_show(sign_in: SignIn, patient: Patient, ada: User) -> None:
    stored = report(
        "E1",
        recent(),
        "60/52000;44/48000;1/20000;2/30000",
        limit_of_quantification=None,
        kit_lot="K7",
        collected_at=dt.datetime.fromisoformat(recent() + "T08:30:00+00:00"),
        reported_class="MMR",
    )
    record_result(stored, patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    result, vera = PcrResult.objects.get(), sign_in(Role.VERIFIER)
    page = vera.get(f"/results/{result.public_id}/amend/").content.decode()
    assert "bcr_abl1_copies_4" in page
    tubes = {
        "bcr_abl1_copies_3": "1",
        "control_gene_copies_3": "20000",
        "bcr_abl1_copies_4": "2",
        "control_gene_copies_4": "30000",
    }
    change = {
        **entry(bcr_abl1_copies_1="6", kit_lot="K7", reported_class="MMR"),
        **tubes,
        "version": "1",
        "reason": "tubes mixed up",
    }
    shown = vera.post(f"/results/{result.public_id}/amend/", change, headers={"HX-Request": "true"}).content.decode()
    assert "MMR" in shown
    assert PcrResult.objects.count() == 1
    assert vera.post(f"/results/{result.public_id}/amend/", change).status_code == 302
    newest = PcrResult.objects.get(version=2)
    assert (newest.status, newest.collected_at, newest.reported_class) == ("preliminary", stored.collected_at, "MMR")
    assert newest.replicates.count() == 4
    late = vera.post(f"/results/{result.public_id}/amend/", {**change, "bcr_abl1_copies_1": "7"})
    assert late.status_code == 409
    assert vera.post(f"/results/{result.public_id}/amend/", {**change, "reason": ""}).status_code == 400


def test_a_retraction_needs_a_reason_and_withdraws_the_alert(sign_in: SignIn, patient: Patient, ada: User) -> None:
    off_treatment(patient)
    record_result(report("E1", recent(), "100/50000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    result, vera = PcrResult.objects.get(), sign_in(Role.VERIFIER)
    path = f"/results/{result.public_id}/retract/"
    assert vera.post(path, {"version": 1}).status_code == 400
    assert vera.post(path, {"version": 1, "reason": "another person's blood"}).status_code == 302
    classify_pending(now=clock.now())
    assert Alert.objects.get(kind="loss_of_mmr").state == "withdrawn"


# --- verification on its own clock ------------------------------------------------------------------------------


def test_a_result_unverified_for_four_hours_alerts_the_laboratory_and_closes_with_verification(
    sign_in: SignIn, patient: Patient, django_assert_max_num_queries: Any
) -> None:
    ada, vera = sign_in(Role.TECHNICIAN), sign_in(Role.VERIFIER)
    ada.post("/bench/single/", entry())
    classify_pending(now=clock.now())
    later = clock.now() + dt.timedelta(hours=4, minutes=1)
    assert raise_unverified(now=clock.now()) == 0
    assert raise_unverified(now=later) == 1
    assert raise_unverified(now=later) == 0
    alert = Alert.objects.get(kind="unverified")
    assert [d.recipient.get_username() for d in AlertDelivery.objects.filter(alert=alert)] == ["the_verifier"]
    classify_pending(now=clock.now())
    result = PcrResult.objects.get()
    vera.post(f"/results/{result.public_id}/verify/", {"version": 1})
    classify_pending(now=clock.now())
    alert.refresh_from_db()
    assert alert.state == "closed"


def test_a_file_of_old_preliminary_results_does_not_flood(patient: Patient, ada: User) -> None:
    record_result(
        report("O1", "2019-01-01", status="preliminary"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now()
    )
    assert raise_unverified(now=clock.now() + dt.timedelta(days=1)) == 0


def test_a_signed_ladder_decides_who_is_told_and_when(sign_in: SignIn, patient: Patient, ada: User) -> None:
    sign_in(Role.CLINICIAN)
    sign_in(Role.ADMINISTRATOR)
    EscalationPolicy.objects.create(
        centre=patient.centre, steps=[{"roles": ["administrator"], "wait_hours": 1}, {"roles": ["clinician"],
        "wait_hours": 2}],
        acknowledged_comes_back_days=3, signed_by="Dr Example",
    )  # fmt: skip
    off_treatment(patient)
    record_result(report("E1", recent(), "100/50000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    alert = Alert.objects.get()
    assert AlertDelivery.objects.get().recipient.get_username() == "the_administrator"
    assert alert.next_action_at is not None
    assert dt.timedelta(minutes=59) < alert.next_action_at - clock.now() < dt.timedelta(minutes=61)
    escalation.advance(now=clock.now() + dt.timedelta(hours=2))
    assert AlertDelivery.objects.order_by("pk").last().recipient.get_username() == "the_clinician"  # type: ignore[union-attr]
    acknowledged = escalation.acknowledge(alert, by=ada, note="", now=clock.now())
    assert acknowledged.next_action_at is not None
    assert (acknowledged.next_action_at - clock.now()).days == 2


# --- patients ---------------------------------------------------------------------------------------------------


def test_patients_are_found_by_pseudonym_number_and_state_with_flat_queries(
    sign_in: SignIn, centre: Centre, ada: User, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    facts = [PatientFacts("H1", f"Q{n:02}", {}, IdentityFacts(hospital_number=f"HN-{n}")) for n in range(30)]
    record_patients(facts, by=ada, reach=EVERYWHERE, now=clock.now())
    for patient in Patient.objects.filter(patient_id__startswith="Q"):
        record_result(
            report(f"A-{patient.patient_id}", recent()), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now()
        )
    off_treatment(Patient.objects.get(patient_id="Q07"))
    classify_pending(now=clock.now())
    grace, anna = sign_in(Role.CLINICIAN), sign_in(Role.ANALYST)
    with django_assert_max_num_queries(15):
        assert grace.get("/patients/").content.decode().count("<tr>") == 32
    assert "Q07" in grace.get("/patients/?state=off_treatment").content.decode()
    assert "Q08" not in grace.get("/patients/?state=off_treatment").content.decode()
    assert ">Q12<" in grace.post("/patients/", {"q": "HN-12"}).content.decode()
    assert ">Q12<" not in anna.post("/patients/", {"q": "HN-12"}).content.decode(), (
        "an analyst does not search by number"
    )
    assert grace.get("/patients/?q=%00&page=zz").status_code == 200


def test_a_timeline_shows_shapes_and_records_who_looked(
    sign_in: SignIn, patient: Patient, ada: User, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    record_patients(
        [PatientFacts("H1", "P1", {}, IdentityFacts(family_name="Meier"))], by=ada, reach=EVERYWHERE, now=clock.now()
    )
    off_treatment(patient)
    for accession, days, tubes in (
        ("T1", 60, "nd/60000"),
        ("T2", 40, "nd/4000"),
        ("T3", 20, "6/60000"),
        ("T4", 5, "100/50000"),
    ):
        record_result(
            report(accession, recent(days), tubes), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now()
        )
    classify_pending(now=clock.now())
    grace, anna = sign_in(Role.CLINICIAN), sign_in(Role.ANALYST)
    with django_assert_max_num_queries(32):
        text = grace.get(f"/patients/{patient.public_id}/").content.decode()
    for words in (
        "Meier",
        "not detected",
        "not evaluable",
        "0.2 % IS",
        "MMR lost: 0.2 %",
        "timeline-data",
        "loss of MMR off treatment",
    ):
        assert words in text, words
    chart = text.split('id="timeline-data"')[1].split("</script>")[0]
    assert '"percent": 0.0032' in chart, "undetected stands at the sample's own sensitivity"
    assert '"percent": 0,' not in chart
    assert '"percent": 0}' not in chart
    assert "Meier" not in anna.get(f"/patients/{patient.public_id}/").content.decode()
    assert AccessEvent.objects.filter(patient=patient).count() == 2


def test_a_patient_with_nothing_and_one_of_another_centre(sign_in: SignIn, patient: Patient) -> None:
    assert "No result yet." in sign_in(Role.CLINICIAN).get(f"/patients/{patient.public_id}/").content.decode()
    other = Patient.objects.create(centre=Centre.objects.create(code="H2"), patient_id="X1")
    assert sign_in(Role.CLINICIAN, "g2").get(f"/patients/{other.public_id}/").status_code == 404


# --- cohorts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["", "Asia/Shanghai", "America/New_York"])
def test_the_end_of_a_day_belongs_to_that_day(centre: Centre, zone: str) -> None:
    centre.time_zone = zone
    asked = end_of_day("2024-06-01", centre, clock.now())
    assert asked is not None
    assert day_of(asked, centre, clock.now()) == dt.date(2024, 6, 1)
    assert day_of(None, centre, clock.now()) == clock.now().date()


def test_small_groups_of_other_centres_are_withheld(sign_in: SignIn, centre: Centre, ada: User) -> None:
    elsewhere = Centre.objects.create(code="H2")
    for n in range(7):
        patient = Patient.objects.create(
            centre=centre if n else elsewhere, patient_id=f"C{n}", sex="F" if n < 2 else "M"
        )
        TkiCourse.objects.create(
            patient=patient,
            drug="imatinib",
            started_on="2010-01-01",
            stopped_on="2020-01-01",
            stop_reason="tfr_attempt",
        )
        for accession, on, tubes in ((f"a{n}", "2019-12-01", "nd/60000"), (f"b{n}", "2021-01-01", "nd/60000")):
            record_result(report(accession, on, tubes), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    cohort, _ = define_cohort({"slug": "c", "title": "All", "factors": [{"name": "sex"}]}, by="test")
    recompute(cohort)
    anna = sign_in(Role.ANALYST)
    text = anna.get("/cohorts/c/").content.decode()
    assert "Withheld:" in text
    figures = anna.get("/api/v1/cohorts/c/snapshot/").json()
    assert figures["univariate"][0]["groups"] == []
    assert figures["counts"]["members"] == 7
    rows = anna.get("/cohorts/c/members.csv").content.decode().splitlines()
    assert len(rows) == 7, "a header and six rows of the own centre"
    assert anna.get("/api/v1/cohorts/c/members/").json()["count"] == 6
    both = sign_in(Role.ANALYST, "both")
    both_user = User.objects.get(username="both")
    both_user.memberships.create(centre=elsewhere, role="analyst", valid_from="2020-01-01")
    assert "Withheld:" not in both.get("/cohorts/c/").content.decode()
    assert both.get("/api/v1/cohorts/c/snapshot/").json()["univariate"][0]["groups"]
    assert sign_in(Role.TECHNICIAN).get("/cohorts/c/members.csv").status_code == 403
    assert AccessEvent.objects.filter(action="export members").count() == 1


def test_cohort_pages_before_any_figures(sign_in: SignIn, centre: Centre) -> None:
    define_cohort({"slug": "c", "title": "All"}, by="test")
    anna = sign_in(Role.ANALYST)
    assert "no figures yet" in anna.get("/cohorts/").content.decode()
    assert "No figures are published yet" in anna.get("/cohorts/c/").content.decode()
    assert anna.get("/cohorts/c/figures.json").status_code == 404
    assert anna.get("/api/v1/cohorts/c/snapshot/").status_code == 404


# --- files ------------------------------------------------------------------------------------------------------


def give(client: Client, kind: str, text: str, *, dry_run: bool, name: str = "f.csv") -> ImportRun:
    file = SimpleUploadedFile(name, text.encode())
    answer = client.post("/imports/", {"kind": kind, "file": file, **({"dry_run": "on"} if dry_run else {})})
    assert answer.status_code == 302, answer.content
    return ImportRun.objects.latest("pk")


RESULTS = (
    "laboratory,accession_number,patient_id,collected_on,bcr_abl1_copies,control_gene_copies,conversion_factor\n"
    "LAB,F1,P1,2025-01-01,60,52000,1\nLAB,F1,P1,2025-01-01,44,48000,1\nLAB,F2,P1,2025-02-01,0,60000,1\n"
    "LAB,F3,P9,2025-03-01,nd,60000,1\nLAB,F4,P1,2025-04-01,nd,60000,1\n"
)


def test_a_file_is_tried_then_loaded_with_a_verdict_for_every_row(sign_in: SignIn, patient: Patient) -> None:
    ada = sign_in(Role.TECHNICIAN)
    run = give(ada, "results", RESULTS, dry_run=True)
    assert "The file waits to be read." in ada.get(f"/imports/{run.public_id}/").content.decode()
    assert load_upload(run.pk)
    assert not load_upload(run.pk), "read once"
    assert not PcrResult.objects.exists()
    run.refresh_from_db()
    verdicts = {int(row["row"]): row["verdict"] for row in verdict_rows(run)}
    assert verdicts == {2: "created", 3: "created", 4: "refused", 5: "refused", 6: "created"}
    text = ada.get(f"/imports/{run.public_id}/").content.decode()
    assert "not detected is not zero" in text
    assert "Load it now" in text
    assert ada.post(f"/imports/{run.public_id}/load/").status_code == 302
    real = ImportRun.objects.latest("pk")
    load_upload(real.pk)
    real.refresh_from_db()
    assert (PcrResult.objects.count(), real.content) == (2, None)
    refused = " ".join(ada.get(f"/imports/{real.public_id}/?only=refused").content.decode().split())
    assert refused.count("<td> refused </td>") == 2
    assert ada.get(f"/imports/{real.public_id}/progress/").headers["HX-Refresh"] == "true"


def test_a_file_writes_into_the_own_centres_only(sign_in: SignIn, patient: Patient) -> None:
    other = Patient.objects.create(centre=Centre.objects.create(code="H2"), patient_id="X1")
    ada = sign_in(Role.TECHNICIAN)
    run = give(ada, "results", RESULTS.replace("P9", other.patient_id), dry_run=False)
    load_upload(run.pk)
    assert not PcrResult.objects.filter(patient=other).exists()
    people = give(ada, "patients", "patient_id,centre\nN1,H2\nN2,H3\nN3,H1\n", dry_run=False)
    load_upload(people.pk)
    assert list(Patient.objects.filter(patient_id__startswith="N").values_list("patient_id", flat=True)) == ["N3"]
    assert not Centre.objects.filter(code="H3").exists()
    stranger = sign_in(Role.TECHNICIAN, "mallory", other.centre)
    assert stranger.get(f"/imports/{run.public_id}/").status_code == 404


def test_files_that_cannot_be_used_are_refused_in_words(sign_in: SignIn) -> None:
    ada = sign_in(Role.TECHNICIAN)
    run = give(ada, "results", "laboratory,accesion_number\n", dry_run=True)
    load_upload(run.pk)
    run.refresh_from_db()
    assert "accession_number" in run.problem
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sheet.xml", b"0" * 20_000_000)
    answer = ada.post("/imports/", {"kind": "results", "file": SimpleUploadedFile("b.xlsx", bomb.getvalue())})
    assert answer.status_code == 400
    assert "unpacks to far more" in answer.content.decode()
    assert ada.post("/imports/", {"kind": "results"}).status_code == 400


def test_a_file_whose_reader_was_killed_is_read_again(sign_in: SignIn, patient: Patient) -> None:
    run = give(sign_in(Role.TECHNICIAN), "results", RESULTS, dry_run=False)
    past = clock.now() - dt.timedelta(minutes=10)
    JobRun.objects.create(job=f"import:{run.pk}", slot_at=run.started_at, claimed_at=past, lease_until=past, attempts=1)
    assert owed_uploads(now=clock.now()) == [run.pk]
    assert load_upload(run.pk)
    assert PcrResult.objects.count() == 2
    assert owed_uploads(now=clock.now()) == []


def test_the_content_of_a_dry_run_is_forgotten_after_a_day(sign_in: SignIn, patient: Patient) -> None:
    ada = sign_in(Role.TECHNICIAN)
    run = give(ada, "results", RESULTS, dry_run=True)
    load_upload(run.pk)
    assert forget_old_files(now=clock.now() + dt.timedelta(days=2)) == 1
    assert ada.post(f"/imports/{run.public_id}/load/").status_code == 404


def test_the_demo_files_load_on_the_page(sign_in: SignIn, centre: Centre) -> None:
    adam = sign_in(Role.ADMINISTRATOR)
    user = User.objects.get(username="the_administrator")
    for code in (f"H{n}" for n in range(2, 9)):
        user.memberships.create(centre=Centre.objects.create(code=code), role="administrator", valid_from="2020-01-01")
        reporting(f"LAB-{code}", Centre.objects.get(code=code))
    reporting("LAB-H1", centre)
    for kind in ("patients", "treatments", "observations", "results"):
        run = give(adam, kind, (DEMO_FOLDER / f"{kind}.csv").read_text(), dry_run=False)
        load_upload(run.pk)
        run.refresh_from_db()
        assert run.counts["refused_rows"] == 0, kind


# --- home and the state of the service --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "sees", "misses"),
    [
        (Role.TECHNICIAN, "results to verify", "State of the service"),
        (Role.CLINICIAN, "alerts nobody has acknowledged", "results to verify"),
        (Role.ANALYST, "Cohorts", "Enter a result"),
        (Role.ADMINISTRATOR, "State of the service", "Enter a result"),
    ],
)
def test_home_is_by_role(sign_in: SignIn, role: Role, sees: str, misses: str) -> None:
    text = sign_in(role).get("/").content.decode()
    assert sees in text
    assert misses not in text


def test_metrics_tell_what_is_owed_to_administrators_only(sign_in: SignIn, patient: Patient, ada: User) -> None:
    record_result(report("E1", recent()), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    text = sign_in(Role.ADMINISTRATOR).get("/metrics").content.decode()
    assert 'cml_owed{what="classifications"} 1.0' in text
    assert "P1" not in text
    assert sign_in(Role.CLINICIAN).get("/metrics").status_code == 403
    assert Client().get("/metrics").status_code == 401
    assert (
        "patients that are owed a classification"
        in sign_in(Role.ADMINISTRATOR, "adam2").get("/operations/").content.decode()
    )


def test_a_page_says_what_was_known_on_a_day_and_what_was_said(sign_in: SignIn, patient: Patient, ada: User) -> None:
    off_treatment(patient)
    old = clock.now() - dt.timedelta(days=10)
    record_result(report("K1", recent(30), "100/50000"), patient=patient, by=ada, reach=EVERYWHERE, now=old)
    classify_pending(now=clock.now())
    ResponseAssessment.objects.update(assessed_at=old)
    record_result(
        report("K1", recent(30), "5/50000", status="corrected", reason="wrong tube"),
        patient=patient,
        by=ada,
        reach=EVERYWHERE,
        now=clock.now(),
    )
    classify_pending(now=clock.now())
    grace = sign_in(Role.CLINICIAN)
    now = grace.get(f"/patients/{patient.public_id}/").content.decode()
    then = grace.get(f"/patients/{patient.public_id}/?known_at={recent(5)}").content.decode()
    before = grace.get(f"/patients/{patient.public_id}/?known_at={recent(40)}").content.decode()
    assert "0.01 % IS" in now
    assert "This page shows what was known" not in now
    assert "0.2 % IS" in then
    assert "0.01 % IS" not in then.split("Results over time")[1]
    assert "No result yet." in before
    assert f"/alerts/{Alert.objects.get(kind='loss_of_mmr').public_id}/" in now
    assert "/alerts/" not in before.split("<main")[1], "no alert was known then"
    assert "data-state=" not in before.split("<main")[1]
    assert grace.get(f"/patients/{patient.public_id}/?known_at=yesterday").status_code == 200
