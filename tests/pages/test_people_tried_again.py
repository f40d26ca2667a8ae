"""Doors of people and configuration tried with names that look alike, shared laboratories and overlapping settings."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils.html import escape

from monitoring.models import Assay, Centre, ConversionFactor, Membership, Role
from tests.conftest import reporting

pytestmark = pytest.mark.django_db


@pytest.fixture
def adam(centre: Centre, member: Callable[..., User], client: Client) -> User:
    """An administrator, signed in."""
    user = member("adam", centre, Role.ADMINISTRATOR)
    client.force_login(user)
    return user


@pytest.mark.parametrize(
    "username",
    ["ＡＤＡＭ", "ａｄａｍ", "аdam", "ADAM", "ｏｐｅｒａｔｏｒ", "оperator", "Ｏperator", "opеrator", "classifier"],
)
def test_a_name_that_reads_like_another_or_like_the_service_is_taken(
    centre: Centre, adam: User, client: Client, username: str
) -> None:
    fields = {"username": username, "email": "n@example.org", "centre": centre.pk, "role": "technician"}
    answer = client.post("/people/", fields)
    assert answer.status_code == 400
    assert "is taken; choose another name" in answer.content.decode()
    assert list(User.objects.values_list("username", flat=True)) == ["adam"]


def test_a_laboratory_shared_with_another_centre_tells_nothing_of_it(
    centre: Centre, adam: User, client: Client
) -> None:
    foreign = Centre.objects.create(code="FOREIGN", name="FOREIGN-name")
    shared = reporting("shared", centre, foreign)
    assay = Assay.objects.create(laboratory=shared, name="a")
    factor = ConversionFactor.objects.create(laboratory=shared, assay_name="a", factor=1, valid_from="2020-01-01")
    for kind, row in (("laboratory", shared), ("assay", assay), ("conversionfactor", factor)):
        for at in ("", f"{row.pk}/change/", f"{row.pk}/history/"):
            page = client.get(f"/admin/monitoring/{kind}/{at}")
            assert page.status_code == 200
            assert "FOREIGN" not in page.content.decode(), (kind, at)
    for page_of in ("settings/", "centres/", "assays/", f"assays/{assay.pk}/", "factors/", f"factors/{factor.pk}/"):
        assert client.get(f"/laboratories/{shared.pk}/{page_of}").status_code == 403
    assert "FOREIGN" not in client.get(f"/laboratories/{shared.pk}/").content.decode()


@pytest.mark.parametrize("button", ["preview", "change"])
def test_settings_that_the_database_would_refuse_are_told_in_words(
    centre: Centre, adam: User, client: Client, button: str
) -> None:
    laboratory = reporting("L", centre)
    stands = {"assay_name": "a", "control_gene": "ABL1", "factor": "1", "valid_from": "2020-01-01"}
    ConversionFactor.objects.create(laboratory=laboratory, **stands)
    said = {"reason": "r", button: "1"}
    for at, fields in [
        ("factors/", stands),
        ("factors/", {**stands, "assay_name": "b", "valid_to": "2019-01-01"}),
        ("factors/", {**stands, "assay_name": "b", "factor": "0"}),
        ("factors/", {**stands, "assay_name": "b", "factor": "NaN"}),
        ("assays/", {"name": "b", "method": "rt-qpcr", "control_gene": "ABL1", "minimum_control_copies": "0"}),
        ("assays/", {"name": "b", "method": "rt-qpcr", "control_gene": "ABL1", "minimum_control_copies": "9" * 30}),
        ("assays/", {"name": "b", "method": "rt-qpcr", "control_gene": "ABL1", "sd_log10_from_mr_3_5": "NaN"}),
        ("assays/", {"name": "b", "method": "rt-qpcr", "control_gene": "ABL1", "limit_of_detection_percent": "-1"}),
        ("settings/", {"name": "N", "bcr_minimum_copies": "-1"}),
        ("settings/", {"name": "N", "bcr_minimum_copies": "9" * 30}),
    ]:
        answer = client.post(f"/laboratories/{laboratory.pk}/{at}", {**fields, **said})
        assert answer.status_code == 400, (at, fields)
        assert answer.context["form"].errors, (at, fields)
        told = [str(words) for field in answer.context["form"].errors.values() for words in field]
        assert all(escape(words) in answer.content.decode() for words in told), (at, fields, told)
    assert ConversionFactor.objects.count() == 1
    assert not Assay.objects.exists()


@pytest.mark.parametrize("address", ["/people/{n}/", "/people/roles/{n}/end/", "/laboratories/{n}/settings/"])
def test_a_number_beyond_every_row_is_not_there(adam: User, client: Client, address: str) -> None:
    assert client.post(address.format(n="9" * 30), {"centre": "9" * 30, "role": "technician"}).status_code == 404


def test_a_role_for_another_centre_by_a_huge_number_is_refused(adam: User, client: Client) -> None:
    for centre in ("9" * 30, "-1", "1.5", "\x00"):
        fields = {"username": "n", "email": "n@example.org", "centre": centre, "role": "technician"}
        assert client.post("/people/", fields).status_code == 400
    assert Membership.objects.count() == 1
