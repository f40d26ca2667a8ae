"""Recording results: the one deed behind the form, the API and the import.

The row, its replicates and the note that the patient is owed a classification are one transaction. Nothing is ever
edited: another content for a known accession is a new version, with a reason, or it is refused.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from monitoring.domain.quality.factors import usual_instead
from monitoring.domain.scoring.laboratory_report import LaboratoryReport
from monitoring.models import Laboratory, Patient, ResultStatus
from monitoring.selectors.laboratories import ReportingLaboratory, reporting_laboratories
from monitoring.services.classification.classification_queue import request_classification
from monitoring.services.entry.named_runs import name_runs, of_rejected_run, rejected_among
from monitoring.services.entry.reach import Reach, alike, laboratory_refusal, out_of_reach, patient_out_of_reach
from monitoring.services.entry.result_judging import (
    DESCRIPTIVE,
    FINAL,
    completed,
    difference_from,
    judge,
    note_siblings,
    out_of_order,
    outside_life,
)
from monitoring.services.entry.result_versions import (
    Insertion,
    StoredResult,
    insert_versions,
    keep_late_reports,
    stored_versions,
)
from monitoring.services.entry.verdicts import (
    Problem,
    RowOutcome,
    Verdict,
    refusal,
)
from monitoring.services.foundation.races import LostRaceError, retry_lost_race
from monitoring.services.settings.laboratories import make_laboratories, report_for


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
        rejected = rejected_among(reports)
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
                or of_rejected_run(report, rejected)
                or _implausible_factor(report, laboratory)
                or judge(report, patient, versions, amend_reason, may_be_final=final)
            )
            verdicts.append(verdict)
            if verdict.is_late:
                late.append((versions[-1], report))
            if verdict.action in (RowOutcome.REFUSED, RowOutcome.UNCHANGED) or laboratory is None:
                continue
            newest = versions[-1] if versions else None
            merged = completed(report, newest, amend_reason if verdict.action is RowOutcome.AMENDED else "")
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
            verdicts[-1] = dataclasses.replace(verdict, public_id=public_id, stored=merged)
        note_siblings(reports, patients, verdicts)
        if not dry_run:
            keep_late_reports(late, by, now)
        if not dry_run and insertions:
            insert_versions(insertions, by, now)
            moved_away = {i.supersedes.patient_id for i in insertions if i.supersedes is not None}
            request_classification({i.patient_id for i in insertions} | moved_away, bulk=bulk)
            centre_of = {patient.pk: patient.centre_id for patient in patients}
            name_runs(
                {(i.laboratory_id, i.report.run, centre_of[i.patient_id]) for i in insertions if i.report.run},
                by=by, now=now,
            )  # fmt: skip
            if reach.is_operator:
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


def _implausible_factor(report: LaboratoryReport, laboratory: ReportingLaboratory | None) -> Verdict | None:
    """The refusal of a factor far away from all that the laboratory has registered."""
    if report.conversion_factor is None or laboratory is None:
        return None
    usual = usual_instead(report.conversion_factor, laboratory.factors)
    if usual is None:
        return None
    return refusal("conversion_factor", report.conversion_factor, implausible_words(usual))


def implausible_words(usual: Decimal) -> str:
    """The reason of the refusal of a factor."""
    words = _(
        "is more than thirty times away from the factors of this laboratory (%(usual)s); check the decimal mark, or "
        "register the factor first"
    )
    return words % {"usual": usual}


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
        found = difference_from(report, patient.pk, newest)
        if not found.contradicted and found.filled.keys() <= DESCRIPTIVE:
            return dataclasses.replace(report, status=newest.report.status, reason=newest.report.reason)
    return dataclasses.replace(report, status=ResultStatus.PRELIMINARY.value)


def _says_nothing_new(report: LaboratoryReport, patient: Patient, newest: StoredResult) -> bool:
    return report.status == newest.report.status and difference_from(report, patient.pk, newest).is_none


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
