"""Bodies that nobody means well: whatever is sent, the answer is below 500 and nothing is stored by halves.

A few hundred in the suite; LONG_FORMS=1 sends the long form.
"""

import json
import os
import random
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from monitoring import clock
from monitoring.models import (
    Alert,
    Observation,
    Patient,
    PcrResult,
    Replicate,
    Role,
    TkiCourse,
)
from monitoring.services.classification.classify import classify_pending
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from tests.builders import report
from tests.conftest import reporting

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
BODIES = 2400 if os.environ.get("LONG_FORMS") else 240
SEED = 20261126

ODD: list[Any] = [
    None, True, False, 0, -1, 1e308, 1e-308, 10**400, "", " ", "\t", "\n", "\x00", "\u2028", "\u202e", "\ufeff", "ￇ",
    "＜0.1", "<", ">",
    "<<1", "nan", "NaN", "inf", "-inf", "1e5", "1E400", "0x10", "1_000", "١٢", "1,5", "1.000,5", "nd", "ND ", "未检出",
    "#REF!", "=1+1",
    "@SUM(1)", "'; drop table x;--", "<script>alert(1)</script>", "%s%n", "{{7*7}}", "../../etc/passwd", "A" * 5000,
    "𝟏𝟐", "P1", "LAB", "H1",
    "2025-02-29", "2024-02-29", "0000-00-00", "9999-12-31", "2025-13-01", "2025-03-10T25:00", "2025-03-10T08:30-23:59",
    "2025-03", "2025",
    "2025-03-10T08:30:00+08:00", [], [[]], [None], {}, {"a": 1}, [{"bcr_abl1_copies": None}], [1, 2, 3], ["nd"],
    "final", "corrected",
    "entered_in_error", "preliminary", "\ud800", "é\u0301", "Ａ１", "0.0000000000000000000000001",
    "99999999999999999999",
    "imatinib", "death",
]  # fmt: skip

BASES: dict[str, dict[str, Any]] = {
    "results": {"laboratory": "LAB", "accession_number": "A1", "patient_id": "P1", "centre": "H1",
     "collected_on": "2025-03-10",
                "collected_at": None, "received_at": None, "issued_at": None, "control_gene": "ABL1",
                "conversion_factor": 1,
                "is_percent": None, "mr_value": None, "detected": None, "limit_of_detection": None, "status": "final",
                "version": None,
                "reason": "", "specimen": "PB", "run_valid": None,
                "replicates": [{"bcr_abl1_copies": 60, "control_gene_copies": 52000}, {"bcr_abl1_copies": None,
                 "control_gene_copies": 48000}]},
    "patients": {"patient_id": "P2", "centre": "H1", "sex": "F", "birth_date": "1990-01-01", "birth_year": 1990,
     "diagnosed_on": "2010-01-01",
                 "transcript": "e13a2", "hospital_number": "HN1", "family_name": "Li", "given_name": "N",
                  "reason": "x"},
    "treatments": {"patient_id": "P1", "centre": "H1", "drug": "imatinib", "drug_text": "", "started_on": "2015-01-01",
     "stopped_on": "2024-01-01",
                   "stop_reason": "tfr_attempt", "dose_mg_per_day": 400, "reason": "x"},
    "observations": {"patient_id": "P1", "centre": "H1", "observed_on": "2024-05-05", "kind": "death", "detail": "cml",
    "grade": 2, "reason": "x"},
}  # fmt: skip
VERBS = {
    "amend": {"conversion_factor": 1.1, "reason": "x", "replicates": BASES["results"]["replicates"]},
    "retract": {"reason": "x"}, "verify": {}, "acknowledge": {"note": "x"}, "withdraw": {"reason": "x"},
    "act": {"action": "restart", "drug": "imatinib", "started_on": "2025-01-01", "until": "2027-01-01", "note": "x"},
}  # fmt: skip


def mutated(base: dict[str, Any], chance: random.Random) -> bytes:
    """A body with some members changed, taken out, added, or the text itself broken."""
    body = dict(base)
    for _ in range(chance.randint(1, 3)):
        name = chance.choice([*body, "nobody_knows", "__proto__", ""])
        kind = chance.random()
        if kind < 0.65:
            body[name] = chance.choice(ODD)
        elif kind < 0.75:
            body.pop(name, None)
        elif kind < 0.9 and isinstance(body.get("replicates"), list) and body["replicates"]:
            tube = dict(chance.choice(base["replicates"]))
            tube[chance.choice(["bcr_abl1_copies", "control_gene_copies", "replicate", "run_valid", "odd"])] = (
                chance.choice(ODD)
            )
            body["replicates"] = [tube] * chance.choice([1, 2, 120])
        elif name in body and isinstance(body[name], str):
            body[name] = body[name] + str(chance.choice(ODD))
    raw = json.dumps(body).encode()
    if chance.random() < 0.08:
        at = chance.randrange(len(raw))
        raw = chance.choice(
            [raw[:at], raw[:at] + bytes([chance.randrange(256)]) + raw[at:], b"[" * 3000, b"", b"null", b"\xff\xfe{}"]
        )
    return raw


def whole() -> None:
    """Every result has the tubes it was sent with: those of a result are numbered without a gap where none was
    named.
    """
    for result in PcrResult.objects.all():
        numbers = sorted(Replicate.objects.filter(result=result).values_list("number", flat=True))
        assert len(numbers) == len(set(numbers))
        assert numbers or result.is_percent is not None or result.mr_value is not None or result.detected is not None \
            or result.status == "entered_in_error"  # fmt: skip


@pytest.fixture
def people(member: Callable[..., User], patient: Patient, ada: User) -> dict[str, Client]:
    reporting("LAB", patient.centre, verification_required=False)
    TkiCourse.objects.create(
        patient=patient, drug="imatinib", started_on="2015-01-01", stopped_on="2026-06-01", stop_reason="tfr_attempt"
    )
    record_result(report("L1", "2026-10-20", "100/50000"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now())
    record_result(
        report("W1", "2026-10-25", status="preliminary"), patient=patient, by=ada, reach=EVERYWHERE, now=clock.now()
    )
    classify_pending(now=clock.now())
    found = {}
    for role in (Role.VERIFIER, Role.CLINICIAN):
        client = Client(raise_request_exception=False)
        client.force_login(member(f"the_{role}", patient.centre, role))
        found[role.value] = client
    return found


def test_no_body_stops_the_api(people: dict[str, Client]) -> None:
    chance, answered = random.Random(SEED), dict.fromkeys(range(2, 6), 0)
    for number in range(BODIES):
        kind = chance.choice(list(BASES))
        base = BASES[kind] | ({"accession_number": f"A{number % 40}"} if kind == "results" else {})
        raw = mutated(base, chance)
        answer = people["verifier"].post(f"/api/v1/{kind}/", raw, "application/json")
        assert answer.status_code < 500, (kind, raw)
        answered[answer.status_code // 100] += 1
    whole()
    assert answered[2], "some are stored"
    assert answered[4] > BODIES / 3, "many are refused"
    classify_pending(now=clock.now())
    assert not Observation.objects.filter(observed_on__isnull=True).exists()


def test_no_body_stops_a_verb(people: dict[str, Client]) -> None:
    chance = random.Random(SEED + 1)
    result, alert = PcrResult.objects.get(accession_number="W1"), Alert.objects.filter(kind="loss_of_mmr").get()
    for _ in range(BODIES // 4):
        verb = chance.choice(list(VERBS))
        who, path = (
            ("verifier", f"results/{result.public_id}")
            if verb in ("amend", "retract", "verify")
            else ("clinician", f"alerts/{alert.public_id}")
        )
        raw = mutated(VERBS[verb] | {"reason": "x"}, chance)
        match = chance.choice(['"1"', "*", "", 'W/"2"', "\u00e9", '"' + "9" * 400 + '"'])
        answer = people[who].post(f"/api/v1/{path}/{verb}/", raw, "application/json", headers={"If-Match": match})
        assert answer.status_code < 500, (verb, raw)
    whole()


def test_no_form_stops_the_entry_page(people: dict[str, Client]) -> None:
    chance = random.Random(SEED + 2)
    fields = ("patient_id", "centre", "laboratory", "accession_number", "collected_on", "received_on", "tested_on",
     "control_gene", "method",
              "assay", "kit_lot", "conversion_factor", "is_percent", "mr_value", "limit_of_detection", "specimen",
              "bcr_abl1_copies_1",
              "control_gene_copies_1", "bcr_abl1_copies_2", "control_gene_copies_2")  # fmt: skip
    for number in range(BODIES // 4):
        form = {"patient_id": "P1", "laboratory": "LAB", "accession_number": f"F{number}", "collected_on": "2025-03-10",
                "bcr_abl1_copies_1": "60", "control_gene_copies_1": "52000", "conversion_factor": "1"}  # fmt: skip
        for _ in range(chance.randint(1, 3)):
            form[chance.choice(fields)] = str(chance.choice(ODD)).encode("utf-8", "replace").decode()
        for path in ("/bench/single/", "/bench/preview/"):
            answer = people["verifier"].post(path, form)
            assert answer.status_code < 500, (path, form)
    whole()
