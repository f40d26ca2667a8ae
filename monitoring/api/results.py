"""``/api/v1/results/``: laboratory reports in, versions and classes out."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import django_filters
from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from monitoring import clock
from monitoring.api.filters import InstantFilter
from monitoring.api.parsing import cells_of
from monitoring.api.refusals import ApiProblem, public_id_of, refusal_problem
from monitoring.api.resources import Resource, etag, idempotently, require_match
from monitoring.api.result_shapes import (
    AMENDABLE,
    REPLICATE_FIELDS,
    AmendIn,
    ReasonIn,
    ResultIn,
    ResultOut,
    as_answered,
    rows_of,
    visible_results,
)
from monitoring.domain.scoring.laboratory_report import LaboratoryReport
from monitoring.domain.vocabulary.scale import ResponseClass
from monitoring.intake.columns import RESULT_COLUMNS
from monitoring.intake.named import find_patient
from monitoring.intake.reports import parse_report
from monitoring.intake.tables import TableRow
from monitoring.intake.written import cells_of_report
from monitoring.models import (
    Laboratory,
    Patient,
    PcrResult,
    Replicate,
    ResponseAssessment,
    ResultStatus,
    Role,
)
from monitoring.models.centres import said_zone_of
from monitoring.models.choices import RESPONSE_CLASS
from monitoring.selectors.laboratories import reporting_laboratories
from monitoring.selectors.series import REPORT_COLUMNS
from monitoring.services.entry.amendments import (
    StandingResult,
    amend_result,
    retract_result,
    standing_result,
    verify_result,
)
from monitoring.services.entry.result_versions import is_reported
from monitoring.services.entry.results import record_result
from monitoring.services.entry.verdicts import RowOutcome, Verdict

ENTERING = (Role.TECHNICIAN, Role.VERIFIER)


# --- addresses ---------------------------------------------------------------------------------------------------


class ResultFilter(django_filters.FilterSet):
    """Filters of the list of results."""

    patient = django_filters.UUIDFilter("patient__public_id")
    patient_id = django_filters.CharFilter("patient__patient_id")
    centre = django_filters.CharFilter("patient__centre__code")
    laboratory = django_filters.CharFilter("laboratory__code")
    accession_number = django_filters.CharFilter("accession_number")
    status = django_filters.ChoiceFilter(choices=ResultStatus.choices)
    response_class = django_filters.ChoiceFilter(choices=RESPONSE_CLASS, method="of_class")
    collected_from = django_filters.DateFilter("collected_on", "gte")
    collected_to = django_filters.DateFilter("collected_on", "lte")
    recorded_from = InstantFilter("recorded_at", "gte")
    ordering = django_filters.OrderingFilter(fields=(("id", "recorded_at"), ("collected_on", "collected_on")))

    def of_class(self, results: QuerySet[PcrResult], name: str, value: str) -> QuerySet[PcrResult]:
        standing = ResponseAssessment.objects.filter(
            result=OuterRef("pk"), superseded_at__isnull=True, response_class=ResponseClass(value).value
        )
        return results.filter(Exists(standing))


class ResultList(Resource):
    """Results of the patients you may see, and new ones. Writing: technicians and verifiers."""

    serializer_class = ResultOut
    filterset_class = ResultFilter
    write_roles = ENTERING
    queryset = PcrResult.objects.none()

    def get_queryset(self) -> QuerySet[PcrResult]:
        return visible_results(self.request.user).only("id").order_by("-id")

    def furnished(self, page: Sequence[PcrResult]) -> Sequence[PcrResult]:
        """The joins are made for the rows of the page, not for all that are sorted."""
        rows = {row.pk: row for row in as_answered(PcrResult.objects.filter(pk__in=[row.pk for row in page]))}
        return [rows[row.pk] for row in page]

    @extend_schema(operation_id="results_list", responses=ResultOut(many=True))
    def get(self, request: Request) -> Response:
        """List current versions, newest first."""
        return self.listed(request)

    @extend_schema(operation_id="results_create", request=ResultIn, responses={201: ResultOut, 200: ResultOut})
    def post(self, request: Request) -> Response:
        """Record a result. 201: stored. 200: known already, or completed. 409: another content is stored."""
        return idempotently(request, lambda: self._record(request))

    def _record(self, request: Request) -> Response:
        now = clock.now()
        cells = cells_of(request.data, RESULT_COLUMNS, lists=("replicates",))
        reach = self.reach(ENTERING)

        @cache
        def patient_of(centre: str, patient_id: str) -> Patient:
            return find_patient(reach, centre, patient_id)

        def zone(centre: str, patient_id: str) -> ZoneInfo | None:
            return said_zone_of(patient_of(centre, patient_id).centre)

        code = cells.get("laboratory", "")
        laboratory = reporting_laboratories([code]).get(code)
        zero = laboratory is not None and laboratory.row.zero_means_not_detected
        parsed = parse_report(rows_of(request.data, cells), zone_of=zone, zero_means_not_detected=zero)
        report = parsed.report
        patient = patient_of(report.centre, report.patient_id)
        verdict = record_result(report, patient=patient, by=self.person, reach=reach, now=now, laboratory=laboratory)
        if verdict.action is RowOutcome.REFUSED:
            raise self._refusal(verdict)
        assert verdict.public_id is not None
        notes = (*parsed.notes, *verdict.notes)
        if verdict.action is not RowOutcome.CREATED:
            return answered(verdict.public_id, notes=notes)
        if verdict.waits:
            report = dataclasses.replace(report, status=ResultStatus.PRELIMINARY.value)
        fresh = fresh_result(verdict.public_id, report, patient, self.person, now)
        fresh.notes = notes  # type: ignore[attr-defined]  # said once, where it was sent
        return Response(ResultOut(fresh).data, status=HTTPStatus.CREATED, headers=etag(fresh.version))

    def _refusal(self, verdict: Verdict) -> ApiProblem:
        """Another content for a known key of the writer's centres is a conflict, told with its id."""
        if verdict.public_id is None:
            return refusal_problem(verdict.problems)
        words = _("This accession is stored with other content; amend it, giving a reason.")
        return ApiProblem(HTTPStatus.CONFLICT, words, verdict.problems, {"id": str(verdict.public_id)})


def fresh_result(
    public_id: uuid.UUID, report: LaboratoryReport, patient: Patient, by: User, now: dt.datetime
) -> PcrResult:
    """A result that was stored this moment, made of what was stored instead of being read again; it has no class
    yet.
    """
    own = {"collected_on": report.collected.on, "collected_precision": report.collected.precision.value}
    result = PcrResult(
        id=0, public_id=public_id, laboratory=Laboratory(code=report.laboratory), patient=patient, recorded_by=by,
        recorded_at=now, accession_number=report.accession_number, version=1,
        **{name: own[name] if name in own else getattr(report, name) for name in REPORT_COLUMNS},
    )  # fmt: skip
    tubes = report.replicates if is_reported(report.replicates) else ()
    result._prefetched_objects_cache = {  # type: ignore[attr-defined]  # where Django keeps what it has read already
        "replicates": [
            Replicate(number=t.number, bcr_abl1_copies=t.bcr_abl1_copies, control_gene_copies=t.control_gene_copies,
             run_valid=t.run_valid,
                      bcr_abl1_reported=t.reported)
            for t in tubes
        ]
    }  # fmt: skip
    result.standing_assessments, result.is_owed = [], True  # type: ignore[attr-defined]  # what the query adds
    return result


def answered(public_id: uuid.UUID, notes: Sequence[str] = ()) -> Response:
    """The current version of a result as an answer, with its ETag."""
    result = as_answered(PcrResult.objects.filter(public_id=public_id, superseded_by__isnull=True)).get()
    result.notes = notes  # type: ignore[attr-defined]  # said once, where it was sent
    return Response(ResultOut(result).data, headers=etag(result.version))


class ResultItem(Resource):
    """One result."""

    serializer_class = ResultOut
    queryset = PcrResult.objects.none()

    @extend_schema(operation_id="results_retrieve")
    def get(self, request: Request, id: str) -> Response:
        """The current version; its ETag is what a change must send as If-Match."""
        result = visible_results(request.user).filter(public_id=public_id_of(id)).first()
        if result is None:
            raise NotFound
        return answered(result.public_id)


class ResultVerb(Resource):
    """Something that is done with one result: it needs If-Match."""

    serializer_class = ResultOut
    queryset = PcrResult.objects.none()
    write_roles: ClassVar[tuple[Role, ...]] = ENTERING

    def done(self, request: Request, id: str) -> Response:
        """Find the result, check who asks and what was read, do the deed, answer the version that stands."""
        standing = self._standing(request, id)
        require_match(request, standing.row.version)
        verdict = self.deed(request, standing)
        if verdict.action is RowOutcome.REFUSED:
            raise refusal_problem(verdict.problems)
        return answered(standing.row.public_id)

    def _standing(self, request: Request, id: str) -> StandingResult:
        seen = visible_results(request.user).filter(public_id=public_id_of(id)).exists()
        standing = standing_result(public_id_of(id)) if seen else None
        if standing is None:
            raise NotFound
        if standing.row.patient.centre_id not in self.centres_with(self.write_roles):
            raise PermissionDenied
        return standing

    def deed(self, request: Request, standing: StandingResult) -> Verdict:
        """What is done."""
        raise NotImplementedError


class VerifyResult(ResultVerb):
    """Verify. For verifiers who have not entered the result themselves."""

    write_roles = (Role.VERIFIER,)

    @extend_schema(operation_id="results_verify", request=None, responses={200: ResultOut})
    def post(self, request: Request, id: str) -> Response:
        """Make a preliminary result final."""
        return idempotently(request, lambda: self.done(request, id))

    def deed(self, request: Request, standing: StandingResult) -> Verdict:
        cells_of(request.data or {}, ())
        return verify_result(
            standing, by=self.person, reach=self.reach(self.write_roles), version=standing.row.version, now=clock.now()
        )


class AmendResult(ResultVerb):
    """Amend. For technicians and verifiers of the patient's centre."""

    @extend_schema(operation_id="results_amend", request=AmendIn, responses={200: ResultOut})
    def post(self, request: Request, id: str) -> Response:
        """Store a corrected version with a reason; the earlier one stays readable."""
        return idempotently(request, lambda: self.done(request, id))

    def deed(self, request: Request, standing: StandingResult) -> Verdict:
        now = clock.now()
        given = cells_of(request.data, AMENDABLE, lists=("replicates",))
        patient = standing.row.patient
        if given.get("patient_id", patient.patient_id) != patient.patient_id or given.get("centre"):
            patient_id = given.get("patient_id", patient.patient_id)
            patient = find_patient(self.reach(ENTERING), given.get("centre", ""), patient_id)
        zone = said_zone_of(patient.centre)
        parsed = parse_report(amended_rows(standing, request.data, given), zone_of=lambda *_names: zone)
        return amend_result(
            standing,
            parsed.report,
            patient=patient,
            by=self.person,
            reach=self.reach(ENTERING),
            version=standing.row.version,
            now=now,
        )


def amended_rows(standing: StandingResult, body: Mapping[str, Any], given: Mapping[str, str]) -> list[TableRow]:
    """The whole result as rows: what stands, with what is given in its place."""
    whole, tubes = cells_of_report(standing.report)
    whole |= {name: value for name, value in given.items() if name not in REPLICATE_FIELDS}
    whole["patient_id"] = whole["patient_id"] or standing.row.patient.patient_id
    if "collected_on" in given and "collected_at" not in given:
        whole["collected_at"] = ""  # another day: the time that stands belongs to the old one
    if body.get("replicates") is not None or any(given.get(name) for name in REPLICATE_FIELDS):
        return rows_of(body, {**whole, **{n: v for n, v in given.items() if n in REPLICATE_FIELDS}})
    return [TableRow(1, {**whole, **tube}) for tube in tubes] or [TableRow(1, whole)]


class RetractResult(ResultVerb):
    """Mark as entered in error. For technicians and verifiers of the patient's centre."""

    @extend_schema(operation_id="results_retract", request=ReasonIn, responses={200: ResultOut})
    def post(self, request: Request, id: str) -> Response:
        """The result stays readable and counts for nothing."""
        return idempotently(request, lambda: self.done(request, id))

    def deed(self, request: Request, standing: StandingResult) -> Verdict:
        reason = cells_of(request.data, ("reason",)).get("reason", "")
        return retract_result(
            standing,
            by=self.person,
            reach=self.reach(ENTERING),
            reason=reason,
            version=standing.row.version,
            now=clock.now(),
        )
