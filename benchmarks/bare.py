"""The least that a DRF create view of the same row can be: what a POST of ours is measured against."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings
from django.core.wsgi import get_wsgi_application

settings.ROOT_URLCONF = "benchmarks.bare"
application = get_wsgi_application()

from django.urls import path
from rest_framework import serializers
from rest_framework.generics import CreateAPIView
from rest_framework.parsers import JSONParser
from rest_framework.permissions import IsAuthenticated

from monitoring.models import PcrResult, Replicate


class BareReplicate(serializers.ModelSerializer[Replicate]):
    class Meta:
        model = Replicate
        fields = ("number", "bcr_abl1_copies", "control_gene_copies")


class BareResult(serializers.ModelSerializer[PcrResult]):
    replicates = BareReplicate(many=True)

    class Meta:
        model = PcrResult
        fields = ("laboratory", "accession_number", "patient", "collected_on", "conversion_factor", "replicates")

    def create(self, validated_data: dict[str, Any]) -> PcrResult:
        tubes = validated_data.pop("replicates")
        result = PcrResult.objects.create(recorded_by=self.context["request"].user, **validated_data)
        Replicate.objects.bulk_create([Replicate(result=result, **tube) for tube in tubes])
        return result


class Bare(CreateAPIView[PcrResult]):
    queryset = PcrResult.objects.all()
    serializer_class = BareResult
    parser_classes = (JSONParser,)
    permission_classes = (IsAuthenticated,)


urlpatterns = [path("bare/", Bare.as_view())]
