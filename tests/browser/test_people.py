"""An administrator invites a verifier, the second one confirms, and the invited sets a password by the link."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail

from monitoring.models import Centre, Membership, Protocol, Role
from tests.browser.conftest import PASSWORD, WITH_CHINESE, Visitor
from tests.conftest import reporting

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("look", WITH_CHINESE, ids=str, indirect=True)
def test_two_administrators_make_a_verifier(visitor: Visitor) -> None:
    centre, page = Centre.objects.create(code="H1", name="First hospital"), visitor.page
    laboratory = reporting("LAB", centre)
    Protocol.objects.create(code="p", title="Study")
    for name in ("adam", "eve"):
        user = User.objects.create_user(name, password=PASSWORD)
        Membership.objects.create(user=user, centre=centre, role=Role.ADMINISTRATOR, valid_from="2020-01-01")
    visitor.sign_in("adam")
    visitor.open("/people/")
    visitor.check("people")
    page.fill("#id_username", "nina")
    page.fill("#id_email", "nina@example.org")
    page.select_option("#id_role", "verifier")
    page.click("main button.primary")
    page.wait_for_selector("#account")
    visitor.check("person")
    for path in ("settings/", "centres/", "assays/", ""):
        visitor.open(f"/laboratories/{laboratory.pk}/{path}")
        visitor.check(f"laboratory {path.rstrip('/')}")
    visitor.open("/protocols/p/centres/")
    page.click("button[name=preview]")
    page.wait_for_selector("#preview")
    visitor.check("centres of a protocol")
    visitor.open("/change-password/")
    visitor.check("change password")
    visitor.sign_out()
    visitor.sign_in("eve")
    visitor.open("/people/")
    visitor.check("a role waits")
    page.click("#waiting ~ ul a")
    page.wait_for_selector("form[action$='/confirm/']")
    visitor.check("confirm")
    page.click("form[action$='/confirm/'] button")
    page.wait_for_selector(".message")
    assert Membership.objects.get(user__username="nina").confirmed_by is not None
    visitor.sign_out()
    link: Any = re.search(r"/set-password/\S+", str(mail.outbox[0].body))
    visitor.open(link[0])
    visitor.check("set password")
    page.fill("#id_new_password1", PASSWORD)
    page.fill("#id_new_password2", PASSWORD)
    page.click("main button.primary")
    page.wait_for_selector("#id_username")
    visitor.sign_in("nina")
