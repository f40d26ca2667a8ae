"""The words people read: refusals, notes and whole pages in simplified Chinese, and the same words in English."""

import datetime as dt
import functools
import html
import importlib
import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import translation

from cohorts.services.definitions import define_cohort
from cohorts.wording.figures import selection_word, warning_words, withheld_words
from monitoring import clock
from monitoring.domain.following.plausibility import CITATION as QUESTIONS_CITATION
from monitoring.domain.rules.rule_sets import load_rule_sets, unconfirmed_parameters
from monitoring.domain.vocabulary.bounds import BOUNDS, Bounds
from monitoring.domain.vocabulary.dates import DateProblem, parse_date
from monitoring.domain.vocabulary.reasons import Reason
from monitoring.intake.columns import COLUMNS, REQUIRED_COLUMNS
from monitoring.intake.file_problems import FileProblem
from monitoring.intake.tables import open_table
from monitoring.intake.uploads import load_upload
from monitoring.intake.values import CellProblem, Cells
from monitoring.models import (
    Alert,
    AlertDelivery,
    Centre,
    ImportRun,
    MonitoringPlan,
    Observation,
    Patient,
    PcrResult,
    Protocol,
    Role,
    TkiCourse,
)
from monitoring.models.alerts import ClosingReason, DeliveryOutcome
from monitoring.services.alerts import escalation
from monitoring.services.classification.classify import classify_pending
from monitoring.services.entry.amendments import standing_result, verify_result
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from monitoring.services.foundation.stale_version import StaleVersionError
from monitoring.services.settings.tokens import create_token
from monitoring.wording.codes import closing_words, outcome_words
from monitoring.wording.reason_texts import TEXTS
from monitoring.wording.reasons import parameters_words, reason_words
from tests.builders import report
from tests.conftest import reporting
from tests.nights import recompute

TEN = Bounds(Decimal(-3), Decimal(10))
CHINESE = re.compile(r"[\u4e00-\u9fff]")
# Two words of Latin letters in a row are English, unless they are names.
ENGLISH = re.compile(r"[A-Za-z][A-Za-z'’]*(?:[ \n]+[A-Za-z][A-Za-z'’]*)+")
NAMES = {"First hospital", "CSV UTF"}
# One word alone is English where it is a code, a unit or an answer; names of drugs, genes and the unit log are not.
WORD = re.compile(r"(?<![\w.,:/-])[a-z]{2,}(?![\w./-])")
NAMED_WORDS = {"imatinib", "log"}
SHOWN_ATTRIBUTES = re.compile(r"""\b(?:aria-label|placeholder|title|alt)="([^"]*)\"""")


@functools.cache
def cited() -> list[str]:
    """What stays in English: titles, ids, lines and citations of rule sets lead to English papers and files; longest
    first.
    """
    texts = {QUESTIONS_CITATION}
    for rules in load_rule_sets().values():
        texts |= {rules.title, str(rules.citation)}
        texts |= {f"{rules.id}, {line}; {rules.source(line)}" for line in rules.parameters}
    return sorted(texts, key=len, reverse=True)


def english_in(text: str) -> set[str]:
    """Runs of Latin words that are no names and no citations."""
    for known in cited():
        text = text.replace(known, "")
    return set(ENGLISH.findall(text)) - NAMES


def english_of(page: str) -> set[str]:
    """Runs of Latin words in what a page shows, says aloud, or draws."""
    shown = SHOWN_ATTRIBUTES.findall(page)
    for text in re.split(r"<[^>]*>", page):
        shown.append(re.sub(r"\\u[0-9a-f]{4}", lambda found: chr(int(found[0][2:], 16)), text))  # data of a chart
    return {found for text in shown for found in english_in(html.unescape(text))}


def words_of(page: str) -> set[str]:
    """Single words of small Latin letters in the sections of a page that tell what the rules say."""
    shown = html.unescape(re.sub(r"<[^>]*>", " ", page[page.index('<h1 id="plan"') : page.index('<h1 id="courses"')]))
    for known in cited():
        shown = shown.replace(known, "")
    return set(WORD.findall(shown)) - NAMED_WORDS


@pytest.fixture
def chinese() -> Iterator[None]:
    with translation.override("zh-hans"):
        yield


# --- refusals ---------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[str, Callable[[Cells], object]]] = {
    "a line break": ("a\nb", lambda c: c.text("x")),
    "an error of the spreadsheet": ("#REF!", lambda c: c.text("x")),
    "nothing": ("", lambda c: c.text("x", required=True)),
    "a long text": ("a" * 300, lambda c: c.text("x")),
    "a mangled number": ("1E+10", lambda c: c.identifier("x")),
    "an invisible character": ("a\u200bb", lambda c: c.identifier("x")),
    "a near word": ("finall", lambda c: c.choice("x", ("final",))),
    "another word": ("zzz", lambda c: c.choice("x", ("final",))),
    "a date of another form": ("10.03.2025", lambda c: c.day("x")),
    "a year": ("0099", lambda c: c.day("x")),
    "a month": ("2025-13", lambda c: c.day("x")),
    "a day": ("2025-02-30", lambda c: c.day("x")),
    "a month where a day is needed": ("2025-02", lambda c: c.exact_day("x")),
    "no instant": ("today", lambda c: c.instant("x", ZoneInfo("UTC"))),
    "an instant of another year": ("0099-01-01T10:00", lambda c: c.instant("x", ZoneInfo("UTC"))),
    "an instant without a time": ("2025-01-01", lambda c: c.instant("x", ZoneInfo("UTC"))),
    "a small number": ("-9", lambda c: c.number("x", bounds=TEN)),
    "a large number": ("99", lambda c: c.number("x", bounds=TEN)),
    "a zero": ("0", lambda c: c.number("x", bounds=TEN)),
    "no number": ("one", lambda c: c.number("x", bounds=TEN)),
    "too many digits": ("0." + "1" * 40, lambda c: c.number("x", bounds=TEN)),
    "no whole number": ("1.5", lambda c: c.whole_number("x", limit=10)),
    "zero percent": ("0", lambda c: c.percentage("x", bounds=TEN)),
    "zero copies": ("0", lambda c: c.copies("x", bounds=TEN)),
    "a thousands mark": ("1,000", lambda c: c.copy_number("x", bounds=BOUNDS["control_gene_copies"])),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_cell_is_told_in_the_readers_language(name: str, chinese: None) -> None:
    value, read = REFUSED[name]
    with pytest.raises(CellProblem) as refusal:
        read(Cells({"x": value}))
    assert CHINESE.search(refusal.value.reason)
    assert not english_in(refusal.value.reason)


@pytest.mark.parametrize("text", ["10.03.2025", "0099", "2025-13", "2025-02-30"])
def test_a_date_is_refused_in_the_words_of_the_domain_where_english_is_read(text: str) -> None:
    with pytest.raises(DateProblem) as plain:
        parse_date(text)
    with pytest.raises(CellProblem) as told:
        Cells({"x": text}).day("x")
    assert told.value.reason == str(plain.value)


def test_what_was_normalised_is_noted_in_the_readers_language(chinese: None) -> None:
    cells = Cells({"x": "0,25 %"})
    cells.percentage("x", bounds=TEN)
    assert cells.notes == ["x：'0,25 %' 读作 0,25 %", "x：'0,25 %' 读作 0.25"]


@pytest.mark.parametrize(
    "content",
    ["", "\n\n", "a;b\n", "laboratory\tx\n", "laboratori\n", "x\n", "laboratory,accession_number,patient_id,,x\n",
     "laboratory,accession_number,patient_id,method,method\n", "laboratory,accession_number,patient_id,methd\n",
     "laboratory,accession_number,patient_id,qqq\n", "PK\x03\x04", 'a,"b"c\n', 'a,"b\n', "\xff\xfea"],
)  # fmt: skip
def test_a_file_problem_is_told_in_the_readers_language(content: str, tmp_path: Path, chinese: None) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(FileProblem) as problem:
        list(open_table(path, COLUMNS["results"], REQUIRED_COLUMNS["results"]).rows)
    told = str(problem.value)
    assert told.startswith(f"{path}: "), "the page leaves the path out"
    assert CHINESE.search(told)
    assert not english_in(told)


def test_rows_as_a_whole_are_refused_in_the_readers_language(tmp_path: Path, chinese: None) -> None:
    path = tmp_path / "f.csv"
    long = "a" * 3000
    path.write_text(f"laboratory,accession_number,patient_id\nL\nL,A,P,x\nL,{long},P\nL,A\x00,P\n", encoding="utf-8")
    problems = [
        wrong.reason for *_row, wrong in open_table(path, COLUMNS["results"], REQUIRED_COLUMNS["results"]).rows if wrong
    ]
    assert len(problems) == 4
    for problem in problems:
        assert CHINESE.search(problem)
        assert not english_in(problem)


@pytest.mark.django_db
def test_a_stale_amendment_is_told_in_the_readers_language(patient: Patient, ada: User, chinese: None) -> None:
    record_result(
        report("E1", recent(), status="preliminary"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now()
    )
    standing = standing_result(PcrResult.objects.get().public_id)
    assert standing is not None
    with pytest.raises(StaleVersionError, match="当前为第 1 版，您读取的是第 7 版；请重新载入"):
        verify_result(standing, by=User.objects.create_user("vera"), reach=EVERYWHERE, version=7, now=clock.now())


@pytest.mark.django_db
def test_a_contradiction_is_a_conflict_in_every_language(
    member: Callable[..., User], patient: Patient, centre: Centre
) -> None:
    grace = Client(headers={"Authorization": f"Token {create_token(member('grace', centre))}"})
    course = {"patient_id": "P1", "drug": "imatinib", "started_on": "2020-01-01", "dose_mg_per_day": 400}
    for language, status, words in (
        ("en", 201, ""),
        ("en", 409, "400 is stored; to change it"),
        ("zh-hans", 409, "400"),
    ):
        answer = grace.post(
            "/api/v1/treatments/", json.dumps(course), "application/json", headers={"Accept-Language": language}
        )
        assert answer.status_code == status
        if words:
            (error,) = answer.json()["errors"]
            assert words in error["reason"]
            assert bool(CHINESE.search(error["reason"] + answer.json()["detail"])) is (language == "zh-hans")
        course["dose_mg_per_day"] = 600


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "results/",
        '{"patient_id": "P1", "collected_on": "10.03.2025", "laboratory": "LAB", "accession_number": "E1"}', 400),
        ("POST", "results/", '{"patiend_id": "P1"}', 400),
        ("POST", "results/", "{", 400),
        ("POST", "results/", "[]", 400),
        ("POST", "treatments/", '{"patient_id": "P9", "drug": "imatinib", "started_on": "2020"}', 400),
        ("GET", "results/?colour=red", "", 400),
        ("GET", "nowhere/", "", 404),
        ("PATCH", "patients/{id}/", '{"sex": "F"}', 428),
    ],
)  # fmt: skip
def test_a_refused_body_is_told_in_the_language_that_was_asked_for(
    member: Callable[..., User], patient: Patient, method: str, path: str, body: str, status: int
) -> None:
    user = member("ada", patient.centre, Role.TECHNICIAN)
    client = Client(headers={"Authorization": f"Token {create_token(user)}", "Accept-Language": "zh-hans"})
    answer = client.generic(method, f"/api/v1/{path}".replace("{id}", str(patient.public_id)), body, "application/json")
    assert answer.status_code == status, answer.content
    said = answer.json()
    for words in (said["detail"], *(error["reason"] for error in said["errors"])):
        assert CHINESE.search(words)
        if body != "{":  # what Python says of broken JSON stays as it is
            assert not english_in(words)


# --- words that are stored in English ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("show", "stored"),
    [
        (selection_word, "backward, likelihood ratio"),
    ],
)
def test_stored_words_are_shown_in_the_readers_language(show: Callable[[str], str], stored: str) -> None:
    assert show(stored) == stored, "English is shown as it is stored"
    assert show("550 mailbox unavailable") == "550 mailbox unavailable", "what others said is left alone"
    with translation.override("zh-hans"):
        told = show(stored)
    assert CHINESE.search(told)
    assert not english_in(told)


@pytest.mark.parametrize("code", ["few_members", "few_elsewhere"])
@pytest.mark.parametrize(
    "figures",
    [
        [],
        ["flow", "crude.ended", "table1", "outcomes_after_loss", "cox"],
        ["kaplan_meier.points", "kaplan_meier.median_months", "follow_up"],
    ],
)
def test_what_is_withheld_is_told_in_the_readers_language(code: str, figures: list[str]) -> None:
    withheld = [{"code": code, "least": 5, "figures": figures}]
    assert "_" not in withheld_words(withheld)
    with translation.override("zh-hans"):
        told = withheld_words(withheld)
    assert CHINESE.search(told)
    assert not english_in(told)


@pytest.mark.parametrize(
    "warning",
    [
        {"code": "apart", "number": 1, "events": 7}, {"code": "converged_badly"}, {"code": "dependent_attempts"},
        {"code": "few_events", "events": 7, "factors": 2},
        {"code": "few_events_per_coefficient", "events": 15, "coefficients": 2},
        {"code": "separated", "factor": "sex", "level": "M", "reference": "F", "events": 8},
        *({"code": "not_estimable", "why": why} for why in ("no_event", "constant_covariate", "redundant_covariate")),
    ],
)  # fmt: skip
def test_a_warning_of_a_model_is_told_in_the_readers_language(warning: dict[str, str | int]) -> None:
    assert "_" not in warning_words(warning)
    with translation.override("zh-hans"):
        told = warning_words(warning)
    assert CHINESE.search(told)
    assert not english_in(told)


@pytest.mark.parametrize("reason", ClosingReason)
def test_why_an_alert_ended_is_told_in_the_readers_language(reason: ClosingReason) -> None:
    alert = Alert(closing_reason=reason.value, closing_values={"on": "2025-03-10", "words": "已复查", "by": "grace"})
    english = closing_words(alert)
    with translation.override("zh-hans"):
        told = closing_words(alert)
    assert CHINESE.search(told)
    assert not english_in(told.replace("grace", ""))
    assert reason is ClosingReason.NOT_KNOWN or told != english


@pytest.mark.parametrize("outcome", DeliveryOutcome)
def test_why_a_message_was_not_sent_is_told_in_the_readers_language(outcome: DeliveryOutcome) -> None:
    delivery = AlertDelivery(outcome_code=outcome.value, outcome="acknowledged")
    with translation.override("zh-hans"):
        assert not english_in(outcome_words(delivery))
    assert outcome_words(AlertDelivery(outcome="550 mailbox unavailable")) == "550 mailbox unavailable"


@pytest.mark.parametrize(
    ("text", "code", "values"),
    [
        ("the evidence no longer holds", "evidence_gone", {}),
        ("restart on 2025-03-10", "restart", {"on": "2025-03-10"}),
        ("loss of MMR on 2025-03-10", "loss_of_mmr", {"on": "2025-03-10"}),
        ("acted: called the ward (grace)", "acted", {"words": "called the ward", "by": "grace"}),
        ("acted: withdrawn: wrong tube (ada)", "withdrawn", {"words": "wrong tube", "by": "ada"}),
        (
            "acted: a note that was cut off at two hund",
            "acted",
            {"words": "a note that was cut off at two hund", "by": ""},
        ),
        ("something else", "not_known", {"words": "something else"}),
    ],
)
def test_what_was_stored_in_english_becomes_a_code(text: str, code: str, values: dict[str, str]) -> None:
    migration = importlib.import_module("monitoring.migrations.0038_closings_are_codes")
    assert migration.code_of(text) == (code, values)


@pytest.mark.parametrize("code", TEXTS)
def test_a_statement_of_the_rules_is_told_in_the_readers_language(code: str, chinese: None) -> None:
    facts = tuple((name, 7) for name in re.findall(r"%\((\w+)\)s", TEXTS[code]))
    told = reason_words(Reason("rule", "line", "", facts, code))
    assert CHINESE.search(told)
    assert not english_in(told)
    assert told.count("7") >= len(facts), "every fact is told"
    assert "%%" not in told


# --- pages ------------------------------------------------------------------------------------------------------

PAGES = {
    "/": tuple(Role),
    "/patients/": tuple(Role),
    "/patients/{patient}/": tuple(Role),
    "/due/": tuple(Role),
    "/due/?which=overdue": tuple(Role),
    "/alerts/": tuple(Role),
    "/cohorts/": tuple(Role),
    "/cohorts/all/": tuple(Role),
    "/cohorts/empty/": tuple(Role),
    "/bench/single/": (Role.TECHNICIAN, Role.VERIFIER),
    "/verify/": (Role.TECHNICIAN, Role.VERIFIER, Role.ADMINISTRATOR),
    "/imports/": (Role.TECHNICIAN, Role.VERIFIER, Role.ADMINISTRATOR),
    "/operations/": (Role.ADMINISTRATOR,),
}
RESULTS = (
    "laboratory,accession_number,patient_id,collected_on,bcr_abl1_copies,control_gene_copies,conversion_factor,"
    "is_percent\n"
    'NEW,F1,P1,2025-01-01,60,52000,1,\nNEW,F2,P1,2025-02-01,0,60000,1,\nNEW,F3,P9,2025-03-01,nd,60000,1,\n'
    'NEW,F4,P1,2025-04-01,,,,"0,25 %"\nNEW,F5,P1,2999-04-01,nd,60000,1,\nNEW,F6,P1,2025-04-01,nd,60000,1'
)  # fmt: skip


def recent(days: int = 5) -> str:
    return (clock.now().date() - dt.timedelta(days=days)).isoformat()


@pytest.fixture
def furnished(patient: Patient, centre: Centre, ada: User) -> Patient:
    """Something to show on every page: results of all shapes, alerts, a cohort with a small group of another centre."""
    now = clock.now()
    elsewhere = Centre.objects.create(code="H2")
    stopped = {"drug": "imatinib", "started_on": "2010-01-01", "stop_reason": "tfr_attempt"}
    TkiCourse.objects.create(patient=patient, stopped_on=now.date() - dt.timedelta(days=90), **stopped)
    for accession, days, tubes in (("T1", 60, "nd/60000"), ("T2", 40, "nd/4000"), ("T3", 20, "6/60000")):
        record_result(report(accession, recent(days), tubes), patient=patient, by=ada, reach=EVERYWHERE, now=now)
    record_result(
        report("T4", recent(), "100/50000", status="preliminary"), patient=patient, by=ada, reach=EVERYWHERE, now=now
    )
    for n in range(7):
        other = Patient.objects.create(centre=centre if n else elsewhere, patient_id=f"C{n}", sex="F" if n < 2 else "M")
        TkiCourse.objects.create(patient=other, stopped_on="2020-01-01", **stopped)
        for accession, on, tubes in ((f"a{n}", "2019-12-01", "nd/60000"), (f"b{n}", "2021-01-01", "nd/60000")):
            record_result(report(accession, on, tubes), patient=other, by=ada, reach=EVERYWHERE, now=now)
    classify_pending(now=now)
    cohort, _changed = define_cohort({"slug": "all", "title": "All", "factors": [{"name": "sex"}]}, by="test")
    recompute(cohort)
    define_cohort({"slug": "empty", "title": "Empty"}, by="test")
    record_result(
        report("T5", recent(1), "6/60000"), patient=patient, by=ada, reach=EVERYWHERE, now=now
    )  # waits for its class
    return patient


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("role", Role)
def test_no_english_is_left_on_the_pages_of_a_role(role: Role, member: Callable[..., User], furnished: Patient) -> None:
    client = Client(headers={"Accept-Language": "zh-hans"})
    client.force_login(member(f"the_{role}", furnished.centre, role))
    for address, roles in PAGES.items():
        answer = client.get(address.replace("{patient}", str(furnished.public_id)))
        assert answer.status_code == (200 if role in roles else 403), address
        text = answer.content.decode()
        assert CHINESE.search(text)
        assert english_of(text) == set(), address


# What belongs behind Why?, or nowhere: keys of rules, what Python prints, options of commands, parts of a day.
INNER_WORDS = re.compile(
    r"(?<![\w/.-])(?:findings|state|schedule-[\w-]+|kinetics-[\w-]+|milestones-[\w-]+)\.\d+\b|Decimal\(|\(\s*'|--amend"
    r"|\d+\.\d{3,}\s*(?:days|天)"
)


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_nothing_of_the_inside_reaches_a_page(language: str, member: Callable[..., User], furnished: Patient) -> None:
    client = Client(headers={"Accept-Language": language})
    client.force_login(member("gus", furnished.centre, Role.CLINICIAN))
    alerts = [f"/alerts/{alert.public_id}/" for alert in Alert.objects.filter(centre=furnished.centre)]
    assert alerts
    due = ("/due/", "/due/?which=overdue")
    for address in (f"/patients/{furnished.public_id}/", "/", "/patients/", "/alerts/", *due, *alerts):
        answer = client.get(address)
        assert answer.status_code == 200, address
        text = answer.content.decode()
        outside = re.sub(r'<details class="why">.*?</details>|<script.*?</script>|<[^>]+>', " ", text, flags=re.DOTALL)
        assert not INNER_WORDS.search(outside), address


def test_every_parameter_of_the_rule_sets_has_words() -> None:
    for rules in load_rule_sets().values():
        for word in parameters_words((*unconfirmed_parameters(rules), *rules.not_in_our_sources)):
            assert "_" not in word, rules.id


CHILD = {"born_on": "2012-01-01", "diagnosed_on": "2018-01-01"}
ADULT = {"born_on": "1960-01-01", "diagnosed_on": "2018-01-01", "phase": "CP", "transcript": "e14a2",
         "risk_score": "sokal", "risk_group": "high"}  # fmt: skip
ON_TREATMENT: dict[str, tuple[dict[str, str], str, tuple[tuple[int, str], ...]]] = {
    "an adult in deep response": (ADULT, "2018-02-01", ((500, "nd/60000"), (300, "nd/60000"), (30, "nd/60000"))),
    "an adult of whom little is known": ({}, "2018-02-01", ((30, "20/4000"),)),
    "an adult who lost MMR": (ADULT, "2018-02-01", ((400, "6/60000"), (200, "6/60000"), (30, "600/60000"))),
    "an adult in the first year": (ADULT, "days ago: 190", ((186, "30000/60000"), (100, "9000/60000"), (5,
    "3000/60000"))),
    "an adult in an "
    "advanced phase": ({**ADULT, "phase": "AP", "transcript": "other"}, "2018-02-01", ((30, "nd/60000"),)),
    "a child": (CHILD, "2018-02-01", ((500, "nd/60000"), (30, "nd/60000"))),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("milestones", ["milestones-eln-2020.1", "milestones-nccn.1", "milestones-chinese-2020.1"])
@pytest.mark.parametrize("who", ON_TREATMENT)
def test_no_english_is_left_of_plan_milestones_and_criteria_on_treatment(
    who: str, milestones: str, patient: Patient, centre: Centre, ada: User, member: Callable[..., User]
) -> None:
    facts, started, results = ON_TREATMENT[who]
    criteria = (
        "eligibility-esmo-2017.1"
        if milestones == "milestones-nccn.1"
        else milestones.replace("milestones", "eligibility")
    )
    centre.protocol = Protocol.objects.create(code="p", title="方案", milestones=milestones, eligibility_adult=criteria)
    centre.save()
    Patient.objects.filter(pk=patient.pk).update(**facts)
    started_on = recent(int(started.removeprefix("days ago: "))) if ":" in started else started
    TkiCourse.objects.create(patient=patient, drug="imatinib", started_on=started_on)
    for n, (days, tubes) in enumerate(results):
        record_result(report(f"T{n}", recent(days), tubes), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    client = Client(headers={"Accept-Language": "zh-hans"})
    client.force_login(member("grace", centre))
    text = client.get(f"/patients/{patient.public_id}/").content.decode()
    milestones_shown = ("治疗里程碑",) if facts.get("transcript") != "other" else ()  # off the scale there are none
    for shown in ("下次采样", *milestones_shown, "停药前评估标准"):
        assert shown in text
    assert english_of(text) == set()
    assert words_of(text) == set()


OFF_TREATMENT: dict[str, tuple[str, tuple[tuple[int, str], ...], str]] = {
    "doubling fast": ("tfr_attempt",
                     ((88, "nd/60000"), (50, "1/60000"), (30, "30/60000"), (5, "50/60000")), "倍增时间"),
    "rising slowly": ("tfr_attempt", ((70, "3/60000"), (30, "6/60000"), (5, "7/60000")), "缓慢上升"),
    "falling": ("intolerance", ((60, "30/60000"), (30, "20/60000"), (5, "2/60000")), "减半时间"),
    "MMR lost": ("tfr_attempt", ((60, "nd/60000"), (30, "20/60000"), (5, "600/60000")), "丧失 MMR"),
    "a sample that does not count": ("tfr_attempt", ((60, "nd/60000"), (30, "nd/60000"), (5, "nd/4000")), "不计入"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("course", OFF_TREATMENT)
def test_no_english_is_left_of_plan_and_kinetics_off_treatment(
    course: str, patient: Patient, centre: Centre, ada: User, member: Callable[..., User]
) -> None:
    reason, results, shown = OFF_TREATMENT[course]
    TkiCourse.objects.create(
        patient=patient, drug="imatinib", started_on="2010-01-01", stopped_on=recent(90), stop_reason=reason
    )
    for n, (days, tubes) in enumerate(results):
        record_result(report(f"T{n}", recent(days), tubes), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    client = Client(headers={"Accept-Language": "zh-hans"})
    client.force_login(member("grace", centre))
    text = client.get(f"/patients/{patient.public_id}/").content.decode()
    for words in ("下次采样", "最近两次数值之间的变化", "停药后第 2 个月", shown):
        assert words in text
    assert english_of(text) == set()
    assert words_of(text) == set()


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "tells"), [("death", "死亡"), ("consent_withdrawn", "撤回同意")])
def test_no_english_is_left_of_a_plan_that_has_ended(
    kind: str, tells: str, furnished: Patient, member: Callable[..., User]
) -> None:
    Observation.objects.create(patient=furnished, kind=kind, observed_on=recent(0))
    client = Client(headers={"Accept-Language": "zh-hans"})
    client.force_login(member("grace", furnished.centre))
    text = client.get(f"/patients/{furnished.public_id}/").content.decode()
    assert f"“{tells}”" in text
    assert english_of(text) == set()
    assert words_of(text) == set()


@pytest.mark.slow
@pytest.mark.django_db
def test_no_english_is_left_of_who_is_due(furnished: Patient, member: Callable[..., User]) -> None:
    client = Client(headers={"Accept-Language": "zh-hans"})
    client.force_login(member("grace", furnished.centre))
    today = clock.now().date()
    plan = MonitoringPlan.objects.filter(patient=furnished)
    for path, latest_on in (("/due/", today), ("/due/?which=overdue", today - dt.timedelta(days=1))):
        text = client.get(path).content.decode()
        assert english_of(text) == set(), "the empty or partly filled list"
        plan.update(
            state="planned",
            slot_known_on=today - dt.timedelta(days=30),
            earliest_on=latest_on - dt.timedelta(days=14),
            due_on=latest_on - dt.timedelta(days=7),
            latest_on=latest_on,
            followed_until=today,
        )
        text = client.get(path).content.decode()
        assert ">P1<" in text
        assert english_of(text) == set(), path


@pytest.mark.slow
@pytest.mark.django_db
def test_english_would_be_found(member: Callable[..., User], furnished: Patient) -> None:
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(member("adam", furnished.centre, Role.ADMINISTRATOR))
    for address, roles in PAGES.items():
        if Role.ADMINISTRATOR in roles and address != "/cohorts/":
            assert english_of(client.get(address.replace("{patient}", str(furnished.public_id))).content.decode())
    assert words_of(client.get(f"/patients/{furnished.public_id}/").content.decode()) >= {"planned", "days"}


@pytest.mark.slow
@pytest.mark.django_db
def test_no_english_is_left_where_a_result_is_entered_and_looked_at(
    member: Callable[..., User], furnished: Patient
) -> None:
    client = Client(headers={"Accept-Language": "zh-hans"})
    client.force_login(member("vera", furnished.centre, Role.VERIFIER))
    entry = {
        "patient_id": "P1", "laboratory": "LAB", "accession_number": "E1", "collected_on": recent(),
        "control_gene": "ABL1",
        "conversion_factor": "1", "bcr_abl1_copies_1": "60", "control_gene_copies_1": "52000",
    }  # fmt: skip
    result = PcrResult.objects.get(accession_number="T4")
    for path, body, status in (
        ("/bench/preview/", entry, 200),
        ("/bench/single/", {**entry, "bcr_abl1_copies_1": "0"}, 400),
        ("/bench/single/", {**entry, "accession_number": "T3"}, 409),
        (f"/results/{result.public_id}/verify/", {"version": 7}, 409),
    ):
        answer = client.post(path, body)
        assert answer.status_code == status, path
        assert english_of(answer.content.decode()) == set(), path
    for path in (f"/results/{result.public_id}/", f"/results/{result.public_id}/amend/"):
        assert english_of(client.get(path).content.decode()) == set(), path


@pytest.mark.slow
@pytest.mark.django_db
def test_no_english_is_left_of_alerts_and_their_ends(member: Callable[..., User], furnished: Patient) -> None:
    grace = member("grace", furnished.centre)
    client = Client(headers={"Accept-Language": "zh-hans"})
    client.force_login(grace)
    alert = Alert.objects.get(kind="loss_of_mmr", patient=furnished)
    AlertDelivery.objects.filter(alert=alert).update(
        settled_at=clock.now(), delivered=False, outcome="not sent: the alert is closed"
    )
    assert english_of(client.get(f"/alerts/{alert.public_id}/").content.decode()) == set()
    with translation.override("zh-hans"):
        for refused in (
            lambda: escalation.withdraw(alert, by=grace, reason="", now=clock.now()),
            lambda: escalation.act(alert, by=grace, action=escalation.ActionTaken.WATCH, note="", now=clock.now()),
            lambda: escalation.act(alert, by=grace, action=escalation.ActionTaken.OTHER, note="", now=clock.now()),
        ):
            with pytest.raises(escalation.AlertConflictError, match=CHINESE):
                refused()
        escalation.withdraw(alert, by=grace, reason="误报", now=clock.now())
        with pytest.raises(escalation.AlertConflictError, match="警报已处于“已撤回”状态"):
            escalation.withdraw(alert, by=grace, reason="误报", now=clock.now())
    text = client.get(f"/alerts/{alert.public_id}/").content.decode()
    assert "已撤回：误报（grace）" in text
    assert english_of(text) == set()


@pytest.mark.slow
@pytest.mark.django_db
def test_no_english_is_left_of_a_file_given_on_the_page(member: Callable[..., User], furnished: Patient) -> None:
    client = Client(headers={"Accept-Language": "zh-hans"})
    client.force_login(member("adam", furnished.centre, Role.ADMINISTRATOR))
    reporting("NEW", furnished.centre)
    for name, content in (("results.csv", RESULTS), ("broken.csv", "a;b\n")):
        client.post("/imports/", {"kind": "results", "file": SimpleUploadedFile(name, content.encode())})
        run = ImportRun.objects.latest("pk")
        address = f"/imports/{run.public_id}/"
        assert english_of(client.get(address).content.decode()) == set(), "while it waits"
        load_upload(run.pk)
        text = client.get(address).content.decode()
        assert english_of(text) == set()
        assert ("表头缺少列" in text) is (name == "broken.csv")
    assert english_of(client.get("/operations/").content.decode()) == set()
    too_large = SimpleUploadedFile("f.xlsx", b"PK not an archive")
    refused = client.post("/imports/", {"kind": "results", "file": too_large})
    assert refused.status_code == 400
    assert english_of(refused.content.decode()) == set()
