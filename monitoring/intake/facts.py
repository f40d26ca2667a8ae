"""Cells of one row into the facts of a patient, a course or an observation: the same for files, forms and the API."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _

from monitoring.domain.course.risk import Risk, RiskGroup, RiskParts, RiskScore, risk_of
from monitoring.domain.course.series import Drug, FactKind, StopReason
from monitoring.domain.vocabulary.dates import PartialDate, Precision, completed_years
from monitoring.intake.values import CellProblem, Cells
from monitoring.models import Patient
from monitoring.models.choices import TRANSCRIPT
from monitoring.services.entry.identities import IdentityFacts
from monitoring.services.entry.records import CourseFacts, ObservationFacts, PatientFacts

EARLIEST_YEAR = 1900
RISK_PARTS = ("spleen_cm", "platelets_e9_per_l", "blasts_percent")
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
    values = {
        "sex": cells.choice("sex", ("F", "M", "X")),
        "born_on": born,
        "diagnosed_on": cells.day("diagnosed_on"),
        "transcript": cells.choice("transcript", [value for value, _word in TRANSCRIPT]),
        "risk_score": cells.choice("risk_score", RiskScore),
        "risk_group": cells.choice("risk_group", RiskGroup),
        **{name: cells.number(name, zero=True) for name in RISK_PARTS},
        "phase": cells.choice("phase", ("CP", "AP", "BP")),
        "first_mmr_on": cells.day("first_mmr_on"),
        "first_dmr_on": cells.day("first_dmr_on"),
    }
    if (risk := computed_risk(values)) is not None:
        if values["risk_group"] not in ("", risk.group):
            said = {"group": risk.group, "value": f"{risk.value:.4f}"}
            reason = _("contradicts the parts, which give %(group)s (%(value)s); leave it empty or correct the parts")
            raise CellProblem("risk_group", str(values["risk_group"]), reason % said)
        values["risk_group"] = str(risk.group)
    return PatientFacts(
        centre=cells.identifier("centre"),
        patient_id=cells.identifier("patient_id"),
        values=values,
        identity=IdentityFacts(
            cells.text("hospital_number", longest=60), cells.text("family_name"), cells.text("given_name")
        ),
    )


def computed_risk(values: Mapping[str, Any]) -> Risk | None:
    """The risk that the parts among the values of a patient give; None where none of them is said.

    Raises ``CellProblem`` for what is missing.
    """
    parts: dict[str, Any] = {name: values.get(name) for name in RISK_PARTS}
    if all(part is None for part in parts.values()):
        return None
    if not values["risk_score"]:
        raise CellProblem("risk_score", "", _("is needed: say which score is computed from the parts"))
    for name, part in parts.items():
        if part is None:
            raise CellProblem(name, "", _("is needed: a score is computed from all of its parts"))
    born, diagnosed = _exact(values, "born_on", "birth_date"), _exact(values, "diagnosed_on", "diagnosed_on")
    if diagnosed < born:
        return None  # refused as such
    return risk_of(RiskScore(values["risk_score"]), RiskParts(completed_years(born, diagnosed), **parts))


def _exact(values: Mapping[str, Any], name: str, column: str) -> dt.date:
    date: PartialDate | None = values[name]
    if date is None or date.precision != Precision.DAY:
        raise CellProblem(column, "" if date is None else str(date), _("the day is needed to compute a score"))
    return date.on


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
