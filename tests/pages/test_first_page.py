"""Who sees the first page and what of it, and the policy of every answer."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import get_resolver

from cohorts.services.definitions import define_cohort
from monitoring import clock
from monitoring.models import Centre, Membership, Patient, TkiCourse
from monitoring.services.classification.classify import classify_pending
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from tests.builders import report
from tests.nights import recompute


@pytest.mark.django_db
def test_strangers_are_sent_to_the_sign_in_page_and_health_is_open(client: Client) -> None:
    assert client.get("/").headers["Location"] == "/sign-in/?next=/"
    assert client.get("/livez").content == b"ok\n"
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db
def test_a_person_without_a_role_sees_nothing(client: Client, ada: User) -> None:
    client.force_login(ada)
    assert client.get("/").status_code == 403
    centre = Centre.objects.create(code="H9")
    yesterday = clock.now().date() - dt.timedelta(days=1)
    Membership.objects.create(user=ada, centre=centre, role="clinician", valid_from=yesterday, valid_to=yesterday)
    assert client.get("/").status_code == 403, "a membership that has ended opens nothing"


@pytest.mark.django_db
def test_another_centre_is_never_visible_nor_countable(
    client: Client, patient: Patient, ada: User, member: Callable[..., User]
) -> None:
    TkiCourse.objects.create(
        patient=patient,
        drug="imatinib",
        started_on=dt.date(2010, 1, 1),
        stopped_on=clock.now().date() - dt.timedelta(days=60),
        stop_reason="tfr_attempt",
    )
    recent = (clock.now().date() - dt.timedelta(days=5)).isoformat()
    record_result(report("L1", recent, "100/50000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    mallory = member("mallory", Centre.objects.create(code="H2"))
    assert not Patient.objects.visible_to(mallory).exists()
    client.force_login(mallory)
    elsewhere = client.get("/").content.decode()
    assert "P1 ·" not in elsewhere
    assert "No open alerts" in elsewhere
    client.force_login(member("grace", patient.centre))
    here = client.get("/").content.decode()
    assert "loss of MMR off treatment" in here
    assert "0.2 % IS" in here
    assert "P1 ·" in here


@pytest.mark.django_db
def test_the_first_page_in_both_languages_with_flat_queries(
    client: Client, centre: Centre, member: Callable[..., User], django_assert_max_num_queries: Callable[..., Any]
) -> None:
    cohort, _ = define_cohort({"slug": "c", "title": "All"}, by="test")
    recompute(cohort)
    client.force_login(member("grace", centre))
    with django_assert_max_num_queries(23):
        english = client.get("/").content.decode()
    assert "Results today" in english
    assert "No member yet" in english
    client.post("/language/", {"language": "zh-hans", "next": "/"})
    chinese = client.get("/").content.decode()
    assert "今日结果" in chinese
    assert "Results today" not in chinese


@pytest.mark.django_db
def test_every_answer_carries_the_strict_policy(client: Client) -> None:
    for path in ("/sign-in/", "/admin/login/", "/nowhere/", "/livez"):
        policy = client.get(path, follow=True).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_every_page_names_who_may_see_it() -> None:
    open_pages = {"sign-in", "sign-out", "language", "icon", "livez", "readyz"}
    for pattern in get_resolver().url_patterns:
        name = getattr(pattern, "name", None)
        if name and name not in open_pages:
            assert hasattr(pattern.callback, "__wrapped__"), f"{name} has no requires_role"
