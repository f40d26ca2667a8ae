"""Every address by every role, in the own centre and in another: who may read, who may write, what nobody sees."""

import dataclasses
import datetime as dt
import hashlib
import re
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from cohorts.models import CohortOutput, CohortPublication, DefinitionCount
from cohorts.services.definitions import define_cohort
from cohorts.services.outputs import PURPOSE, seen_digest
from monitoring import clock
from monitoring.intake.uploads import load_upload, take_upload
from monitoring.models import (
    Absence,
    AccessEvent,
    Alert,
    AlertDelivery,
    AlertEndpoint,
    Assay,
    BackTest,
    BenchRun,
    Centre,
    ConversionFactor,
    Laboratory,
    Membership,
    Observation,
    Patient,
    PcrResult,
    Protocol,
    RecordChange,
    Role,
    RunControl,
    TfrEpisode,
    TkiCourse,
)
from monitoring.services.classification.classify import classify_pending
from monitoring.services.entry.identities import IdentityFacts
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.records import PatientFacts, record_patients
from monitoring.services.entry.results import record_result
from monitoring.services.foundation.sealing import seal
from tests.builders import report
from tests.conftest import reporting
from tests.nights import recompute

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

T, V, C, A, D = Role.TECHNICIAN, Role.VERIFIER, Role.CLINICIAN, Role.ANALYST, Role.ADMINISTRATOR
ANYBODY = (T, V, C, A, D)
LABORATORY, LOADING, WARD, RECORDING, ROWS = (T, V), (T, V, D), (C, D), (T, V, C, D), (A, D)
ONLY_POST, NOBODY = "only POST", ()
FILE = b"patient_id,centre\nN1,of-nobody\n"  # one row, which is refused
NO_ROLE, ANONYMOUS = "no role", "anonymous"

# --- the table ----------------------------------------------------------------------------------------------------

# Addresses that need nobody: what a stranger gets, and what somebody who has signed in gets.
OPEN = {
    "sign-in": (200, 302), "sign-out": (302, 405), "language": (302, 302), "icon": (302, 302), "livez": (200, 200),
    "readyz": (200, 200), "api-nothing": (404, 404), "set-password": (200, 200), "change-password": (302, 200),
}  # fmt: skip

# Who reads. What is of a centre answers 404 to the same role in another centre; what is of a person, to everybody else.
READERS: dict[str, tuple[Role, ...] | str] = {
    "home": ANYBODY, "bench": LABORATORY, "single-entry": LABORATORY, "run": LABORATORY,
    "run-header": ONLY_POST, "run-rows": ONLY_POST, "run-control": ONLY_POST, "submit-run": LABORATORY,
    "reject-run": ONLY_POST, "bench-preview": ONLY_POST, "waiting": LOADING, "result": ANYBODY,
    "verify-result": ONLY_POST, "verify-clear": ONLY_POST,
    "review-result": ONLY_POST, "amend-result": LABORATORY, "retract-result": LABORATORY, "patients": ANYBODY,
    "patient": ANYBODY, "cohorts": ANYBODY, "cohort": ANYBODY, "cohort-figures": ANYBODY, "cohort-members": ROWS,
    "alerts": ANYBODY, "alert": ANYBODY, "acknowledge-alert": ONLY_POST, "act-on-alert": ONLY_POST,
    "send-alert-again": ONLY_POST, "imports": LOADING,
    "due": ANYBODY, "design": ANYBODY, "find": ONLY_POST,
    "new-patient": RECORDING, "new-course": RECORDING, "new-observation": RECORDING,
    "patient-record": RECORDING, "transfer-patient": WARD, "merge-patient": WARD, "record-changes": WARD,
    "record-change": WARD, "decide-record-change": ONLY_POST,
    "protocols": (D,), "protocol": (D,), "api-patient-monitoring": ANYBODY,
    "laboratories": ANYBODY, "laboratory": ANYBODY, "laboratory-quality": ANYBODY, "new-factor": (D,), "factor": (D,),
    "laboratory-settings": (D,), "laboratory-centres": (D,), "new-assay": (D,), "assay": (D,), "protocol-centres": (D,),
    "ladders": (D,), "centre-ladders": (D,), "ladder": (D,), "alert-kind": (D,), "absences": ANYBODY,
    "backtests": (D,), "backtest": (D,),
    "alerts-count": ANYBODY, "alerts-list": ANYBODY, "alert-endpoints": (D,), "end-alert-endpoint": ONLY_POST,
    "end-absence": ONLY_POST,
    "people": (D,), "person": (D,), "person-link": ONLY_POST, "close-person": ONLY_POST, "confirm-role": ONLY_POST,
    "end-role": ONLY_POST,
    "import": LOADING, "refused-rows": LOADING, "import-progress": LOADING, "load-import": ONLY_POST,
    "operations": (D,),
    "metrics": (D,),
    "api-patients": ANYBODY, "api-patient": ANYBODY, "api-treatments": ANYBODY, "api-treatment": ANYBODY,
    "api-observations": ANYBODY, "api-observation": ANYBODY, "api-results": ANYBODY, "api-result": ANYBODY,
    "api-result-verify": ONLY_POST, "api-result-amend": ONLY_POST, "api-result-retract": ONLY_POST,
    "api-episodes": ANYBODY, "api-episode": ANYBODY, "api-alerts": ANYBODY, "api-alert": ANYBODY,
    "api-alert-acknowledge": ONLY_POST, "api-alert-act": ONLY_POST, "api-alert-withdraw": ONLY_POST,
    "api-cohorts": ANYBODY, "api-cohort": ANYBODY, "api-cohort-snapshot": ANYBODY, "api-cohort-members": ROWS,
    "api-schema": ANYBODY, "api-docs": ANYBODY, "define-cohort": ROWS, "edit-cohort": ROWS, "count-members": ONLY_POST,
    "count-members-of": ONLY_POST, "counted": ROWS, "cohort-snapshots": ANYBODY, "name-snapshot": ONLY_POST,
    "ask-output": ONLY_POST, "cohort-output": ANYBODY, "cohort-output-file": ANYBODY, "cohort-study": ANYBODY,
}  # fmt: skip

# Who writes, by method. An address that is not here takes nothing from anybody.
WRITERS: dict[tuple[str, str], tuple[Role, ...]] = {
    ("POST", "bench"): LABORATORY, ("POST", "single-entry"): LABORATORY, ("POST", "run-header"): LABORATORY,
    ("POST", "run-rows"): LABORATORY, ("POST", "run-control"): LABORATORY, ("POST", "submit-run"): LABORATORY,
    ("POST", "reject-run"): LABORATORY, ("POST", "bench-preview"): LABORATORY, ("POST", "verify-result"): (V,),
    ("POST", "verify-clear"): (V,), ("POST", "review-result"): (V,),
    ("POST", "amend-result"): LABORATORY, ("POST", "retract-result"): LABORATORY, ("POST", "imports"): LOADING,
    ("POST", "load-import"): LOADING, ("POST", "protocol"): (D,), ("POST", "patients"): ANYBODY,
    ("POST", "laboratory-settings"): (D,), ("POST", "laboratory-centres"): (D,), ("POST", "new-assay"): (D,),
    ("POST", "assay"): (D,), ("POST", "protocol-centres"): (D,), ("POST", "people"): (D,), ("POST", "person"): (D,),
    ("POST", "centre-ladders"): (D,), ("POST", "ladder"): (D,), ("POST", "alert-kind"): (D,),
    ("POST", "alert-endpoints"): (D,), ("POST", "end-alert-endpoint"): (D,),
    ("POST", "absences"): ANYBODY, ("POST", "end-absence"): (D,),
    ("POST", "person-link"): (D,), ("POST", "close-person"): (D,), ("POST", "confirm-role"): (D,),
    ("POST", "end-role"): (D,), ("POST", "new-factor"): (D,), ("POST", "factor"): (D,), ("POST",
    "acknowledge-alert"): WARD, ("POST", "act-on-alert"): WARD, ("POST", "send-alert-again"): WARD,
    ("POST", "api-patients"): RECORDING, ("PATCH", "api-patient"): RECORDING, ("POST", "api-treatments"): RECORDING,
    ("PATCH", "api-treatment"): RECORDING, ("POST", "api-observations"): RECORDING,
    ("PATCH", "api-observation"): RECORDING, ("POST", "api-results"): LABORATORY,
    ("POST", "api-result-verify"): (V,), ("POST", "api-result-amend"): LABORATORY,
    ("POST", "api-result-retract"): LABORATORY, ("POST", "api-alert-acknowledge"): WARD, ("POST",
    "api-alert-act"): WARD,
    ("POST", "api-alert-withdraw"): WARD, ("POST", "define-cohort"): ROWS, ("POST", "edit-cohort"): ROWS,
    ("POST", "count-members"): ROWS, ("POST", "count-members-of"): ROWS, ("POST", "name-snapshot"): ROWS,
    ("POST", "ask-output"): ANYBODY, ("POST", "find"): ANYBODY, ("POST", "new-patient"): RECORDING,
    ("POST", "new-course"): RECORDING, ("POST", "new-observation"): RECORDING,
    ("POST", "patient-record"): RECORDING, ("POST", "transfer-patient"): WARD, ("POST", "merge-patient"): WARD,
    ("POST", "decide-record-change"): WARD,
}  # fmt: skip

# What stands in the place of the id of an address.
OBJECT_OF = {
    "run": BenchRun, "run-header": BenchRun, "run-rows": BenchRun, "run-control": BenchRun, "submit-run": BenchRun,
    "reject-run": BenchRun,
    "new-course": Patient, "new-observation": Patient, "patient-record": Patient,
    "transfer-patient": Patient, "merge-patient": Patient,
    "record-change": RecordChange, "decide-record-change": RecordChange,
    "result": PcrResult, "verify-result": PcrResult, "review-result": PcrResult,
    "amend-result": PcrResult, "retract-result": PcrResult,
    "patient": Patient, "alert": Alert, "acknowledge-alert": Alert, "act-on-alert": Alert,
    "send-alert-again": Alert, "api-patient": Patient,
    "api-treatment": TkiCourse, "api-observation": Observation, "api-result": PcrResult,
    "api-result-verify": PcrResult, "api-result-amend": PcrResult, "api-result-retract": PcrResult,
    "api-patient-monitoring": Patient, "api-episode": TfrEpisode, "api-alert": Alert, "api-alert-acknowledge": Alert,
    "api-alert-act": Alert,
    "api-alert-withdraw": Alert, "person": User, "person-link": User, "close-person": User,
    "confirm-role": Membership, "end-role": Membership, "centre-ladders": Centre, "ladder": Centre,
    "alert-kind": Centre, "end-absence": Absence, "alert-endpoints": Centre, "end-alert-endpoint": Centre,
}  # fmt: skip
OF_A_PERSON = {
    "backtest",
    "import",
    "refused-rows",
    "import-progress",
    "load-import",
    "counted",
    "cohort-output",
    "cohort-output-file",
}
# Cohorts that are changed stand in the first centre alone.
OF_ONE_CENTRE = {"edit-cohort", "count-members-of"}
# One object of each kind stands in each centre; three results do.
COUNTED = {"people": 2, "patients": 1, "alerts": 1, "waiting": 1, "bench": 1, "imports": 1,
           "api-patients": 1, "api-treatments": 1,
           "api-observations": 1, "api-results": 3, "api-episodes": 1, "api-alerts": 1}  # fmt: skip

# The configuration pages: what an administrator gets. Only these kinds of rows are added there.
CONFIGURED = (
    "centre",
    "membership",
    "laboratory",
    "assay",
    "conversionfactor",
    "protocol",
    "cohort",
)
ADDED = ("protocol", "cohort")
OF_THE_FIRST_CENTRE = {"laboratory": {"code": "QUIET"}, "cohort": {"slug": "one"}}
MODEL = re.compile(r"/admin/(monitoring|cohorts)/(\w+)/")
BY_KIND = {"changelist": 200, "add": 200, "change": 200, "history": 200, "delete": 403, "None": 302}
CONFIGURATION = {
    "index": 200, "login": 302, "password_change": 302, "password_change_done": 302, "autocomplete": 403, "jsi18n": 200,
    "logout": 405, "view_on_site": 404, "app_list": 200, "None": 404,
}  # fmt: skip


# --- addresses ----------------------------------------------------------------------------------------------------


def routes(patterns: Iterable[URLPattern | URLResolver] = (), prefix: str = "/") -> Iterator[tuple[str, str]]:
    """Name and address with its placeholders of everything that the service answers."""
    for one in patterns or get_resolver().url_patterns:
        if isinstance(one, URLPattern):
            yield str(one.name), prefix + str(one.pattern)
        else:
            yield from routes(one.url_patterns, prefix + str(one.pattern))


SERVICE = [(name, route) for name, route in routes() if not route.startswith("/admin/")]
ADMIN = [(name, route) for name, route in routes() if route.startswith("/admin/")]


def test_every_address_stands_in_the_table() -> None:
    assert {name for name, _ in SERVICE} == READERS.keys() | OPEN.keys()
    assert {name for _, name in WRITERS} <= READERS.keys()
    for name, route in SERVICE:
        assert bool(
            re.search("<(uuid|str:id|int:person_id|int:membership_id|int:centre_id|int:absence_id)", route)
        ) == (name in OBJECT_OF or name in OF_A_PERSON), name


# --- two centres --------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Place:
    """A centre with one object of each kind, all of them named after it."""

    centre: Centre
    objects: dict[type[Any], Any]

    def marks(self) -> list[str]:
        """What would betray this centre's objects on a page: pseudonym, accessions, file and ids."""
        return [
            f"{self.centre.code}-",
            *(str(found.public_id) for found in self.objects.values() if hasattr(found, "public_id")),
        ]


@dataclasses.dataclass
class World:
    """Two centres of the same kind, and people who work in them."""

    one: Place
    two: Place

    def person(self, *roles: tuple[Role, Centre]) -> User:
        """Somebody with these roles; administrators also configure. A name says nothing of a centre."""
        user = User.objects.create_user(f"user{User.objects.count()}")
        for role, centre in roles:
            Membership.objects.create(user=user, centre=centre, role=role, valid_from="2020-01-01")
        return user


@pytest.fixture
def world(ada: User) -> World:
    places = [place(code, ada) for code in ("ONE", "TWO")]
    factors = [{"name": "dmr_months", "cut": 72}, {"name": "tki_months", "cut": 100}]
    cohort, _ = define_cohort({"slug": "all", "title": "All", "factors": factors}, by="test")
    recompute(cohort)
    define_cohort({"slug": "one", "include": {"centre": ["ONE"]}}, by="test")
    Centre.objects.filter(code="ONE").update(protocol=Protocol.objects.create(code="all", title="All"))
    quiet = reporting("QUIET", places[0].centre)
    Assay.objects.create(laboratory=quiet, name="quiet-assay")
    ConversionFactor.objects.create(laboratory=quiet, factor=1, valid_from="2020-01-01")
    return World(*places)


def place(code: str, by: User) -> Place:
    """A centre with a patient who has lost MMR off treatment, and a result that waits for verification."""
    today, now = clock.now().date(), clock.now()
    centre = Centre.objects.create(code=code)
    clinician = User.objects.create_user(f"{code}-clinician", email=f"{code}-c@example.org")
    member = Membership.objects.create(user=clinician, centre=centre, role=C, valid_from="2020-01-01")
    identity = IdentityFacts(hospital_number=f"{code}-HN", family_name=f"{code}-family")
    record_patients([PatientFacts(code, f"{code}-P", {}, identity)], by=by, reach=EVERYWHERE, now=now)
    patient = Patient.objects.get(centre=centre)
    course = TkiCourse.objects.create(patient=patient, drug="imatinib", started_on="2015-01-01",
                                      stopped_on=today - dt.timedelta(days=90), stop_reason="tfr_attempt")  # fmt: skip
    seen = Observation.objects.create(patient=patient, kind="last_contact", observed_on=today, detail=f"{code}-seen")
    for accession, days, tubes, status in (
        ("DEEP", 100, "nd/60000", "final"), ("LOST", 9, "100/50000", "final"), ("WAIT", 3, "100/50000", "preliminary"),
    ):  # fmt: skip
        on = (today - dt.timedelta(days=days)).isoformat()
        record_result(
            report(f"{code}-{accession}", on, tubes, status=status), patient=patient, by=by, reach=EVERYWHERE, now=now
        )
    classify_pending(now=clock.now())
    found: dict[type[Any], Any] = {Patient: patient, TkiCourse: course, Observation: seen}
    found |= {User: clinician, Membership: member, Centre: centre}
    AlertEndpoint.objects.create(
        centre=centre, kind="webhook", name=f"{code}-program", address="https://example.org/", severity="urgent",
        sealed=b"", added_by=by,
    )  # fmt: skip
    found[Absence] = Absence.objects.create(
        person=clinician, first_on=today, last_on=today + dt.timedelta(days=9), noted_by=by
    )  # fmt: skip
    found[RecordChange] = RecordChange.objects.create(
        kind="transfer", patient=patient, from_centre=centre, to_centre=centre, reason="moved house", asked_by=by
    )
    found[BenchRun] = BenchRun.objects.create(
        laboratory=Laboratory.objects.get(), name=f"{code}-RUN", run_on=today, started_by=by
    )
    found[BenchRun].centres.set([centre])
    RunControl.objects.create(run=found[BenchRun], kind="high")
    found[PcrResult] = PcrResult.objects.get(accession_number=f"{code}-WAIT")
    found[TfrEpisode], found[Alert] = TfrEpisode.objects.get(patient=patient), Alert.objects.get(patient=patient)
    for row in found.values():
        row.refresh_from_db()
    return Place(centre, found)


def own_files(own: User) -> dict[str, str]:
    """A file of a snapshot that a person has asked for, and a count: the ids by the addresses that show them."""
    publication = CohortPublication.objects.select_related("snapshot", "cohort").get(cohort__slug="all")
    public_id = uuid.uuid4()
    output = CohortOutput.objects.create(
        public_id=public_id, snapshot=publication.snapshot, kind="report", language="en", asked_by=own,
        made_at=clock.now(), content=seal(b"%PDF", owner=public_id, purpose=PURPOSE),
        seen_digest=seen_digest(publication, own),
    )  # fmt: skip
    count = DefinitionCount.objects.create(definition={}, asked_by=own)
    count.refresh_from_db()
    ids = dict.fromkeys(("cohort-output", "cohort-output-file"), str(output.public_id))
    asked = BackTest.objects.create(title="x", change={}, asked_by=own)
    asked.refresh_from_db()
    return {**ids, "counted": str(count.public_id), "backtest": str(asked.public_id)}


@dataclasses.dataclass
class Caller:
    """A person at an address, with a file of their own that was tried."""

    user: User | None
    client: Client
    run_id: str
    own_ids: dict[str, str]

    @classmethod
    def of(cls, user: User | None, own: User) -> "Caller":
        """Sign in; ``own`` is who has given the file."""
        run = take_upload("patients", "file.csv", FILE, by=own, dry_run=True)
        assert load_upload(run.pk)
        run.refresh_from_db()
        client = Client()
        if user is not None:
            client.force_login(user)
        return cls(user, client, str(run.public_id), own_files(own))

    def address(self, name: str, route: str, of: Place) -> str:
        """The address with the ids of a place."""
        public_id = self.own_ids.get(name, self.run_id)
        if name in OBJECT_OF:
            found = of.objects[OBJECT_OF[name]]
            public_id = str(getattr(found, "public_id", found.pk))
        filled = re.sub(r"<(uuid:public_id|str:id|int:(person|membership|centre|absence)_id)>", public_id, route)
        filled = (
            filled.replace("kinds/<slug:name>", "kinds/loss_of_mmr")
            .replace("<slug:name>", "clinical")
            .replace("<slug:kind>", "high")
        )
        filled = re.sub(r"<(slug|str):(slug|code)>", "one" if name in OF_ONE_CENTRE else "all", filled)
        if "<int:" in filled:
            factor, assay = ConversionFactor.objects.get(), Assay.objects.get()
            filled = filled.replace("<int:pk>", str(factor.laboratory_id)).replace("<int:factor_id>", str(factor.pk))
            filled = filled.replace("<int:assay_id>", str(assay.pk))
        if "<int:endpoint_id>" in filled:
            endpoint = AlertEndpoint.objects.filter(centre=of.centre).first()
            filled = filled.replace("<int:endpoint_id>", str(endpoint.pk if endpoint else 0))
        if "<int:delivery>" in filled:
            owed = AlertDelivery.objects.filter(alert=of.objects[Alert]).first()
            filled = filled.replace("<int:delivery>", str(owed.pk if owed else 0))
        filled = filled.replace("<uidb64>/<token>", "MQ/no-token")
        return filled.replace("^(?P<path>.*)$", "v1/nothing/")

    def send(self, method: str, address: str) -> int:
        """Send nothing in particular and take back what it did; returns the status."""
        with transaction.atomic():
            body = {"content_type": "application/json", "data": "{}"} if address.startswith("/api/") else {}
            status = self.client.generic(method, address, **body).status_code
            transaction.set_rollback(True)
        return int(status)


def stranger_to(name: str, route: str) -> int:
    """What an anonymous caller gets: a page sends to sign in, the API says who is missing."""
    if name in OPEN:
        return OPEN[name][0]
    return 401 if route.startswith("/api/v1/") or name in ("metrics", "api-schema") else 302


def reading(name: str, role: Role | str, own: bool) -> int:
    """What the table says of reading."""
    readers = READERS[name]
    if isinstance(readers, str):
        return 403 if role == NO_ROLE and name.startswith("api-") else 405
    if role not in readers:
        return 403
    return 200 if own or not (name in OBJECT_OF or name in OF_A_PERSON) else 404


# --- reading ------------------------------------------------------------------------------------------------------

COLUMNS: list[Role | str] = [*ANYBODY, NO_ROLE, ANONYMOUS]


def caller_of(world: World, role: Role | str, *, file_of_another: bool = False) -> Caller:
    """Somebody of the first centre, or without a role, or nobody."""
    other = world.person((V, world.two.centre))
    if role == ANONYMOUS:
        return Caller.of(None, other)
    user = world.person(*([(role, world.one.centre)] if isinstance(role, Role) else []))
    return Caller.of(user, other if file_of_another else user)


@pytest.mark.parametrize("role", COLUMNS)
def test_who_reads_what(world: World, role: Role | str) -> None:
    caller, wrong = caller_of(world, role), []
    before = everything()
    for name, route in SERVICE:
        answer = caller.client.get(caller.address(name, route, world.one))
        if role == ANONYMOUS:
            expected = stranger_to(name, route)
        else:
            expected = OPEN[name][1] if name in OPEN else reading(name, role, own=True)
        if answer.status_code != expected:
            wrong.append(f"{name}: {answer.status_code}, not {expected}")
        wrong += betrayed(name, answer, world.two)
        wrong += miscounted(name, answer)
    assert not wrong
    assert everything() == before, "reading changes nothing but the record of access"


@pytest.mark.parametrize("role", ANYBODY)
def test_what_is_of_another_centre_or_person_is_not_there(world: World, role: Role) -> None:
    caller, wrong = caller_of(world, role, file_of_another=True), []
    for name, route in SERVICE:
        if name in OBJECT_OF or name in OF_A_PERSON:
            answer, expected = caller.client.get(caller.address(name, route, world.two)), reading(name, role, own=False)
            if answer.status_code != expected:
                wrong.append(f"{name}: {answer.status_code}, not {expected}")
            wrong += betrayed(name, answer, world.two)
    assert not wrong


def text_of(answer: Any) -> str:
    """What was answered, as text."""
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return str(content.decode())


def betrayed(name: str, answer: Any, foreign: Place) -> list[str]:
    """What an answer tells of another centre's objects, but for what the caller has asked for by its id."""
    text, asked = text_of(answer), answer.request["PATH_INFO"]
    return [f"{name} tells {mark}" for mark in foreign.marks() if mark in text and mark not in asked]


def miscounted(name: str, answer: Any) -> list[str]:
    """Where a list counts more than its own centre has."""
    if answer.status_code != 200 or name not in COUNTED:
        return []
    if name.startswith("api-"):
        found = int(answer.json()["count"])
    else:
        found = int(re.findall(r'class="count">(\d+)<', text_of(answer))[0])
    return [f"{name} counts {found}, not {COUNTED[name]}"] if found != COUNTED[name] else []


def everything() -> dict[str, str]:
    """A digest of every table but those that say who is here and who looked."""
    tables = connection.introspection.table_names()
    kept = [m for m in apps.get_models() if m._meta.db_table in tables and m not in (Session, AccessEvent)]
    return {
        m._meta.label: hashlib.sha256(repr(list(m._base_manager.order_by("pk").values_list())).encode()).hexdigest()
        for m in kept
    }


@pytest.mark.parametrize("role", ANYBODY)
def test_the_first_page_counts_the_own_centre_only(world: World, role: Role) -> None:
    text = text_of(caller_of(world, role).client.get("/"))
    assert '<dd id="recorded">3</dd>' in text
    tiles = dict(re.findall(r'href="(/[a-z]*/)[^"]*"><strong>(\d+)</strong>', text))
    assert set(tiles.values()) == {"1"}, tiles
    assert 'id="alerts">Open alerts <span class="count">1<' in text


# --- writing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", COLUMNS)
def test_who_writes_what(world: World, role: Role | str) -> None:
    caller, wrong = caller_of(world, role), []
    for name, route in SERVICE:
        for method in ("POST", "PATCH", "PUT", "DELETE"):
            if name in OPEN:
                continue
            status = caller.send(method, caller.address(name, route, world.one))
            if not may_be(status, method, name, route, role):
                wrong.append(f"{method} {name}: {status}")
    assert not wrong


def may_be(status: int, method: str, name: str, route: str, role: Role | str) -> bool:
    """Whether the table allows this answer to an empty request."""
    if role == ANONYMOUS:
        return status == stranger_to(name, route)
    writers = WRITERS.get((method, name))
    if writers is None:
        return status in (403, 405)
    if role not in writers:
        return status == 403
    return status < 500 and status not in (401, 403, 404, 405)


@pytest.mark.parametrize("role", ANYBODY)
def test_what_is_of_another_centre_cannot_be_written(world: World, role: Role) -> None:
    caller, wrong = caller_of(world, role, file_of_another=True), []
    before = everything()
    for (method, name), writers in WRITERS.items():
        if name in OBJECT_OF or name in OF_A_PERSON:
            status = caller.send(method, caller.address(name, dict(SERVICE)[name], world.two))
            if status != (404 if role in writers else 403):
                wrong.append(f"{method} {name}: {status}")
    assert not wrong
    assert everything() == before


def test_a_role_in_one_centre_writes_nothing_in_another_where_one_only_reads(world: World) -> None:
    for (method, name), writers in WRITERS.items():
        if name in OBJECT_OF:
            user = world.person((writers[0], world.one.centre), (A, world.two.centre))
            caller = Caller.of(user, user)
            # People and settings are seen by administrators alone.
            expected = 404 if OBJECT_OF[name] in (User, Membership, Centre, Absence) else 403
            assert caller.send(method, caller.address(name, dict(SERVICE)[name], world.two)) == expected, name


# --- configuration ------------------------------------------------------------------------------------------------


def configured(name: str, route: str) -> int:
    """What the table says of a configuration page to an administrator."""
    model = MODEL.match(route)
    if model is None:
        return CONFIGURATION[name]
    kind = name.rpartition("_")[2]
    assert model[2] in CONFIGURED, route
    return 403 if kind == "add" and model[2] not in ADDED else BY_KIND[kind]


def admin_address(route: str) -> str:
    """A configuration address with the id of something of the first centre, as far as there is one."""
    model = MODEL.match(route)
    rows = (
        apps.get_model(model[1], model[2])._base_manager.filter(**OF_THE_FIRST_CENTRE.get(model[2], {}))
        if model
        else None
    )
    found = rows.order_by("pk").first() if rows is not None else None
    filled = re.sub(r"<(path:object_id|id)>", str(found.pk if found else 1), route)
    filled = filled.replace("<path:content_type_id>/<path:object_id>", "0/0").replace("(?P<url>.*)$", "nothing/")
    return filled.replace("^(?P<app_label>monitoring|cohorts)/$", "monitoring/")


@pytest.mark.parametrize("role", COLUMNS)
def test_who_configures(world: World, role: Role | str) -> None:
    caller, wrong = caller_of(world, role), []
    before = everything()
    for name, route in ADMIN:
        address = admin_address(route)
        status = caller.client.get(address).status_code
        expected = configured(name, route) if role == D else 302
        if role != D and name in ("login", "jsi18n"):
            continue
        if missing_object(route):
            expected = 302 if expected == 200 else expected  # there is none yet: back to the list
        if status != expected:
            wrong.append(f"{name} {address}: {status}, not {expected}")
    assert not wrong
    assert everything() == before


def missing_object(route: str) -> bool:
    """Whether an address names an object of a kind of which there is none."""
    model = MODEL.match(route)
    return model is not None and "<" in route and not apps.get_model(model[1], model[2])._base_manager.exists()
