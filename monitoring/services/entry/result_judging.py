"""Judging one report against what stands of its accession: the same, a completion, an amendment, late, or refused.

Nothing here writes.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from monitoring.domain.scoring.laboratory_report import LaboratoryReport
from monitoring.models import Patient, ResultStatus
from monitoring.selectors.as_of import standing_results
from monitoring.selectors.series import REPORT_COLUMNS
from monitoring.services.entry.result_versions import (
    StoredResult,
    is_reported,
)
from monitoring.services.entry.verdicts import (
    Difference,
    RowOutcome,
    Verdict,
    contradiction,
    difference,
    is_empty,
    refusal,
)

_CORRECTING = (ResultStatus.CORRECTED, ResultStatus.ENTERED_IN_ERROR)
# Not part of what a result says: how it is named, and where it stands in its life.
_NOT_CONTENT = {"status", "stated_version", "reason", "collected_precision"}
# What was measured is one thing: a version brings all of it or nothing.
_MEASURED = (
    "is_percent", "is_comparator", "mr_value", "reported_class", "detected", "limit_of_detection",
    "limit_of_quantification", "replicates",
)  # fmt: skip
FINAL = (ResultStatus.FINAL, ResultStatus.CORRECTED)
# Cells that say how a sample travelled: filling them leaves a final result final.
DESCRIPTIVE = {"kit_lot", "run", "received_on", "received_at", "issued_at"}


def content_of(report: LaboratoryReport, patient_id: int) -> dict[str, Any]:
    values: dict[str, Any] = {
        n: getattr(report, n) for n in REPORT_COLUMNS if hasattr(report, n) and n not in _NOT_CONTENT
    }
    values["collected_on"] = report.collected
    values["patient_id"] = patient_id
    values["replicates"] = report.replicates
    if not is_reported(report.replicates):
        values["replicates"] = ()
    if report.is_percent is None:
        values.pop("is_comparator")
    return values


def difference_from(report: LaboratoryReport, patient_id: int, stored: StoredResult) -> Difference:
    """What a report says beyond or against a stored version; of the measurement everything or nothing."""
    old, new = content_of(stored.report, stored.patient_id), content_of(report, patient_id)
    measured, given = _measured(old), _measured(new)
    differs = difference(
        {n: v for n, v in old.items() if n not in _MEASURED}, {n: v for n, v in new.items() if n not in _MEASURED}
    )
    _issued_again(differs)
    if given.items() <= measured.items():
        return differs
    if measured.items() <= given.items():
        differs.filled.update({n: given[n] for n in given.keys() - measured.keys()})
        return differs
    names = (n for n in _MEASURED if given.get(n) != measured.get(n))
    differs.contradicted.update({n: (measured.get(n), given.get(n)) for n in names})
    return differs


def _issued_again(differs: Difference) -> None:
    """A later day of issue alone is the same report printed again."""
    if set(differs.contradicted) == {"issued_at"}:
        old, new = differs.contradicted["issued_at"]
        if new > old:
            differs.filled["issued_at"] = differs.contradicted.pop("issued_at")[1]


def _measured(content: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a content that was measured, without what is not said."""
    return {n: content[n] for n in _MEASURED if n in content and not is_empty(content[n])}


def outside_life(report: LaboratoryReport, patient: Patient, now: dt.datetime) -> Verdict | None:
    """A sample cannot be from tomorrow (a day is left for time zones) or from before the birth."""
    collected = report.collected
    if collected.earliest > now.date() + dt.timedelta(days=1):
        return refusal("collected_on", collected.on, _("this day has not come yet; check day, month and year"))
    tomorrow = now + dt.timedelta(days=1)
    for column in ("collected_at", "received_at", "issued_at"):
        at = getattr(report, column)
        if at is not None and at > tomorrow:
            return refusal(column, at, _("this time has not come yet; check day, time and offset"))
    for column in ("received_on", "tested_on"):
        on = getattr(report, column)
        if on is not None and on > tomorrow.date():
            return refusal(column, on, _("this day has not come yet; check day, month and year"))
    if patient.born_on is not None and patient.born_precision == "day" and collected.latest < patient.born_on:
        reason = _("the patient was born on %(born)s; check the date or the id") % {"born": patient.born_on}
        return refusal("collected_on", collected.on, reason)
    return None


def judge(
    report: LaboratoryReport,
    patient: Patient,
    versions: Sequence[StoredResult],
    amend_reason: str,
    *,
    may_be_final: bool,
) -> Verdict:
    if not versions:
        if report.status != ResultStatus.ENTERED_IN_ERROR:
            return Verdict(RowOutcome.CREATED)
        return _remembered(report)
    newest = versions[-1]
    differs = difference_from(report, patient.pk, newest)
    withdrawn = newest.report.status == ResultStatus.ENTERED_IN_ERROR
    if _is_older(report, newest.report):
        known = differs.is_none or any(_sent_again(report, patient.pk, old) for old in versions)
        return verdict_of(RowOutcome.UNCHANGED, newest) if known else _late(report, newest)
    if withdrawn and report.status not in _CORRECTING and not amend_reason:
        reason = _("this result was marked as entered in error; correct it with a reason")
        return dataclasses.replace(refusal("status", report.status, reason), public_id=newest.public_id)
    if not amend_reason and any(_sent_again(report, patient.pk, old) for old in versions[:-1]):
        return verdict_of(RowOutcome.UNCHANGED, newest)
    if report.status == ResultStatus.ENTERED_IN_ERROR != newest.report.status:
        return verdict_of(RowOutcome.AMENDED, newest) if report.reason else _reason_missing(report)
    finalises = newest.report.status == ResultStatus.PRELIMINARY and report.status in FINAL
    if differs.is_none and not finalises and (not withdrawn or report.status == newest.report.status):
        return verdict_of(RowOutcome.UNCHANGED, newest)
    if report.status in _CORRECTING:
        return verdict_of(RowOutcome.AMENDED, newest) if report.reason else _reason_missing(report)
    if amend_reason:
        return verdict_of(RowOutcome.AMENDED, newest)
    if differs.contradicted and finalises and may_be_final and differs.contradicted.keys() <= set(_MEASURED):
        words = _("the final report of %(accession)s replaces what was measured by the preliminary one")
        note = words % {"accession": report.accession_number}
        return dataclasses.replace(verdict_of(RowOutcome.COMPLETED, newest), notes=(note,))
    if differs.contradicted:
        verdict = contradiction(differs, lambda name, value: _shown(name, value, patient))
        return dataclasses.replace(verdict, public_id=newest.public_id)
    return verdict_of(RowOutcome.COMPLETED, newest)  # fills what was empty, or preliminary becomes final


def _is_older(report: LaboratoryReport, standing: LaboratoryReport) -> bool:
    """Whether the laboratory wrote a report before the standing one; its own count decides before the time of issue."""
    own, other = report.stated_version, standing.stated_version
    if own is not None and other is not None and own != other:
        return own < other
    return report.issued_at is not None and standing.issued_at is not None and report.issued_at < standing.issued_at


def _late(report: LaboratoryReport, newest: StoredResult) -> Verdict:
    words = _(
        "this report of %(accession)s is older than the version that stands; it is kept in the history and "
        "changes nothing"
    )
    note = words % {"accession": report.accession_number}
    return dataclasses.replace(verdict_of(RowOutcome.UNCHANGED, newest), notes=(note,), is_late=True)


def _remembered(report: LaboratoryReport) -> Verdict:
    """A withdrawal that comes before what it withdraws is stored, so that the result cannot stand when it comes."""
    if not report.reason:
        return _reason_missing(report)
    words = _("accession %(accession)s is not known yet; its withdrawal is remembered")
    return Verdict(RowOutcome.CREATED, notes=(words % {"accession": report.accession_number},))


def note_siblings(reports: Sequence[LaboratoryReport], patients: Sequence[Patient], verdicts: list[Verdict]) -> None:
    """A word beside each new result where another accession of the same patient, laboratory and day stands."""
    days = [
        (report.laboratory, patient.pk, report.collected.on) for report, patient in zip(reports, patients, strict=True)
    ]
    new = [n for n, verdict in enumerate(verdicts) if verdict.action is RowOutcome.CREATED]
    if not new:
        return
    known: dict[tuple[str, int, dt.date], list[str]] = defaultdict(list)
    standing = (
        standing_results(None)
        .filter(patient__in={days[n][1] for n in new}, collected_on__in={days[n][2] for n in new})
        .exclude(status=ResultStatus.ENTERED_IN_ERROR)
    )
    for code, patient_id, on, accession in standing.values_list(
        "laboratory__code", "patient_id", "collected_on", "accession_number"
    ):
        known[code, patient_id, on].append(accession)
    for n in new:
        if reports[n].status != ResultStatus.ENTERED_IN_ERROR:
            known[days[n]].append(reports[n].accession_number)
    for n in new:
        others = sorted(set(known[days[n]]) - {reports[n].accession_number})
        if others and reports[n].status != ResultStatus.ENTERED_IN_ERROR:
            values = {"accession": reports[n].accession_number, "others": ", ".join(others[:5])}
            words = _(
                "%(accession)s: also %(others)s of the same patient, laboratory and day is stored; if one replaces "
                "the other, mark the replaced one as entered in error"
            )
            verdicts[n] = dataclasses.replace(verdicts[n], notes=(*verdicts[n].notes, words % values))  # fmt: skip


def verdict_of(action: RowOutcome, stored: StoredResult) -> Verdict:
    return Verdict(action, id=stored.id, public_id=stored.public_id)


def _sent_again(report: LaboratoryReport, patient_id: int, old: StoredResult) -> bool:
    """Whether a report is an earlier version once more: the same content, state and reason."""
    same_word = (report.status, report.reason) == (old.report.status, old.report.reason)
    return same_word and difference_from(report, patient_id, old).is_none


def _shown(name: str, value: Any, patient: Patient) -> str:
    """A stored or given value as a person at a door knows it."""
    if name == "patient_id":
        return patient.patient_id if value == patient.pk else _("another patient")
    if is_empty(value):
        return _("nothing")
    if name == "replicates":
        return "; ".join(
            f"{'nd' if r.bcr_abl1_copies is None else r.bcr_abl1_copies}/{r.control_gene_copies}" for r in value
        )
    return str(value)


def _reason_missing(report: LaboratoryReport) -> Verdict:
    return refusal("reason", report.reason, _("the status %(status)s needs a reason") % {"status": report.status})


def completed(report: LaboratoryReport, newest: StoredResult | None, amend_reason: str) -> LaboratoryReport:
    """The report with what it left empty taken from the version it supersedes, and the reason of the amendment.

    What was measured is taken whole, from the one or the other; from a version entered in error nothing is.
    """
    if newest is None:
        return report
    values: dict[str, Any] = {}
    if newest.report.status != ResultStatus.ENTERED_IN_ERROR:
        values = {
            name: getattr(newest.report, name)
            for name in report.__slots__
            if name not in (*_NOT_CONTENT, *_MEASURED) and is_empty(getattr(report, name))
        }
        given = _measured(content_of(report, newest.patient_id))
        stands = _measured(content_of(newest.report, newest.patient_id))
        corrects = bool(amend_reason) or report.status in _CORRECTING
        if not given or (given.items() <= stands.items() and not corrects):
            values |= {name: getattr(newest.report, name) for name in _MEASURED}
    if report.status == ResultStatus.PRELIMINARY:  # a late preliminary message never takes a final result back
        values["status"], values["reason"] = newest.report.status, newest.report.reason
    if amend_reason:
        values["reason"] = report.reason or amend_reason
        values["status"] = ResultStatus.CORRECTED if report.status == ResultStatus.FINAL else report.status
    return dataclasses.replace(report, **values)


def out_of_order(merged: LaboratoryReport) -> Verdict | None:
    """Dates that contradict each other once a report is completed by the version before it."""
    collected = merged.collected
    for column in ("received_on", "tested_on", "received_at", "issued_at"):
        on = _latest_day(getattr(merged, column))
        if on is not None and on < collected.earliest:
            reason = _("lies before the collection on %(day)s; correct both dates together") % {"day": collected}
            return refusal(column, on, reason)
    return None


def _latest_day(when: dt.date | dt.datetime | None) -> dt.date | None:
    """The latest day that an instant can be in any time zone; a day is itself."""
    return (when + dt.timedelta(hours=14)).date() if isinstance(when, dt.datetime) else when
