"""Members as rows of a file: for people (csv), and for the snapshot that keeps everything the figures read (frozen)."""

from __future__ import annotations

from collections.abc import Mapping

from cohorts.domain.definition import Definition
from cohorts.domain.members import Member

CSV_COLUMNS = (
    "patient_id", "attempt", "included", "exclusion_reason", "stopped_on", "end_on", "days", "months", "event",
    "end_reason", "first_dmr_on", "dmr_months", "tki_months", "time_to_dmr_months", "age_at_diagnosis", "age_at_stop",
    "sex", "transcript", "drug_at_stop", "risk_group", "centre", "groups", "dmr_run_from",
)  # fmt: skip


def csv_row(member: Member, definition: Definition) -> Mapping[str, object]:
    """One row of the member file; what is not known is empty."""
    observed = member.included
    return {
        "patient_id": member.history.patient_id,
        "attempt": member.attempt,
        "included": "true" if member.included else "false",
        "exclusion_reason": member.exclusion_reason,
        "stopped_on": member.stopped_on.isoformat(),
        "end_on": member.end_on.isoformat() if member.end_on and observed else "",
        "days": member.days if observed else "",
        "months": member.months if observed else "",
        "event": ("true" if member.event else "false") if observed else "",
        "end_reason": member.end_reason if observed else "",
        "first_dmr_on": member.first_dmr_on.isoformat() if member.first_dmr_on else "",
        "dmr_run_from": member.dmr_run_from.isoformat() if member.dmr_run_from else "",
        "dmr_months": _blank(member.number("dmr_months")),
        "tki_months": _blank(member.number("tki_months")),
        "time_to_dmr_months": _blank(member.number("time_to_dmr_months")),
        "age_at_diagnosis": member.age_at_diagnosis.years if member.age_at_diagnosis else "",
        "age_at_stop": member.age_at_stop.years if member.age_at_stop else "",
        "sex": member.history.sex,
        "transcript": member.history.transcript,
        "drug_at_stop": member.drug_at_stop,
        "risk_group": member.history.risk_group,
        "centre": member.history.centre,
        "groups": ";".join(f"{f.id}={member.group(f) or ''}" for f in definition.factors),
    }


# The figures also use these columns beyond the member file. They are frozen too: every change of a figure changes the
# digest.
FROZEN_COLUMNS = (
    *CSV_COLUMNS, "left_censored", "restarted_on", "restart_drug", "mmr_regained_on", "dmr_regained_on",
    "last_contact_on", "withdrawal_syndrome", "apart",
)  # fmt: skip


def frozen_row(member: Member, definition: Definition) -> Mapping[str, object]:
    """Everything that the figures of a definition read of one row."""
    after = member.after
    return {
        **csv_row(member, definition),
        "left_censored": member.left_censored,
        "restarted_on": after.restarted_on or "",
        "restart_drug": after.restart_drug,
        "mmr_regained_on": after.mmr_regained_on or "",
        "dmr_regained_on": after.dmr_regained_on or "",
        "last_contact_on": member.last_contact_on or "",
        "withdrawal_syndrome": member.withdrawal_syndrome,
        "apart": ";".join(member.apart),
    }


def _blank(number: float | None) -> object:
    return "" if number is None else number
