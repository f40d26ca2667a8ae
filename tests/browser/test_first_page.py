"""What a person sees first: sign-in, the first page in both languages, by keyboard alone, wide and narrow, dark and light."""

import datetime as dt
import io
import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections
from playwright.sync_api import Page, sync_playwright

from cohorts.services.definitions import define_cohort
from cohorts.services.recompute import recompute
from monitoring import clock
from monitoring.models import Centre, Membership, Patient, TkiCourse
from monitoring.services.classification import classify_owed
from monitoring.services.demo import DEMO_FOLDER
from monitoring.services.results import record_result
from tests.builders import report

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed and could not be installed"),
]
PASSWORD = "a long enough password"


@pytest.fixture
def twin(db: None) -> User:
    """The demo as `make run` loads it, with Grace in its first hospital."""
    for kind in ("patients", "treatments", "observations", "results"):
        call_command(f"import_{kind}", str(DEMO_FOLDER / f"{kind}.csv"), stderr=io.StringIO())
    cohort, _ = define_cohort(json.loads((DEMO_FOLDER / "cohort.json").read_text()), by="test")
    recompute(cohort)
    grace = User.objects.create_user("grace", password=PASSWORD)
    centre = Centre.objects.get(code="H1")
    Centre.objects.update(is_synthetic=True)
    Membership.objects.create(user=grace, centre=centre, role="clinician", valid_from="2020-01-01")
    User.objects.create_superuser("root", password=PASSWORD)
    return grace


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=["wide light", "phone dark"])
def page(request: pytest.FixtureRequest, complaints: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    # Playwright's loop makes Django believe that database calls come from asynchronous code.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    width, scheme = request.param
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: complaints.append(str(e)))
        page.on("request", lambda r: complaints.append(r.url) if not r.url.startswith(("http://localhost", "http://127.", "data:")) else None)  # fmt: skip
        yield page
        browser.close()
        connections.close_all()  # Django keeps one of its own for code that runs inside Playwright's loop


def test_signing_in_by_keyboard_shows_the_study_in_both_languages(
    twin: User, page: Page, live_server: Any, complaints: list[str]
) -> None:
    page.goto(live_server.url)
    page.wait_for_function("document.activeElement.id === 'id_username'")  # the field asks for the focus itself
    page.keyboard.type("grace")
    page.keyboard.press("Tab")
    page.keyboard.type("not the password")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    assert page.input_value("#id_username") == "grace"
    page.wait_for_function("document.activeElement.id === 'id_username'")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#curve canvas")
    text = page.inner_text("main")
    for words in ("Results today", "Every result is classified.", "No open alerts.", "21/36 = 58.3 %", "Kaplan-Meier estimates, 95 % interval (log-log)"):  # fmt: skip
        assert words in text
    assert page.inner_text("#curve-title").startswith("Children and adolescents")
    first_table = page.locator("table").first.inner_text()
    assert "74.1" in first_table
    assert "56.0–85.6" in first_table
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert "SYNTHETIC" in page.inner_text(".banner")
    page.focus('button[value="zh-hans"]')
    page.keyboard.press("Enter")
    page.wait_for_selector("html[lang=zh-hans] #curve canvas")
    assert "今日结果" in page.inner_text("main")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert complaints == []


def test_configuration_pages_obey_the_policy_and_refuse_a_bad_definition(
    twin: User, page: Page, live_server: Any, complaints: list[str]
) -> None:
    page.goto(f"{live_server.url}/admin/login/")
    page.fill("#id_username", "root")
    page.fill("#id_password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#content")
    page.goto(f"{live_server.url}/admin/cohorts/cohort/add/")
    page.fill("#id_definition", '{"slug": "new", "endpoint": "cure"}')
    page.click("input[name=_save]")
    assert "use one of loss_of_mmr, tfr, mrfs, tfs" in page.inner_text("#content")
    page.fill("#id_definition", '{"slug": "new", "title": "New"}')
    page.click("input[name=_save]")
    page.wait_for_selector(".success")
    assert complaints == []


def test_an_alert_is_read_acknowledged_and_answered(
    twin: User, page: Page, live_server: Any, complaints: list[str]
) -> None:
    today = clock.now().date()
    patient = Patient.objects.create(centre=Centre.objects.get(code="H1"), patient_id="LIVE")
    TkiCourse.objects.create(
        patient=patient, drug="imatinib", started_on="2015-01-01", stopped_on=today - dt.timedelta(days=90),
        stop_reason="tfr_attempt",
    )  # fmt: skip
    lost = report("LIVE-1", (today - dt.timedelta(days=3)).isoformat(), "100/50000")
    record_result(lost, patient=patient, by=twin, now=clock.now())
    classify_owed(now=clock.now())
    page.goto(live_server.url)
    page.fill("#id_username", "grace")
    page.fill("#id_password", PASSWORD)
    page.keyboard.press("Enter")
    page.click("text=loss of MMR off treatment")
    page.wait_for_selector("#told")
    assert "0.2 % IS" in page.inner_text("main")
    page.fill("#id_note", "called the family")
    page.keyboard.press("Enter")
    page.wait_for_selector(".message")
    page.select_option("#act_action", "restart")
    page.click("#act + form button")
    page.wait_for_selector("[role=alert]")
    assert "the drug and its first day" in page.inner_text("[role=alert]")
    page.select_option("#act_drug", "imatinib")
    page.fill("#act_day", today.isoformat())
    page.click("#act + form button")
    page.wait_for_selector("text=restart on")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.goto(f"{live_server.url}/alerts/")
    assert "No open alerts." in page.inner_text("main")
    assert [c for c in complaints if "409" not in c] == []
