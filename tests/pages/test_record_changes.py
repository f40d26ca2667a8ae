"""Transfers and merges on pages: what is foreseen, asked for, decided by a second person, and by whom seen."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from monitoring import clock
from monitoring.models import Centre, Patient, PcrResult, RecordChange, Role
from monitoring.services.classification.classify import classify_pending
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from tests.builders import report
from tests.conftest import reporting

pytestmark = pytest.mark.django_db
PREVIEW = {"HX-Request": "true"}
SignIn = Callable[..., Client]


@pytest.fixture
def sign_in(member: Callable[..., User]) -> SignIn:
    def enter(name: str, centre: Centre, role: Role = Role.CLINICIAN) -> Client:
        client = Client()
        client.force_login(member(name, centre, role))
        return client

    return enter


@pytest.fixture
def double(patient: Patient, centre: Centre, ada: User) -> Patient:
    reporting("LAB", centre)
    other = Patient.objects.create(centre=centre, patient_id="P1-double", sex="F", transcript="e14a2")
    Patient.objects.filter(pk=patient.pk).update(sex="M", transcript="")
    record_result(report("A2", "2024-03-01", "900/50000"), patient=other, by=ada, reach=EVERYWHERE, now=clock.now())
    classify_pending(now=clock.now())
    return other


def test_a_merge_is_previewed_asked_for_carried_out_and_undone(
    sign_in: SignIn, patient: Patient, double: Patient, centre: Centre
) -> None:
    grace, second = sign_in("grace", centre), sign_in("second", centre)
    path = reverse("merge-patient", args=[double.public_id])
    assert 'value="P1"' in grace.get(f"{path}?into=P1").content.decode()
    said = " ".join(grace.post(path, {"into": "P1", "reason": ""}, headers=PREVIEW).content.decode().split())
    for words in ("Moves: 1 results", "contradict each other", "no MMR", "counts for nothing"):
        assert words in said, words
    assert PcrResult.objects.filter(patient=patient).count() == 0
    assert grace.post(path, {"into": "P1", "reason": ""}).status_code == 400
    asked = grace.post(path, {"into": "P1", "reason": "one person twice"})
    assert asked.status_code == 302
    page = grace.get(asked["Location"]).content.decode()
    assert "Carry it out" not in page
    assert "A second person of the centre" in page
    change = RecordChange.objects.get()
    decide = reverse("decide-record-change", args=[change.public_id])
    refused = grace.post(decide, {"action": "carry_out"})
    assert refused.status_code == 409
    assert "you have asked for it" in refused.content.decode()
    assert "Carry it out" in second.get(asked["Location"]).content.decode()
    assert second.post(decide, {"action": "carry_out"}).status_code == 302
    assert PcrResult.objects.get(version=2).patient == patient
    old = grace.get(reverse("patient", args=[double.public_id])).content.decode()
    assert "This record was merged" in old
    assert "Record a drug" not in old
    assert grace.get(reverse("new-course", args=[double.public_id])).status_code == 404
    assert "P1-double" not in grace.get(reverse("patients")).content.decode()
    assert "P1-double" in grace.get(reverse("patients"), {"q": "P1-double"}).content.decode()
    page = second.get(asked["Location"]).content.decode()
    assert "Undo the merge" in page
    assert "Moves: 1 results" in page
    assert second.post(decide, {"action": "undo", "note": ""}).status_code == 409
    assert second.post(decide, {"action": "undo", "note": "two people"}).status_code == 302
    assert PcrResult.objects.get(version=3).patient == double
    assert "undone" in grace.get(reverse("record-changes")).content.decode()


def test_a_transfer_says_what_it_means_and_is_taken_over_there(
    sign_in: SignIn, patient: Patient, double: Patient, centre: Centre
) -> None:
    other = Centre.objects.create(code="H2")
    grace, there = sign_in("grace", centre), sign_in("there", other)
    path = reverse("transfer-patient", args=[double.public_id])
    said = grace.post(path, {"centre": other.pk, "reason": ""}, headers=PREVIEW).content.decode()
    assert "do not report for H2 yet" in said
    assert "LAB" in said
    asked = grace.post(path, {"centre": other.pk, "reason": "moved house"})
    assert asked.status_code == 302
    seen = there.get(asked["Location"])
    assert "moved house" in seen.content.decode()
    assert reverse("patient", args=[double.public_id]) not in seen.content.decode(), (
        "not theirs before it is taken over"
    )
    assert there.get(reverse("patient", args=[double.public_id])).status_code == 404
    decide = reverse("decide-record-change", args=[RecordChange.objects.get().public_id])
    assert there.post(decide, {"action": "carry_out"}).status_code == 302
    assert there.get(reverse("patient", args=[double.public_id])).status_code == 200
    assert grace.get(reverse("patient", args=[double.public_id])).status_code == 404
    assert grace.post(decide, {"action": "decline", "note": "late"}).status_code == 409


@pytest.mark.parametrize(
    ("given", "words"),
    [({"into": "P1-double"}, "the same record"), ({"into": "nobody"}, "is not known"), ({"into": ""}, "required"),
     ({"into": "P1", "reason": ""}, "is needed")],
)  # fmt: skip
def test_a_merge_that_cannot_be_is_refused_beside_its_field(
    sign_in: SignIn, double: Patient, centre: Centre, given: dict[str, str], words: str
) -> None:
    answer = sign_in("grace", centre).post(
        reverse("merge-patient", args=[double.public_id]), {"reason": "twice", **given}
    )
    assert answer.status_code == 400
    assert words in answer.content.decode()
    assert not RecordChange.objects.exists()


def test_who_only_enters_results_moves_nothing(sign_in: SignIn, double: Patient, centre: Centre) -> None:
    ada = sign_in("technician", centre, Role.TECHNICIAN)
    page = ada.get(reverse("patient", args=[double.public_id])).content.decode()
    assert "Merge with another record" not in page
    for name in ("merge-patient", "transfer-patient"):
        assert ada.get(reverse(name, args=[double.public_id])).status_code == 403
