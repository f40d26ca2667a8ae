"""``/api/v1/patients/``: people by pseudonym. Names and hospital numbers go in and never come out here."""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from monitoring import clock
from monitoring.api.explained import monitoring_json
from monitoring.api.fields import NumberIn, PartialDateField
from monitoring.api.parsing import cells_of
from monitoring.api.refusals import field_refusal, public_id_of
from monitoring.api.resources import Resource, idempotently
from monitoring.api.rows import RowItem, answer_row, judged, recorded
from monitoring.intake.columns import PATIENT_COLUMNS
from monitoring.intake.facts import patient_facts
from monitoring.intake.values import Cells
from monitoring.models import Patient
from monitoring.models.choices import SEX, TRANSCRIPT
from monitoring.selectors.as_of import day_of, end_of_day
from monitoring.selectors.clinical import clinical_view
from monitoring.services.entry.reach import RECORDING
from monitoring.services.entry.records import record_patients

IDENTITY = ("hospital_number", "family_name", "given_name")
CHANGEABLE = tuple(c for c in PATIENT_COLUMNS if c not in ("patient_id", "centre", *IDENTITY))


class PatientOut(serializers.Serializer[Patient]):
    """A patient by pseudonym."""

    id = serializers.UUIDField(source="public_id")
    patient_id = serializers.CharField()
    centre = serializers.CharField(source="centre.code")
    sex = serializers.CharField()
    birth_date = PartialDateField(source="born_on")
    birth_year = serializers.IntegerField(source="born_on.year", allow_null=True)
    diagnosed_on = PartialDateField()
    transcript = serializers.CharField()
    risk_score = serializers.CharField()
    risk_group = serializers.CharField()
    phase = serializers.CharField()
    first_mmr_on = PartialDateField()
    first_dmr_on = PartialDateField()
    merged_into = serializers.UUIDField(source="merged_into.public_id", default=None, allow_null=True)
    recorded_at = serializers.DateTimeField()

    def to_representation(self, instance: Patient) -> dict[str, Any]:
        shown = super().to_representation(instance)
        return shown if instance.born_precision != "year" else {**shown, "birth_date": None}


class PatientChangeIn(serializers.Serializer[Any]):
    """The fields that change; null empties one. What contradicts a stored value needs a reason."""

    sex = serializers.CharField(required=False, allow_null=True, help_text="F, M or X")
    birth_date = PartialDateField(required=False)
    birth_year = NumberIn(required=False)
    diagnosed_on = PartialDateField(required=False)
    transcript = serializers.CharField(required=False, allow_null=True)
    risk_score = serializers.CharField(required=False, allow_null=True, help_text="sokal or elts")
    risk_group = serializers.CharField(required=False, allow_null=True, help_text="low, intermediate or high")
    phase = serializers.CharField(required=False, allow_null=True, help_text="CP, AP or BP")
    first_mmr_on = PartialDateField(required=False)
    first_dmr_on = PartialDateField(required=False)
    reason = serializers.CharField(required=False, max_length=500)


class PatientIn(PatientChangeIn):
    """A new patient, or one that is known already: empty fields are completed."""

    patient_id = serializers.CharField(max_length=60)
    centre = serializers.CharField(max_length=60)
    hospital_number = serializers.CharField(required=False, allow_null=True, max_length=60)
    family_name = serializers.CharField(required=False, allow_null=True, max_length=200)
    given_name = serializers.CharField(required=False, allow_null=True, max_length=200)


class PatientFilter(django_filters.FilterSet):
    """Filters of the list of patients."""

    patient_id = django_filters.CharFilter("patient_id")
    search = django_filters.CharFilter("patient_id", "istartswith")
    centre = django_filters.CharFilter("centre__code")
    sex = django_filters.ChoiceFilter(choices=SEX)
    transcript = django_filters.ChoiceFilter(choices=[choice for choice in TRANSCRIPT if choice[0]])
    ordering = django_filters.OrderingFilter(
        fields=(("patient_id", "patient_id"), ("diagnosed_on", "diagnosed_on"), ("id", "recorded_at"))
    )


class PatientList(Resource):
    """Patients of your centres, and new ones. Writing: everybody who records facts there."""

    serializer_class = PatientOut
    filterset_class = PatientFilter
    write_roles = RECORDING
    queryset = Patient.objects.none()

    def get_queryset(self) -> QuerySet[Patient]:
        visible = Patient.objects.visible_to(self.request.user)
        return visible.select_related("centre", "merged_into").order_by("-id")

    @extend_schema(operation_id="patients_list", responses=PatientOut(many=True))
    def get(self, request: Request) -> Response:
        """List patients, latest recorded first."""
        return self.listed(request)

    @extend_schema(operation_id="patients_create", request=PatientIn, responses={201: PatientOut, 200: PatientOut})
    def post(self, request: Request) -> Response:
        """Record a patient. 201: stored. 200: known already, or completed. 409: other facts are stored."""
        return idempotently(request, lambda: self._record(request))

    def _record(self, request: Request) -> Response:
        now = clock.now()
        cells = Cells(cells_of(request.data, (*PATIENT_COLUMNS, "reason")))
        facts = patient_facts(cells)
        reason = cells.text("reason", longest=500)
        verdict = judged(
            lambda: record_patients([facts], by=self.person, reach=self.reach(RECORDING), now=now, amend_reason=reason)
        )
        row = Patient.objects.filter(centre__code=facts.centre, patient_id=facts.patient_id).select_related("centre")
        return recorded(verdict, row.first(), PatientOut)


class PatientItem(RowItem[Patient]):
    """One patient."""

    serializer_class = PatientOut
    write_roles = RECORDING
    queryset = Patient.objects.none()
    changeable = CHANGEABLE

    def visible(self) -> QuerySet[Patient]:
        return Patient.objects.visible_to(self.request.user).select_related("centre", "merged_into")

    @extend_schema(operation_id="patients_retrieve")
    def get(self, request: Request, id: str) -> Response:
        """The patient with its ETag."""
        return answer_row(self.found(id), PatientOut, HTTPStatus.OK)

    @extend_schema(operation_id="patients_change", request=PatientChangeIn)
    def patch(self, request: Request, id: str) -> Response:
        """Change some fields; needs If-Match."""
        return self.changed(request, id)

    def values_of(self, row: Patient, given: dict[str, str]) -> dict[str, Any]:
        cells = Cells({**given, "patient_id": row.patient_id, "centre": row.centre.code})
        values = patient_facts(cells).values
        named = {("born_on" if name in ("birth_date", "birth_year") else name) for name in given}
        return {name: value for name, value in values.items() if name in named}


class PatientMonitoring(Resource):
    """What the rules of the patient's protocol say today: plan, kinetics, milestones, criteria before a stop."""

    serializer_class = PatientOut
    queryset = Patient.objects.none()

    @extend_schema(
        operation_id="patients_monitoring",
        responses={200: OpenApiTypes.OBJECT},
        parameters=[OpenApiParameter("known_at", OpenApiTypes.DATE, description="as known at the end of this day")],
    )
    def get(self, request: Request, id: str) -> Response:
        """Every statement carries its rule, line, citation and facts. Nothing of it is a treatment instruction."""
        visible = Patient.objects.visible_to(request.user).select_related("centre__protocol")
        patient = visible.filter(public_id=public_id_of(id)).first()
        if patient is None:
            raise NotFound
        known_at = _known_at(request, patient)
        as_of = day_of(known_at, patient.centre, clock.now())
        return Response(monitoring_json(clinical_view(patient, as_of, known_at)), status=HTTPStatus.OK)


def _known_at(request: Request, patient: Patient) -> dt.datetime | None:
    """The end of the day ``known_at`` in the centre's time; None for now. Refuses what is no day, or not yet over."""
    text = request.query_params.get("known_at", "")
    if not text:
        return None
    known_at = end_of_day(text, patient.centre, clock.now())
    if known_at is None:
        raise field_refusal("known_at", text, _("write a day that is over, as 2025-03-10"))
    return known_at
