"""Recording results: the one deed behind the form, the API and the import.

The row, its replicates and the note that the patient is owed a classification are one transaction. Nothing is ever
edited: another content for a known accession is a new version, with a reason, or it is refused.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from monitoring.domain.report import LaboratoryReport
from monitoring.models import Laboratory, Patient, ResultStatus
from monitoring.selectors.laboratories import ReportingLaboratory, reporting_laboratories
from monitoring.selectors.series import REPORT_COLUMNS
from monitoring.services.laboratories import make_laboratories, report_for
from monitoring.services.owed import owe_classification
from monitoring.services.reach import Reach, alike, laboratory_refusal, out_of_reach, patient_out_of_reach
from monitoring.services.result_versions import (
    Insertion,
    StoredResult,
    insert_versions,
    is_reported,
    stored_versions,
)
from monitoring.services.verdicts import Action, Difference, Problem, Verdict, contradiction, difference, refused

_CORRECTING = (ResultStatus.CORRECTED, ResultStatus.ENTERED_IN_ERROR)
# Not part of what a result says: how it is named, and where it stands in its life.
_NOT_CONTENT = {"status", "version", "reason", "collected_precision"}


def record_results(
    reports: Sequence[LaboratoryReport],
    *,
    patients: Sequence[Patient],
    by: User,
    reach: Reach,
    now: dt.datetime,
    amend_reason: str = "",
    bulk: bool = False,
    dry_run: bool = False,
    known_laboratories: Mapping[str, ReportingLaboratory] | None = None,
) -> list[Verdict]:
    """Store these reports, one verdict each, in order. ``patients`` names the patient of each report.

    A report that equals a stored version changes nothing; one that fills an empty value or finalises a preliminary
    result becomes a new version; any other difference needs a correcting status or ``amend_reason``. A refused report
    does not stop the others. With ``dry_run`` the verdicts are the same and nothing is stored. What stands in a centre
    out of ``reach``, or at a laboratory that does not report for the patient's centre, is refused before anything else
    is said of it.
    """
    # A sample known to the month or year was taken before today, wherever its imputed day falls.
    reports = [_not_after(r, now.date()) for r in reports]
    with transaction.atomic():
        laboratories = dict(known_laboratories or reporting_laboratories({r.laboratory for r in reports}))
        twins = make_laboratories(laboratories, {r.laboratory for r in reports}, dry_run) if reach.is_operator else {}
        stored = stored_versions(reports, laboratories)
        verdicts: list[Verdict] = []
        insertions: list[Insertion] = []
        for report, patient in zip(reports, patients, strict=True):
            laboratory = laboratories.get(report.laboratory)
            versions = stored.get((laboratory.row.pk, report.accession_number), []) if laboratory else []
            barred = _barred(report, patient, laboratory, versions, reach, twins)
            verdict = barred or outside_life(report, patient, now) or _judge(report, patient, versions, amend_reason)
            verdicts.append(verdict)
            if verdict.action in (Action.REFUSED, Action.UNCHANGED) or laboratory is None:
                continue
            newest = versions[-1] if versions else None
            merged = _completed(report, newest, amend_reason if verdict.action is Action.AMENDED else "")
            if disorder := out_of_order(merged):
                verdicts[-1] = disorder
                continue
            if not _may_be_final(laboratory.row, versions, by, reach):
                merged = _waiting(merged, patient, newest)
                if merged.status == ResultStatus.PRELIMINARY:
                    verdict = verdicts[-1] = dataclasses.replace(verdict, notes=(awaits_words(),))
                if newest is not None and _says_nothing_new(merged, patient, newest):
                    verdicts[-1] = dataclasses.replace(verdict, action=Action.UNCHANGED)
                    continue
            public_id = newest.public_id if newest else uuid.uuid4()
            insertions.append(Insertion(public_id, merged, patient.pk, laboratory.row.pk, len(versions) + 1, newest))
            verdicts[-1] = dataclasses.replace(verdict, public_id=public_id)
        if not dry_run and insertions:
            insert_versions(insertions, by, now)
            moved_away = {i.supersedes.patient_id for i in insertions if i.supersedes is not None}
            owe_classification({i.patient_id for i in insertions} | moved_away, bulk=bulk)
            if reach.is_operator:
                centre_of = {patient.pk: patient.centre_id for patient in patients}
                report_for({(i.laboratory_id, centre_of[i.patient_id]) for i in insertions})
        return verdicts


def _barred(
    report: LaboratoryReport,
    patient: Patient,
    laboratory: ReportingLaboratory | None,
    versions: Sequence[StoredResult],
    reach: Reach,
    twins: Mapping[str, str],
) -> Verdict | None:
    """Why the writer may not touch this key at all, in words that say nothing of what stands there."""
    if report.laboratory in twins:
        return _refusal(alike("laboratory", report.laboratory, twins[report.laboratory]))
    if reach.is_operator:
        return None
    if not reach.covers(patient.centre_id):
        return _refusal(patient_out_of_reach(report.patient_id))
    if laboratory is None or patient.centre_id not in laboratory.centres:
        return _refusal(laboratory_refusal(report.laboratory, reach))
    missing = not versions and report.status == ResultStatus.ENTERED_IN_ERROR
    if missing or (versions and not reach.covers(versions[-1].centre_id)):
        return _refusal(out_of_reach(report.accession_number))
    return None


def barred_report(report: LaboratoryReport, patient: Patient, reach: Reach) -> Problem | None:
    """Why a writer may not touch the key of a report at all, as storing it would say; for previews."""
    laboratories = reporting_laboratories([report.laboratory])
    found = laboratories.get(report.laboratory)
    versions = next(iter(stored_versions([report], laboratories).values()), [])
    barred = _barred(report, patient, found, versions, reach, {})
    return barred.problems[0] if barred else None


def _refusal(problem: Problem) -> Verdict:
    return Verdict(Action.REFUSED, (problem,))


def _not_after(report: LaboratoryReport, today: dt.date) -> LaboratoryReport:
    if report.collected.on <= today:
        return report
    return dataclasses.replace(report, collected=report.collected.within(latest=today))


FINAL = (ResultStatus.FINAL, ResultStatus.CORRECTED)
# Cells that say how a sample travelled: filling them leaves a final result final.
_DESCRIPTIVE = {"kit_lot", "received_on", "received_at", "issued_at"}


def _may_be_final(laboratory: Laboratory, versions: Sequence[StoredResult], by: User, reach: Reach) -> bool:
    """Whether what this writer says can be final; of a file never what its giver has entered or changed before."""
    if reach.by_file and any(by.pk == old.recorded_by_id for old in versions):
        return reach.is_operator or not laboratory.verification_required
    return reach.may_be_final(laboratory)


def _waiting(report: LaboratoryReport, patient: Patient, newest: StoredResult | None) -> LaboratoryReport:
    """The report as a person's word that a second person has not verified yet."""
    if report.status not in FINAL:
        return report
    if newest is not None and newest.report.status in FINAL:
        found = _difference(report, patient.pk, newest)
        if not found.contradicted and found.filled.keys() <= _DESCRIPTIVE:
            return dataclasses.replace(report, status=newest.report.status, reason=newest.report.reason)
    return dataclasses.replace(report, status=ResultStatus.PRELIMINARY.value)


def _says_nothing_new(report: LaboratoryReport, patient: Patient, newest: StoredResult) -> bool:
    return report.status == newest.report.status and _difference(report, patient.pk, newest).is_none


def awaits_words() -> str:
    """The note beside a result that a person has entered or changed where a second person verifies."""
    return _("waits for a second person of the laboratory to verify it")


def record_result(
    report: LaboratoryReport,
    *,
    patient: Patient,
    by: User,
    reach: Reach,
    now: dt.datetime,
    amend_reason: str = "",
    laboratory: ReportingLaboratory | None = None,
) -> Verdict:
    """Store one report. Of two people who change the same version at once, the slower one is refused in words."""
    for _attempt in range(
        2
    ):  # who loses a race is judged again against what the winner stored: the same content is no error
        try:
            (verdict,) = record_results(
                [report], patients=[patient], by=by, reach=reach, now=now, amend_reason=amend_reason,
                known_laboratories={laboratory.row.code: laboratory} if laboratory else None,
            )  # fmt: skip
        except IntegrityError as problem:
            if "result_key" not in str(problem) and "supersedes" not in str(problem):
                raise
        else:
            return verdict
    return refused("version", report.version, _("somebody else has just changed this result; load it again"))


# --- judging -----------------------------------------------------------------------------------------------------


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


def _difference(report: LaboratoryReport, patient_id: int, stored: StoredResult) -> Difference:
    old = {"is_comparator": "=", **content_of(stored.report, stored.patient_id)}
    return difference(old, content_of(report, patient_id))


def outside_life(report: LaboratoryReport, patient: Patient, now: dt.datetime) -> Verdict | None:
    """A sample cannot be from tomorrow (a day is left for time zones) or from before the birth."""
    collected = report.collected
    if collected.earliest > now.date() + dt.timedelta(days=1):
        return refused("collected_on", collected.on, _("this day has not come yet; check day, month and year"))
    tomorrow = now + dt.timedelta(days=1)
    for column in ("collected_at", "received_at", "issued_at"):
        at = getattr(report, column)
        if at is not None and at > tomorrow:
            return refused(column, at, _("this time has not come yet; check day, time and offset"))
    for column in ("received_on", "tested_on"):
        on = getattr(report, column)
        if on is not None and on > tomorrow.date():
            return refused(column, on, _("this day has not come yet; check day, month and year"))
    if patient.born_on is not None and patient.born_precision == "day" and collected.latest < patient.born_on:
        reason = _("the patient was born on %(born)s; check the date or the id") % {"born": patient.born_on}
        return refused("collected_on", collected.on, reason)
    return None


def _judge(report: LaboratoryReport, patient: Patient, versions: Sequence[StoredResult], amend_reason: str) -> Verdict:
    if report.version is not None and report.version > len(versions) + 1:
        reason = _("version %(version)s of this accession is not known yet") % {"version": len(versions) + 1}
        return refused("version", report.version, reason)
    if not versions:
        if report.status == ResultStatus.ENTERED_IN_ERROR:
            reason = _("this accession is not known, so it cannot be marked as an error")
            return refused("status", report.status, reason)
        return Verdict(Action.CREATED)
    newest = versions[-1]
    found = _difference(report, patient.pk, newest)
    same_state = report.status == newest.report.status or newest.report.status not in (
        ResultStatus.PRELIMINARY,
        ResultStatus.ENTERED_IN_ERROR,
    )
    if not amend_reason and any(_sent_again(report, patient.pk, old) for old in versions[:-1]):
        return _of(Action.UNCHANGED, newest)
    if report.status == ResultStatus.ENTERED_IN_ERROR != newest.report.status:
        return _of(Action.AMENDED, newest) if report.reason else _reason_missing(report)
    if found.is_none and same_state:
        return _of(Action.UNCHANGED, newest)
    if report.status in _CORRECTING:
        return _of(Action.AMENDED, newest) if report.reason else _reason_missing(report)
    if amend_reason:
        return _of(Action.AMENDED, newest)
    if found.contradicted:
        refusal = contradiction(found, lambda name, value: _shown(name, value, patient))
        return dataclasses.replace(refusal, public_id=newest.public_id)
    if newest.report.status == ResultStatus.ENTERED_IN_ERROR:
        reason = _("this result was marked as entered in error; correct it with a reason")
        return refused("status", report.status, reason)
    return _of(Action.COMPLETED, newest)  # fills what was empty, or preliminary becomes final


def _of(action: Action, stored: StoredResult) -> Verdict:
    return Verdict(action, id=stored.id, public_id=stored.public_id)


def _sent_again(report: LaboratoryReport, patient_id: int, old: StoredResult) -> bool:
    """Whether a report is an earlier version once more: the same content, state and reason."""
    same_word = (report.status, report.reason) == (old.report.status, old.report.reason)
    return same_word and _difference(report, patient_id, old).is_none


def _shown(name: str, value: Any, patient: Patient) -> str:
    """A stored or given value as a person at a door knows it."""
    if name == "patient_id":
        return patient.patient_id if value == patient.pk else _("another patient")
    if name == "replicates":
        return "; ".join(
            f"{'nd' if r.bcr_abl1_copies is None else r.bcr_abl1_copies}/{r.control_gene_copies}" for r in value
        )
    return str(value)


def _reason_missing(report: LaboratoryReport) -> Verdict:
    return refused("reason", report.reason, _("the status %(status)s needs a reason") % {"status": report.status})


def _completed(report: LaboratoryReport, newest: StoredResult | None, amend_reason: str) -> LaboratoryReport:
    """The report with what it left empty taken from the version it supersedes, and the reason of the amendment."""
    if newest is None:
        return report
    values: dict[str, Any] = {}
    for name in report.__slots__:
        old = getattr(newest.report, name)
        if name not in _NOT_CONTENT and getattr(report, name) in (None, "") and old is not None:
            values[name] = old
    if report.is_percent is None:
        values["is_comparator"] = newest.report.is_comparator
    if not is_reported(report.replicates):
        values["replicates"] = newest.report.replicates
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
            return refused(column, on, reason)
    return None


def _latest_day(when: dt.date | dt.datetime | None) -> dt.date | None:
    """The latest day that an instant can be in any time zone; a day is itself."""
    return (when + dt.timedelta(hours=14)).date() if isinstance(when, dt.datetime) else when
