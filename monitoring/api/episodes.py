"""``/api/v1/episodes/``: times off treatment, as the last replay says. Read only: they follow from the facts."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from monitoring import clock
from monitoring.api.explained import ReasonOut
from monitoring.api.refusals import public_id_of
from monitoring.api.resources import Resource
from monitoring.models import Patient, TfrEpisode
from monitoring.models.choices import EPISODE_STATE, STOP_REASON
from monitoring.selectors.episodes import standing_episodes, states_of


class EpisodeOut(serializers.Serializer[TfrEpisode]):
    """One time off treatment."""

    id = serializers.UUIDField(source="public_id")
    patient = serializers.UUIDField(source="patient.public_id")
    patient_id = serializers.CharField(source="patient.patient_id")
    centre = serializers.CharField(source="patient.centre.code")
    kind = serializers.ChoiceField(choices=STOP_REASON, help_text="the reason of the stop")
    attempt = serializers.IntegerField(help_text="number of the TFR attempt, 0 for other kinds")
    drug = serializers.CharField()
    stopped_on = serializers.DateField()
    baseline_class = serializers.CharField(
        help_text="class of the last evaluable result on or before the stop; empty without one"
    )
    tki_days = serializers.IntegerField(allow_null=True)
    dmr_days = serializers.IntegerField(allow_null=True)
    first_dmr_on = serializers.DateField(allow_null=True)
    loss_on = serializers.DateField(allow_null=True, help_text="first value above 0.1 % IS, suspected or confirmed")
    loss_confirmed_on = serializers.DateField(allow_null=True)
    restarted_on = serializers.DateField(allow_null=True)
    restart_drug = serializers.CharField()
    mmr_regained_on = serializers.DateField(allow_null=True)
    dmr_regained_on = serializers.DateField(allow_null=True)
    state = serializers.ChoiceField(
        source="standing.code", choices=EPISODE_STATE, help_text="what is known of it today"
    )
    standing = ReasonOut(source="standing.reason", help_text="the same as a sentence with its facts")
    rule_version = serializers.CharField()


class EpisodeFilter(django_filters.FilterSet):
    """Filters of the list of episodes."""

    patient = django_filters.UUIDFilter("patient__public_id")
    patient_id = django_filters.CharFilter("patient__patient_id")
    centre = django_filters.CharFilter("patient__centre__code")
    kind = django_filters.ChoiceFilter(choices=STOP_REASON)
    state = django_filters.CharFilter("state")
    stopped_from = django_filters.DateFilter("stopped_on", "gte")
    stopped_to = django_filters.DateFilter("stopped_on", "lte")
    lost = django_filters.BooleanFilter("loss_on", "isnull", exclude=True)
    ordering = django_filters.OrderingFilter(fields=(("stopped_on", "stopped_on"), ("loss_on", "loss_on")))


def _with_standing(page: Sequence[TfrEpisode]) -> Sequence[TfrEpisode]:
    states = states_of(page, clock.now().date())
    for episode in page:
        episode.standing = states[episode.pk]  # type: ignore[attr-defined]  # for the answer
    return page


class EpisodeList(Resource):
    """Episodes of the patients you may see."""

    serializer_class = EpisodeOut
    filterset_class = EpisodeFilter
    queryset = TfrEpisode.objects.none()

    def get_queryset(self) -> QuerySet[TfrEpisode]:
        return standing_episodes(Patient.objects.visible_to(self.request.user)).order_by("-id")

    def furnished(self, page: Sequence[TfrEpisode]) -> Sequence[TfrEpisode]:
        """Where each stands today, found for the whole page."""
        return _with_standing(page)

    @extend_schema(operation_id="episodes_list", responses=EpisodeOut(many=True))
    def get(self, request: Request) -> Response:
        """List episodes."""
        return self.listed(request)


class EpisodeItem(Resource):
    """One episode."""

    serializer_class = EpisodeOut
    queryset = TfrEpisode.objects.none()

    @extend_schema(operation_id="episodes_retrieve")
    def get(self, request: Request, id: str) -> Response:
        """The episode as it stands."""
        visible = standing_episodes(Patient.objects.visible_to(request.user))
        episode = visible.filter(public_id=public_id_of(id)).first()
        if episode is None:
            raise NotFound
        _with_standing([episode])
        return Response(EpisodeOut(episode).data, status=HTTPStatus.OK)
