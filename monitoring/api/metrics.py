"""``/metrics``: what is owed and how old it is, read from the database at the time of asking."""

from __future__ import annotations

from collections.abc import Iterator

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from rest_framework.request import Request

from monitoring import clock
from monitoring.api.resources import Resource
from monitoring.models import Alert, ClassificationRequest, Heartbeat, Role
from monitoring.selectors.freshness import owed_work
from monitoring.selectors.set_aside import set_aside_by_kind
from monitoring.services.classification.classify import NEEDS_A_PERSON_AFTER_ATTEMPTS

PLAIN = "text/plain; version=0.0.4; charset=utf-8"


class _Database(Collector):
    """Gauges from the tables that hold what is owed; labels name parts of the service and never a person."""

    def collect(self) -> Iterator[Metric]:
        now = clock.now()
        count = GaugeMetricFamily("cml_owed", "Work that is owed", labels=["what"])
        age = GaugeMetricFamily("cml_owed_oldest_seconds", "Age of the oldest piece of work", labels=["what"])
        for work in owed_work(now):
            count.add_metric([work.name], work.count)
            age.add_metric([work.name], work.oldest_seconds)
        yield count
        yield age
        beats = GaugeMetricFamily("cml_heartbeat_age_seconds", "Time since a part did a whole round", labels=["part"])
        for beat in Heartbeat.objects.all():
            beats.add_metric([beat.name], max(0.0, (now - beat.beat_at).total_seconds()))
        yield beats
        aside = GaugeMetricFamily("cml_set_aside", "Work that failed and waits to be tried again", labels=["kind"])
        for kind, number in set_aside_by_kind().items():
            aside.add_metric([kind], number)
        yield aside
        alerts = GaugeMetricFamily("cml_live_alerts", "Alerts that wait for a person", labels=["kind", "state"])
        for kind, state, number in Alert.objects.live().by_kind_and_state():
            alerts.add_metric([kind, state], number)
        yield alerts
        stuck = ClassificationRequest.objects.filter(attempts__gte=NEEDS_A_PERSON_AFTER_ATTEMPTS)
        yield GaugeMetricFamily(
            "cml_classifications_that_need_a_person",
            "Patients whose classification has failed five times",
            stuck.values("patient_id").distinct().count(),
        )


class Metrics(Resource):
    """For a token of an administrator: scrape with ``authorization: {type: Token, credentials: …}``."""

    read_roles = (Role.ADMINISTRATOR,)

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Database())
        return HttpResponse(generate_latest(registry), content_type=PLAIN)
