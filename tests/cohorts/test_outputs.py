"""Files asked for on a page, names of snapshots, and what moved: who may have them, and what a lost worker costs."""

import dataclasses
import datetime as dt
import io
import json
import sys
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction
from django.test import Client

from cohorts.domain.definition_file import parse_definition
from cohorts.domain.difference import changes_between, counted
from cohorts.models import Cohort, CohortOutput, CohortPublication, OutputKind
from cohorts.services import making, outputs
from cohorts.services.definitions import define_cohort
from cohorts.services.making import make
from cohorts.services.names import NameProblem, name_snapshot
from cohorts.services.outputs import (
    AGAIN_AFTER,
    KEPT_FOR,
    NotAllowed,
    ask,
    content_of,
    forget_old_outputs,
    owed_outputs,
)
from monitoring import clock
from monitoring.domain.vocabulary.dates import PartialDate
from monitoring.models import AccessEvent, Centre, Membership, Observation, Patient, Role
from monitoring.services.classification.classification_queue import request_classification
from monitoring.services.settings.demo_logins import DEMO_FOLDER
from tests.builders import deep, point
from tests.cohorts.cohorts import table_of
from tests.cohorts.test_members import AS_OF, history
from tests.nights import recompute

pytestmark = pytest.mark.django_db
Member = Callable[..., User]


@pytest.fixture
def twin(db: None) -> Cohort:
    for kind in ("patients", "treatments", "observations", "results"):
        call_command(f"import_{kind}", str(DEMO_FOLDER / f"{kind}.csv"), stderr=io.StringIO())
    cohort = define_cohort(json.loads((DEMO_FOLDER / "cohort.json").read_text()), by="test")[0]
    assert recompute(cohort).ok
    return cohort


def everywhere(member: Member, name: str, role: Role = Role.ANALYST) -> User:
    """Somebody with a role in every centre."""
    user: User | None = None
    for centre in Centre.objects.order_by("pk"):
        if user is None:
            user = member(name, centre, role)
        else:
            Membership.objects.create(user=user, centre=centre, role=role, valid_from=dt.date(2000, 1, 1))
    assert user is not None
    return user


def published_of(cohort: Cohort) -> CohortPublication:
    return CohortPublication.objects.get(cohort=cohort)


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_a_file_is_asked_for_made_and_taken(twin: Cohort, member: Member) -> None:
    anna = everywhere(member, "anna")
    client = client_of(anna)
    for kind, beginning in (("report", b"%PDF"), ("pictures", b"PK"), ("bundle", b"PK")):
        answer = client.post("/cohorts/zhao-2025-twin/outputs/", {"kind": kind})
        assert answer.status_code == 302
        page = client.get(answer.headers["Location"])
        assert "is being made" in page.content.decode()
        output = CohortOutput.objects.get(kind=kind)
        assert make(output.pk)
        assert not make(output.pk)  # a task run twice
        assert "The file is ready" in client.get(answer.headers["Location"]).content.decode()
        taken = client.get(f"{answer.headers['Location']}file/")
        assert taken.content.startswith(beginning)
        assert f"-{kind}" in taken.headers["Content-Disposition"]
        assert AccessEvent.objects.filter(user=anna, action=f"export {kind}").count() == 1
    assert bytes(output.content or b"") == b""  # the row was read before it was made
    stored = CohortOutput.objects.get(kind="report").content
    assert stored is not None
    assert b"%PDF" not in bytes(stored)  # sealed


def test_the_same_file_is_not_made_twice_and_ten_are_enough(twin: Cohort, member: Member) -> None:
    anna = everywhere(member, "anna")
    publication = published_of(twin)
    first = ask(publication, "report", by=anna, language="en")
    assert ask(publication, "report", by=anna, language="en") == first
    assert ask(publication, "report", by=anna, language="zh-hans") != first
    for n in range(8):
        ask(publication, "report", by=anna, language=f"x{n}")
    with pytest.raises(NotAllowed, match="still being made"):
        ask(publication, "report", by=anna, language="one more")


def test_a_file_is_only_for_who_asked_and_only_while_the_rights_are_the_same(twin: Cohort, member: Member) -> None:
    anna = everywhere(member, "anna")
    output = ask(published_of(twin), "report", by=anna, language="en")
    assert make(output.pk)
    output.refresh_from_db()
    other = client_of(everywhere(member, "olga"))
    assert other.get(f"/outputs/{output.public_id}/").status_code == 404
    assert other.get(f"/outputs/{output.public_id}/file/").status_code == 404
    assert content_of(output, anna).startswith(b"%PDF")
    Membership.objects.filter(user=anna).exclude(centre=Centre.objects.order_by("pk").first()).update(
        valid_to=dt.date(2001, 1, 1)
    )
    with pytest.raises(NotAllowed, match="has changed"):
        content_of(output, anna)
    again = ask(published_of(twin), "report", by=anna, language="en")
    assert again != output


def test_a_bundle_is_for_analysts_of_all_centres(twin: Cohort, member: Member) -> None:
    centre = Centre.objects.order_by("pk").first()
    assert centre is not None
    for name, role in (("one", Role.ANALYST), ("grace", Role.CLINICIAN)):
        client = client_of(member(name, centre, role))
        answer = client.post("/cohorts/zhao-2025-twin/outputs/", {"kind": "bundle"}, follow=True)
        assert "for analysts of all centres" in answer.content.decode()
        assert "Statistician" not in client.get("/cohorts/zhao-2025-twin/").content.decode()
    assert not CohortOutput.objects.exists()


def test_what_a_clinician_of_one_centre_takes_holds_no_steps_of_the_others(
    twin: Cohort, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    centre = Centre.objects.order_by("pk").first()
    assert centre is not None
    grace = member("grace", centre, Role.CLINICIAN)
    seen: dict[str, Any] = {}
    monkeypatch.setattr(making, "printed_report", lambda shown, _language: seen.update(shown) or b"%PDF")
    output = ask(published_of(twin), "report", by=grace, language="en")
    assert make(output.pk)
    assert seen["table1"] is None
    assert seen["withheld"]
    assert seen["missing"] is None
    hidden = [c for c in seen["by_centre"]["centres"] if c["evaluable"] is None]
    assert hidden
    assert all(c["centre"] != centre.code for c in hidden)


def test_a_lost_hint_and_a_killed_worker_cost_time_only(twin: Cohort, member: Member) -> None:
    anna = everywhere(member, "anna")
    output = ask(published_of(twin), "report", by=anna, language="en")
    now = clock.now()
    assert owed_outputs(now=now) == []
    assert owed_outputs(now=now + dt.timedelta(minutes=2)) == [output.pk]
    for tries in range(outputs.MOST_TRIES):  # begun and killed
        CohortOutput.objects.filter(pk=output.pk).update(tries=tries + 1, tried_at=now)
        assert owed_outputs(now=now + dt.timedelta(minutes=2)) == []
        assert owed_outputs(now=now + AGAIN_AFTER + dt.timedelta(minutes=1)) == [output.pk]
    CohortOutput.objects.filter(pk=output.pk).update(tried_at=now - 2 * AGAIN_AFTER)
    assert not make(output.pk)
    output.refresh_from_db()
    assert "begun three times" in output.error
    assert "begun three times" in client_of(anna).get(f"/outputs/{output.public_id}/").content.decode()


def test_a_failure_is_told_to_who_asked_and_raised_for_the_operator(
    twin: Cohort, member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = everywhere(member, "anna")
    output = ask(published_of(twin), "report", by=anna, language="en")

    def broken(_shown: object, _language: str) -> bytes:
        raise ArithmeticError("no")

    monkeypatch.setattr(making, "printed_report", broken)
    with pytest.raises(ArithmeticError):
        make(output.pk)
    output.refresh_from_db()
    assert "could not be made" in output.error
    assert ask(published_of(twin), "report", by=anna, language="en") != output  # it may be asked for again


def test_files_are_kept_for_a_day(twin: Cohort, member: Member) -> None:
    output = ask(published_of(twin), "report", by=everywhere(member, "anna"), language="en")
    forget_old_outputs(now=output.asked_at + KEPT_FOR - dt.timedelta(minutes=1))
    assert CohortOutput.objects.exists()
    forget_old_outputs(now=output.asked_at + KEPT_FOR + dt.timedelta(minutes=1))
    assert not CohortOutput.objects.exists()


def test_what_cannot_be_asked_for_is_refused(twin: Cohort, member: Member) -> None:
    client = client_of(everywhere(member, "anna"))
    nobody = "0" * 64
    for posted, status in (
        ({"kind": "virus"}, 302),
        ({}, 302),
        ({"kind": "report", "digest": nobody}, 404),
        ({"kind": "report", "digest": "0f"}, 404),
        ({"kind": "difference", "with": nobody}, 404),
    ):
        assert client.post("/cohorts/zhao-2025-twin/outputs/", posted).status_code == status, posted
    assert not CohortOutput.objects.exists()


# --- names -------------------------------------------------------------------------------------------------------


def test_a_name_is_given_once_and_for_good(twin: Cohort, member: Member) -> None:
    anna = everywhere(member, "anna")
    client = client_of(anna)
    digest = published_of(twin).snapshot.digest
    client.post(
        "/cohorts/zhao-2025-twin/snapshots/name/", {"digest": digest, "name": " as in  the manuscript ", "note": "v2"}
    )
    given = twin.names.get()
    assert (given.name, given.note, given.named_by) == ("as in the manuscript", "v2", anna)
    page = client.get("/cohorts/zhao-2025-twin/snapshots/").content.decode()
    assert "as in the manuscript" in page
    again = client.post(
        "/cohorts/zhao-2025-twin/snapshots/name/", {"digest": digest, "name": "as in the manuscript"}, follow=True
    )
    assert "never given twice" in again.content.decode()
    for change in ({"name": "x"}, {"note": "x"}):
        with pytest.raises(DatabaseError), transaction.atomic():
            twin.names.update(**change)
    with pytest.raises(DatabaseError), transaction.atomic():
        twin.names.all().delete()


def test_a_name_that_cannot_be_given_says_why(twin: Cohort, member: Member) -> None:
    anna = everywhere(member, "anna")
    for name, words in (("", "Write a name"), ("x" * 81, "80 letters"), ("a\x00b", "control character")):
        with pytest.raises(NameProblem, match=words):
            name_snapshot(published_of(twin).snapshot, name, by=anna)


def test_names_are_given_by_analysts_of_all_centres(twin: Cohort, member: Member) -> None:
    centre = Centre.objects.order_by("pk").first()
    assert centre is not None
    digest = published_of(twin).snapshot.digest
    posted = {"digest": digest, "name": "mine"}
    assert client_of(member("grace", centre)).post("/cohorts/zhao-2025-twin/snapshots/name/", posted).status_code == 403
    one = client_of(member("one", centre, Role.ANALYST))
    assert "all centres" in one.post("/cohorts/zhao-2025-twin/snapshots/name/", posted, follow=True).content.decode()
    assert not twin.names.exists()


def test_a_named_snapshot_is_shown_and_written_though_another_is_published(
    twin: Cohort, member: Member, tmp_path: Any
) -> None:
    before = published_of(twin).snapshot
    call_command("cohort_report", "zhao-2025-twin", pin="manuscript", stderr=io.StringIO())
    patient = Patient.objects.get(patient_id="P02")
    Observation.objects.create(patient=patient, kind="death", observed_on=dt.date(2024, 12, 30), detail="other")
    request_classification([patient.pk], bulk=False)
    assert recompute(twin).ok
    assert published_of(twin).snapshot != before
    client = client_of(everywhere(member, "anna"))
    page = client.get(f"/cohorts/zhao-2025-twin/?snapshot={before.digest}").content.decode()
    assert "kept snapshot" in page
    assert "manuscript" in page
    assert client.get("/cohorts/zhao-2025-twin/?snapshot=nonsense").status_code == 404
    file = tmp_path / "f.json"
    call_command("cohort_report", "zhao-2025-twin", name="manuscript", output=file, stderr=io.StringIO())
    assert json.loads(file.read_text())["digest"] == before.digest
    for wrong in ({"name": "nobody"}, {"name": "manuscript", "digest": "0f"}, {"compare_with": "zz"}):
        with pytest.raises(CommandError) as problem:
            call_command("cohort_report", "zhao-2025-twin", stderr=io.StringIO(), **wrong)
        assert problem.value.returncode == 2


def test_snapshots_side_by_side_are_for_who_may_see_every_person(twin: Cohort, member: Member) -> None:
    before = published_of(twin).snapshot
    patient = Patient.objects.get(patient_id="P02")
    Observation.objects.create(patient=patient, kind="death", observed_on=dt.date(2024, 12, 30), detail="other")
    request_classification([patient.pk], bulk=False)
    assert recompute(twin).ok
    centre = Centre.objects.order_by("pk").first()
    assert centre is not None
    grace = client_of(member("grace", centre))
    address = f"/cohorts/zhao-2025-twin/?snapshot={before.digest}"
    assert grace.get(address).status_code == 404
    assert before.digest[:12] not in grace.get("/cohorts/zhao-2025-twin/snapshots/").content.decode()
    assert (
        grace.post("/cohorts/zhao-2025-twin/outputs/", {"kind": "report", "digest": before.digest}).status_code == 404
    )
    anna = everywhere(member, "anna")
    page = client_of(anna).get(address).content.decode()
    assert "figures.json" not in page  # which are the published ones
    name_snapshot(before, "manuscript", by=anna)
    assert grace.get(address).status_code == 200
    for wrong in ("0" * 63 + "\x00", "%" * 64, before.digest[:12]):
        assert grace.get("/cohorts/zhao-2025-twin/", {"snapshot": wrong}).status_code == 404


def test_an_empty_option_of_the_command_is_refused(twin: Cohort) -> None:
    for empty in ("digest", "name", "compare_with", "pin"):
        with pytest.raises(CommandError) as problem:
            call_command("cohort_report", "zhao-2025-twin", stdout=io.StringIO(), stderr=io.StringIO(), **{empty: ""})
        assert problem.value.returncode == 2, empty


def test_the_command_writes_every_format(twin: Cohort, tmp_path: Any) -> None:
    file = tmp_path / "f"
    for file_format, language, beginning in (
        ("pdf", "en", b"%PDF"), ("pdf", "zh-hans", b"%PDF"), ("pictures", "zh-hans", b"PK"), ("bundle", "en", b"PK"),
    ):  # fmt: skip
        call_command(
            "cohort_report", "zhao-2025-twin", format=file_format, output=file, language=language, stderr=io.StringIO()
        )
        assert file.read_bytes().startswith(beginning)
    assert "zhao-2025-twin/rebuild.R" in zipfile.ZipFile(io.BytesIO(file.read_bytes())).namelist()


# --- what moved --------------------------------------------------------------------------------------------------

DEFINITION = parse_definition({"slug": "c", "include": {"sex": ["F"]}})
KEPT = history([deep(-10), deep(50), deep(200)])


def named(patient: Any, name: str, **more: Any) -> Any:
    return dataclasses.replace(patient, patient_id=name, **more)


def test_every_kind_of_change_is_named_with_its_reason() -> None:
    lost = history([deep(-10), deep(50), point(90, "1")])
    late = history([deep(-10), deep(50), point(120, "1")])
    excluded = history([deep(-10)])
    longer = history([deep(-10), deep(50), deep(200), deep(400)])
    before = [named(KEPT, name) for name in ("gone", "out", "loses", "amended", "same", "man")]
    before += [named(excluded, "in"), named(lost, "moves")]
    after = [named(KEPT, "new"), named(excluded, "out"), named(KEPT, "in"), named(lost, "loses"), named(late, "moves"),
             named(KEPT, "amended", born=PartialDate(dt.date(1990, 1, 1))), named(longer, "same"),
             named(KEPT, "man", sex="M")]  # fmt: skip
    changes = changes_between(table_of(before, DEFINITION, AS_OF)[0], table_of(after, DEFINITION, AS_OF)[0])
    told = {(c.patient_id, c.kind): c.detail for c in changes}
    assert told.pop(("amended", "amended")).split(", ") == ["age_at_diagnosis", "age_at_stop"]
    assert told == {
        ("new", "entered"): "new", ("in", "entered"): "NO_PCR_AFTER_STOP", ("gone", "left"): "gone",
        ("out", "left"): "NO_PCR_AFTER_STOP", ("man", "left"): "gone",
        ("loses", "event"): "last_evaluable_pcr 2020-08-18 → loss_of_mmr 2020-04-30",
        ("moves", "end"): "loss_of_mmr 2020-04-30 → loss_of_mmr 2020-05-30",
    }  # fmt: skip
    counts = counted(changes)
    assert (counts["entered"], counts["left"], counts["event"], counts["end"]) == (2, 3, 1, 1)
    assert counts["left_by"] == {"NO_PCR_AFTER_STOP": 1, "gone": 2}
    assert changes_between(table_of(after, DEFINITION, AS_OF)[0], table_of(after, DEFINITION, AS_OF)[0]) == []


def test_large_tables_are_compared_in_a_time_that_grows_with_them() -> None:
    def calls(number: int) -> int:
        table, _passed = table_of([named(KEPT, f"P{n}") for n in range(number)], DEFINITION, AS_OF)
        counted_lines = 0

        def trace(*_event: object) -> object:
            nonlocal counted_lines
            counted_lines += 1
            return trace

        sys.settrace(trace)  # type: ignore[arg-type]  # a tracer returns itself
        try:
            assert changes_between(table, table) == []
        finally:
            sys.settrace(None)
        return counted_lines

    assert calls(400) < 3 * calls(100)


def test_the_published_figures_say_why_they_moved_and_the_file_names_whom(twin: Cohort, member: Member) -> None:
    before = published_of(twin).snapshot
    patient = Patient.objects.get(patient_id="P02")
    Observation.objects.create(patient=patient, kind="death", observed_on=dt.date(2024, 12, 30), detail="other")
    request_classification([patient.pk], bulk=False)
    assert recompute(twin).ok
    after = published_of(twin).snapshot
    moved = after.figures["moved"]
    assert (moved["since"], moved["entered"], moved["left"]) == (before.digest, 0, 0)
    assert moved["end"] + moved["event"] == 1
    anna = everywhere(member, "anna")
    client = client_of(anna)
    assert "Why the figures moved" in client.get("/cohorts/zhao-2025-twin/").content.decode()
    answer = client.post("/cohorts/zhao-2025-twin/outputs/", {"kind": "difference", "with": before.digest})
    output = CohortOutput.objects.get(kind=OutputKind.DIFFERENCE)
    assert make(output.pk)
    text = client.get(f"{answer.headers['Location']}file/").content.decode()
    assert "P02" in text
    assert "death 2024-12-30" in text
    elsewhere = Centre.objects.exclude(pk=patient.centre_id).first()
    assert elsewhere is not None
    stranger = member("one", elsewhere, Role.ANALYST)
    other = ask(published_of(twin), "difference", by=stranger, language="en", compared_with=before)
    assert make(other.pk)
    other.refresh_from_db()
    assert b"P02" not in content_of(other, stranger)
    assert "Why the figures moved" not in client_of(stranger).get("/cohorts/zhao-2025-twin/").content.decode()
    with pytest.raises(NotAllowed):
        ask(published_of(twin), "difference", by=member("grace", elsewhere), language="en", compared_with=before)
    out = io.StringIO()
    call_command("cohort_report", "zhao-2025-twin", compare_with=before.digest[:12], stdout=out, stderr=io.StringIO())
    assert "P02" in out.getvalue()


def test_the_list_of_snapshots_asks_the_database_as_often_however_long_it_is(
    twin: Cohort, member: Member, django_assert_max_num_queries: Any
) -> None:
    client = client_of(everywhere(member, "anna"))
    client.get("/cohorts/zhao-2025-twin/snapshots/")
    with django_assert_max_num_queries(16):
        client.get("/cohorts/zhao-2025-twin/snapshots/")


def test_the_study_stands_beside_todays_figures(twin: Cohort, member: Member) -> None:
    from cohorts.domain import study

    codes = sorted(Centre.objects.values_list("code", flat=True))
    cohort, _what = define_cohort(study.definition("asked", "What the study asked", codes), by="test")
    assert recompute(cohort).ok
    client = client_of(everywhere(member, "anna"))
    assert client.get("/cohorts/none/study/").status_code == 404
    page = " ".join(client.get("/cohorts/asked/study/").content.decode().split())
    for words in (
        "5.419 (1.524–19.272), P 0.009", "5.419 (1.524–19.272), P 0.009", "Firth, profile limits: 4.84",
        "21/36 = 58.3 %", "56.0 %", "15 events for 2 coefficients", "log-rank P 0.003", "by 10000 permutations",
        "hazard ratio per year 0.67", "38.0 (15.0, 68.0)", "No rule of stopping follows",
    ):  # fmt: skip
        assert words.replace("&lt;", "<") in page, words
    assert page.count("5.419 (1.524–19.272)") == 2  # printed, and today's Cox
    assert "Beside the study" in client.get("/cohorts/asked/").content.decode()
    one = Centre.objects.order_by("pk").first()
    assert one is not None
    shown = client_of(member("grace", one)).get("/cohorts/asked/study/").content.decode()
    assert "withheld" in shown
    assert "38.0 (15.0, 68.0)" not in shown
