"""Why a stored class or alert stands: the row of the table that decided, with its facts and its source.

Read from what is stored, so it answers for what was said, whenever that was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from monitoring.domain.course.relapse import Certainty
from monitoring.domain.replay import AlertKind
from monitoring.domain.vocabulary.measurement import Flag
from monitoring.domain.vocabulary.reasons import FactValue, Reason
from monitoring.domain.vocabulary.scale import CLASS_LIMITS_PERCENT, CONTROL_LIMITS, ControlGene, ResponseClass

CLASS_CITATION = "EUTOS, Cross 2015, doi 10.1038/leu.2015.29; White 2022, doi 10.1038/s41375-022-01607-z"
_LIMIT_OF = dict(CLASS_LIMITS_PERCENT)


@dataclass(frozen=True, slots=True)
class StoredClass:
    """A class as it is stored, with the control gene copies of each valid tube and what the laboratory reported."""

    response_class: ResponseClass
    rule_version: str
    detected: bool
    flags: frozenset[Flag] = frozenset()
    is_percent: Decimal | None = None
    upper_bound_percent: Decimal | None = None
    control_gene: ControlGene = ControlGene.ABL1
    control_copies: Sequence[Decimal] = ()
    reported_percent: Decimal | None = None
    names_only_a_class: bool = False
    counted_control_copies: Decimal | None = None


def why_class(found: StoredClass) -> Reason:
    """The row of the decision table that gave the class."""
    row, code, facts = _row_of(found)
    said = {"response_class": found.response_class.value, **facts}
    return Reason(found.rule_version, row, CLASS_CITATION, tuple(said.items()), f"class.{code}")


def _row_of(found: StoredClass) -> tuple[str, str, dict[str, FactValue]]:
    if found.names_only_a_class and found.response_class is not ResponseClass.NOT_ON_IS:
        return "row 14", "named", {}
    if found.response_class is ResponseClass.INVALID:
        return "row 1", "invalid", {}
    if found.response_class is ResponseClass.NOT_ON_IS:
        return ("row 7", "no_factor", {}) if Flag.CF_MISSING in found.flags else ("row 2", "off_scale", {})
    if not found.detected:
        return _undetected(found)
    return _without_value(found) if found.is_percent is None else _with_value(found)


def _undetected(found: StoredClass) -> tuple[str, str, dict[str, FactValue]]:
    limits = CONTROL_LIMITS.get(found.control_gene)
    good = [c for c in found.control_copies if limits is None or c >= limits.mr4]
    if found.response_class is ResponseClass.INEVALUABLE_MR4:
        if not found.control_copies:
            return "row 15", "undetected_nothing_known", {}
        best, needed = max(found.control_copies), limits.mr4 if limits else None
        if needed is None or best >= needed:  # the laboratory asks for more
            return "row 3", "undetected_below_own", {"control": best}
        return "row 3", "undetected_poor", {"control": best, "needed": needed}
    if not found.control_copies:
        return "row 15", "undetected_by_limit", {"limit": found.upper_bound_percent}
    counted = found.counted_control_copies  # under the laboratory's own minimum, as it was decided
    return "rows 4 to 6", "undetected", {"control": sum(good, Decimal(0)) if counted is None else counted}


def _without_value(found: StoredClass) -> tuple[str, str, dict[str, FactValue]]:
    limit = found.upper_bound_percent if found.upper_bound_percent is not None else found.reported_percent
    if Flag.BELOW_LOQ in found.flags:
        useless = found.response_class is ResponseClass.INEVALUABLE_MR4
        return "row 12", "below_useless" if useless else "below", {"limit": limit}
    above = found.response_class is ResponseClass.NO_MMR
    return "row 13", "above" if above else "above_useless", {"limit": limit}


def _with_value(found: StoredClass) -> tuple[str, str, dict[str, FactValue]]:
    value: dict[str, FactValue] = {"value": found.is_percent}
    if found.response_class is ResponseClass.NO_MMR:
        return "row 8", "no_mmr", value
    if Flag.REPLICATES_DISCORDANT in found.flags:
        return "replicates", "discordant", value
    if Flag.CAPPED_BY_CONTROL in found.flags:
        return "rows 10 and 11", "capped", value
    row = "row 14" if Flag.SENSITIVITY_UNKNOWN in found.flags else "rows 9 and 11"
    return row, "value", {**value, "limit": _LIMIT_OF[found.response_class]}


# --- alerts -------------------------------------------------------------------------------------------------------

_GUIDES = "ELN 2020, Hochhaus, Leukemia 34:966"
_LABORATORY = "ELN 2023, Leukemia 37:2150, doi 10.1038/s41375-023-02048-y"
_DESIGN = "design"
# The rung of the alert ladder and the source of each kind.
_RUNGS: dict[AlertKind, tuple[str, str]] = {
    AlertKind.LOSS_OF_MMR: ("A4", _GUIDES),
    AlertKind.NOT_IN_MMR_OFF_TREATMENT: ("A4", _GUIDES),
    AlertKind.LOSS_OF_MMR_ON_TREATMENT: ("any time", f"{_GUIDES}; {_LABORATORY}"),
    AlertKind.RISE_ON_TREATMENT: ("any time", f"NCCN 2018, PMC6094551; {_LABORATORY}"),
    AlertKind.RELAPSE_AFTER_TRANSPLANT: ("A4", _DESIGN),
    AlertKind.TREATMENT_UNKNOWN: ("A0", _DESIGN),
    AlertKind.STOP_REASON_MISSING: ("A0", _DESIGN),
    AlertKind.FACTOR_MISSING: ("A0", "EUTOS, Cross 2015"),
    AlertKind.DETECTABLE_AGAIN: ("A1", "STOP 2G-TKI; LAST, Atallah 2021"),
    AlertKind.LOSS_OF_MR4: ("A2", "ENESTfreedom, Ross 2018"),
    AlertKind.FAST_DOUBLING: ("A3", "BJH 2021, doi 10.1111/bjh.17807"),
    AlertKind.FLUCTUATION: ("A7", "A-STIM"),
    AlertKind.OFF_SCALE_RELAPSE: ("A4", f"{_LABORATORY}; design"),
    AlertKind.UNVERIFIED: ("verification", _DESIGN),
    AlertKind.SUSPICIOUS_VALUE: ("verification", _DESIGN),
    AlertKind.MILESTONE_FAILED: ("milestones", f"{_GUIDES}; {_LABORATORY}"),
    AlertKind.NO_MMR_AFTER_RESTART: ("after a restart", "KIDS, ASH 2013; NCCN 2019, Medscape 2005453"),
    AlertKind.OVERDUE_SAMPLE: ("A0", _DESIGN),
    AlertKind.OVERDUE_RESULT: ("A0", _DESIGN),
    AlertKind.NO_RESTART: ("A6", "ELN 2020: restart within 4 weeks"),
    AlertKind.LOSS_IN_PREGNANCY: ("A6", _DESIGN),
    AlertKind.HAND_OVER: ("hand-over", _DESIGN),
    AlertKind.NO_EVIDENCE: ("A0", _DESIGN),
    AlertKind.LOST_TO_FOLLOW_UP: ("A0", _DESIGN),
    AlertKind.NO_CLINICIAN: ("ladder", _DESIGN),
    AlertKind.UNCONFIRMED_TREATMENT: ("A0", _DESIGN),
    AlertKind.SET_ASIDE: ("operation", _DESIGN),
}


def why_alert(
    kind: AlertKind,
    certainty: Certainty,
    rule_version: str,
    *,
    on: date,
    value: Decimal | None = None,
    days: int | None = None,
    highest: Decimal | None = None,
) -> Reason:
    """What an alert rests on: ``on`` is the day of its evidence, ``value`` and ``highest`` are % IS off treatment."""
    line, citation = _RUNGS[kind]
    code = kind.value
    if kind is AlertKind.LOSS_OF_MMR:
        line = "A5" if certainty is Certainty.CONFIRMED else line
        code += "" if value is not None else ".no_value"
    elif kind is AlertKind.LOSS_OF_MMR_ON_TREATMENT and certainty is Certainty.CONFIRMED:
        code += ".confirmed"
    facts: dict[str, FactValue] = {"on": on, "value": value, "days": days, "highest": highest}
    return Reason(rule_version, line, citation, tuple(facts.items()), f"alert.{code}")
