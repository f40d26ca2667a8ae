"""The OpenAPI file is true: every operation is driven from it, and a client made from it works.

Schemathesis writes the requests: for each operation the boundaries of everything documented (coverage), then random
ones, valid and not. Each is sent as it was generated, and again by every role to the objects that exist, with the
values that open the doors behind the first refusal. What is stored is rolled back after each.
Schemathesis' ``positive_data_acceptance`` and ``negative_data_rejection`` are left out: rules refuse what a schema
cannot forbid (an unknown patient, tomorrow's sample), and the doors read what a schema would not name (a number for
its text, a decimal comma).
"""

import importlib
import json
import os
import random
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from django.core import signals
from django.db import close_old_connections, connection, transaction
from drf_spectacular.generators import SchemaGenerator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from config.wsgi import application
from monitoring import clock
from monitoring.api.result_shapes import REPLICATE_FIELDS
from monitoring.models import Role
from monitoring.services.classification.classify import classify_pending
from tests.api.world import ROLES, World, build_world, openapi_file

LONG = os.environ.get("LONG_FORMS") == "1"
SHARE = 1 if LONG else 8  # of the cases, one in so many is sent
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance, ignored_auth,
]  # fmt: skip
# What opens the doors behind the first refusal: each may stand in for what was generated for a member of this name.
PLAUSIBLE: dict[str, tuple[Any, ...]] = {
    "patient_id": ("P1", "P2"),
    "centre": ("H1",),
    "laboratory": ("LAB",),
    "accession_number": ("A1", "B7"),
    "control_gene": ("ABL1", "BCR", None),
    "specimen": ("PB",),
    "drug": ("imatinib", "dasatinib"),
    "kind": ("last_contact", "death"),
    "detail": ("cml", None),
    "reason": ("a typing error",),
    "stop_reason": ("tfr_attempt", "pregnancy"),
    "status": ("final", "preliminary", "corrected"),
    "replicates": ([{"bcr_abl1_copies": None, "control_gene_copies": 30000}], [{"control_gene_copies": "5e4"}], None),
    "is_percent": (0.1, "<0.0032", "0,5 %", 1e-30),
    "action": ("watch", "repeat", "other", "restart"),
    "method": ("rt-qpcr",),
}
DAYS = ("2024-02-29", "2019-05", "2018", "1900-01-01", "2026-01-01", None)
INSTANTS = ("2024-02-29T23:59:59+14:00", "2024-03-01T08:30", "1900-01-01T00:00+14:00", None)


def _schema() -> Any:
    schema = schemathesis.openapi.from_dict(openapi_file(SchemaGenerator()))
    schema.app = application
    return schema


schema = _schema()


@pytest.fixture
def world(db: None) -> Iterator[World]:
    """The world in the test's transaction, which the end of a request leaves open."""
    ends = (signals.request_started, signals.request_finished)
    for end in ends:
        end.disconnect(close_old_connections)
    yield build_world()
    for end in ends:
        end.connect(close_old_connections)


def plausible(name: str, value: Any, chance: random.Random) -> Any:
    """Mostly a value that is read as it is meant, now and then what was generated."""
    if chance.random() < 0.15:
        return value
    if name in PLAUSIBLE:
        return chance.choice(PLAUSIBLE[name])
    if name.endswith(("_on", "_date", "until")):
        return chance.choice(DAYS)
    return chance.choice(INSTANTS) if name.endswith("_at") else value


def number_of(case: schemathesis.Case) -> int:
    """A number that follows from what a case says, so that the same case is always sent the same way."""
    return zlib.crc32(repr((case.method, case.body, case.query)).encode("utf-8", "backslashreplace"))


def grounded(case: schemathesis.Case, world: World) -> schemathesis.Case:
    """The same request to an object that exists, with mostly plausible members."""
    chance = random.Random(number_of(case))
    kind = case.operation.path.split("/")[3]
    body = case.body
    if isinstance(body, dict):
        doubled = REPLICATE_FIELDS if "replicates" in body else ()
        body = {name: plausible(name, value, chance) for name, value in body.items() if name not in doubled}
    headers = {**(case.headers or {}), **({} if case.method == "GET" else {"If-Match": "*"})}
    return case.operation.Case(
        method=case.method,
        path_parameters=dict.fromkeys(case.path_parameters or {}, world.ids[kind]),
        query=case.query,
        headers=headers,
        body=body,
        media_type=case.media_type,
    )


def sent(case: schemathesis.Case, headers: dict[str, str]) -> None:
    """Send, look at the answer, and take back what was stored."""
    with transaction.atomic():
        response = case.call(headers=headers)
        if response.status_code < 400:
            connection.check_constraints()
        transaction.set_rollback(True)
    case.validate_response(response, checks=CHECKS, headers=headers)


@pytest.mark.slow
@pytest.mark.django_db
@schema.parametrize()
@hypothesis.settings(
    max_examples=200 if LONG else 30, derandomize=not LONG, deadline=None, database=None,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)  # fmt: skip
def test_every_operation_answers_as_documented(case: schemathesis.Case, world: World) -> None:
    if number_of(case) % SHARE:
        return
    sent(case, world.headers(Role.TECHNICIAN))
    real = grounded(case, world)
    for role in ROLES if LONG else [ROLES[number_of(case) % len(ROLES)]]:
        sent(real, world.headers(role))


# --- a client made from the file -----------------------------------------------------------------------------------


@pytest.fixture
def client_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a Python package that openapi-python-client made from the file."""
    (tmp_path / "openapi.json").write_text(json.dumps(openapi_file(SchemaGenerator())))
    (tmp_path / "config.yml").write_text("post_hooks: []\n")
    words = (
        "generate", "--path", "openapi.json", "--output-path", "cml_client", "--meta", "none", "--config", "config.yml",
        "--fail-on-warning",
    )  # fmt: skip
    made = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", *words],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "cml_client"
    for name in [name for name in sys.modules if name.split(".")[0] == "cml_client"]:
        del sys.modules[name]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_client_made_from_the_file_does_a_days_work(client_package: str, live_server: Any) -> None:
    world = build_world()
    models = importlib.import_module(f"{client_package}.models")
    made = importlib.import_module(f"{client_package}.client")

    def program(role: Role) -> Any:
        return made.AuthenticatedClient(base_url=live_server.url, token=world.tokens[role], prefix="Token")

    def call(role: Role, operation: str, *given: Any, **more: Any) -> Any:
        kind = operation.split("_")[0]
        module = importlib.import_module(f"{client_package}.api.{kind}.{operation}")
        with program(role) as client:
            return module.sync_detailed(*given, client=client, **more)

    for kind, identifier in world.ids.items():
        (row, *_) = call(Role.ANALYST, f"{kind}_list").parsed.results
        assert type(call(Role.ANALYST, f"{kind}_retrieve", identifier).parsed) is type(row), kind

    people = call(Role.TECHNICIAN, "patients_list", page_size=10).parsed
    assert isinstance(people, models.PaginatedPatientOutList)
    assert [person.patient_id for person in people.results] == ["P1"]

    tubes = [models.ReplicateIn(bcr_abl1_copies=None, control_gene_copies=48000)]
    body = models.ResultIn(
        laboratory="LAB", accession_number="N1", patient_id="P1", collected_on="2024-05-06", conversion_factor=1,
        replicates=tubes,
    )  # fmt: skip
    stored = call(Role.TECHNICIAN, "results_create", body=body, idempotency_key="once")
    again = call(Role.TECHNICIAN, "results_create", body=body, idempotency_key="once")
    assert (stored.status_code, stored.parsed, again.parsed.id) == (201, again.parsed, stored.parsed.id)
    assert (stored.parsed.version, stored.parsed.assessment, stored.parsed.classification.value) == (1, None, "pending")
    classify_pending(now=clock.now())

    read = call(Role.CLINICIAN, "results_retrieve", str(stored.parsed.id))
    assert read.parsed.assessment.response_class.value == "MR4_5"
    change = models.AmendIn(reason="tube mixed up", kit_lot="L7")
    amended = call(Role.TECHNICIAN, "results_amend", read.parsed.id, body=change, if_match=read.headers["ETag"])
    assert (amended.parsed.version, amended.parsed.kit_lot) == (2, "L7")
    stale = call(Role.TECHNICIAN, "results_amend", read.parsed.id, body=change, if_match=read.headers["ETag"])
    assert (stale.status_code, type(stale.parsed)) == (412, models.Problem)

    alerts = call(Role.CLINICIAN, "alerts_list", kind=models.AlertsListKind.LOSS_OF_MMR).parsed
    (alert,) = alerts.results
    tag = call(Role.CLINICIAN, "alerts_retrieve", alert.id).headers["ETag"]
    note = models.AcknowledgeIn(note="called the patient")
    seen = call(Role.CLINICIAN, "alerts_acknowledge", alert.id, body=note, if_match=tag)
    assert (seen.parsed.state.value, seen.parsed.note) == ("acknowledged", "called the patient")

    cohorts = call(Role.ANALYST, "cohorts_list").parsed
    assert [(cohort.slug, type(cohort.published)) for cohort in cohorts.results] == [("tfr", models.PublicationOut)]
    figures = call(Role.ANALYST, "cohorts_snapshot", "tfr").parsed
    assert figures["counts"]["members"] == 1
