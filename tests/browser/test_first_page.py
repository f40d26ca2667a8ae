"""What a person sees first: sign-in, the first page in both languages, by keyboard alone, wide and narrow, dark and
light.
"""

import pytest
from django.contrib.auth.models import User

from tests.browser.conftest import CHROMIUM, PASSWORD, Visitor

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed and could not be installed"),
]


def test_signing_in_by_keyboard_shows_the_study_in_both_languages(study: dict[str, User], visitor: Visitor) -> None:
    page = visitor.page
    visitor.open("/")
    page.wait_for_selector("#id_username:focus")  # the field asks for the focus itself
    page.keyboard.type("grace")
    page.keyboard.press("Tab")
    page.keyboard.type("not the password")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    assert page.input_value("#id_username") == "grace"
    page.wait_for_selector("#id_username:focus")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#curve canvas")
    text = page.inner_text("main")
    for words in (
        "Results today",
        "Every result is classified.",
        "go-live worklist: history that is still so",
        "21/36 = 58.3 %",
        "Kaplan-Meier estimates, 95 % interval (log-log)",
    ):
        assert words in text
    assert page.inner_text("#curve-title").startswith("Children and adolescents")
    first_table = page.locator("table").first.inner_text()
    assert "74.1" in first_table
    assert "56.0–85.6" in first_table
    visitor.check("home")
    assert "SYNTHETIC" in page.inner_text(".banner")
    page.focus('button[value="zh-hans"]')
    page.keyboard.press("Enter")
    page.wait_for_selector("html[lang=zh-hans] #curve canvas")
    assert "今日结果" in page.inner_text("main")
    visitor.check("home in Chinese")


def test_configuration_pages_obey_the_policy_and_refuse_a_bad_definition(
    study: dict[str, User], visitor: Visitor
) -> None:
    page = visitor.page
    visitor.open("/admin/login/")
    page.fill("#id_username", "adam")
    page.fill("#id_password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#content")
    visitor.open("/admin/cohorts/cohort/add/")
    page.fill("#id_definition", '{"slug": "new", "endpoint": "cure"}')
    page.click("input[name=_save]")
    page.wait_for_selector(".errornote")
    assert "use one of loss_of_mmr, tfr, mrfs, tfs" in page.inner_text("#content")
    page.fill("#id_definition", '{"slug": "new", "title": "New"}')
    page.click("input[name=_save]")
    page.wait_for_selector(".success")
    visitor.check("configuration of cohorts")
