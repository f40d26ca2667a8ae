"""A small world behind the API: one object of every kind, and a person with a token for each role."""

import dataclasses
import datetime as dt
import json
from typing import Any

from django.contrib.auth import get_user_model

from cohorts.services.definitions import define_cohort
from monitoring import clock
from monitoring.models import (
    Alert,
    Centre,
    Membership,
    Observation,
    Patient,
    PcrResult,
    ResultStatus,
    Role,
    TfrEpisode,
    TkiCourse,
)
from monitoring.services.classification.classify import classify_pending
from monitoring.services.entry.reach import EVERYWHERE
from monitoring.services.entry.results import record_result
from monitoring.services.settings.tokens import create_token
from tests.builders import report
from tests.nights import recompute

ROLES = (Role.TECHNICIAN, Role.VERIFIER, Role.CLINICIAN, Role.ANALYST)


@dataclasses.dataclass(frozen=True)
class World:
    """Tokens by role, and the address of one object of every kind by the first part of its path."""

    tokens: dict[Role, str]
    ids: dict[str, str]
    today: dt.date

    def headers(self, role: Role) -> dict[str, str]:
        """What a program of this role sends with every request."""
        return {"Authorization": f"Token {self.tokens[role]}"}


def build_world() -> World:
    """A patient who has just lost MMR off treatment, seen by a laboratory, with an alert, in a published cohort."""
    centre = Centre.objects.create(code="H1", name="First hospital")
    tokens = {role: _person(role, centre) for role in ROLES}
    by = get_user_model().objects.get(username="technician_of_h1")
    now = clock.now()
    patient = Patient.objects.create(centre=centre, patient_id="P1", sex="F", born_on=dt.date(1960, 5, 1))
    stop = now.date() - dt.timedelta(days=90)
    course = TkiCourse.objects.create(
        patient=patient, drug="imatinib", started_on=dt.date(2010, 1, 1), stopped_on=stop, stop_reason="tfr_attempt"
    )
    seen = Observation.objects.create(patient=patient, kind="last_contact", observed_on=stop)
    for number, (days, tubes) in enumerate(((-30, "nd/50000"), (85, "60/52000; 44/48000"))):
        on = (stop + dt.timedelta(days=days)).isoformat()
        record_result(report(f"A{number}", on, tubes), patient=patient, by=by, reach=EVERYWHERE, now=now)
    waiting = report("A9", (stop + dt.timedelta(days=86)).isoformat(), status=ResultStatus.PRELIMINARY.value)
    record_result(waiting, patient=patient, by=by, reach=EVERYWHERE, now=now)
    classify_pending(now=clock.now())
    cohort, _ = define_cohort({"slug": "tfr", "title": "Stops"}, by="test")
    assert recompute(cohort).ok
    ids = {
        "patients": patient, "treatments": course, "observations": seen, "episodes": TfrEpisode.objects.get(),
        "results": PcrResult.objects.get(accession_number="A9"),
        "alerts": Alert.objects.get(kind="loss_of_mmr"),
    }  # fmt: skip
    return World(tokens, {name: str(row.public_id) for name, row in ids.items()} | {"cohorts": "tfr"}, now.date())


def _person(role: Role, centre: Centre) -> str:
    user = get_user_model().objects.create_user(f"{role.value}_of_h1")
    Membership.objects.create(user=user, centre=centre, role=role, valid_from=dt.date(2020, 1, 1))
    return create_token(user)


def openapi_file(generator: Any) -> dict[str, Any]:
    """The OpenAPI file as it is answered: plain JSON."""
    found = json.loads(json.dumps(generator.get_schema(public=True), default=str))
    assert isinstance(found, dict)
    return found
