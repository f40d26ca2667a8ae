"""``/api/v1/treatments/``: courses of drugs."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from monitoring import clock
from monitoring.api.fields import NumberIn, NumberOut, PartialDateField, partly
from monitoring.api.parsing import cells_of
from monitoring.api.resources import Resource, idempotently
from monitoring.api.rows import RowItem, answer_row, judged, recorded
from monitoring.domain.course.series import Drug, StopReason
from monitoring.intake.columns import TREATMENT_COLUMNS
from monitoring.intake.facts import course_facts
from monitoring.intake.named import find_patient
from monitoring.intake.values import Cells
from monitoring.models import Patient, TkiCourse
from monitoring.models.choices import DRUG, STOP_REASON
from monitoring.services.entry.reach import RECORDING
from monitoring.services.entry.records import record_courses

CHANGEABLE = tuple(c for c in TREATMENT_COLUMNS if c not in ("patient_id", "centre"))


class TreatmentOut(serializers.Serializer[TkiCourse]):
    """One course of one drug."""

    id = serializers.UUIDField(source="public_id")
    patient = serializers.UUIDField(source="patient.public_id")
    patient_id = serializers.CharField(source="patient.patient_id")
    centre = serializers.CharField(source="patient.centre.code")
    drug = serializers.ChoiceField(choices=[d.value for d in Drug])
    drug_text = serializers.CharField()
    started_on = PartialDateField()
    stopped_on = PartialDateField()
    stop_reason = serializers.CharField()
    dose_mg_per_day = NumberOut()
    recorded_at = serializers.DateTimeField()


class TreatmentChangeIn(serializers.Serializer[Any]):
    """The fields that change; null empties one. What contradicts a stored value needs a reason."""

    drug = serializers.ChoiceField(choices=[d.value for d in Drug], required=False)
    drug_text = serializers.CharField(required=False, allow_null=True, max_length=100)
    started_on = PartialDateField(required=False)
    stopped_on = PartialDateField(required=False, help_text="the last day of drug")
    stop_reason = serializers.ChoiceField(
        choices=[r.value for r in StopReason if r is not StopReason.UNKNOWN], required=False, allow_null=True
    )
    dose_mg_per_day = NumberIn(required=False)
    reason = serializers.CharField(required=False, max_length=500)


class TreatmentIn(TreatmentChangeIn):
    """A new course; a restart is a new course."""

    patient_id = serializers.CharField(max_length=60)
    centre = serializers.CharField(required=False, allow_null=True, max_length=60)
    drug = serializers.ChoiceField(choices=[d.value for d in Drug])
    started_on = PartialDateField()


class TreatmentFilter(django_filters.FilterSet):
    """Filters of the list of courses."""

    patient = django_filters.UUIDFilter("patient__public_id")
    patient_id = django_filters.CharFilter("patient__patient_id")
    centre = django_filters.CharFilter("patient__centre__code")
    drug = django_filters.ChoiceFilter(choices=DRUG)
    stop_reason = django_filters.ChoiceFilter(choices=STOP_REASON)
    started_from = django_filters.DateFilter("started_on", "gte")
    started_to = django_filters.DateFilter("started_on", "lte")
    stopped_from = django_filters.DateFilter("stopped_on", "gte")
    stopped_to = django_filters.DateFilter("stopped_on", "lte")
    ordering = django_filters.OrderingFilter(
        fields=(("id", "recorded_at"), ("started_on", "started_on"), ("stopped_on", "stopped_on"))
    )


def visible_courses(user: Any) -> QuerySet[TkiCourse]:
    """Courses of the patients this person may see."""
    return TkiCourse.objects.filter(patient__in=Patient.objects.visible_to(user)).select_related("patient__centre")


class TreatmentList(Resource):
    """Courses of the patients you may see, and new ones. Writing: everybody who records facts there."""

    serializer_class = TreatmentOut
    filterset_class = TreatmentFilter
    write_roles = RECORDING
    queryset = TkiCourse.objects.none()

    def get_queryset(self) -> QuerySet[TkiCourse]:
        return visible_courses(self.request.user).order_by("-id")

    @extend_schema(operation_id="treatments_list", responses=TreatmentOut(many=True))
    def get(self, request: Request) -> Response:
        """List courses, latest recorded first."""
        return self.listed(request)

    @extend_schema(
        operation_id="treatments_create", request=TreatmentIn, responses={201: TreatmentOut, 200: TreatmentOut}
    )
    def post(self, request: Request) -> Response:
        """Record a course. 201: stored. 200: known already, or completed. 409: other facts are stored."""
        return idempotently(request, lambda: self._record(request))

    def _record(self, request: Request) -> Response:
        now = clock.now()
        cells = Cells(cells_of(request.data, (*TREATMENT_COLUMNS, "reason")))
        reach = self.reach(RECORDING)
        facts = course_facts(cells, lambda centre, pid: find_patient(reach, centre, pid))
        reason = cells.text("reason", longest=500)
        verdict = judged(lambda: record_courses([facts], by=self.person, reach=reach, now=now, amend_reason=reason))
        rows = visible_courses(request.user).filter(patient=facts.patient, drug=facts.drug)
        row = next((r for r in rows if partly(r.started_on, r.started_precision) == str(facts.started_on)), None)
        return recorded(verdict, row, TreatmentOut)


class TreatmentItem(RowItem[TkiCourse]):
    """One course."""

    serializer_class = TreatmentOut
    write_roles = RECORDING
    queryset = TkiCourse.objects.none()
    changeable = CHANGEABLE

    def visible(self) -> QuerySet[TkiCourse]:
        return visible_courses(self.request.user)

    @extend_schema(operation_id="treatments_retrieve")
    def get(self, request: Request, id: str) -> Response:
        """The course with its ETag."""
        return answer_row(self.found(id), TreatmentOut, HTTPStatus.OK)

    @extend_schema(operation_id="treatments_change", request=TreatmentChangeIn)
    def patch(self, request: Request, id: str) -> Response:
        """Change some fields, such as the day and the reason of the stop; needs If-Match."""
        return self.changed(request, id)

    def values_of(self, row: TkiCourse, given: dict[str, str]) -> dict[str, Any]:
        started = partly(row.started_on, row.started_precision) or ""
        standing = {"drug": row.drug, "drug_text": row.drug_text, "started_on": started}
        cells = Cells({**standing, **given, "patient_id": row.patient.patient_id})
        facts = course_facts(cells, lambda centre, patient_id: row.patient)
        values = {"drug": facts.drug, "started_on": facts.started_on, **facts.values}
        return {name: value for name, value in values.items() if name in given}
