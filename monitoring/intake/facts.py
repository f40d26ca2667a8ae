"""Cells of one row into the facts of a patient, a course or an observation: the same for files, forms and the API."""

from __future__ import annotations

from collections.abc import Callable

from django.utils.translation import gettext as _

from monitoring.domain.course.series import Drug, FactKind, StopReason
from monitoring.intake.values import CellProblem, Cells
from monitoring.models import Patient
from monitoring.models.choices import TRANSCRIPT
from monitoring.services.entry.identities import IdentityFacts
from monitoring.services.entry.records import CourseFacts, ObservationFacts, PatientFacts

EARLIEST_YEAR = 1900
FindPatient = Callable[[str, str], Patient]  # by centre (may be empty) and patient_id; raises where there is none


def patient_facts(cells: Cells) -> PatientFacts:
    """What a row says of one patient. Raises ``CellProblem`` naming column and fix."""
    born = cells.day("birth_date")
    year = cells.whole_number("birth_year", limit=2201)
    if year is not None and year < EARLIEST_YEAR:
        raise CellProblem("birth_year", str(year), _("cannot be right"))
    if born is not None and year is not None and born.on.year != year:
        raise CellProblem("birth_year", str(year), _("contradicts birth_date %(born)s") % {"born": born.on})
    if born is None and year is not None:
        born = Cells({"birth_year": str(year)}).day("birth_year")
    return PatientFacts(
        centre=cells.identifier("centre"),
        patient_id=cells.identifier("patient_id"),
        values={
            "sex": cells.choice("sex", ("F", "M", "X")),
            "born_on": born,
            "diagnosed_on": cells.day("diagnosed_on"),
            "transcript": cells.choice("transcript", [value for value, _word in TRANSCRIPT]),
            "risk_score": cells.choice("risk_score", ("sokal", "elts")),
            "risk_group": cells.choice("risk_group", ("low", "intermediate", "high")),
            "phase": cells.choice("phase", ("CP", "AP", "BP")),
            "first_mmr_on": cells.day("first_mmr_on"),
            "first_dmr_on": cells.day("first_dmr_on"),
        },
        identity=IdentityFacts(
            cells.text("hospital_number", longest=60), cells.text("family_name"), cells.text("given_name")
        ),
    )


def course_facts(cells: Cells, find: FindPatient) -> CourseFacts:
    """What a row says of one course of a drug. Raises ``CellProblem`` naming column and fix."""
    patient = find(cells.identifier("centre", required=False), cells.identifier("patient_id"))
    drug = cells.choice("drug", Drug, required=True)
    drug_text = cells.text("drug_text", required=drug == Drug.OTHER, longest=100)
    started = cells.day("started_on", required=True)
    assert started is not None
    reasons = [reason for reason in StopReason if reason is not StopReason.UNKNOWN]
    return CourseFacts(
        patient,
        drug,
        started,
        {
            "drug_text": drug_text,
            "stopped_on": cells.day("stopped_on"),
            "stop_reason": cells.choice("stop_reason", reasons),
            "dose_mg_per_day": cells.number("dose_mg_per_day"),
        },
    )


def observation_facts(cells: Cells, find: FindPatient) -> ObservationFacts:
    """What a row says of one observation. Raises ``CellProblem`` naming column and fix."""
    patient = find(cells.identifier("centre", required=False), cells.identifier("patient_id"))
    kind = cells.choice("kind", FactKind, required=True)
    observed = cells.day("observed_on", required=True)
    assert observed is not None
    if kind == FactKind.DEATH:
        detail = cells.choice("detail", ("cml", "other", "unknown"))
    else:
        detail = cells.text("detail")
    return ObservationFacts(patient, kind, observed, {"detail": detail, "grade": cells.whole_number("grade", limit=6)})
