"""Finding patients: by pseudonym, by hospital number, by where they stand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from monitoring.models import Alert, Patient, PatientIdentity, PcrResult, ResponseAssessment, TfrEpisode
from monitoring.models.alerts import LIVE_STATES

MOST_ALIKE = 10
OFF_TREATMENT = ("off_treatment", "loss_of_mmr", "loss_not_confirmed")


def found_patients(
    user: AbstractBaseUser | AnonymousUser,
    *,
    search: str = "",
    hospital_number_index: bytes | None = None,
    state: str = "",
) -> QuerySet[Patient]:
    """Patients this person may see, by any part of the pseudonym or by an exact hospital number."""
    patients = Patient.objects.visible_to(user)
    if not search and hospital_number_index is None:
        patients = patients.filter(merged_into__isnull=True)  # found by name it still says where it went
    if search:
        patients = patients.filter(patient_id__icontains=search)
    if hospital_number_index is not None:
        numbers = PatientIdentity.objects.filter(hospital_number_index=hospital_number_index)
        patients = patients.filter(pk__in=numbers.values("patient_id"))
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
        .annotate(
            last_result=Subquery(last.values("pk")[:1]),
            last_on=Subquery(last.values("collected_on")[:1]),
            last_specimen=Subquery(last.values("specimen")[:1]),
        )
        .annotate(
            last_class=Subquery(classes.values("response_class")[:1]),
            last_percent=Subquery(classes.values("is_percent")[:1]),
            stopped_on=Subquery(episode.values("stopped_on")[:1]),
            open_alerts=Count("alerts", filter=Q(alerts__state__in=LIVE_STATES), distinct=True),
        )
    )


Birth = tuple[str, dt.date, dt.date]


def birth_of(patient: Patient) -> Birth | None:
    """Sex, day of birth and day of diagnosis, by which one person recorded twice shows; None where one is not known."""
    exact = patient.born_precision == patient.diagnosed_precision == "day"
    if not exact or not patient.sex or patient.born_on is None or patient.diagnosed_on is None:
        return None
    return patient.sex, patient.born_on, patient.diagnosed_on


def born_alike(births: Collection[Birth]) -> QuerySet[Patient]:
    """Patients with one of these births, of any centre; the caller says who may see which."""
    return Patient.objects.filter(
        sex__in={sex for sex, _, _ in births},
        born_on__in={born for _, born, _ in births},
        diagnosed_on__in={diagnosed for _, _, diagnosed in births},
        born_precision="day",
        diagnosed_precision="day",
        merged_into__isnull=True,
    )


def likely_same_person(patient: Patient, user: AbstractBaseUser | AnonymousUser) -> list[Patient]:
    """Other patients, of those this person may see, who are probably this one: the same birth, or hospital number."""
    numbers = PatientIdentity.objects.filter(patient=patient, hospital_number_index__isnull=False)
    same = Q(identity__hospital_number_index__in=numbers.values("hospital_number_index"))
    birth = birth_of(patient)
    if birth is not None:
        same |= Q(pk__in=born_alike([birth]).values("pk"))
    others = Patient.objects.visible_to(user).filter(merged_into__isnull=True).exclude(pk=patient.pk)
    alike = others.filter(same).select_related("centre")
    return list(alike.order_by("patient_id", "pk")[:MOST_ALIKE])


def is_alike_elsewhere(patient: Patient, user: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether a patient whom this person may not see has the same birth; who and where is not told."""
    birth = birth_of(patient)
    if birth is None:
        return False
    seen = Patient.objects.visible_to(user)
    return born_alike([birth]).exclude(centre=patient.centre_id).exclude(pk__in=seen.values("pk")).exists()
