"""``/api/v1/cohorts/``: definitions, published snapshots, and the member rows of one's own centres."""

from __future__ import annotations

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

from cohorts.domain.columns import CSV_COLUMNS
from cohorts.models import Cohort, CohortPublication
from cohorts.selectors.disclosure import disclosed, member_rows
from cohorts.selectors.snapshots import published
from monitoring.api.resources import Resource, etag
from monitoring.models import Role
from monitoring.services.foundation.access import record_access

SLUG = OpenApiParameter("slug", OpenApiTypes.STR, OpenApiParameter.PATH)


class PublicationOut(serializers.Serializer[CohortPublication]):
    """What is published of a cohort."""

    data_cutoff = serializers.DateField(source="snapshot.data_cutoff")
    computed_at = serializers.DateTimeField(source="snapshot.computed_at")
    confirmed_at = serializers.DateTimeField()
    digest = serializers.CharField(source="snapshot.digest")


class CohortOut(serializers.Serializer[Cohort]):
    """A cohort with its definition."""

    slug = serializers.SlugField()
    title = serializers.CharField()
    is_active = serializers.BooleanField()
    definition = serializers.DictField()
    published = PublicationOut(source="publication", allow_null=True)


class CohortFilter(django_filters.FilterSet):
    """Filters of the list of cohorts."""

    is_active = django_filters.BooleanFilter("is_active")
    ordering = django_filters.OrderingFilter(fields=(("slug", "slug"), ("title", "title")))


class CohortList(Resource):
    """Cohorts. Definitions are changed under /admin/ or with define_cohort."""

    serializer_class = CohortOut
    filterset_class = CohortFilter
    queryset = Cohort.objects.none()

    def get_queryset(self) -> QuerySet[Cohort]:
        return (
            Cohort.objects.select_related("publication__snapshot")
            .defer("publication__snapshot__figures", "publication__snapshot__rows")
            .order_by("slug")
        )

    @extend_schema(operation_id="cohorts_list", responses=CohortOut(many=True))
    def get(self, request: Request) -> Response:
        """List cohorts."""
        return self.listed(request)


def _cohort(slug: str) -> Cohort:
    cohort = Cohort.objects.filter(slug=slug).first() if "\x00" not in slug else None
    if cohort is None:
        raise NotFound
    return cohort


def _published(slug: str) -> CohortPublication:
    publication = published(_cohort(slug))
    if publication is None:
        raise NotFound(_("No figures of this cohort are published yet."))
    return publication


class CohortItem(Resource):
    """One cohort."""

    serializer_class = CohortOut
    queryset = Cohort.objects.none()

    @extend_schema(operation_id="cohorts_retrieve", parameters=[SLUG])
    def get(self, request: Request, slug: str) -> Response:
        """The definition and what is published."""
        return Response(CohortOut(_cohort(slug)).data, status=HTTPStatus.OK)


class CohortSnapshotItem(Resource):
    """The published snapshot of a cohort."""

    serializer_class = CohortOut
    queryset = Cohort.objects.none()

    @extend_schema(operation_id="cohorts_snapshot", parameters=[SLUG], responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, slug: str) -> Response:
        """All published figures. Where the cohort holds other centres' people, groups under five are withheld."""
        publication = _published(slug)
        return Response(
            disclosed(publication, request.user), status=HTTPStatus.OK, headers=etag(publication.snapshot.digest[:16])
        )


class MemberOut(serializers.Serializer[Any]):
    """One row of the member file; what is not known is empty."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {name: serializers.CharField() for name in CSV_COLUMNS}


class MemberFilter(django_filters.FilterSet):
    """The member rows have no filter."""


class CohortMembers(Resource):
    """Member rows, of the centres in which you are analyst or administrator. Reading them is recorded."""

    serializer_class = MemberOut
    filterset_class = MemberFilter
    filter_backends = ()
    read_roles = (Role.ANALYST, Role.ADMINISTRATOR)
    queryset = Cohort.objects.none()

    @extend_schema(operation_id="cohorts_members", parameters=[SLUG], responses={200: MemberOut(many=True)})
    def get(self, request: Request, slug: str) -> Response:
        """The frozen rows behind the published figures."""
        rows = member_rows(_published(slug), request.user)
        page = self.paginate_queryset(rows)  # type: ignore[arg-type]  # a list is paged like a query
        record_access(self.person, action="member rows", detail=slug)
        return self.get_paginated_response(page)
