"""Addresses of the API that belong to monitoring."""

from django.urls import path

from monitoring.api.alerts import AcknowledgeAlert, ActOnAlert, AlertItem, AlertList, WithdrawAlert
from monitoring.api.episodes import EpisodeItem, EpisodeList
from monitoring.api.observations import ObservationItem, ObservationList
from monitoring.api.patients import PatientItem, PatientList, PatientMonitoring
from monitoring.api.results import AmendResult, ResultItem, ResultList, RetractResult, VerifyResult
from monitoring.api.treatments import TreatmentItem, TreatmentList

urlpatterns = [
    path("patients/", PatientList.as_view(), name="api-patients"),
    path("patients/<str:id>/", PatientItem.as_view(), name="api-patient"),
    path("patients/<str:id>/monitoring/", PatientMonitoring.as_view(), name="api-patient-monitoring"),
    path("treatments/", TreatmentList.as_view(), name="api-treatments"),
    path("treatments/<str:id>/", TreatmentItem.as_view(), name="api-treatment"),
    path("observations/", ObservationList.as_view(), name="api-observations"),
    path("observations/<str:id>/", ObservationItem.as_view(), name="api-observation"),
    path("results/", ResultList.as_view(), name="api-results"),
    path("results/<str:id>/", ResultItem.as_view(), name="api-result"),
    path("results/<str:id>/verify/", VerifyResult.as_view(), name="api-result-verify"),
    path("results/<str:id>/amend/", AmendResult.as_view(), name="api-result-amend"),
    path("results/<str:id>/retract/", RetractResult.as_view(), name="api-result-retract"),
    path("episodes/", EpisodeList.as_view(), name="api-episodes"),
    path("episodes/<str:id>/", EpisodeItem.as_view(), name="api-episode"),
    path("alerts/", AlertList.as_view(), name="api-alerts"),
    path("alerts/<str:id>/", AlertItem.as_view(), name="api-alert"),
    path("alerts/<str:id>/acknowledge/", AcknowledgeAlert.as_view(), name="api-alert-acknowledge"),
    path("alerts/<str:id>/act/", ActOnAlert.as_view(), name="api-alert-act"),
    path("alerts/<str:id>/withdraw/", WithdrawAlert.as_view(), name="api-alert-withdraw"),
]
