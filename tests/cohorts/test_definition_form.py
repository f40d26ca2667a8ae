"""The form that builds a definition: the same as the file, the author's centres only, a count by a worker."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import QueryDict
from django.test import Client

from cohorts.domain.definition_file import as_json, parse_definition
from cohorts.models import Cohort, DefinitionCount
from cohorts.pages.definition_form import DefinitionForm
from cohorts.services import counting
from cohorts.services.counting import count
from cohorts.services.counts import forget_old_counts, owed_counts
from cohorts.services.definitions import define_cohort
from monitoring import clock
from monitoring.models import Centre, Patient, Role
from monitoring.services.classification.classify import classify_pending
from monitoring.services.settings.demo_logins import DEMO_FOLDER
from tests.cohorts.test_disclosure_doors import member_of

pytestmark = pytest.mark.django_db
Member = Callable[..., User]
CENTRES = [("H1", "H1"), ("H2", "H2")]


def posted(initial: dict[str, Any], **changes: Any) -> QueryDict:
    """What a browser sends of a form that shows these values."""
    data = QueryDict(mutable=True)
    for name, value in {**initial, **changes}.items():
        if isinstance(value, list | tuple):
            data.setlist(name, [str(one) for one in value])
        elif value is True:
            data[name] = "on"
        elif value is not None and value is not False:
            data[name] = str(value)
    return data


RICH = {
    "slug": "rich", "title": "All of it",
    "include": {
        "stop_reason": ["tfr_attempt", "pregnancy"], "centre": ["H1"], "sex": ["F"],
        "age_at_stop": {"ge": 10, "lt": 30}, "tki_months": {"gt": 20, "le": 200}, "transcript": ["e13a2"],
        "stopped_on": {"from": "2012-01-01", "to": None},
    },
    "at_stop": {"min_class": "MR4", "window_days": 200}, "endpoint": "tfr", "landmark_months": 6,
    "event_rule": {"n_consecutive": 2, "date_of_event": "confirming", "max_gap_days": 90, "restart_confirms": False},
    "dmr": {"level": "MR4_5", "run": "first", "max_dips": 2, "max_gap_days": 213},
    "factors": [
        {"id": "own_id", "name": "dmr_months", "cut": 24, "chosen_on_data": True}, {"name": "mr4_5_at_month_3"},
        {"name": "sex"}, {"id": "s", "name": "score", "source": "x", "points": [{"name": "sex", "is": "F", "add": 1}]},
    ],
    "cox": ["own_id", "s"], "strata": ["sex"], "confidence": {"transform": "log", "level": 0.9},
    "model": {"ties": "breslow", "penalised": True},
}  # fmt: skip


ODD = {
    "slug": "odd", "include": {"centre": ["H1", "H9"]}, "at_stop": {"min_class": "NO_MMR"},
    "confidence": {"level": 0.8}, "strata": ["s"],
    "factors": [
        *({"name": "age_at_stop", "cut": cut} for cut in range(10, 22)), {"id": "twin", "name": "sex"}, {"name": "sex"},
        {"id": "s", "name": "score", "source": "x", "points": [{"name": "sex", "is": "F", "add": 1}], "cut": 1},
        {"name": "stop_year"},
    ],
    "cox": ["stop_year", "age_at_stop_11", "s"],
}  # fmt: skip


@pytest.mark.parametrize(
    "stored", [RICH, ODD, {"slug": "plain"}, json.loads((DEMO_FOLDER / "cohort.json").read_text())]
)
def test_a_form_that_nobody_changed_gives_the_definition_that_stood(stored: dict[str, Any]) -> None:
    whole = as_json(parse_definition(stored))
    initial = DefinitionForm.initial_of(whole)
    form = DefinitionForm(posted(initial), initial=initial, centres=CENTRES, is_new=False)
    assert form.is_valid(), form.errors
    assert form.definition(whole) == whole


@pytest.fixture
def anna(member: Member, centre: Centre) -> Client:
    client = Client()
    client.force_login(member("anna", centre, Role.ANALYST))
    return client


def fields(**changes: Any) -> QueryDict:
    initial = DefinitionForm.initial_of(
        {"slug": "mine", "title": "Mine", "include": {"centre": ["H1"]}, "factors": [{"name": "sex"}]}
    )
    return posted(initial, **changes)


def test_a_definition_is_stored_from_the_page(anna: Client) -> None:
    page = anna.get("/cohorts/define/").content.decode()
    assert "Who belongs to it" in page
    answer = anna.post("/cohorts/define/", fields(store="1", age_at_stop_lt=18))
    assert answer.headers["Location"] == "/cohorts/mine/"
    cohort = Cohort.objects.get(slug="mine")
    assert cohort.definition["include"]["age_at_stop"] == {"lt": 18}
    edit = anna.get("/cohorts/mine/define/").content.decode()
    assert 'value="18"' in edit
    anna.post("/cohorts/mine/define/", fields(store="1", slug="other", title="New title"))
    cohort.refresh_from_db()
    assert (cohort.slug, cohort.title) == ("mine", "New title")
    assert "age_at_stop" not in cohort.definition["include"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"slug": ""}, "short name in addresses"),
        ({"slug": "define"}, "is an address of the service"),
        ({"centre": []}, "without it a cohort takes in every centre"),
        ({"centre": ["H9"]}, "centres"),
        ({"stop_reason": []}, "reasons of the stop"),
        ({"factor_1": "mr4_5_at_month_3"}, "set landmark_months to 3 or more"),
        ({"age_at_stop_ge": 30, "age_at_stop_lt": 20}, "contradict each other"),
        ({"cut_0": 3}, "cannot be cut"),
        ({"landmark_months": 99}, "landmark, months after the stop"),
        ({"stopped_from": "2020-13-01"}, "stopped from"),
        ({"title": "a\x00b"}, "title"),
    ],
)
def test_bad_input_is_told_at_its_field_and_nothing_is_stored(
    anna: Client, changes: dict[str, Any], words: str
) -> None:
    Centre.objects.create(code="H2")
    answer = anna.post("/cohorts/define/", fields(store="1", **changes))
    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert not Cohort.objects.exists()


def test_a_short_name_that_is_taken_is_not_changed_by_a_new_definition(anna: Client) -> None:
    define_cohort({"slug": "mine", "title": "Old", "include": {"centre": ["H1"]}}, by="test")
    answer = anna.post("/cohorts/define/", fields(store="1"))
    assert answer.status_code == 400
    assert Cohort.objects.get().title == "Old"


def test_others_cohorts_and_roles_are_refused(anna: Client, member: Member, centre: Centre) -> None:
    Centre.objects.create(code="H2")
    define_cohort({"slug": "theirs", "title": "T", "include": {"centre": ["H2"]}}, by="test")
    assert anna.get("/cohorts/theirs/define/").status_code == 404
    assert anna.post("/cohorts/theirs/define/", fields(store="1")).status_code == 404
    assert anna.post("/cohorts/theirs/define/count/", fields()).status_code == 404
    assert "H2" not in anna.get("/cohorts/define/").content.decode()
    grace = Client()
    grace.force_login(member("grace", centre))
    for address in ("/cohorts/define/", "/cohorts/theirs/define/"):
        assert grace.get(address).status_code == 403
    assert grace.post("/cohorts/define/count/", fields()).status_code == 403


def test_who_would_be_a_member_is_counted_by_a_worker(anna: Client, centre: Centre, ada: User, member: Member) -> None:
    for n in range(4):
        member_of(centre, f"C{n}", ada, n)
    classify_pending(now=clock.now())
    waiting = anna.post("/cohorts/define/count/", fields(slug="", title="")).content.decode()
    assert "Counting" in waiting
    asked = DefinitionCount.objects.get()
    address = f"/cohorts/define/count/{asked.public_id}/"
    assert "Counting" in anna.get(address).content.decode()
    while not count(asked.pk):  # the rules are new: their readings are built first
        pass
    told = " ".join(anna.get(address).content.decode().split())
    assert "4 members, 2 with the event" in told
    assert "all times off treatment → 4" in told
    stranger = Client()
    stranger.force_login(member("olga", centre, Role.ANALYST))
    assert stranger.get(address).status_code == 404
    assert count(asked.pk)  # a task run twice
    forget_old_counts(now=clock.now() + dt.timedelta(hours=2))
    assert anna.get(address).status_code == 404


def test_a_count_that_cannot_be_made_says_why_and_a_new_one_takes_the_place_of_the_last(anna: Client) -> None:
    told = anna.post("/cohorts/define/count/", fields(stop_reason=[], age_at_stop_ge="x")).content.decode()
    assert "Nobody is counted yet" in told
    assert "reasons of the stop" in told
    assert "age at the stop" in told
    told = anna.post("/cohorts/define/count/", fields(factor_1="mr4_5_at_month_3")).content.decode()
    assert "set landmark_months to 3 or more" in told
    for _again in range(3):
        anna.post("/cohorts/define/count/", fields())
    assert DefinitionCount.objects.count() == 1
    assert count(0)  # of a count that was taken back


def test_a_count_says_nothing_of_people_elsewhere(anna: Client, centre: Centre, ada: User) -> None:
    other = Centre.objects.create(code="H2")
    for n in range(3):
        member_of(centre if n else other, f"C{n}", ada, n)
    Patient.objects.filter(centre=other).update(sex="M")
    classify_pending(now=clock.now())
    anna.post("/cohorts/define/count/", fields(only_sex=["M"]))
    asked = DefinitionCount.objects.get()
    while not count(asked.pk):
        pass
    asked.refresh_from_db()
    assert asked.answer["flow"][0] == {"criterion": "episodes", "excluded": 0, "left": 2}
    assert {step["excluded"] for step in asked.answer["flow"][1:]} == {0, 2}


def test_a_lost_hint_costs_time_only_and_a_failed_count_is_told(anna: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    anna.post("/cohorts/define/count/", fields())
    asked = DefinitionCount.objects.get()
    assert owed_counts(now=clock.now()) == []
    assert owed_counts(now=clock.now() + dt.timedelta(minutes=1)) == [asked.pk]
    monkeypatch.setattr(counting, "parse_definition", lambda _data: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        count(asked.pk)
    address = f"/cohorts/define/count/{asked.public_id}/"
    assert "could not be counted" in anna.get(address).content.decode()
    assert owed_counts(now=clock.now() + dt.timedelta(minutes=1)) == []
    asked.delete()
    answer = anna.get(address, headers={"HX-Request": "true"})
    assert answer.status_code == 286  # htmx asks no more
    assert "was forgotten" in answer.content.decode()


def test_one_definition_that_cannot_be_read_is_no_fault_of_the_others(anna: Client, centre: Centre) -> None:
    define_cohort({"slug": "mine", "include": {"centre": ["H1"]}}, by="test")
    Cohort.objects.create(slug="old", title="Old", definition={"of": "an earlier version"})
    assert anna.get("/cohorts/mine/define/").status_code == 200
    assert anna.get("/cohorts/old/define/").status_code == 404
    assert "Change the definition" in anna.get("/cohorts/mine/").content.decode()  # before any figures


def test_the_study_is_where_a_definition_may_begin(anna: Client) -> None:
    page = anna.get("/cohorts/define/?like=study").content.decode()
    assert 'value="72"' in page
    assert 'value="100"' in page
