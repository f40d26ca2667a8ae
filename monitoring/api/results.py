"""``/api/v1/results/``: laboratory reports in, versions and classes out."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import django_filters
from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Prefetch, QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from monitoring import clock
from monitoring.api.fields import NumberIn, NumberOut, PartialDateField, instant, number, partly
from monitoring.api.filters import InstantFilter
from monitoring.api.parsing import cell_text, cells_of
from monitoring.api.refusals import ApiProblem, public_id_of, refused, refused_field
from monitoring.api.resources import Resource, etag, find_patient, idempotently, require_match
from monitoring.domain.report import LaboratoryReport
from monitoring.domain.scale import ResponseClass
from monitoring.intake.columns import RESULT_COLUMNS
from monitoring.intake.reports import parse_report
from monitoring.intake.tables import TableRow
from monitoring.intake.written import cells_of_report
from monitoring.models import (
    ClassificationRequest,
    Laboratory,
    Patient,
    PcrResult,
    Replicate,
    ResponseAssessment,
    ResultStatus,
    Role,
)
from monitoring.models.choices import RESPONSE_CLASS
from monitoring.permissions import has_role_in
from monitoring.selectors.known import standing_results
from monitoring.selectors.series import REPORT_COLUMNS
from monitoring.services.amendments import (
    StandingResult,
    amend_result,
    retract_result,
    standing_result,
    verify_result,
)
from monitoring.services.results import is_reported, record_result
from monitoring.services.verdicts import Action, Verdict

ENTERING = (Role.TECHNICIAN, Role.VERIFIER)
REPLICATE_FIELDS = ("replicate", "bcr_abl1_copies", "control_gene_copies", "run_valid")


# --- answers -----------------------------------------------------------------------------------------------------


class AssessmentOut(serializers.Serializer[ResponseAssessment]):
    """What the rules made of a result."""

    response_class = serializers.ChoiceField(choices=RESPONSE_CLASS)
    flags = serializers.ListField(child=serializers.CharField())
    is_percent = NumberOut()
    mr_value = NumberOut()
    sensitivity = serializers.ChoiceField(choices=["NONE", "MR4", "MR4_5", "MR5"])
    detected = serializers.BooleanField()
    upper_bound_percent = NumberOut()
    conversion_factor = NumberOut()
    factor_state = serializers.CharField()
    rule_version = serializers.CharField()
    assessed_at = serializers.DateTimeField()

    def to_representation(self, instance: ResponseAssessment) -> dict[str, Any]:
        return {
            "response_class": instance.response_class,
            "flags": instance.flags.split(";") if instance.flags else [],
            "is_percent": number(instance.is_percent),
            "mr_value": number(instance.mr_value),
            "sensitivity": instance.sensitivity,
            "detected": instance.detected,
            "upper_bound_percent": number(instance.upper_bound_percent),
            "conversion_factor": number(instance.conversion_factor),
            "factor_state": instance.factor_state,
            "rule_version": instance.rule_version,
            "assessed_at": instant(instance.assessed_at),
        }


class ReplicateOut(serializers.Serializer[Any]):
    """One tube; ``bcr_abl1_copies`` null is not detected."""

    replicate = serializers.IntegerField()
    bcr_abl1_copies = NumberOut()
    control_gene_copies = NumberOut()
    run_valid = serializers.BooleanField()


class ResultOut(serializers.Serializer[PcrResult]):
    """The current version of a result."""

    id = serializers.UUIDField()
    version = serializers.IntegerField()
    laboratory = serializers.CharField()
    accession_number = serializers.CharField()
    patient = serializers.UUIDField()
    patient_id = serializers.CharField()
    centre = serializers.CharField()
    collected_on = PartialDateField()
    collected_at = serializers.DateTimeField(allow_null=True)
    received_on = serializers.DateField(allow_null=True)
    received_at = serializers.DateTimeField(allow_null=True)
    tested_on = serializers.DateField(allow_null=True)
    issued_at = serializers.DateTimeField(allow_null=True)
    control_gene = serializers.CharField()
    method = serializers.CharField()
    assay = serializers.CharField()
    kit_lot = serializers.CharField()
    specimen = serializers.CharField()
    conversion_factor = NumberOut()
    is_percent = NumberOut()
    is_comparator = serializers.CharField()
    mr_value = NumberOut()
    reported_class = serializers.CharField()
    detected = serializers.BooleanField(allow_null=True)
    limit_of_detection = NumberOut()
    limit_of_quantification = NumberOut()
    status = serializers.ChoiceField(choices=ResultStatus.values)
    reason = serializers.CharField()
    replicates = ReplicateOut(many=True)
    recorded_at = serializers.DateTimeField()
    recorded_by = serializers.CharField()
    classification = serializers.ChoiceField(choices=["pending", "done"])
    assessment = AssessmentOut(allow_null=True)

    def to_representation(self, instance: PcrResult) -> dict[str, Any]:
        standing = instance.standing_assessments  # type: ignore[attr-defined]  # prefetched
        return {
            "id": str(instance.public_id),
            "version": instance.version,
            "laboratory": instance.laboratory.code,
            "accession_number": instance.accession_number,
            "patient": str(instance.patient.public_id),
            "patient_id": instance.patient.patient_id,
            "centre": instance.patient.centre.code,
            "collected_on": partly(instance.collected_on, instance.collected_precision),
            "collected_at": instant(instance.collected_at),
            "received_on": instance.received_on and instance.received_on.isoformat(),
            "received_at": instant(instance.received_at),
            "tested_on": instance.tested_on and instance.tested_on.isoformat(),
            "issued_at": instant(instance.issued_at),
            "control_gene": instance.control_gene,
            "method": instance.method,
            "assay": instance.assay_name,
            "kit_lot": instance.kit_lot,
            "specimen": instance.specimen,
            "conversion_factor": number(instance.conversion_factor),
            "is_percent": number(instance.is_percent),
            "is_comparator": instance.is_comparator,
            "mr_value": number(instance.mr_value),
            "reported_class": instance.reported_class,
            "detected": instance.detected,
            "limit_of_detection": number(instance.limit_of_detection),
            "limit_of_quantification": number(instance.limit_of_quantification),
            "status": instance.status,
            "reason": instance.reason,
            "replicates": [
                {
                    "replicate": tube.number,
                    "bcr_abl1_copies": number(tube.bcr_abl1_copies),
                    "control_gene_copies": number(tube.control_gene_copies),
                    "run_valid": tube.run_valid,
                }
                for tube in sorted(instance.replicates.all(), key=lambda tube: tube.number)
            ],
            "recorded_at": instant(instance.recorded_at),
            "recorded_by": instance.recorded_by.get_username(),
            "classification": "pending" if instance.is_owed else "done",  # type: ignore[attr-defined]  # annotated
            "assessment": AssessmentOut(standing[0]).data if standing else None,
        }


def as_answered(results: QuerySet[PcrResult]) -> QuerySet[PcrResult]:
    """Results with all that an answer shows, in a fixed number of queries."""
    return (
        results.select_related("patient__centre", "laboratory", "recorded_by")
        .annotate(is_owed=Exists(ClassificationRequest.objects.filter(patient=OuterRef("patient"))))
        .prefetch_related(
            "replicates",
            Prefetch(
                "assessments",
                ResponseAssessment.objects.filter(superseded_at__isnull=True),
                to_attr="standing_assessments",
            ),
        )
    )


def visible_results(user: Any) -> QuerySet[PcrResult]:
    """Current versions of results of patients this person may see."""
    return standing_results(None).filter(patient__in=Patient.objects.visible_to(user))


# --- what is sent ------------------------------------------------------------------------------------------------


class ReplicateIn(serializers.Serializer[Any]):
    """One tube; ``bcr_abl1_copies`` null is not detected."""

    replicate = serializers.IntegerField(required=False, min_value=1, max_value=99)
    bcr_abl1_copies = NumberIn(required=False)
    control_gene_copies = NumberIn(required=False)
    run_valid = serializers.BooleanField(required=False, allow_null=True)


class ResultChangeIn(serializers.Serializer[Any]):
    """The columns of a results file; what is left out or null is not known."""

    centre = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=60)
    collected_on = PartialDateField(required=False)
    collected_at = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    received_on = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    received_at = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    tested_on = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    issued_at = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    control_gene = serializers.CharField(required=False, allow_null=True, help_text="ABL1, GUSB or BCR")
    replicate = NumberIn(required=False)
    bcr_abl1_copies = NumberIn(required=False, help_text="for one tube without `replicates`; `nd` is not detected")
    control_gene_copies = NumberIn(required=False)
    run_valid = serializers.BooleanField(required=False, allow_null=True)
    is_percent = NumberIn(required=False, help_text="also `<0.0032` or `>55`")
    mr_value = NumberIn(required=False)
    reported_class = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    detected = serializers.CharField(required=False, allow_null=True, help_text="yes or no")
    limit_of_detection = NumberIn(required=False)
    limit_of_quantification = NumberIn(required=False)
    method = serializers.CharField(required=False, allow_null=True, help_text="rt-qpcr, dpcr or cartridge")
    assay = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=100)
    kit_lot = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=60)
    specimen = serializers.CharField(required=False, allow_null=True, help_text="PB or BM")
    conversion_factor = NumberIn(required=False)
    replicates = ReplicateIn(many=True, required=False)


class ResultIn(ResultChangeIn):
    """A new result, or one that is known already."""

    laboratory = serializers.CharField(max_length=60)
    accession_number = serializers.CharField(max_length=60)
    patient_id = serializers.CharField(max_length=60)
    status = serializers.ChoiceField(choices=ResultStatus.values, required=False)
    version = NumberIn(required=False)
    reason = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=500)


class AmendIn(ResultChangeIn):
    """The fields that change, and why; what is left out stays, null empties."""

    reason = serializers.CharField(max_length=500)
    patient_id = serializers.CharField(max_length=60, required=False)


class ReasonIn(serializers.Serializer[Any]):
    """Why."""

    reason = serializers.CharField(max_length=500)


AMENDABLE = tuple(c for c in RESULT_COLUMNS if c not in ("laboratory", "accession_number", "status", "version"))


def rows_of(body: Mapping[str, Any], cells: Mapping[str, str]) -> list[TableRow]:
    """The rows of a results file that say the same as a body: one a replicate."""
    tubes = body.get("replicates")
    if tubes is None:
        return [TableRow(1, dict(cells))]
    doubled = next((name for name in REPLICATE_FIELDS if cells.get(name)), None)
    if doubled:
        raise refused_field(doubled, cells[doubled], _("is given beside replicates; write it inside them"))
    if not isinstance(tubes, list) or not 1 <= len(tubes) <= 100:
        raise refused_field("replicates", "", _("write a list of 1 to 100 replicates"))
    return [TableRow(1, {**cells, **_tube_cells(number, tube)}) for number, tube in enumerate(tubes, start=1)]


def _tube_cells(position: int, tube: object) -> dict[str, str]:
    if not isinstance(tube, dict):
        raise refused_field("replicates", "", _("replicate %(position)s must be an object") % {"position": position})
    own = {"replicate": str(position), **cells_of(tube, REPLICATE_FIELDS)}
    if "bcr_abl1_copies" in tube and cell_text("bcr_abl1_copies", tube["bcr_abl1_copies"]) == "":
        own["bcr_abl1_copies"] = "nd"  # null says not detected; a member that is left out says nothing
    return own


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

        @cache
        def patient_of(centre: str, patient_id: str) -> Patient:
            return find_patient(self.person, centre, patient_id, ENTERING)

        def zone_of(centre: str, patient_id: str) -> ZoneInfo:
            return ZoneInfo(patient_of(centre, patient_id).centre.time_zone)

        laboratory = Laboratory.objects.filter(code=cells.get("laboratory", "")).first()
        zero = laboratory is not None and laboratory.zero_means_not_detected
        report = parse_report(rows_of(request.data, cells), zone_of=zone_of, zero_means_not_detected=zero).report
        patient = patient_of(report.centre, report.patient_id)
        verdict = record_result(report, patient=patient, by=self.person, now=now, laboratory=laboratory)
        if verdict.action is Action.REFUSED:
            raise self._refusal(verdict)
        assert verdict.public_id is not None
        if verdict.action is not Action.CREATED:
            return answered(verdict.public_id)
        fresh = fresh_result(verdict.public_id, report, patient, self.person, now)
        return Response(ResultOut(fresh).data, status=HTTPStatus.CREATED, headers=etag(fresh.version))

    def _refusal(self, verdict: Verdict) -> ApiProblem:
        """Another content for a known key is a conflict; its id is told to those who may see it."""
        if verdict.public_id is None:
            return refused(verdict.problems)
        seen = visible_results(self.request.user).filter(public_id=verdict.public_id).exists()
        words = _("This accession is stored with other content; amend it, giving a reason.")
        if not seen:
            return ApiProblem(HTTPStatus.CONFLICT, _("This accession number is in use at this laboratory."))
        return ApiProblem(HTTPStatus.CONFLICT, words, verdict.problems, {"id": str(verdict.public_id)})


def fresh_result(
    public_id: uuid.UUID, report: LaboratoryReport, patient: Patient, by: User, now: dt.datetime
) -> PcrResult:
    """A result that was stored this moment, made of what was stored instead of being read again; it has no class yet."""
    own = {"collected_on": report.collected.on, "collected_precision": report.collected.precision.value, "version": 1}
    result = PcrResult(
        id=0, public_id=public_id, laboratory=Laboratory(code=report.laboratory), patient=patient, recorded_by=by,
        recorded_at=now, accession_number=report.accession_number,
        **{name: own[name] if name in own else getattr(report, name) for name in REPORT_COLUMNS},
    )  # fmt: skip
    tubes = report.replicates if is_reported(report.replicates) else ()
    result._prefetched_objects_cache = {  # type: ignore[attr-defined]  # where Django keeps what it has read already
        "replicates": [
            Replicate(number=t.number, bcr_abl1_copies=t.bcr_abl1_copies, control_gene_copies=t.control_gene_copies, run_valid=t.run_valid)
            for t in tubes
        ]
    }  # fmt: skip
    result.standing_assessments, result.is_owed = [], True  # type: ignore[attr-defined]
    return result


def answered(public_id: uuid.UUID, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """The current version of a result as an answer, with its ETag."""
    result = as_answered(PcrResult.objects.filter(public_id=public_id, superseded_by__isnull=True)).get()
    return Response(ResultOut(result).data, status=status, headers=etag(result.version))


class ResultItem(Resource):
    """One result."""

    serializer_class = ResultOut
    queryset = PcrResult.objects.none()

    @extend_schema(operation_id="results_retrieve")
    def get(self, request: Request, id: str) -> Response:
        """The current version; its ETag is what a change must send as If-Match."""
        found = visible_results(request.user).filter(public_id=public_id_of(id)).first()
        if found is None:
            raise NotFound
        return answered(found.public_id)


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
        if verdict.action is Action.REFUSED:
            raise refused(verdict.problems)
        return answered(standing.row.public_id)

    def _standing(self, request: Request, id: str) -> StandingResult:
        seen = visible_results(request.user).filter(public_id=public_id_of(id)).exists()
        standing = standing_result(public_id_of(id)) if seen else None
        if standing is None:
            raise NotFound
        if not has_role_in(request.user, standing.row.patient.centre_id, self.write_roles):
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
        return verify_result(standing, by=self.person, version=standing.row.version, now=clock.now())


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
            patient = find_patient(
                self.person, given.get("centre", ""), given.get("patient_id", patient.patient_id), ENTERING
            )
        zone = ZoneInfo(patient.centre.time_zone)
        parsed = parse_report(amended_rows(standing, request.data, given), zone_of=lambda *_names: zone)
        return amend_result(
            standing, parsed.report, patient=patient, by=self.person, version=standing.row.version, now=now
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
        return retract_result(standing, by=self.person, reason=reason, version=standing.row.version, now=clock.now())
