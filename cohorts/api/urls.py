"""Addresses of the API that belong to cohorts."""

from django.urls import path

from cohorts.api.cohorts import CohortItem, CohortList, CohortMembers, CohortSnapshotItem

urlpatterns = [
    path("cohorts/", CohortList.as_view(), name="api-cohorts"),
    path("cohorts/<str:slug>/", CohortItem.as_view(), name="api-cohort"),
    path("cohorts/<str:slug>/snapshot/", CohortSnapshotItem.as_view(), name="api-cohort-snapshot"),
    path("cohorts/<str:slug>/members/", CohortMembers.as_view(), name="api-cohort-members"),
]
