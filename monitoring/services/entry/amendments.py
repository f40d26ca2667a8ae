"""What happens to one stored result later: verified by a second person, amended, or marked as entered in error.

Each is a new version that supersedes the one its author has read. Of two people who change the same version at once,
the slower one is told so and nothing of theirs is stored.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from monitoring.domain.scoring.laboratory_report import LaboratoryReport
from monitoring.models import Patient, PcrResult, ResultStatus
from monitoring.selectors.laboratories import reporting_laboratories
from monitoring.selectors.series import REPORT_COLUMNS, load_replicates, report_of
from monitoring.services.classification.classification_queue import request_classification
from monitoring.services.entry.reach import Reach, laboratory_refusal, patient_out_of_reach
from monitoring.services.entry.result_judging import FINAL, content_of, out_of_order, outside_life
from monitoring.services.entry.result_versions import Insertion, StoredResult, insert_versions
from monitoring.services.entry.results import awaits_words
from monitoring.services.entry.verdicts import RowOutcome, Verdict, refusal
from monitoring.services.entry.verification import check_may_verify
from monitoring.services.foundation.races import is_lost_race
from monitoring.services.foundation.stale_version import StaleVersionError


@dataclass(frozen=True, slots=True)
class StandingResult:
    """The current version of a result with everything an amendment starts from."""

    row: PcrResult
    report: LaboratoryReport

    @property
    def stored(self) -> StoredResult:
        row = self.row
        return StoredResult(
            row.pk, row.public_id, row.patient_id, row.patient.centre_id, row.recorded_by_id, self.report
        )


def standing_result(public_id: uuid.UUID) -> StandingResult | None:
    """The current version of a result, None where there is none."""
    row = (
        PcrResult.objects.filter(public_id=public_id, superseded_by__isnull=True)
        .select_related("patient__centre", "laboratory")
        .first()
    )
    if row is None:
        return None
    values = {name: getattr(row, name) for name in REPORT_COLUMNS} | {"accession_number": row.accession_number}
    tubes = load_replicates([row.pk]).get(row.pk, ())
    report = dataclasses.replace(report_of(values, tubes, row.laboratory.code), patient_id=row.patient.patient_id)
    return StandingResult(row, report)


def verify_result(standing: StandingResult, *, by: User, reach: Reach, version: int, now: dt.datetime) -> Verdict:
    """Make a preliminary result final. Raises ``VerificationRefused`` for its own author or another state.

    A correction of what was final before is corrected then, and keeps its reason.
    """
    if barred := _barred(standing, standing.row.patient, reach):
        return barred
    check_may_verify(standing.row, by)
    final = dataclasses.replace(standing.report, status=ResultStatus.FINAL.value, reason="")
    if PcrResult.objects.filter(public_id=standing.row.public_id, status__in=FINAL).exists():
        final = dataclasses.replace(standing.report, status=ResultStatus.CORRECTED.value)
    return _supersede(standing, final, patient=standing.row.patient, by=by, version=version, now=now)


def _barred(standing: StandingResult, patient: Patient, reach: Reach) -> Verdict | None:
    """Why this writer may not touch a result, or give it to this patient; said before anything of what stands there."""
    if not reach.covers(standing.row.patient.centre_id) or not reach.covers(patient.centre_id):
        return Verdict(RowOutcome.REFUSED, (patient_out_of_reach(patient.patient_id),))
    code = standing.row.laboratory.code
    moves = patient.centre_id != standing.row.patient.centre_id
    if moves and not reach.is_operator and patient.centre_id not in reporting_laboratories([code])[code].centres:
        return Verdict(RowOutcome.REFUSED, (laboratory_refusal(code, reach),))
    return None


def amend_result(
    standing: StandingResult,
    report: LaboratoryReport,
    *,
    patient: Patient,
    by: User,
    reach: Reach,
    version: int,
    now: dt.datetime,
) -> Verdict:
    """Store a corrected version: the report is complete and says why.

    It is preliminary where the standing one is, and where a second person of the laboratory verifies what a person
    says.
    """
    if barred := _barred(standing, patient, reach):
        return barred
    if not report.reason.strip():
        return refusal("reason", "", _("say why the result is changed"))
    waits = standing.row.status == ResultStatus.PRELIMINARY or not reach.may_be_final(standing.row.laboratory)
    status = ResultStatus.PRELIMINARY if waits else ResultStatus.CORRECTED
    whole = dataclasses.replace(report, status=status.value)
    problem = outside_life(whole, patient, now) or out_of_order(whole)
    if problem:
        return problem
    was_error = standing.row.status == ResultStatus.ENTERED_IN_ERROR
    if not was_error and content_of(whole, patient.pk) == content_of(standing.report, standing.row.patient_id):
        return Verdict(RowOutcome.UNCHANGED, id=standing.row.pk, public_id=standing.row.public_id)
    stored = _supersede(standing, whole, patient=patient, by=by, version=version, now=now)
    return dataclasses.replace(stored, waits=True, notes=(awaits_words(),)) if waits else stored


def retract_result(
    standing: StandingResult, *, by: User, reach: Reach, reason: str, version: int, now: dt.datetime
) -> Verdict:
    """Mark a result as entered in error: it stays readable and counts for nothing."""
    if barred := _barred(standing, standing.row.patient, reach):
        return barred
    if not reason.strip():
        return refusal("reason", "", _("say why the result is marked as entered in error"))
    if standing.row.status == ResultStatus.ENTERED_IN_ERROR:
        return Verdict(RowOutcome.UNCHANGED, id=standing.row.pk, public_id=standing.row.public_id)
    error = dataclasses.replace(
        standing.report, status=ResultStatus.ENTERED_IN_ERROR.value, reason=reason.strip()[:500]
    )
    return _supersede(standing, error, patient=standing.row.patient, by=by, version=version, now=now)


def _supersede(
    standing: StandingResult, report: LaboratoryReport, *, patient: Patient, by: User, version: int, now: dt.datetime
) -> Verdict:
    row = standing.row
    if version != row.version:
        values = {"stands": row.version, "read": version}
        words = _("version %(stands)s stands by now, you have read version %(read)s; load it again")
        raise StaleVersionError(words % values)
    insertion = Insertion(row.public_id, report, patient.pk, row.laboratory_id, row.version + 1, standing.stored)
    try:
        with transaction.atomic():
            insert_versions([insertion], by, now)
            request_classification({patient.pk, row.patient_id}, bulk=False)
    except IntegrityError as problem:
        if not is_lost_race(problem):
            raise
        raise StaleVersionError(_("somebody else has just changed this result; load it again")) from None
    return Verdict(RowOutcome.AMENDED, id=row.pk, public_id=row.public_id)
