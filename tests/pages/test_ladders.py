"""The pages on which a centre signs its ladders, kinds and hours, and on which people say that they are away."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from monitoring import clock
from monitoring.models import Absence, AlertKindSetting, Centre, DutyHours, EscalationPolicy, Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def adam(client: Client, centre: Centre, member: Callable[..., User]) -> User:
    user = member("adam", centre, Role.ADMINISTRATOR)
    client.force_login(user)
    return user


@pytest.fixture
def grace(centre: Centre, member: Callable[..., User]) -> User:
    return member("grace", centre)


def steps(*rows: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = {"steps-TOTAL_FORMS": len(rows) + 1, "steps-INITIAL_FORMS": 0}
    for n, row in enumerate(rows):
        data |= {f"steps-{n}-{name}": value for name, value in row.items()}
    return data


SIGNED = {"comes_back_days": 5, "signed_by": "Dr Example", "reason": "agreed on 2 Nov"}


def test_a_ladder_is_shown_then_signed_then_taken_back(client: Client, centre: Centre, adam: User, grace: User) -> None:
    address = f"/ladders/{centre.pk}/clinical/"
    page = client.get(address).content.decode()
    assert "Nobody has signed this ladder" in page
    assert page.count("<legend>Step ") == 6, "the five of the built-in ladder, and one to write"
    written = steps(
        {"roles": ["clinician"], "people": [adam.pk], "wait_hours": "2", "working_hours": "1.5"},
        {"roles": ["administrator"], "wait_hours": "24"},
    )
    shown = client.post(address, written | {"preview": "1"})
    assert shown.status_code == 200
    assert "If an alert were opened now and nobody acted" in shown.content.decode()
    assert "required" not in re.sub(r"<(input|select)[^>]*>", "", shown.content.decode()), "nothing is missing yet"
    assert not EscalationPolicy.objects.exists(), "only shown"
    assert client.post(address, written | SIGNED | {"sign": "1"}).status_code == 302
    policy = EscalationPolicy.objects.get()
    assert policy.steps == [
        {"roles": ["clinician"], "people": [adam.pk], "wait_hours": 2.0, "working_hours": 1.5},
        {"roles": ["administrator"], "wait_hours": 24.0},
    ]
    page = client.get(address).content.decode()
    assert "Signed by Dr Example" in page
    assert "clinician, adam → 1.5 working hours, at most 2 h" in page
    assert "agreed on 2 Nov" in page
    assert client.post(address, {"built_in": "1", "reason": ""}).status_code == 400
    assert client.post(address, {"built_in": "1", "reason": "too short"}).status_code == 302
    assert "the built-in ladder" in client.get(address).content.decode()
    assert EscalationPolicy.objects.get().is_in_force is False


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"steps-0-wait_hours": ""}, "after how many hours"),
        ({"steps-0-wait_hours": "-3"}, "greater than or equal"),
        ({"steps-0-wait_hours": "1000"}, "at most 168"),
        ({"steps-0-wait_hours": "nan"}, "number"),
        ({"steps-0-roles": []}, "choose who is told"),
        ({"steps-0-roles": ["nurse"]}, "nurse"),
        ({"steps-0-roles": [], "steps-0-people": ["999999"]}, "999999"),
        ({"steps-0-roles": ["analyst"]}, "would reach nobody"),
        ({"steps-0-roles": ["technician"]}, "would reach nobody"),
        ({"signed_by": ""}, "required"),
        ({"reason": ""}, "required"),
        ({"comes_back_days": "0"}, "greater than or equal"),
        ({"comes_back_days": "90"}, "1 to 31 days"),
        ({"steps-TOTAL_FORMS": "99"}, "at most"),
        ({"steps-TOTAL_FORMS": "0"}, "one to ten steps"),
    ],
)
def test_what_cannot_be_signed_says_why_and_keeps_nothing(
    client: Client, centre: Centre, adam: User, grace: User, changed: dict[str, Any], says: str
) -> None:
    data = steps({"roles": ["clinician"], "wait_hours": "2"}) | SIGNED | {"sign": "1"} | changed
    answer = client.post(f"/ladders/{centre.pk}/clinical/", data)
    assert answer.status_code == 400
    assert says in answer.content.decode()
    assert not EscalationPolicy.objects.exists()


def test_a_kind_and_the_hours_are_signed(client: Client, centre: Centre, adam: User, grace: User) -> None:
    address = f"/ladders/{centre.pk}/kinds/loss_of_mr4/"
    data = {"severity": "urgent", "ladder": "clinical", "owner_role": "clinician", **SIGNED}
    assert client.post(address, data).status_code == 302
    assert AlertKindSetting.objects.get().severity == "urgent"
    assert "agreed on 2 Nov" in client.get(address).content.decode()
    refused = client.post(f"/ladders/{centre.pk}/kinds/loss_of_mmr/", data | {"severity": "routine"})
    assert refused.status_code == 400
    for name in ("set_aside", "nonsense"):
        assert client.get(f"/ladders/{centre.pk}/kinds/{name}/").status_code == 404
    hours = {"days": ["1", "5"], "opens_at": "07:30", "closes_at": "16:00", "reason": "rota"}
    assert client.post(f"/ladders/{centre.pk}/", hours).status_code == 302
    assert DutyHours.objects.get().days == "15"
    assert client.post(f"/ladders/{centre.pk}/", hours | {"closes_at": "07:00"}).status_code == 400
    assert DutyHours.objects.get().closes_at == dt.time(16)
    page = client.get(f"/ladders/{centre.pk}/").content.decode()
    assert "rota" in page
    assert "built in, for the clinical owner to sign" in page


def test_the_page_of_a_centre_costs_the_same_queries_for_many_settings(
    client: Client, centre: Centre, adam: User, grace: User, django_assert_max_num_queries: Any
) -> None:
    for kind in ("loss_of_mmr", "fluctuation", "loss_of_mr4"):
        AlertKindSetting.objects.create(
            centre=centre, kind=kind, severity="urgent", ladder="clinical", signed_by="x"
        )  # fmt: skip
    with django_assert_max_num_queries(20):
        client.get(f"/ladders/{centre.pk}/")


def test_people_note_their_own_absence_and_administrators_that_of_their_people(
    client: Client, centre: Centre, adam: User, grace: User, member: Callable[..., User]
) -> None:
    today = clock.now().date()
    stranger = member("mallory", Centre.objects.create(code="H2"))
    data = {"person": grace.pk, "first_on": today, "last_on": today + dt.timedelta(days=3), "deputy": adam.pk}
    assert client.post("/absences/", data | {"person": stranger.pk}).status_code == 400
    assert client.post("/absences/", data | {"deputy": stranger.pk}).status_code == 400
    assert client.post("/absences/", data | {"last_on": today - dt.timedelta(days=1)}).status_code == 400
    assert client.post("/absences/", data).status_code == 302
    page = client.get("/absences/").content.decode()
    assert "adam stands in" in page
    other = Absence.objects.create(person=stranger, first_on=today, last_on=today, noted_by=stranger)
    assert client.post(f"/absences/{other.pk}/end/").status_code == 404
    client.force_login(grace)
    assert client.post("/absences/", data | {"person": adam.pk}).status_code == 400, "not hers to note"
    assert client.post(f"/absences/{Absence.objects.get(person=grace).pk}/end/").status_code == 302
    assert Absence.objects.get(person=grace).is_over
    elsewhere = Client()
    elsewhere.force_login(stranger)
    assert "grace" not in elsewhere.get("/absences/").content.decode()


def test_a_ladder_that_cannot_be_read_is_mended_on_its_page(
    client: Client, centre: Centre, adam: User, grace: User
) -> None:
    EscalationPolicy.objects.create(centre=centre, steps=[{"roles": ["ward"]}], signed_by="Dr Example")
    for address in (f"/ladders/{centre.pk}/", f"/ladders/{centre.pk}/clinical/"):
        assert client.get(address).status_code == 200
    assert "cannot be read" in client.get(f"/ladders/{centre.pk}/clinical/").content.decode()
    data = steps({"roles": ["clinician"], "wait_hours": "2"}) | SIGNED | {"sign": "1"}
    assert client.post(f"/ladders/{centre.pk}/clinical/", data).status_code == 302
    assert EscalationPolicy.objects.get().signed_by == "Dr Example"
