"""The table of all kinds of alerts. A new kind needs a row here and a sentence (``alert.<kind>``) in the wording.

Lists, ladders, messages, the self-audit, pages and the API read all properties of a kind from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType

from monitoring.domain.course.relapse import Certainty


class AlertKind(StrEnum):
    """What a person must be told."""

    LOSS_OF_MMR = "loss_of_mmr"
    NOT_IN_MMR_OFF_TREATMENT = "not_in_mmr_off_treatment"
    LOSS_OF_MMR_ON_TREATMENT = "loss_of_mmr_on_treatment"
    RISE_ON_TREATMENT = "rise_on_treatment"
    RELAPSE_AFTER_TRANSPLANT = "relapse_after_transplant"
    TREATMENT_UNKNOWN = "treatment_unknown"
    STOP_REASON_MISSING = "stop_reason_missing"
    FACTOR_MISSING = "factor_missing"
    DETECTABLE_AGAIN = "detectable_again"
    LOSS_OF_MR4 = "loss_of_mr4"
    FAST_DOUBLING = "fast_doubling"
    FLUCTUATION = "fluctuation"
    OFF_SCALE_RELAPSE = "off_scale_relapse"
    UNVERIFIED = "unverified"
    SUSPICIOUS_VALUE = "suspicious_value"
    MILESTONE_FAILED = "milestone_failed"
    NO_MMR_AFTER_RESTART = "no_mmr_after_restart"
    OVERDUE_SAMPLE = "overdue_sample"
    OVERDUE_RESULT = "overdue_result"
    NO_RESTART = "no_restart"
    LOSS_IN_PREGNANCY = "loss_in_pregnancy"
    HAND_OVER = "hand_over"
    NO_EVIDENCE = "no_evidence"
    LOST_TO_FOLLOW_UP = "lost_to_follow_up"
    NO_CLINICIAN = "no_clinician"
    UNCONFIRMED_TREATMENT = "unconfirmed_treatment"
    SET_ASIDE = "set_aside"


class Severity(StrEnum):
    """How soon an alert must be read. A message says only this about an alert, not its kind."""

    URGENT = "urgent"
    SOON = "soon"
    ROUTINE = "routine"


class Urgency(IntEnum):
    """The order in which messages leave; of equal ones the oldest first."""

    CONFIRMED = 0
    SUSPECTED = 1
    PROVISIONAL = 2
    OPERATIONAL = 3
    EARLY_SIGN = 4
    PLAN = 5

    @property
    def is_lesser(self) -> bool:
        """Whether a person's messages of one such kind that are due together become one with a list."""
        return self >= Urgency.OPERATIONAL


class LadderName(StrEnum):
    """Who is told in which order (``services.alerts.escalation`` has the steps)."""

    CLINICAL = "clinical"
    VERIFICATION = "verification"
    SUSPICION = "suspicion"
    WATCH = "watch"
    PLAN = "plan"
    OPERATION = "operation"


class Part(StrEnum):
    """The part of the service that opens or closes alerts of a kind."""

    REPLAY = "replay"  # from the series of the patient
    PLAN = "plan"  # from the day: sampling, restart, milestones
    VERIFICATION = "verification"  # a preliminary result waits for its second person
    WORKLIST = "worklist"  # the rows that a centre takes over at go-live
    LADDER = "ladder"  # a centre has nobody who can be told
    OPERATION = "operation"  # the service could not do a piece of work
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class KindRow:
    """One row of the table. ``rung`` is the line of the clinical alert ladder, ``source`` where it comes from.

    ``ends_with_the_time_off``: a restart, death or a transplant ends it. ``is_early_sign``: seen while MMR is held.
    """

    kind: AlertKind
    words: str
    severity: Severity
    ladder: LadderName
    opened_by: Part
    closed_by: Part
    rung: str
    source: str
    is_early_sign: bool = False
    ends_with_the_time_off: bool = False
    has_patient: bool = True


_GUIDES = "ELN 2020, Hochhaus, Leukemia 34:966"
_LABORATORY = "ELN 2023, Leukemia 37:2150, doi 10.1038/s41375-023-02048-y"
_DESIGN = "design"


def _row(
    kind: AlertKind,
    words: str,
    severity: Severity,
    rung: str,
    source: str,
    *,
    ladder: LadderName = LadderName.CLINICAL,
    opened_by: Part = Part.REPLAY,
    closed_by: Part | None = None,
    is_early_sign: bool = False,
    ends_with_the_time_off: bool = False,
    has_patient: bool = True,
) -> KindRow:
    """A row; the part that opens the kind also closes it, unless ``closed_by`` names another."""
    return KindRow(
        kind, words, severity, ladder, opened_by, closed_by or opened_by, rung, source,
        is_early_sign, ends_with_the_time_off or is_early_sign, has_patient,
    )  # fmt: skip


_ROWS = (
    _row(
        AlertKind.LOSS_OF_MMR, "loss of MMR off treatment",
        Severity.URGENT, "A4", _GUIDES, ends_with_the_time_off=True,
    ),
    _row(
        AlertKind.NOT_IN_MMR_OFF_TREATMENT, "not in MMR off treatment",
        Severity.URGENT, "A4", _GUIDES, ends_with_the_time_off=True,
    ),
    _row(
        AlertKind.LOSS_OF_MMR_ON_TREATMENT, "loss of MMR on treatment",
        Severity.URGENT, "any time", f"{_GUIDES}; {_LABORATORY}",
    ),
    _row(
        AlertKind.RISE_ON_TREATMENT, "rise of one log on treatment",
        Severity.SOON, "any time", f"NCCN 2018, PMC6094551; {_LABORATORY}",
    ),
    _row(
        AlertKind.RELAPSE_AFTER_TRANSPLANT, "relapse after transplant",
        Severity.URGENT, "A4", _DESIGN,
    ),
    _row(
        AlertKind.TREATMENT_UNKNOWN, "MMR lost, treatment unknown",
        Severity.SOON, "A0", _DESIGN,
    ),
    _row(
        AlertKind.STOP_REASON_MISSING, "reason of the stop is missing",
        Severity.ROUTINE, "A0", _DESIGN,
    ),
    _row(
        AlertKind.FACTOR_MISSING, "conversion factor is missing",
        Severity.ROUTINE, "A0", "EUTOS, Cross 2015",
    ),
    _row(
        AlertKind.DETECTABLE_AGAIN, "detectable again off treatment",
        Severity.ROUTINE, "A1", "STOP 2G-TKI; LAST, Atallah 2021", ladder=LadderName.WATCH, is_early_sign=True,
    ),
    _row(
        AlertKind.LOSS_OF_MR4, "MR4 lost off treatment",
        Severity.SOON, "A2", "ENESTfreedom, Ross 2018", ladder=LadderName.WATCH, is_early_sign=True,
    ),
    _row(
        AlertKind.FAST_DOUBLING, "doubling in less than 12.75 days in month 2",
        Severity.SOON, "A3", "BJH 2021, doi 10.1111/bjh.17807", ladder=LadderName.WATCH, is_early_sign=True,
    ),
    _row(
        AlertKind.FLUCTUATION, "fluctuating above 0.0032 % off treatment",
        Severity.ROUTINE, "A7", "A-STIM", ladder=LadderName.WATCH, is_early_sign=True,
    ),
    _row(
        AlertKind.OFF_SCALE_RELAPSE, "transcript off the scale rises or is detectable again",
        Severity.URGENT, "A4", f"{_LABORATORY}; design", ends_with_the_time_off=True,
    ),
    _row(
        AlertKind.UNVERIFIED, "result waits for verification",
        Severity.SOON, "verification", _DESIGN, ladder=LadderName.VERIFICATION, opened_by=Part.VERIFICATION,
    ),
    _row(
        AlertKind.SUSPICIOUS_VALUE, "suspicious value above 0.1 % waits for verification",
        Severity.URGENT, "verification", _DESIGN, ladder=LadderName.SUSPICION, opened_by=Part.VERIFICATION,
    ),
    _row(
        AlertKind.MILESTONE_FAILED, "milestone on treatment failed",
        Severity.URGENT, "milestones", f"{_GUIDES}; {_LABORATORY}", opened_by=Part.PLAN,
    ),
    _row(
        AlertKind.NO_MMR_AFTER_RESTART, "no MMR three months after the restart",
        Severity.SOON, "after a restart", "KIDS, ASH 2013; NCCN 2019, Medscape 2005453", opened_by=Part.PLAN,
    ),
    _row(
        AlertKind.OVERDUE_SAMPLE, "sample is overdue",
        Severity.SOON, "A0", _DESIGN, ladder=LadderName.PLAN, opened_by=Part.PLAN,
    ),
    _row(
        AlertKind.OVERDUE_RESULT, "result of a sample is overdue",
        Severity.SOON, "A0", _DESIGN, ladder=LadderName.PLAN, opened_by=Part.PLAN,
    ),
    _row(
        AlertKind.NO_RESTART, "no restart on record 28 days after loss of MMR",
        Severity.URGENT, "A6", "ELN 2020: restart within 4 weeks", opened_by=Part.PLAN,
    ),
    _row(
        AlertKind.LOSS_IN_PREGNANCY, "loss of MMR in pregnancy: specialist review",
        Severity.URGENT, "A6", _DESIGN, opened_by=Part.PLAN,
    ),
    _row(
        AlertKind.HAND_OVER, "go-live worklist: history that is still so",
        Severity.URGENT, "hand-over", _DESIGN, opened_by=Part.WORKLIST, has_patient=False,
    ),
    _row(
        AlertKind.NO_EVIDENCE, "off treatment without evidence",
        Severity.SOON, "A0", _DESIGN, opened_by=Part.PLAN,
    ),
    _row(
        AlertKind.LOST_TO_FOLLOW_UP, "lost to follow-up",
        Severity.SOON, "A0", _DESIGN, ladder=LadderName.PLAN, opened_by=Part.PLAN,
    ),
    _row(
        AlertKind.NO_CLINICIAN, "centre without a clinician",
        Severity.SOON, "ladder", _DESIGN, ladder=LadderName.OPERATION, opened_by=Part.LADDER, has_patient=False,
    ),
    _row(
        AlertKind.UNCONFIRMED_TREATMENT, "restart, death or transplant recorded by somebody who does not treat",
        Severity.SOON, "A0", _DESIGN,
    ),
    _row(
        AlertKind.SET_ASIDE, "work of the service was set aside",
        Severity.ROUTINE, "operation", _DESIGN, ladder=LadderName.OPERATION, opened_by=Part.OPERATION,
        has_patient=False,
    ),
)  # fmt: skip

KINDS: Mapping[AlertKind, KindRow] = MappingProxyType({row.kind: row for row in _ROWS})
EARLY_SIGNS = tuple(row.kind for row in _ROWS if row.is_early_sign)
OF_THE_SERVICE = tuple(row.kind for row in _ROWS if row.ladder is LadderName.OPERATION)
WITHOUT_PATIENT = tuple(row.kind for row in _ROWS if not row.has_patient)


_OF_URGENT = {
    Certainty.CONFIRMED: Urgency.CONFIRMED,
    Certainty.SUSPECTED: Urgency.SUSPECTED,
    Certainty.PROVISIONAL: Urgency.PROVISIONAL,
}


def urgency_of(row: KindRow, certainty: Certainty) -> Urgency:
    """How soon messages about an alert of a kind leave."""
    if row.ladder is LadderName.OPERATION:
        return Urgency.OPERATIONAL
    if row.ladder is LadderName.PLAN:
        return Urgency.PLAN
    if row.ladder is LadderName.WATCH or row.severity is Severity.ROUTINE:
        return Urgency.EARLY_SIGN
    if row.severity is Severity.SOON:
        return Urgency.PROVISIONAL
    return _OF_URGENT[certainty]


READ_BACK = (AlertKind.LOSS_OF_MMR, AlertKind.LOSS_OF_MMR_ON_TREATMENT)


def is_read_back(kind: AlertKind, certainty: Certainty) -> bool:
    """Whether whoever acknowledges reads the value back: one seen and not taken in is a relapse nobody treats."""
    return kind in READ_BACK and certainty is Certainty.CONFIRMED


def closed_by(part: Part) -> tuple[AlertKind, ...]:
    """The kinds that a part of the service closes."""
    return tuple(row.kind for row in _ROWS if row.closed_by is part)
