"""``/api/v1/observations/``: dated facts that are not results."""

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
from monitoring.api.fields import NumberIn, PartialDateField, partly
from monitoring.api.parsing import cells_of
from monitoring.api.resources import Resource, idempotently
from monitoring.api.rows import RowItem, answer_row, judged, recorded
from monitoring.intake.columns import OBSERVATION_COLUMNS
from monitoring.intake.facts import observation_facts
from monitoring.intake.named import find_patient
from monitoring.intake.values import Cells
from monitoring.models import Observation, Patient
from monitoring.models.choices import FACT_KIND
from monitoring.services.entry.reach import RECORDING
from monitoring.services.entry.records import record_observations

CHANGEABLE = ("observed_on", "detail", "grade")


class ObservationOut(serializers.Serializer[Observation]):
    """One dated fact."""

    id = serializers.UUIDField(source="public_id")
    patient = serializers.UUIDField(source="patient.public_id")
    patient_id = serializers.CharField(source="patient.patient_id")
    centre = serializers.CharField(source="patient.centre.code")
    observed_on = PartialDateField()
    kind = serializers.ChoiceField(choices=FACT_KIND)
    detail = serializers.CharField()
    grade = serializers.IntegerField(allow_null=True)
    recorded_at = serializers.DateTimeField()


class ObservationChangeIn(serializers.Serializer[Any]):
    """The fields that change; null empties one. What contradicts a stored value needs a reason."""

    observed_on = PartialDateField(required=False)
    detail = serializers.CharField(required=False, allow_null=True, max_length=200)
    grade = NumberIn(required=False)
    reason = serializers.CharField(required=False, max_length=500)


class ObservationIn(ObservationChangeIn):
    """A new observation."""

    patient_id = serializers.CharField(max_length=60)
    centre = serializers.CharField(required=False, allow_null=True, max_length=60)
    kind = serializers.ChoiceField(choices=FACT_KIND)
    observed_on = PartialDateField()


class ObservationFilter(django_filters.FilterSet):
    """Filters of the list of observations."""

    patient = django_filters.UUIDFilter("patient__public_id")
    patient_id = django_filters.CharFilter("patient__patient_id")
    centre = django_filters.CharFilter("patient__centre__code")
    kind = django_filters.ChoiceFilter(choices=FACT_KIND)
    observed_from = django_filters.DateFilter("observed_on", "gte")
    observed_to = django_filters.DateFilter("observed_on", "lte")
    ordering = django_filters.OrderingFilter(fields=(("id", "recorded_at"), ("observed_on", "observed_on")))


def visible_observations(user: Any) -> QuerySet[Observation]:
    """Observations of the patients this person may see."""
    return Observation.objects.filter(patient__in=Patient.objects.visible_to(user)).select_related("patient__centre")


class ObservationList(Resource):
    """Observations of the patients you may see, and new ones. Writing: everybody who records facts there."""

    serializer_class = ObservationOut
    filterset_class = ObservationFilter
    write_roles = RECORDING
    queryset = Observation.objects.none()

    def get_queryset(self) -> QuerySet[Observation]:
        return visible_observations(self.request.user).order_by("-id")

    @extend_schema(operation_id="observations_list", responses=ObservationOut(many=True))
    def get(self, request: Request) -> Response:
        """List observations, latest recorded first."""
        return self.listed(request)

    @extend_schema(
        operation_id="observations_create",
        request=ObservationIn,
        responses={201: ObservationOut, 200: ObservationOut},
    )
    def post(self, request: Request) -> Response:
        """Record an observation. 201: stored. 200: known already, or completed. 409: other facts are stored."""
        return idempotently(request, lambda: self._record(request))

    def _record(self, request: Request) -> Response:
        now = clock.now()
        cells = Cells(cells_of(request.data, (*OBSERVATION_COLUMNS, "reason")))
        reach = self.reach(RECORDING)
        facts = observation_facts(cells, lambda centre, pid: find_patient(reach, centre, pid))
        reason = cells.text("reason", longest=500)
        verdict = judged(
            lambda: record_observations([facts], by=self.person, reach=reach, now=now, amend_reason=reason)
        )
        rows = visible_observations(request.user).filter(patient=facts.patient, kind=facts.kind)
        row = next((r for r in rows if partly(r.observed_on, r.observed_precision) == str(facts.observed_on)), None)
        return recorded(verdict, row, ObservationOut)


class ObservationItem(RowItem[Observation]):
    """One observation."""

    serializer_class = ObservationOut
    write_roles = RECORDING
    queryset = Observation.objects.none()
    changeable = CHANGEABLE

    def visible(self) -> QuerySet[Observation]:
        return visible_observations(self.request.user)

    @extend_schema(operation_id="observations_retrieve")
    def get(self, request: Request, id: str) -> Response:
        """The observation with its ETag."""
        return answer_row(self.found(id), ObservationOut, HTTPStatus.OK)

    @extend_schema(operation_id="observations_change", request=ObservationChangeIn)
    def patch(self, request: Request, id: str) -> Response:
        """Change some fields; needs If-Match."""
        return self.changed(request, id)

    def values_of(self, row: Observation, given: dict[str, str]) -> dict[str, Any]:
        observed = partly(row.observed_on, row.observed_precision) or ""
        cells = Cells({"observed_on": observed, **given, "kind": row.kind, "patient_id": row.patient.patient_id})
        facts = observation_facts(cells, lambda centre, patient_id: row.patient)
        values = {"observed_on": facts.observed_on, **facts.values}
        return {name: value for name, value in values.items() if name in given}
