"""What all tests share: the usual cast, and no way out to the network."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.middleware import csrf
from django.utils import translation

from monitoring import clock
from monitoring.models import Centre, Laboratory, LaboratoryCentre, Membership, Patient, Role

hypothesis.settings.register_profile("quick", max_examples=60, deadline=None, derandomize=True)
hypothesis.settings.register_profile("thorough", max_examples=3000, deadline=None)
hypothesis.settings.load_profile(__import__("os").environ.get("HYPOTHESIS_PROFILE", "quick"))

_connect = socket.socket.connect


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this machine may be reached."""

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test wants to reach {address}")
        _connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """The language of one test's requests does not outlive it."""
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def tokens_without_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    """No page says a patient's name by chance, within the 64 random letters of a form's token."""
    monkeypatch.setattr(csrf, "_get_new_csrf_string", lambda: "a" * csrf.CSRF_SECRET_LENGTH)


@pytest.fixture
def ada(db: None) -> User:
    """Ada enters results."""
    return get_user_model().objects.create_user("ada", password="a long enough password")


@pytest.fixture
def centre(db: None) -> Centre:
    return Centre.objects.create(code="H1", name="First hospital")


def reporting(code: str, *centres: Centre, **settings: Any) -> Laboratory:
    """A laboratory that reports for these centres."""
    laboratory, _ = Laboratory.objects.get_or_create(code=code, defaults=settings)
    for centre in centres:
        LaboratoryCentre.objects.get_or_create(laboratory=laboratory, centre=centre)
    return laboratory


@pytest.fixture
def patient(centre: Centre) -> Patient:
    return Patient.objects.create(centre=centre, patient_id="P1")


@pytest.fixture
def member(db: None) -> Callable[..., User]:
    """People with a role in a centre: Grace treats the patient, Mallory works elsewhere."""

    def make(name: str, centre: Centre, role: Role = Role.CLINICIAN) -> User:
        user = get_user_model().objects.create_user(name, password="a long enough password")
        Membership.objects.create(user=user, centre=centre, role=role, valid_from=clock.now().date())
        return user

    return make
