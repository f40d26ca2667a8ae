"""Two people, or one person twice, write the same thing at the same moment: one effect, and clear words to the others.

Real threads, each with a connection of its own, through HTTP to a real server.
"""

import datetime as dt
import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from monitoring.models import Alert, Observation, Patient, PcrResult, Replicate, Role, TkiCourse
from tests.api.world import World, build_world

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

PEOPLE = 8


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]


@dataclass(frozen=True)
class Program:
    """A program with a token that speaks to a server."""

    address: str
    world: World
    role: Role

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request on a connection of its own."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(
            f"{self.address}/api/v1/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **self.world.headers(self.role), **named},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return Answer(response.status, json.load(response), dict(response.headers))
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Answer(refusal.code, json.load(refusal), dict(refusal.headers))


@pytest.fixture
def world(transactional_db: None) -> World:
    return build_world()


@pytest.fixture
def technician(live_server: Any, world: World) -> Program:
    return Program(live_server.url, world, Role.TECHNICIAN)


@pytest.fixture
def clinician(live_server: Any, world: World) -> Program:
    return Program(live_server.url, world, Role.CLINICIAN)


def at_once(deed: Callable[[int], Answer], people: int = PEOPLE) -> list[Answer]:
    """The same deed by several people, all let go at the same instant."""
    gate = threading.Barrier(people)

    def one(number: int) -> Answer:
        gate.wait(30)
        return deed(number)

    with ThreadPoolExecutor(people) as pool:
        return list(pool.map(one, range(people)))


def statuses(answers: list[Answer]) -> dict[int, int]:
    return dict(Counter(answer.status for answer in answers))


def words_of_the_refused(answers: list[Answer]) -> set[str]:
    refused = [answer for answer in answers if answer.status >= 400]
    assert all(answer.headers["Content-Type"] == "application/problem+json" for answer in refused)
    return {answer.body["detail"] for answer in refused}


def new_result(**more: Any) -> dict[str, Any]:
    return {
        "laboratory": "LAB", "accession_number": "N1", "patient_id": "P1", "collected_on": "2024-05-06",
        "conversion_factor": 1, "replicates": [{"bcr_abl1_copies": None, "control_gene_copies": 40000}], **more,
    }  # fmt: skip


# --- one object, several people ----------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["amend", "retract"])
def test_of_people_who_change_one_result_at_once_one_does_and_the_others_are_told(
    technician: Program, world: World, verb: str
) -> None:
    path = f"results/{world.ids['results']}/"
    before = PcrResult.objects.count()
    tag = technician.send("GET", path).headers["ETag"]

    def changed(number: int) -> Answer:
        body = {"reason": f"correction of person {number}"}
        values = {"kit_lot": f"lot {number}"} if verb == "amend" else {}
        return technician.send("POST", f"{path}{verb}/", body | values, If_Match=tag)

    answers = at_once(changed)
    assert statuses(answers) == {200: 1, 412: PEOPLE - 1}
    assert all("changed" in words for words in words_of_the_refused(answers))
    assert PcrResult.objects.count() == before + 1
    (done,) = [answer for answer in answers if answer.status == 200]
    shown = technician.send("GET", path).body
    assert (shown["version"], shown["reason"]) == (2, done.body["reason"])


def test_amendments_without_a_precondition_in_common_still_make_a_chain(technician: Program, world: World) -> None:
    path = f"results/{world.ids['results']}/"
    answers = at_once(
        lambda n: technician.send("POST", f"{path}amend/", {"kit_lot": f"lot {n}", "reason": "x"}, If_Match="*")
    )
    assert set(statuses(answers)) <= {200, 412}
    versions = list(PcrResult.objects.filter(public_id=world.ids["results"]).values_list("version", flat=True))
    assert sorted(versions) == list(range(1, statuses(answers)[200] + 2))


def test_a_double_click_acknowledges_once(clinician: Program, world: World) -> None:
    path = f"alerts/{world.ids['alerts']}/"
    tag = clinician.send("GET", path).headers["ETag"]
    answers = at_once(lambda n: clinician.send("POST", f"{path}acknowledge/", {"note": f"call {n}"}, If_Match=tag))
    assert statuses(answers)[200] == 1
    assert set(statuses(answers)) <= {200, 409, 412}
    assert all("changed" in words or "already" in words for words in words_of_the_refused(answers))
    (done,) = [answer for answer in answers if answer.status == 200]
    alert = Alert.objects.get(public_id=world.ids["alerts"])
    assert (alert.state, alert.note) == ("acknowledged", done.body["note"])


def test_of_two_changes_of_one_course_at_once_none_is_overwritten(clinician: Program, world: World) -> None:
    path = f"treatments/{world.ids['treatments']}/"
    tag = clinician.send("GET", path).headers["ETag"]
    values = [{"dose_mg_per_day": 300}, {"stop_reason": "pregnancy", "reason": "told today"}]
    answers = at_once(lambda n: clinician.send("PATCH", path, values[n], If_Match=tag), people=2)
    assert statuses(answers) == {200: 1, 412: 1}
    (done,) = [answer for answer in answers if answer.status == 200]
    assert clinician.send("GET", path).body == done.body
    course = TkiCourse.objects.get()
    assert (course.dose_mg_per_day is not None) != (course.stop_reason == "pregnancy")


# --- one request, several times ----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "a-key"])
def test_a_result_sent_again_after_a_time_out_is_stored_once(technician: Program, key: str | None) -> None:
    more = {"Idempotency_Key": key} if key else {}
    before, tubes = PcrResult.objects.count(), Replicate.objects.count()
    answers = at_once(lambda n: technician.send("POST", "results/", new_result(), **more))
    expected = {201: PEOPLE} if key else {201: 1, 200: PEOPLE - 1}
    assert statuses(answers) == expected
    assert len({answer.body["id"] for answer in answers}) == 1
    assert (PcrResult.objects.count(), Replicate.objects.count()) == (before + 1, tubes + 1)
    assert sum(answer.headers.get("Idempotency-Replayed") == "true" for answer in answers) == (PEOPLE - 1) * bool(key)


@pytest.mark.parametrize("key", [None, "a-key"])
@pytest.mark.parametrize(
    ("path", "body", "model"),
    [
        ("patients/", {"patient_id": "N1", "centre": "H1", "sex": "F", "family_name": "Bell"}, Patient),
        ("treatments/", {"patient_id": "P1", "drug": "dasatinib", "started_on": "2009-05"}, TkiCourse),
        ("observations/", {"patient_id": "P1", "kind": "withdrawal_syndrome", "observed_on": "2025"}, Observation),
    ],
)
def test_a_row_sent_again_after_a_time_out_is_stored_once(
    technician: Program, path: str, body: dict[str, Any], model: Any, key: str | None
) -> None:
    more = {"Idempotency_Key": key} if key else {}
    before = model.objects.count()
    answers = at_once(lambda n: technician.send("POST", path, body, **more))
    assert statuses(answers) == ({201: PEOPLE} if key else {201: 1, 200: PEOPLE - 1})
    assert len({answer.body["id"] for answer in answers}) == 1
    assert model.objects.count() == before + 1


def test_of_two_bodies_under_one_key_one_has_an_effect(technician: Program) -> None:
    before = PcrResult.objects.count()
    answers = at_once(
        lambda n: technician.send("POST", "results/", new_result(accession_number=f"N{n}"), Idempotency_Key="k"),
        people=2,
    )
    assert statuses(answers) == {201: 1, 422: 1}
    assert words_of_the_refused(answers) == {"This Idempotency-Key was used for another request."}
    assert PcrResult.objects.count() == before + 1


def test_of_different_contents_for_one_accession_one_is_stored(technician: Program) -> None:
    days = [dt.date(2024, 5, 1 + n).isoformat() for n in range(PEOPLE)]
    answers = at_once(lambda n: technician.send("POST", "results/", new_result(collected_on=days[n])))
    assert statuses(answers) == {201: 1, 409: PEOPLE - 1}
    assert PcrResult.objects.filter(accession_number="N1").count() == 1
