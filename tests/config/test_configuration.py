"""/admin/ has centres: who administers one sees and changes nothing of another; what decides classes is only shown."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import models
from django.test import Client

from cohorts.models import Cohort
from cohorts.services.definitions import define_cohort
from monitoring import clock
from monitoring.models import (
    Assay,
    Centre,
    ConversionFactor,
    Laboratory,
    LaboratoryCentre,
    Membership,
    Patient,
    Protocol,
    Role,
)
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from tests.builders import report
from tests.conftest import reporting

pytestmark = pytest.mark.django_db
STEPS = [{"roles": ["clinician"], "wait_hours": 12}]


def rows_of(code: str) -> list[models.Model]:
    """One row of every kind that /admin/ shows, each named after its centre."""
    protocol = Protocol.objects.create(code=f"{code}-protocol".lower(), title=f"{code}-protocol")
    centre = Centre.objects.create(code=code, name=f"{code}-name", protocol=protocol)
    laboratory = reporting(f"{code}-laboratory", centre)
    user = User.objects.create_user(f"{code}-person")
    return [
        centre,
        protocol,
        laboratory,
        Membership.objects.create(user=user, centre=centre, role=Role.CLINICIAN, valid_from="2020-01-01"),
        Assay.objects.create(laboratory=laboratory, name=f"{code}-assay"),
        ConversionFactor.objects.create(laboratory=laboratory, assay_name=f"{code}-f", factor=1,
        valid_from="2020-01-01"),
        define_cohort({"slug": code.lower(), "title": f"{code}-cohort", "include": {"centre": [code]}}, by="test")[0],
    ]  # fmt: skip


@pytest.fixture
def own(db: None) -> list[models.Model]:
    return rows_of("OWN")


@pytest.fixture
def other(own: list[models.Model]) -> list[models.Model]:
    return rows_of("FOREIGN")


@pytest.fixture
def adam(own: list[models.Model], client: Client, member: Callable[..., User]) -> User:
    """The administrator of the first centre, signed in, without any mark of staff."""
    centre = own[0]
    assert isinstance(centre, Centre)
    user = member("adam", centre, Role.ADMINISTRATOR)
    client.force_login(user)
    return user


def address(row: models.Model, kind: str = "change") -> str:
    part = "" if kind == "list" else f"{row.pk}/{kind}/"
    return f"/admin/{row._meta.app_label}/{row._meta.model_name}/{part}"


def stored(rows: list[models.Model]) -> list[list[dict[str, Any]]]:
    """Every row of the kinds of these rows."""
    return [list(type(row)._base_manager.order_by("pk").values()) for row in rows]


def test_lists_filters_and_choices_tell_of_the_own_centres_alone(
    own: list[models.Model], other: list[models.Model], adam: User, client: Client
) -> None:
    for row in own:
        for kind in ("list", "change", "history"):
            page = client.get(address(row, kind))
            assert page.status_code == 200, address(row, kind)
            assert "foreign" not in page.content.decode().lower(), address(row, kind)
        assert "own" in client.get(address(row, "list")).content.decode().lower()
        add = client.get(f"{address(row, 'list')}add/")
        assert add.status_code == (200 if isinstance(row, Protocol | Cohort) else 403)
        assert "foreign" not in add.content.decode().lower()


def test_a_row_of_another_centre_is_not_there(
    own: list[models.Model], other: list[models.Model], adam: User, client: Client
) -> None:
    before = stored(other)
    for row in other:
        for kind in ("change", "history", "delete"):
            assert client.get(address(row, kind)).status_code == (403 if kind == "delete" else 302), address(row, kind)
        answer = client.post(address(row), {"name": "taken", "signed_by": "taken", "title": "taken"})
        if isinstance(row, Centre | Cohort):
            assert answer["location"] == "/admin/", "as if there were no such row"
        else:
            assert answer.status_code == 403, "as of an own row: it is shown only"
        listed = client.post(
            address(row, "list"), {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"}
        )
        assert listed.status_code < 500
        narrowed = client.get(
            address(row, "list"), {"centre__id__exact": other[0].pk, "laboratory__id__exact": other[2].pk}
        )
        assert "foreign-" not in narrowed.content.decode().lower()
    assert stored(other) == before


def test_what_decides_classes_or_roles_is_shown_only(own: list[models.Model], adam: User, client: Client) -> None:
    for row in own:
        if isinstance(row, Laboratory | Assay | ConversionFactor | Protocol | Membership):
            before = stored([row])
            page = client.get(address(row)).content.decode()
            assert 'name="_save"' not in page
            data = {f.name: "1" for f in row._meta.fields}
            assert client.post(address(row), data).status_code == 403, address(row)
            assert client.get(address(row, "delete")).status_code == 403
            assert stored([row]) == before


def test_of_a_centre_only_name_and_time_zone_change_and_the_zone_must_exist(
    own: list[models.Model], adam: User, client: Client
) -> None:
    centre = own[0]
    assert isinstance(centre, Centre)
    refused = client.post(address(centre), {"name": "N", "time_zone": "Mars/Olympus"})
    assert refused.status_code == 200
    assert "Mars/Olympus is not one of the available choices" in refused.content.decode()
    fields = {"name": "New", "time_zone": "Asia/Shanghai", "code": "X", "protocol": "", "is_synthetic": "on"}
    assert client.post(address(centre), fields).status_code == 302
    changed = Centre.objects.get(pk=centre.pk)
    assert (changed.name, changed.time_zone) == ("New", "Asia/Shanghai")
    assert (changed.code, changed.protocol_id, changed.is_synthetic) == ("OWN", centre.protocol_id, False)


@pytest.mark.parametrize("is_staff", [True, False])
def test_the_mark_of_staff_opens_nothing(own: list[models.Model], client: Client, is_staff: bool) -> None:
    client.force_login(User.objects.create_user("staff", is_staff=is_staff))
    assert client.get("/admin/").status_code == 302
    assert all(client.get(address(row)).status_code == 302 for row in own)


def test_the_operator_sees_all_and_an_administrator_signs_in_without_a_mark_of_staff(
    own: list[models.Model], other: list[models.Model], client: Client, member: Callable[..., User]
) -> None:
    client.force_login(User.objects.create_superuser("root-of-all"))
    assert {client.get(address(row)).status_code for row in [*own, *other]} == {200}
    assert client.get(f"/laboratories/{other[2].pk}/settings/").status_code == 200
    client.logout()
    centre = own[0]
    assert isinstance(centre, Centre)
    member("adam", centre, Role.ADMINISTRATOR)
    answer = client.post("/admin/login/?next=/admin/", {"username": "adam", "password": "a long enough password"})
    assert answer.status_code == 302
    assert client.get("/admin/").status_code == 200


# --- cohorts ------------------------------------------------------------------------------------------------------


def define(client: Client, definition: object, at: str = "/admin/cohorts/cohort/add/") -> str:
    """What the form answers; empty where it stored."""
    answer = client.post(at, {"definition": json.dumps(definition), "is_active": "on"})
    return "" if answer.status_code == 302 else answer.content.decode()


@pytest.mark.parametrize("named", ["FOREIGN", "NOWHERE"])
def test_a_cohort_takes_patients_of_the_author_s_centres_alone(
    own: list[models.Model], other: list[models.Model], adam: User, client: Client, named: str
) -> None:
    page = define(client, {"slug": "mine", "include": {"centre": ["OWN", named]}})
    words = f"include.centre &#x27;{named}&#x27;: is not one of the centres you may analyse, which are OWN"
    assert words in page, "a foreign centre and an unknown one get the same words"
    assert not Cohort.objects.filter(slug="mine").exists()
    assert define(client, {"slug": "mine", "include": {"centre": ["OWN"]}}) == ""


def test_a_cohort_without_centres_needs_a_role_in_every_centre(
    own: list[models.Model], adam: User, client: Client
) -> None:
    assert define(client, {"slug": "every"}) == "", "there is only one centre"
    Centre.objects.create(code="FOREIGN")
    assert "name your centres: OWN" in define(client, {"slug": "every-2"})
    every = Cohort.objects.get(slug="every")
    assert client.get(address(every)).status_code == 302, "now it takes patients of another centre too"


@pytest.mark.parametrize("slug", ["foreign", "all"])
def test_the_slug_of_a_cohort_of_others_cannot_be_taken(
    own: list[models.Model], other: list[models.Model], adam: User, client: Client, slug: str
) -> None:
    define_cohort({"slug": "all", "title": "of all"}, by="operator")
    before = stored([other[-1]])
    page = define(client, {"slug": slug, "title": "taken", "include": {"centre": ["OWN"]}})
    assert f"slug &#x27;{slug}&#x27;: this slug cannot be used" in page
    assert stored([other[-1]]) == before


def test_adding_a_cohort_overwrites_none_of_one_s_own(own: list[models.Model], adam: User, client: Client) -> None:
    before = stored([own[-1]])
    page = define(client, {"slug": "own", "title": "other", "include": {"centre": ["OWN"]}})
    assert "a cohort of yours has it" in page
    assert stored([own[-1]]) == before
    assert define(client, {"slug": "own", "title": "other", "include": {"centre": ["OWN"]}}, address(own[-1])) == ""
    assert Cohort.objects.get(slug="own").title == "other"


# --- pages that show consequences -----------------------------------------------------------------------------------


@pytest.fixture
def read(own: list[models.Model], ada: User) -> Patient:
    """A patient whose only result is not detected in 60,000 copies."""
    patient = Patient.objects.create(centre_id=own[0].pk, patient_id="P1")
    said = report("A1", "2024-01-01", "nd/60000", laboratory="OWN-laboratory", assay_name="OWN-assay")
    record_result(said, patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    return patient


def test_a_changed_assay_is_shown_first_and_changed_with_a_reason(
    own: list[models.Model], read: Patient, adam: User, client: Client
) -> None:
    assay = Assay.objects.get(name="OWN-assay")
    at = f"/laboratories/{assay.laboratory_id}/assays/{assay.pk}/"
    fields = {"name": "OWN-assay", "method": "rt-qpcr", "control_gene": "ABL1", "sees_p210": "on",
              "minimum_control_copies": "70000", "sees_p190": "on"}  # fmt: skip
    shown = client.post(at, {**fields, "preview": "1"})
    assert shown.status_code == 200
    assert "classes of results" in shown.content.decode()
    assay.refresh_from_db()
    assert assay.minimum_control_copies is None, "a preview stores nothing"
    assert client.post(at, {**fields, "change": "1"}).status_code == 400, "a reason"
    assert client.post(at, {**fields, "change": "1", "reason": "validated"}).status_code == 302
    assay.refresh_from_db()
    assert assay.minimum_control_copies == 70000
    assert assay.sees_p190
    twice = client.post(f"/laboratories/{assay.laboratory_id}/assays/", {**fields, "preview": "1"})
    assert twice.status_code == 400
    assert "has an assay of this name" in twice.content.decode()


def test_the_settings_of_a_laboratory_change_with_a_reason(own: list[models.Model], adam: User, client: Client) -> None:
    at = f"/laboratories/{own[2].pk}/settings/"
    assert "Nothing would change today" in client.post(at, {"name": "N", "preview": "1"}).content.decode()
    assert client.post(at, {"name": "N", "change": "1", "reason": "agreed"}).status_code == 302
    laboratory = Laboratory.objects.get(pk=own[2].pk)
    assert (laboratory.name, laboratory.verification_required) == ("N", False)


@pytest.mark.parametrize(
    "page", ["settings/", "centres/", "assays/", "factors/", "assays/{assay}/", "factors/{factor}/"]
)
def test_the_laboratory_of_another_centre_is_changed_by_nobody_here(
    own: list[models.Model], other: list[models.Model], adam: User, client: Client, page: str
) -> None:
    filled = page.format(assay=other[4].pk, factor=other[5].pk)
    before = stored(other)
    data = {"centre": own[0].pk, "reason": "mine", "change": "1", "name": "taken", "factor": "2"}
    assert client.post(f"/laboratories/{other[2].pk}/{filled}", data).status_code == 403
    own_laboratory = f"/laboratories/{own[2].pk}/{filled}"
    if "/" in page.rstrip("/"):
        assert client.post(own_laboratory, data).status_code == 404, "an assay or factor of another laboratory"
    assert stored(other) == before


def test_a_laboratory_begins_and_ceases_to_report_for_centres_one_administers(
    own: list[models.Model], read: Patient, adam: User, client: Client
) -> None:
    second, foreign = Centre.objects.create(code="SECOND"), Centre.objects.create(code="FOREIGN")
    Membership.objects.create(user=adam, centre=second, role=Role.ADMINISTRATOR, valid_from="2020-01-01")
    at, laboratory = f"/laboratories/{own[2].pk}/centres/", own[2]
    assert "FOREIGN" not in client.get(at).content.decode()
    assert client.post(at, {"centre": foreign.pk, "reason": "r"}).status_code == 400
    assert client.post(at, {"centre": second.pk, "reason": "r"}).status_code == 302
    kept = client.post(at, {"centre": own[0].pk, "reason": "r", "remove": "1"})
    assert "results of this laboratory are stored there" in kept.content.decode()
    assert client.post(at, {"centre": second.pk, "reason": "r", "remove": "1"}).status_code == 302
    assert [row.centre_id for row in LaboratoryCentre.objects.filter(laboratory_id=laboratory.pk)] == [own[0].pk]
    assert client.post(at, {"centre": own[0].pk, "reason": "r", "remove": "1"}).status_code == 400, "the last"
    history = LaboratoryCentre.pgh_event_model.objects.filter(centre=second).order_by("pgh_id")  # type: ignore[attr-defined]
    assert [row.pgh_label for row in history] == ["insert", "delete"]


def test_the_operator_s_command_names_centres_of_a_laboratory(
    own: list[models.Model], read: Patient, capsys: pytest.CaptureFixture[str]
) -> None:
    Centre.objects.create(code="SECOND")
    call_command("laboratory_centres", "OWN-laboratory", add=["SECOND"])
    assert capsys.readouterr().out.split() == ["OWN", "SECOND"]
    call_command("laboratory_centres", "OWN-laboratory", remove=["SECOND"])
    with pytest.raises(CommandError, match="results of OWN-laboratory are stored there"):
        call_command("laboratory_centres", "OWN-laboratory", remove=["OWN"])
    with pytest.raises(CommandError, match="no centre of this code"):
        call_command("laboratory_centres", "OWN-laboratory", add=["NOWHERE"])


def test_which_protocol_a_centre_follows_is_shown_first(
    own: list[models.Model], other: list[models.Model], read: Patient, adam: User, client: Client
) -> None:
    at = "/protocols/own-protocol/centres/"
    assert not re.search("FOREIGN", client.get(at).content.decode())
    leaves = {"centre": own[0].pk, "follows": "defaults"}
    assert "1 patient of the centre was looked at" in client.post(at, {**leaves, "preview": "1"}).content.decode()
    assert client.post(at, {**leaves, "change": "1"}).status_code == 400
    assert Centre.objects.get(code="OWN").protocol is not None
    assert client.post(at, {**leaves, "change": "1", "reason": "study ended"}).status_code == 302
    assert Centre.objects.get(code="OWN").protocol is None
    foreign = {"centre": other[0].pk, "follows": "this", "change": "1", "reason": "r"}
    assert client.post(at, foreign).status_code == 400
    other_protocol = Centre.objects.get(code="FOREIGN").protocol
    assert other_protocol is not None
    assert other_protocol.code == "foreign-protocol"
