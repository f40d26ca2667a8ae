"""Finding patients: by pseudonym, by hospital number, by where they stand."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from monitoring.models import Alert, Patient, PatientIdentity, PcrResult, ResponseAssessment, TfrEpisode
from monitoring.models.alerts import LIVE_STATES

OFF_TREATMENT = ("off_treatment", "loss_of_mmr")


def found_patients(
    user: AbstractBaseUser | AnonymousUser,
    *,
    search: str = "",
    hospital_number_index: bytes | None = None,
    state: str = "",
) -> QuerySet[Patient]:
    """Patients this person may see, by the beginning of the pseudonym or an exact hospital number."""
    patients = Patient.objects.visible_to(user)
    if search:
        wanted = Q(patient_id__istartswith=search)
        if hospital_number_index is not None:
            numbers = PatientIdentity.objects.filter(hospital_number_index=hospital_number_index)
            wanted |= Q(pk__in=numbers.values("patient_id"))
        patients = patients.filter(wanted)
    if state == "off_treatment":
        patients = patients.filter(pk__in=TfrEpisode.objects.filter(state__in=OFF_TREATMENT).values("patient_id"))
    elif state == "alert":
        patients = patients.filter(pk__in=Alert.objects.live().values("patient_id"))
    return patients.order_by("patient_id", "pk")


def with_standing(patients: QuerySet[Patient]) -> QuerySet[Patient]:
    """The same patients with their last result, its class, their latest episode and how many alerts are open."""
    last = PcrResult.objects.filter(patient=OuterRef("pk"), superseded_by__isnull=True).exclude(
        status="entered_in_error"
    )
    last = last.order_by("-collected_on", "-pk")
    classes = ResponseAssessment.objects.filter(result=OuterRef("last_result"), superseded_at__isnull=True)
    episode = TfrEpisode.objects.filter(patient=OuterRef("pk")).exclude(state="void").order_by("-stopped_on")
    return (
        patients.select_related("centre")
        .annotate(last_result=Subquery(last.values("pk")[:1]), last_on=Subquery(last.values("collected_on")[:1]))
        .annotate(
            last_class=Subquery(classes.values("response_class")[:1]),
            last_percent=Subquery(classes.values("is_percent")[:1]),
            episode_state=Subquery(episode.values("state")[:1]),
            stopped_on=Subquery(episode.values("stopped_on")[:1]),
            open_alerts=Count("alerts", filter=Q(alerts__state__in=LIVE_STATES), distinct=True),
        )
    )
