"""Recording results: the one deed behind the form, the API and the import.

The row, its replicates and the note that the patient is owed a classification are one transaction. Nothing is ever
edited: another content for a known accession is a new version, with a reason, or it is refused.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from monitoring.domain.scoring.laboratory_report import LaboratoryReport
from monitoring.models import Laboratory, Patient, ResultStatus
from monitoring.selectors.as_of import standing_results
from monitoring.selectors.laboratories import ReportingLaboratory, reporting_laboratories
from monitoring.selectors.series import REPORT_COLUMNS
from monitoring.services.classification.classification_queue import owe_classification
from monitoring.services.entry.reach import Reach, alike, laboratory_refusal, out_of_reach, patient_out_of_reach
from monitoring.services.entry.result_versions import (
    Insertion,
    StoredResult,
    insert_versions,
    is_reported,
    keep_late_reports,
    stored_versions,
)
from monitoring.services.entry.verdicts import (
    Difference,
    Problem,
    RowOutcome,
    Verdict,
    contradiction,
    difference,
    is_empty,
    refusal,
)
from monitoring.services.foundation.races import LostRaceError, retry_lost_race
from monitoring.services.settings.laboratories import make_laboratories, report_for

_CORRECTING = (ResultStatus.CORRECTED, ResultStatus.ENTERED_IN_ERROR)
# Not part of what a result says: how it is named, and where it stands in its life.
_NOT_CONTENT = {"status", "stated_version", "reason", "collected_precision"}
# What was measured is one thing: a version brings all of it or nothing.
_MEASURED = (
    "is_percent", "is_comparator", "mr_value", "reported_class", "detected", "limit_of_detection",
    "limit_of_quantification", "replicates",
)  # fmt: skip


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
    result becomes a new version; any other difference needs a correcting status or ``amend_reason``. One that its
    laboratory wrote before the version that stands is kept beside it. A refused report does not stop the others. With
    ``dry_run`` the verdicts are the same and nothing is stored. What stands in a centre
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
        late: list[tuple[StoredResult, LaboratoryReport]] = []
        for report, patient in zip(reports, patients, strict=True):
            laboratory = laboratories.get(report.laboratory)
            versions = stored.get((laboratory.row.pk, report.accession_number), []) if laboratory else []
            barred = _barred(report, patient, laboratory, versions, reach, twins)
            final = laboratory is not None and _may_be_final(laboratory.row, versions, by, reach)
            verdict = (
                barred
                or outside_life(report, patient, now)
                or _judge(report, patient, versions, amend_reason, may_be_final=final)
            )
            verdicts.append(verdict)
            if verdict.is_late:
                late.append((versions[-1], report))
            if verdict.action in (RowOutcome.REFUSED, RowOutcome.UNCHANGED) or laboratory is None:
                continue
            newest = versions[-1] if versions else None
            merged = _completed(report, newest, amend_reason if verdict.action is RowOutcome.AMENDED else "")
            if disorder := out_of_order(merged):
                verdicts[-1] = disorder
                continue
            if not final:
                merged = _waiting(merged, patient, newest)
                if merged.status == ResultStatus.PRELIMINARY:
                    verdict = verdicts[-1] = dataclasses.replace(
                        verdict, waits=True, notes=(*verdict.notes, awaits_words())
                    )
                if newest is not None and _says_nothing_new(merged, patient, newest):
                    verdicts[-1] = dataclasses.replace(verdict, action=RowOutcome.UNCHANGED)
                    continue
            public_id = newest.public_id if newest else uuid.uuid4()
            insertions.append(Insertion(public_id, merged, patient.pk, laboratory.row.pk, len(versions) + 1, newest))
            verdicts[-1] = dataclasses.replace(verdict, public_id=public_id)
        _note_siblings(reports, patients, verdicts)
        if not dry_run:
            keep_late_reports(late, by, now)
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
    # A person withdraws what is there; only a laboratory's own system may be ahead of its result.
    missing = not versions and report.status == ResultStatus.ENTERED_IN_ERROR and reach.system_of is None
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
    return Verdict(RowOutcome.REFUSED, (problem,))


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
    laboratories = {laboratory.row.code: laboratory} if laboratory else None
    try:
        (verdict,) = retry_lost_race(
            lambda: record_results(
                [report], patients=[patient], by=by, reach=reach, now=now, amend_reason=amend_reason,
                known_laboratories=laboratories,
            )
        )  # fmt: skip
    except LostRaceError:
        return refusal("version", report.stated_version, _("somebody else has just changed this result; load it again"))
    return verdict


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
    """What a report says beyond or against a stored version; of the measurement everything or nothing."""
    old, new = content_of(stored.report, stored.patient_id), content_of(report, patient_id)
    measured, given = _measured(old), _measured(new)
    found = difference(
        {n: v for n, v in old.items() if n not in _MEASURED}, {n: v for n, v in new.items() if n not in _MEASURED}
    )
    _issued_again(found)
    if given.items() <= measured.items():
        return found
    if measured.items() <= given.items():
        found.filled.update({n: given[n] for n in given.keys() - measured.keys()})
        return found
    names = (n for n in _MEASURED if given.get(n) != measured.get(n))
    found.contradicted.update({n: (measured.get(n), given.get(n)) for n in names})
    return found


def _issued_again(found: Difference) -> None:
    """A later day of issue alone is the same report printed again."""
    if set(found.contradicted) == {"issued_at"}:
        old, new = found.contradicted["issued_at"]
        if new > old:
            found.filled["issued_at"] = found.contradicted.pop("issued_at")[1]


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


def _judge(
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
    found = _difference(report, patient.pk, newest)
    withdrawn = newest.report.status == ResultStatus.ENTERED_IN_ERROR
    if _is_older(report, newest.report):
        known = found.is_none or any(_sent_again(report, patient.pk, old) for old in versions)
        return _of(RowOutcome.UNCHANGED, newest) if known else _late(report, newest)
    if withdrawn and report.status not in _CORRECTING and not amend_reason:
        reason = _("this result was marked as entered in error; correct it with a reason")
        return dataclasses.replace(refusal("status", report.status, reason), public_id=newest.public_id)
    if not amend_reason and any(_sent_again(report, patient.pk, old) for old in versions[:-1]):
        return _of(RowOutcome.UNCHANGED, newest)
    if report.status == ResultStatus.ENTERED_IN_ERROR != newest.report.status:
        return _of(RowOutcome.AMENDED, newest) if report.reason else _reason_missing(report)
    finalises = newest.report.status == ResultStatus.PRELIMINARY and report.status in FINAL
    if found.is_none and not finalises and (not withdrawn or report.status == newest.report.status):
        return _of(RowOutcome.UNCHANGED, newest)
    if report.status in _CORRECTING:
        return _of(RowOutcome.AMENDED, newest) if report.reason else _reason_missing(report)
    if amend_reason:
        return _of(RowOutcome.AMENDED, newest)
    if found.contradicted and finalises and may_be_final and found.contradicted.keys() <= set(_MEASURED):
        words = _("the final report of %(accession)s replaces what was measured by the preliminary one")
        note = words % {"accession": report.accession_number}
        return dataclasses.replace(_of(RowOutcome.COMPLETED, newest), notes=(note,))
    if found.contradicted:
        verdict = contradiction(found, lambda name, value: _shown(name, value, patient))
        return dataclasses.replace(verdict, public_id=newest.public_id)
    return _of(RowOutcome.COMPLETED, newest)  # fills what was empty, or preliminary becomes final


def _is_older(report: LaboratoryReport, standing: LaboratoryReport) -> bool:
    """Whether the laboratory wrote a report before the standing one; its own count decides before the time of issue."""
    one, other = report.stated_version, standing.stated_version
    if one is not None and other is not None and one != other:
        return one < other
    return report.issued_at is not None and standing.issued_at is not None and report.issued_at < standing.issued_at


def _late(report: LaboratoryReport, newest: StoredResult) -> Verdict:
    words = _(
        "this report of %(accession)s is older than the version that stands; it is kept in the history and "
        "changes nothing"
    )
    note = words % {"accession": report.accession_number}
    return dataclasses.replace(_of(RowOutcome.UNCHANGED, newest), notes=(note,), is_late=True)


def _remembered(report: LaboratoryReport) -> Verdict:
    """A withdrawal that comes before what it withdraws is stored, so that the result cannot stand when it comes."""
    if not report.reason:
        return _reason_missing(report)
    words = _("accession %(accession)s is not known yet; its withdrawal is remembered")
    return Verdict(RowOutcome.CREATED, notes=(words % {"accession": report.accession_number},))


def _note_siblings(reports: Sequence[LaboratoryReport], patients: Sequence[Patient], verdicts: list[Verdict]) -> None:
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
            said = {"accession": reports[n].accession_number, "others": ", ".join(others[:5])}
            words = _(
                "%(accession)s: also %(others)s of the same patient, laboratory and day is stored; if one replaces "
                "the other, mark the replaced one as entered in error"
            )
            verdicts[n] = dataclasses.replace(verdicts[n], notes=(*verdicts[n].notes, words % said))  # fmt: skip


def _of(action: RowOutcome, stored: StoredResult) -> Verdict:
    return Verdict(action, id=stored.id, public_id=stored.public_id)


def _sent_again(report: LaboratoryReport, patient_id: int, old: StoredResult) -> bool:
    """Whether a report is an earlier version once more: the same content, state and reason."""
    same_word = (report.status, report.reason) == (old.report.status, old.report.reason)
    return same_word and _difference(report, patient_id, old).is_none


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


def _completed(report: LaboratoryReport, newest: StoredResult | None, amend_reason: str) -> LaboratoryReport:
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
