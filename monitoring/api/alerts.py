"""``/api/v1/alerts/``: what waits for a person, and what a person does about it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from monitoring import clock
from monitoring.api.explained import ReasonOut
from monitoring.api.fields import NumberOut, WordsOf
from monitoring.api.filters import InstantFilter
from monitoring.api.parsing import cells_of
from monitoring.api.refusals import field_refusal, public_id_of
from monitoring.api.resources import Resource, etag, idempotently, require_match
from monitoring.domain.course.series import Drug
from monitoring.intake.values import Cells
from monitoring.models import Alert
from monitoring.models.alerts import AlertState
from monitoring.models.choices import ALERT_KIND, CERTAINTY
from monitoring.selectors.deeds import deeds_of
from monitoring.selectors.episodes import with_mutations, with_states
from monitoring.selectors.why import alert_reason
from monitoring.services.alerts.audience import MAY_ACT
from monitoring.services.alerts.escalation import ActionTaken, NotReadBack, acknowledge, act, must_read_back, withdraw
from monitoring.services.entry.restarts import record_restart
from monitoring.wording.codes import closing_words


class DeedOut(serializers.Serializer[Any]):
    """What a person did about an alert."""

    at = serializers.DateTimeField()
    by = serializers.CharField(source="who")
    what = serializers.CharField()
    drug = serializers.CharField()
    on = serializers.DateField(allow_null=True)
    note = serializers.CharField()


class MutationOut(serializers.CharField):
    """A mutation with the day on which it was recorded."""

    def to_representation(self, value: Any) -> str:
        return f"{value.detail}, {value.observed_on.isoformat()}"


class AlertOut(serializers.Serializer[Alert]):
    """One alert with its facts and its rule."""

    id = serializers.UUIDField(source="public_id")
    kind = serializers.ChoiceField(choices=ALERT_KIND)
    certainty = serializers.ChoiceField(choices=CERTAINTY)
    state = serializers.ChoiceField(choices=AlertState.values)
    centre = serializers.CharField(source="centre.code")
    patient = serializers.UUIDField(source="patient.public_id", allow_null=True)
    patient_id = serializers.CharField(source="patient.patient_id", allow_null=True)
    evidence = serializers.UUIDField(source="evidence.public_id", allow_null=True, help_text="the result it rests on")
    evidence_on = serializers.DateField()
    is_percent = NumberOut()
    highest_percent = NumberOut(help_text="highest value off treatment since, % IS")
    doubling_days = NumberOut(help_text="how fast it doubles, days; null where it does not rise or cannot be told")
    days_off_treatment = serializers.IntegerField(allow_null=True)
    worklist = serializers.UUIDField(
        source="hand_over.public_id", allow_null=True, help_text="the go-live worklist whose row this is"
    )
    rule_version = serializers.CharField()
    opened_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    closing_reason = WordsOf(closing_words, help_text="in the language of the request")
    closing_code = serializers.CharField(source="closing_reason", help_text="stable")
    round = serializers.IntegerField()
    next_action_at = serializers.DateTimeField(allow_null=True)
    acknowledged_at = serializers.DateTimeField(allow_null=True)
    acknowledged_by = serializers.CharField(source="acknowledged_by.username", allow_null=True)
    note = serializers.CharField()
    action = serializers.CharField()
    read_back = serializers.SerializerMethodField(help_text="whether acknowledging needs is_percent")
    reason = ReasonOut(of=alert_reason)
    patient_state = ReasonOut(
        source="patient_state.reason", allow_null=True, help_text="where the patient stands today; null on treatment"
    )
    deeds = DeedOut(many=True, help_text="what people did, oldest first; nothing covers an earlier deed")
    mutations = serializers.ListField(child=MutationOut(), help_text="resistance mutations on record")

    def get_read_back(self, alert: Alert) -> bool:
        """Whether acknowledging needs the value."""
        return must_read_back(alert) and alert.acknowledged_at is None


class NoteIn(serializers.Serializer[Any]):
    """A note, if there is something to say."""

    note = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=500)


class AcknowledgeIn(NoteIn):
    """A note, and the value where the alert says ``read_back``: a confirmed loss is read back."""

    is_percent = serializers.CharField(
        required=False, allow_null=True, help_text="% IS as the person has read it; needed where read_back is true"
    )


class ActIn(AcknowledgeIn):
    """What was done: a restart needs drug and started_on; repeat and watch need the day on which it comes back."""

    action = serializers.ChoiceField(choices=[a.value for a in ActionTaken])
    drug = serializers.CharField(required=False, allow_null=True)
    started_on = serializers.CharField(required=False, allow_null=True)
    until = serializers.CharField(required=False, allow_null=True)


class WithdrawIn(serializers.Serializer[Any]):
    """Why it is taken back."""

    reason = serializers.CharField(max_length=500)


class AlertFilter(django_filters.FilterSet):
    """Filters of the list of alerts."""

    kind = django_filters.ChoiceFilter(choices=ALERT_KIND)
    state = django_filters.ChoiceFilter(choices=AlertState.choices)
    open = django_filters.BooleanFilter("closed_at", "isnull")
    certainty = django_filters.ChoiceFilter(choices=CERTAINTY)
    centre = django_filters.CharFilter("centre__code")
    patient = django_filters.UUIDFilter("patient__public_id")
    patient_id = django_filters.CharFilter("patient__patient_id")
    opened_from = InstantFilter("opened_at", "gte")
    opened_to = InstantFilter("opened_at", "lte")
    ordering = django_filters.OrderingFilter(
        fields=(("opened_at", "opened_at"), ("next_action_at", "next_action_at"), ("evidence_on", "evidence_on"))
    )


def visible_alerts(user: Any) -> QuerySet[Alert]:
    """Alerts of the centres of this person, with what an answer shows."""
    return Alert.objects.visible_to(user).select_related(
        "centre", "patient", "evidence", "hand_over", "acknowledged_by"
    )


class AlertList(Resource):
    """Alerts of your centres."""

    serializer_class = AlertOut
    filterset_class = AlertFilter
    queryset = Alert.objects.none()

    def get_queryset(self) -> QuerySet[Alert]:
        return visible_alerts(self.request.user).order_by("-opened_at", "-pk")

    def furnished(self, page: Sequence[Alert]) -> Sequence[Alert]:
        """Where their patients stand, found for the whole page."""
        return _furnished(page)

    @extend_schema(operation_id="alerts_list", responses=AlertOut(many=True))
    def get(self, request: Request) -> Response:
        """List alerts, newest first."""
        return self.listed(request)


class AlertItem(Resource):
    """One alert."""

    serializer_class = AlertOut
    queryset = Alert.objects.none()

    @extend_schema(operation_id="alerts_retrieve")
    def get(self, request: Request, id: str) -> Response:
        """The alert; reading it acknowledges nothing. Its ETag is what an action must send as If-Match."""
        return _answered(_found(request, id))


def _found(request: Request, id: str) -> Alert:
    alert = visible_alerts(request.user).filter(public_id=public_id_of(id)).first()
    if alert is None:
        raise NotFound
    return alert


def _furnished(alerts: Sequence[Alert]) -> list[Alert]:
    """Alerts with where their patients stand, and the mutations on record."""
    furnished = with_mutations(with_states(alerts, clock.now().date()))
    deeds = deeds_of(furnished)
    for alert in furnished:
        alert.deeds = deeds[alert.pk]  # type: ignore[attr-defined]  # for the answer
    return furnished


def _answered(alert: Alert) -> Response:
    _furnished([alert])
    return Response(AlertOut(alert).data, status=HTTPStatus.OK, headers=etag(alert.version_tag))


class AlertVerb(Resource):
    """Something that a clinician or administrator of the alert's centre does about it; needs If-Match."""

    serializer_class = AlertOut
    queryset = Alert.objects.none()
    write_roles = MAY_ACT

    def done(self, request: Request, id: str) -> Response:
        """Find the alert, check who asks and what was read, do the deed, answer the alert as it stands."""
        alert = _found(request, id)
        if alert.centre_id not in self.centres_with(MAY_ACT):
            raise PermissionDenied
        require_match(request, alert.version_tag)
        self.deed(request, alert, clock.now())
        return _answered(_found(request, id))

    def deed(self, request: Request, alert: Alert, now: dt.datetime) -> None:
        """What is done."""
        raise NotImplementedError


class AcknowledgeAlert(AlertVerb):
    """Acknowledge."""

    @extend_schema(operation_id="alerts_acknowledge", request=AcknowledgeIn, responses={200: AlertOut})
    def post(self, request: Request, id: str) -> Response:
        """You have seen it. Without a recorded action it comes back."""
        return idempotently(request, lambda: self.done(request, id))

    def deed(self, request: Request, alert: Alert, now: dt.datetime) -> None:
        cells = Cells(cells_of(request.data or {}, ("note", "is_percent")))
        note, (read_back, _sign) = cells.text("note", longest=500), cells.percentage("is_percent")
        try:
            acknowledge(
                alert, by=self.person, note=note, now=now, version=alert.version_tag, read_back=read_back
            )  # fmt: skip
        except NotReadBack as problem:
            raise field_refusal("is_percent", cells.text("is_percent"), str(problem)) from None


class ActOnAlert(AlertVerb):
    """Record what was done."""

    @extend_schema(operation_id="alerts_act", request=ActIn, responses={200: AlertOut})
    def post(self, request: Request, id: str) -> Response:
        """Restart, repeat, watch, entered in error, or another action in words."""
        return idempotently(request, lambda: self.done(request, id))

    def deed(self, request: Request, alert: Alert, now: dt.datetime) -> None:
        cells = Cells(cells_of(request.data, ("action", "drug", "started_on", "until", "note", "is_percent")))
        action = ActionTaken(cells.choice("action", ActionTaken, required=True))
        note = cells.text("note", longest=500)
        if action is not ActionTaken.RESTART:
            read_back, _sign = cells.percentage("is_percent")
            try:
                act(
                    alert, by=self.person, action=action, note=note, until=cells.exact_day("until"), now=now,
                    version=alert.version_tag, read_back=read_back,
                )  # fmt: skip
            except NotReadBack as problem:
                raise field_refusal("is_percent", cells.text("is_percent"), str(problem)) from None
            return
        drug = cells.choice("drug", [d for d in Drug if d.is_tki and d is not Drug.OTHER], required=True)
        started_on = cells.exact_day("started_on")
        if started_on is None:
            raise field_refusal("started_on", "", _("is needed: the first day of the drug"))
        record_restart(
            alert,
            by=self.person,
            reach=self.reach(self.write_roles),
            drug=drug,
            started_on=started_on,
            note=note,
            now=now,
            version=alert.version_tag,
        )


class WithdrawAlert(AlertVerb):
    """Take back."""

    @extend_schema(operation_id="alerts_withdraw", request=WithdrawIn, responses={200: AlertOut})
    def post(self, request: Request, id: str) -> Response:
        """Take an alert back with a reason; whoever was told of it is told."""
        return idempotently(request, lambda: self.done(request, id))

    def deed(self, request: Request, alert: Alert, now: dt.datetime) -> None:
        cells = Cells(cells_of(request.data, ("reason",)))
        reason = cells.text("reason", required=True, longest=500)
        withdraw(alert, by=self.person, reason=reason, now=now, version=alert.version_tag)
