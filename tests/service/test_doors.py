"""score, the ledger check, tokens, hints with a dead and a frozen broker, the first page, health, imports of layers."""

import datetime as dt
import io
import json
import os
import re
import signal
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction
from django.test import Client
from django.urls import get_resolver

from cohorts.services.definitions import define_cohort
from monitoring import clock
from monitoring.models import ApiToken, Centre, Membership, Patient, Role, TkiCourse
from monitoring.services.classification.classify import classify_owed
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from monitoring.services.settings.demo_logins import make_demo_users
from monitoring.services.settings.tokens import token_hash
from monitoring.wording.numbers import percent, significant
from tasks import hints
from tests.builders import report
from tests.nights import recompute

ROOT = Path(__file__).resolve().parents[2]


# --- score ------------------------------------------------------------------------------------------------------


def scored(tmp_path: Path, content: str, *options: str) -> tuple[list[str], str, int]:
    path = tmp_path / "s.csv"
    path.write_text(content, encoding="utf-8")
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        call_command("score", str(path), *options, stdout=out, stderr=err)
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    return out.getvalue().splitlines(), err.getvalue(), code


def test_score_writes_one_line_an_accession_in_order_of_appearance(tmp_path: Path) -> None:
    lines, _, code = scored(
        tmp_path,
        "accession_number,bcr_abl1_copies,control_gene_copies,conversion_factor,collected_on,received_on\n"
        "Z,60,52000,1,2024-01,\nA,nd,18000,0.8,2024-01-01,2024-01-05\nZ,44,48000,1,2024-01,\nA,nd,17000,0.8,"
        "2024-01-01,2024-01-05\n",
    )
    assert lines == [
        "accession_number,is_percent,mr_value,response_class,flags,sensitivity",
        "Z,0.104,2.98,NO_MMR,IMPUTED_DATE,MR5",
        "A,,,MR4_5,OLD_SAMPLE,MR4_5",
    ]
    assert code == 0


def test_score_prints_twelve_significant_digits(tmp_path: Path) -> None:
    lines, _, _ = scored(
        tmp_path, "accession_number,bcr_abl1_copies,control_gene_copies,conversion_factor\nA,3,70001,0.9\n"
    )
    assert lines[1].split(",")[1] == str(round(Decimal(270) / 70001, 14)).rstrip("0")


def test_score_needs_a_minimum_for_bcr_and_refuses_in_words(tmp_path: Path) -> None:
    content = "accession_number,control_gene,bcr_abl1_copies,control_gene_copies\nA,BCR,nd,500000\nB,ABL1,x,5\n"
    lines, said, code = scored(tmp_path, content)
    assert (len(lines), code) == (1, 1)
    assert "--bcr-minimum" in said
    lines, _, code = scored(tmp_path, content, "--bcr-minimum", "20000")
    assert lines[1:] == ["A,,,MR5,,MR5"]
    with pytest.raises(CommandError) as caught:
        scored(tmp_path, content, "--bcr-minimum", "1e9999999")
    assert caught.value.returncode == 2


def test_score_touches_no_database(tmp_path: Path) -> None:
    # No database mark here: pytest-django forbids every query.
    assert scored(tmp_path, "accession_number,transcript,is_percent\nA,e1a2,0.5\n")[0][1] == "A,,,NOT_ON_IS,,NONE"


# --- tokens -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_token_is_shown_once_and_stored_as_a_hash(ada: User) -> None:
    out = io.StringIO()
    call_command("create_token", "ada", stdout=out)
    token = out.getvalue().strip()
    assert bytes(ApiToken.objects.get().token_hash) == token_hash(token)
    with pytest.raises(CommandError):
        call_command("create_token", "nobody", stdout=out)


@pytest.mark.django_db
def test_demo_logins_are_one_a_role_readable_by_their_owner_only(tmp_path: Path, settings: Any, centre: Centre) -> None:
    settings.VAR_DIR = tmp_path
    make_demo_users()
    path = tmp_path / "demo-logins.json"
    assert path.stat().st_mode & 0o777 == 0o600
    logins = json.loads(path.read_text())
    assert set(logins) == {r.value for r in Role}
    client = Client()
    for entry in logins.values():
        assert client.login(username=entry["user"], password=entry["password"])
    before = logins["clinician"]["password"]
    call_command("demo_logins", "--reset", stdout=io.StringIO())
    assert json.loads(path.read_text())["clinician"]["password"] != before


# --- hints ------------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh_publisher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "_quiet_until", 0.0)


def entry_seconds(patient: Patient, by: User, accession: str) -> float:
    started = time.monotonic()
    with transaction.atomic():
        record_result(report(accession), patient=patient, by=by, reach=EVERYWHERE, now=clock.now())
    return time.monotonic() - started


@pytest.mark.django_db(transaction=True)
def test_a_dead_broker_neither_breaks_nor_delays_a_save(
    patient: Patient, ada: User, fresh_publisher: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hints.publisher.conf, "broker_url", "redis://127.0.0.1:1/0")
    dead = hints.Celery("dead", broker="redis://127.0.0.1:1/0", set_as_current=False)
    dead.conf.update({k: v for k, v in hints.publisher.conf.items() if k.startswith("broker_") and "url" not in k})
    monkeypatch.setattr(hints, "publisher", dead)
    assert entry_seconds(patient, ada, "D1") < 5
    assert hints.publish(hints.CLASSIFY_OWED) is False


@pytest.mark.django_db(transaction=True)
@pytest.mark.xdist_group("broker")
def test_a_frozen_broker_delays_one_save_and_then_none(patient: Patient, ada: User, fresh_publisher: None) -> None:
    assert hints.publish(hints.CLASSIFY_OWED), "the broker of the suite answers"
    client = redis.Redis.from_url(settings.REDIS_URL)
    pid = int(client.info("server")["process_id"])
    client.close()
    os.kill(pid, signal.SIGSTOP)
    try:
        first, second = entry_seconds(patient, ada, "F1"), entry_seconds(patient, ada, "F2")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert first < 10, "one timeout, not the worker's patience"
    assert second < first / 2, "after a failure nothing is tried for a while"


# --- pages ------------------------------------------------------------------------------------------------------


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
    classify_owed(now=clock.now())
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


@pytest.mark.parametrize(
    ("value", "shown"),
    [("0.1001", "0.1001"), ("0.1", "0.1"), ("0.104", "0.104"), ("0.00320004", "0.00320004"), ("12.3456", "12.3")],
)
def test_a_percentage_is_never_rounded_across_a_limit(value: str, shown: str) -> None:
    assert significant(Decimal(value)) == shown


def test_proportions_print_one_decimal() -> None:
    assert [percent(v) for v in (None, 0.95, 21 / 36, 1.0)] == ["–", "95", "58.3", "100"]


# --- structure --------------------------------------------------------------------------------------------------


def test_the_domain_reads_no_clock() -> None:
    paths = [path for folder in ("monitoring/domain", "cohorts/domain") for path in (ROOT / folder).rglob("*.py")]
    assert len(paths) > 30
    for path in paths:
        assert not re.search(r"\.(now|today|utcnow)\(\)", path.read_text(encoding="utf-8")), path


def test_lock_files_name_no_index_and_carry_hashes() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert text.count("--hash=") > text.count("==")
