"""Whole journeys of each role through a real browser, with a real worker behind the pages."""

import csv
import datetime as dt
import io
import itertools
import json
import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Download, Page

from cohorts.models import Cohort
from monitoring import clock
from monitoring.models import Alert, EscalationPolicy, ImportRun, JobRun, MonitoringPlan, Patient, PcrResult, TkiCourse
from monitoring.services.entry.identities import IdentityFacts
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.records import PatientFacts, record_patients
from monitoring.services.entry.results import record_result
from monitoring.services.foundation.jobs import claim_slot
from tasks import hints
from tests.browser.conftest import CHINESE, CHROMIUM, PHONE, WITH_CHINESE, Look, Visitor, until, until_classified
from tests.builders import report
from tests.nights import recompute
from tests.processes import wait_until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed and could not be installed"),
]
also_chinese = pytest.mark.parametrize("look", WITH_CHINESE, ids=str, indirect=True)
PIXELS = """s => { const c = document.querySelector(s);
  return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((v, i) => i % 4 === 3 && v).length; }"""


def recent(days: int) -> str:
    return (clock.now().date() - dt.timedelta(days=days)).isoformat()


@pytest.fixture
def patient(study: dict[str, User]) -> Patient:
    """Somebody of H1 who has been off treatment for ninety days, in MR4 forty days ago."""
    facts = PatientFacts("H1", "LIVE", {}, IdentityFacts(hospital_number="HN-77", family_name="Meier"))
    record_patients([facts], by=study["ada"], reach=EVERYWHERE, now=clock.now())
    found = Patient.objects.get(patient_id="LIVE")
    TkiCourse.objects.create(
        patient=found, drug="imatinib", started_on="2015-01-01", stopped_on=recent(90), stop_reason="tfr_attempt"
    )
    record_result(
        report("BASE", recent(40), "6/60000"), patient=found, by=study["ada"], reach=EVERYWHERE, now=clock.now()
    )
    return found


# --- the laboratory -----------------------------------------------------------------------------------------------


def type_result(visitor: Visitor, accession: str, *, copies: str) -> None:
    """Fill the form as with a scanner: each Enter goes to the next field."""
    keyboard = visitor.page.keyboard
    for value in ("LIVE", "LAB", accession, recent(5), "", copies, "52000", "44", "48000", "", "", "", "1"):
        keyboard.press("Control+A")
        if value:
            keyboard.type(value)
        keyboard.press("Enter")


@also_chinese
def test_the_laboratory_enters_a_result_by_keyboard_and_another_person_verifies_it(
    service: None, patient: Patient, visitor: Visitor
) -> None:
    page, words = visitor.page, visitor.words
    visitor.sign_in("ada")
    visitor.check("home of the laboratory")
    visitor.tab_to("a.tile[href='/bench/']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#runs")
    visitor.check("runs")
    visitor.tab_to("a.button[href='/bench/single/']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#id_patient_id:focus")
    visitor.check("bench")

    type_result(visitor, "E1", copies="0")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#id_bcr_abl1_copies_1_error")
    visitor.forgive(400)
    assert visitor.focused() == "id_bcr_abl1_copies_1", "the focus stands where something is to be done"
    assert page.get_attribute("#id_bcr_abl1_copies_1", "aria-invalid") == "true"
    assert "id_bcr_abl1_copies_1_error" in str(page.get_attribute("#id_bcr_abl1_copies_1", "aria-describedby"))
    visitor.check("bench with a refusal")

    page.keyboard.press("Control+A")
    page.keyboard.type("60")
    page.wait_for_selector("#preview .error")
    said = page.inner_text("#preview")
    assert words("no MMR") in said
    assert "+1.02" in said
    assert words("Saving this opens an alert: %(kind)s (%(certainty)s).").split("%(")[0] in said
    visitor.check("bench with its consequence")
    assert PcrResult.objects.filter(patient=patient).count() == 1
    assert not Alert.objects.filter(patient=patient).exists(), "the preview stores nothing"

    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".message")
    assert "E1" in page.inner_text(".message")
    visitor.check("bench after saving")
    page.wait_for_selector("#id_patient_id:focus")
    assert page.input_value("#id_laboratory") == "LAB", "the next sample of the run starts with what stays"
    type_result(visitor, "E2", copies="7")
    page.dblclick("#entry button.primary")
    page.wait_for_selector(".message:has-text('E2')")
    assert PcrResult.objects.filter(accession_number="E2").count() == 1
    visitor.sign_out()
    verify_by_keyboard(visitor)


def verify_by_keyboard(visitor: Visitor) -> None:
    """The second person finds the result, verifies it without a mouse, and sees its class."""
    page, words = visitor.page, visitor.words
    visitor.sign_in("vera")
    assert page.inner_text("a.tile[href='/verify/'] strong") == "2"
    until_classified()
    visitor.tab_to("a.tile[href='/verify/']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#waiting")
    assert words("no MMR") in page.inner_text("article[aria-label='E1']")
    visitor.check("results to verify")
    page.keyboard.press("j")
    while visitor.page.evaluate("document.activeElement.getAttribute('aria-label')") != "E1":
        page.keyboard.press("j")
    page.wait_for_selector("article[aria-label='E1'] details[open]")
    assert words("Verifying it") in page.inner_text("article[aria-label='E1']")
    visitor.check("result to verify")
    page.keyboard.press("v")
    page.wait_for_selector(".message")
    assert page.locator("article[aria-label='E1']").count() == 0
    until_classified()
    result = PcrResult.objects.get(accession_number="E1", superseded_by__isnull=True)
    assert result.status == "final"
    visitor.open(f"/results/{result.public_id}/")
    assert words("no MMR") in page.inner_text(".version >> nth=0")
    visitor.check("result with two versions")
    page.click(f"a[href='/results/{result.public_id}/amend/']")
    page.wait_for_selector("form.entry")
    visitor.check("amending")


# --- the ward -----------------------------------------------------------------------------------------------------


@also_chinese
def test_the_ward_gets_an_alert_acknowledges_it_and_records_a_restart(
    service: None, study: dict[str, User], patient: Patient, visitor: Visitor
) -> None:
    page, words, today = visitor.page, visitor.words, clock.now().date().isoformat()
    lost = report("LOST", recent(3), "100/50000")
    record_result(lost, patient=patient, by=study["ada"], reach=EVERYWHERE, now=clock.now())
    until_classified()
    alert = Alert.objects.get(patient=patient)
    visitor.sign_in("grace")

    def tells_all() -> bool:  # this one, and what is still so of the study, which alertd finds meanwhile
        page.reload()
        told = Alert.objects.live().told_alone().count()
        return page.inner_text("a.tile[href='/alerts/'] strong") == str(told)

    wait_until(tells_all, 30, "the first page does not count the open alerts")
    visitor.check("home of the ward")
    visitor.tab_to("a.tile[href='/alerts/']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#inbox")
    visitor.check("inbox")
    page.click(f"a[href='/alerts/{alert.public_id}/']")
    page.wait_for_selector("#told")
    assert "0.2 % IS" in page.inner_text("main")
    assert "grace" in page.inner_text("main table"), "who was told"
    visitor.check("alert")
    alert.refresh_from_db()
    assert (alert.state, alert.acknowledged_at) == ("open", None), "opening acknowledges nothing"

    visitor.tab_to("#acknowledge_note")
    page.keyboard.type("called the family")
    page.keyboard.press("Enter")
    page.wait_for_selector(".message")
    assert "called the family" in page.inner_text("main")
    page.select_option("#act_action", "restart")
    page.click("#act + form button")
    page.wait_for_selector("[role=alert]")
    visitor.forgive(409)
    assert words("a restart needs the drug and its first day") in page.inner_text("[role=alert]")
    visitor.check("alert with a refusal")
    page.select_option("#act_drug", "imatinib")
    page.fill("#act_day", today)
    page.click("#act + form button")
    page.wait_for_selector(".message")
    alert.refresh_from_db()
    assert alert.closed_at is not None
    visitor.check("closed alert")
    until_classified()

    page.click(f"main a[href='/patients/{patient.public_id}/']")
    page.wait_for_selector("#timeline canvas")
    wait_until(lambda: page.evaluate(PIXELS, "#timeline canvas") > 500, 15, "the chart is not drawn")
    points = json.loads(page.inner_text("#timeline-data") or page.text_content("#timeline-data") or "")["points"]
    rows = page.locator("#time ~ .scroll tbody tr")
    shown = [(row.split()[0], "0.2" in row or "0.01" in row) for row in rows.all_inner_texts()]
    assert shown == [(point["on"], True) for point in reversed(points)]
    assert [point["percent"] for point in points] == [0.01, 0.2]
    assert today in page.inner_text("#courses ~ .scroll"), "the restart is part of the treatment"
    assert "Meier" in page.inner_text("main")
    visitor.check("patient")
    visitor.open("/alerts/")
    assert page.locator(f"a[href='/alerts/{alert.public_id}/']").count() == 0
    visitor.check("empty inbox")
    visitor.choose("/patients/")
    page.wait_for_selector("#q:focus")
    visitor.check("patients")
    page.keyboard.type("HN-77")
    page.keyboard.press("Enter")
    page.wait_for_selector("tbody a:text('LIVE')")
    assert "HN-77" not in page.url, "a hospital number never stands in an address"
    assert page.locator("tbody tr").count() == 1
    visitor.check("patient found by hospital number")


@pytest.mark.parametrize("look", [PHONE, CHINESE], ids=str, indirect=True)
def test_on_a_phone_a_patient_and_a_stop_are_recorded_and_the_next_sample_appears(
    service: None, study: dict[str, User], visitor: Visitor
) -> None:
    page, words = visitor.page, visitor.words
    visitor.sign_in("grace")
    visitor.check("home on a phone")
    visitor.choose("/patients/")
    page.click("a[href='/patients/new/']")
    page.wait_for_selector("#id_patient_id")
    page.click("button.primary")
    page.wait_for_selector("#problems:focus")
    visitor.forgive(400)
    visitor.check("a patient with problems")
    page.select_option("#id_centre", index=1)
    page.fill("#id_patient_id", "NEW-7")
    page.fill("#id_birth_date", "2005-05-05")
    page.wait_for_selector("#preview .good")
    visitor.check("registering a patient")
    page.click("button.primary")
    page.wait_for_selector(".message")
    page.click("a[href$='/courses/']")
    page.select_option("#id_drug", "imatinib")
    page.fill("#id_started_on", "2015-01-01")
    page.click("button.primary")
    page.wait_for_selector(".message")
    until_classified()
    page.click("a[href*='?course=']")
    stopped_on = (clock.now().date() - dt.timedelta(days=20)).isoformat()
    page.fill("#id_stopped_on", stopped_on)
    page.select_option("#id_stop_reason", "tfr_attempt")
    page.wait_for_selector("#preview .note")
    assert stopped_on in page.inner_text("#preview .note")
    visitor.check("a stop foreseen")
    page.click("button.primary")
    page.wait_for_selector(".message")
    until_classified()
    patient = Patient.objects.get(patient_id="NEW-7")
    page.reload()
    assert MonitoringPlan.objects.get(patient=patient).due_on.isoformat() in page.inner_text("main")
    page.click("a[href$='/observations/']")
    page.fill("#id_observed_on", stopped_on)
    page.fill("#id_grade", "2")
    page.click("button.primary")
    page.wait_for_selector(".message")
    assert words("withdrawal syndrome") in page.inner_text("main")
    visitor.check("patient with a stop")
    page.fill("#find-field", "w-7")
    page.wait_for_selector(".hits a")
    visitor.check("found while typing")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/patients/{patient.public_id}/")


@also_chinese
def test_the_components_in_every_look(study: dict[str, User], visitor: Visitor) -> None:
    visitor.sign_in("anna")
    visitor.open("/design/")
    visitor.page.wait_for_selector("#problems:focus")
    visitor.complaints.clear()  # the browser says that the number that is wrong on purpose is none
    visitor.check("components")


# --- statistics ---------------------------------------------------------------------------------------------------


def content_of(download: Download) -> str:
    return Path(download.path()).read_text(encoding="utf-8")


def test_an_analyst_reads_a_cohort_and_takes_its_figures_home(study: dict[str, User], visitor: Visitor) -> None:
    page = visitor.page
    visitor.sign_in("anna")
    visitor.tab_to("a.tile[href='/cohorts/']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#cohorts")
    visitor.check("cohorts")
    page.click("#cohorts ~ .rows a")
    page.wait_for_selector("#curve canvas")
    wait_until(lambda: page.evaluate(PIXELS, "#curve canvas") > 500, 15, "the curve is not drawn")
    text = page.inner_text("main")
    for words in ("21/36 = 58.3 %", "56.0–85.6", "log-rank", "hazard ratio of a loss", "Data up to"):
        assert words in text, words
    assert page.locator("section:has(#factors) table").count() == 4
    visitor.check("cohort")
    with page.expect_download() as figures:
        page.click("a[href$='figures.json']")
    assert json.loads(content_of(figures.value))["counts"]["members"] == 36
    with page.expect_download() as members:
        page.click("a[href$='members.csv']")
    rows = list(csv.DictReader(io.StringIO(content_of(members.value))))
    assert sum(row["included"] == "true" for row in rows) == 36
    visitor.open("/api/docs/")
    page.wait_for_selector(".opblock")
    assert page.locator(".opblock").count() > 25
    assert "/api/v1/results/" in page.inner_text("main")
    visitor.check("API", but="nested-interactive")  # a button in a button is how Swagger UI is built


@also_chinese
def test_an_analyst_defines_a_cohort_sees_who_belongs_to_it_and_takes_its_report(
    service: None, study: dict[str, User], visitor: Visitor
) -> None:
    page, words = visitor.page, visitor.words
    visitor.sign_in("anna")
    visitor.open("/cohorts/")
    visitor.tab_to("a[href='/cohorts/define/']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#define")
    page.click("a[href='?like=study']")
    page.wait_for_selector("#count strong")
    assert "36" in page.inner_text("#count strong")
    visitor.check("definition being written")
    page.focus("#id_title")
    visitor.tab_to("#id_landmark_months")
    page.keyboard.type("6")
    page.keyboard.press("Tab")
    excluded = words("ended before the landmark")
    page.wait_for_function("words => document.querySelector('#count').innerText.includes(words)", arg=excluded)
    page.fill("#id_slug", "define")
    page.click("button[name=store]")
    page.wait_for_selector(".warning[role=alert]")
    visitor.forgive(400)
    visitor.check("definition refused")
    page.fill("#id_slug", "asked-here")
    page.fill("#id_landmark_months", "")
    page.click("button[name=store]")
    page.wait_for_url("**/cohorts/asked-here/")
    recompute(Cohort.objects.get(slug="asked-here"))
    visitor.open("/cohorts/asked-here/")
    page.click("a[href$='/study/']")
    page.wait_for_selector("#study")
    assert page.inner_text("main").count("5.419 (1.524–19.272)") == 2
    visitor.check("beside the study")
    visitor.open("/cohorts/asked-here/")
    for closed in page.locator("details").all():
        closed.evaluate("e => e.open = true")
    visitor.check("cohort with its pictures")
    page.click("form:has(input[value=report]) button")
    page.wait_for_selector("a[download]")
    visitor.check("file that is ready")
    with page.expect_download() as taken:
        page.click("a[download]")
    assert Path(taken.value.path()).read_bytes().startswith(b"%PDF")
    visitor.open("/cohorts/asked-here/snapshots/")
    page.click("summary")
    page.fill("input[name=name]", "as in the manuscript")
    page.keyboard.press("Enter")
    page.wait_for_selector("td strong")
    visitor.check("snapshots")


# --- running the service ------------------------------------------------------------------------------------------

FILE = (
    "laboratory,accession_number,patient_id,collected_on,bcr_abl1_copies,control_gene_copies,conversion_factor\n"
    "LAB,F1,LIVE,2025-01-01,60,52000,1\nLAB,F2,LIVE,2025-02-01,0,60000,1\nLAB,F3,P99,2025-03-01,nd,60000,1\n"
    "LAB,F4,LIVE,2025-04-01,nd,60000,1\n"
)


def test_an_administrator_tries_a_file_loads_it_and_changes_the_ladder(
    service: None, patient: Patient, visitor: Visitor
) -> None:
    page = visitor.page
    visitor.sign_in("adam")
    visitor.tab_to("a.tile[href='/operations/']")
    page.keyboard.press("Enter")
    page.wait_for_selector("#owed")
    assert "patients that are owed a classification" in page.inner_text("main")
    visitor.check("state of the service")
    visitor.choose("/imports/")
    page.wait_for_selector("#give")
    page.set_input_files("#id_file", {"name": "march.csv", "mimeType": "text/csv", "buffer": FILE.encode()})
    visitor.check("load a file")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hints, "after_commit", read_by_somebody_who_dies)
        page.click("main form button.primary")
        page.wait_for_selector("progress")
    tried = run_shown(page)
    with page.expect_response("**/progress/"):
        visitor.check("a file that waits")
    JobRun.objects.filter(job=f"import:{tried.pk}").update(lease_until=clock.now())
    until_read(tried)
    page.wait_for_selector("#verdicts", timeout=60_000)
    assert page.locator("tbody tr").count() == 4
    assert "Nothing is stored yet." in page.inner_text("main")
    assert "not detected is not zero" in page.inner_text("main table")
    visitor.check("verdicts of a dry run")
    assert not PcrResult.objects.filter(accession_number__startswith="F").exists()
    page.click("a[href='?only=refused']")
    page.wait_for_url("**/?only=refused")
    assert page.locator("tbody tr").count() == 2
    page.click("main form button.primary")
    page.wait_for_url(lambda address: str(tried.public_id) not in address)
    loaded = run_shown(page)
    assert not loaded.dry_run
    until_read(loaded)
    page.wait_for_selector("#verdicts", timeout=60_000)
    assert page.locator("h1 .tag").count() == 0
    visitor.check("verdicts of a load")
    assert set(
        PcrResult.objects.filter(laboratory__code="LAB", patient=patient).values_list("accession_number", flat=True)
    ) == {"BASE", "F1", "F4"}
    change_the_ladder(visitor)
    register_a_factor(visitor)


def read_by_somebody_who_dies(_task: str, run_id: int) -> None:
    """In place of the hint: a reader takes the file in the moment it is given, and nothing is heard of it again."""
    run = ImportRun.objects.get(pk=run_id)
    assert claim_slot(f"import:{run.pk}", run.started_at, now=clock.now(), lease_seconds=3600)


def run_shown(page: Page) -> ImportRun:
    """The file whose page is shown, by its address."""
    return ImportRun.objects.get(public_id=urlsplit(page.url).path.split("/")[2])


def until_read(run: ImportRun) -> None:
    """Wait until this very file was read to its end."""
    until(
        lambda: ImportRun.objects.filter(pk=run.pk, finished_at__isnull=False).exists(),
        f"{run.file_name} is not read (dry run: {run.dry_run})",
    )


def change_the_ladder(visitor: Visitor) -> None:
    """The ladder of a centre: shown whom it would tell, then signed with a reason."""
    page = visitor.page
    visitor.open("/")
    visitor.choose("/admin/")
    page.wait_for_selector("#content")
    visitor.check("configuration")
    visitor.open("/ladders/")
    page.click("main a:has-text('H1')")
    page.wait_for_selector("#kinds")
    visitor.check("ladders")
    page.click("main a[href$='/clinical/']")
    page.wait_for_selector("#id_steps-0-wait_hours")
    page.fill("#id_steps-0-wait_hours", "6")
    page.fill("#id_signed_by", "Dr Example")
    page.fill("#id_reason", "agreed")
    page.focus("button[name=preview]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#preview")
    visitor.check("ladder")
    page.click("button[name=sign]")
    page.wait_for_selector(".message")
    assert EscalationPolicy.objects.get().steps[0] == {
        "roles": ["clinician"], "wait_hours": 6.0, "working_hours": 4.0
    }  # fmt: skip
    visitor.open("/absences/")
    visitor.check("absences")


def register_a_factor(visitor: Visitor) -> None:
    """A conversion factor: first what would change, then, with a reason, the change."""
    page = visitor.page
    visitor.open("/")
    visitor.choose("/laboratories/")
    page.wait_for_selector("#laboratories")
    visitor.check("laboratories")
    page.click("main a:has-text('LAB')")
    page.wait_for_selector("#factors")
    visitor.check("laboratory")
    page.click("main a[href$='/factors/']")
    page.fill("#id_factor", "0.5")
    page.fill("#id_valid_from", "2010-01-01")
    page.fill("#id_valid_to", "2011-01-01")
    page.focus("button[name=preview]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#preview")
    visitor.check("what a factor would change")
    page.click("button[name=change]")
    page.wait_for_selector("#id_reason[aria-invalid=true]")
    visitor.forgive(400)
    visitor.check("a factor without a reason")
    page.fill("#id_reason", "certificate of the reference laboratory")
    page.click("button[name=change]")
    page.wait_for_selector(".message")
    assert "0.5" in page.inner_text("#factors ~ .scroll")
    visitor.check("laboratory with a factor")


# --- every page ---------------------------------------------------------------------------------------------------

LOOKS = [
    Look(width, scheme, language)
    for width, scheme in itertools.product((1440, 768, 360), ("dark", "light"))
    for language in ("en", "zh-hans")
]
PAGES = {
    "ada": ("/", "/laboratories/", "/bench/", "/bench/single/", "/verify/", "/results/{result}/",
    "/results/{result}/amend/", "/results/{result}/retract/", "/imports/", "/patients/",
    "/laboratories/{laboratory}/quality/?months=60"),
    "grace": ("/", "/alerts/", "/alerts/{alert}/", "/patients/{patient}/", "/patients/?state=off_treatment",
    "/patients/new/", "/patients/{patient}/record/", "/patients/{patient}/transfer/", "/patients/{patient}/merge/",
    "/records/", "/patients/{patient}/courses/", "/patients/{patient}/observations/", "/cohorts/"),
    "anna": ("/", "/cohorts/zhao-2025-twin/", "/cohorts/zhao-2025-twin/snapshots/", "/cohorts/zhao-2025-twin/study/",
    "/cohorts/define/", "/cohorts/zhao-2025-twin/define/", "/api/docs/", "/operations/", "/nowhere/"),
    "adam": ("/", "/operations/", "/imports/", "/verify/", "/admin/", "/people/",
     "/ladders/", "/absences/", "/protocols/", "/backtests/", "/laboratories/{laboratory}/",
             "/admin/monitoring/laboratory/", "/admin/cohorts/cohort/"),
}  # fmt: skip
REFUSED = {"/operations/": 403, "/nowhere/": 404}


@pytest.mark.skipif(os.environ.get("LONG_FORMS") != "1", reason="every page in every look: LONG_FORMS=1")
@pytest.mark.parametrize("look", LOOKS, ids=str, indirect=True)
def test_every_page_in_every_look(service: None, study: dict[str, User], patient: Patient, visitor: Visitor) -> None:
    for accession, days, status in (("LOST", 9, "final"), ("WAIT", 3, "preliminary")):
        shown = report(accession, recent(days), "100/50000", status=status)
        record_result(shown, patient=patient, by=study["vera"], reach=EVERYWHERE, now=clock.now())
    until_classified()
    ids = {
        "patient": patient.public_id,
        "alert": Alert.objects.get(patient=patient).public_id,
        "result": PcrResult.objects.get(accession_number="WAIT").public_id,
        "laboratory": PcrResult.objects.get(accession_number="WAIT").laboratory_id,
    }
    visitor.open("/sign-in/")
    visitor.check("sign-in")
    for name, paths in PAGES.items():
        visitor.sign_in(name)
        for path in paths:
            answer = visitor.open(path.format(**ids))
            assert answer is not None
            if name == "anna" and path in REFUSED:
                assert answer.status == REFUSED[path]
                visitor.forgive(REFUSED[path])
            else:
                assert answer.status == 200, path
            if path == "/api/docs/":
                visitor.page.wait_for_selector(".opblock")
            visitor.check(f"{name} {path.replace('/', '_')}", but="nested-interactive" if "docs" in path else "-")
        visitor.open("/")
        visitor.sign_out()
