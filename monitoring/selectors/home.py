"""What the first page shows: today's results, what is owed, and the open alerts of a person's centres."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Case, Count, DateField, DecimalField, ExpressionWrapper, F, Min, QuerySet, When
from django.db.models.functions import Coalesce
from django.utils.functional import Promise

from monitoring.models import (
    Alert,
    ClassificationRequest,
    Patient,
    PcrResult,
    ResponseAssessment,
    ResultStatus,
    TfrEpisode,
)
from monitoring.models.alerts import AlertState
from monitoring.models.choices import RESPONSE_CLASS
from monitoring.selectors.patients import OFF_TREATMENT


@dataclass(frozen=True, slots=True)
class ClassCount:
    """How many of today's results have a class."""

    code: str
    label: str | Promise
    count: int


@dataclass(frozen=True, slots=True)
class Today:
    """Results recorded today, their classes, and what still waits for one."""

    recorded: int
    classes: Sequence[ClassCount]
    waiting_patients: int
    oldest_waiting_seconds: int | None


def today_of(user: AbstractBaseUser | AnonymousUser, now: dt.datetime) -> Today:
    """Counts of the results recorded since midnight UTC for patients this person may see."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    patients = Patient.objects.visible_to(user)
    recorded = PcrResult.objects.filter(patient__in=patients, recorded_at__gte=midnight)
    classes = dict(
        ResponseAssessment.objects.filter(result__in=recorded, superseded_at__isnull=True)
        .values_list("response_class")
        .annotate(count=Count("pk"))
    )
    owed = ClassificationRequest.objects.filter(patient__in=patients).aggregate(
        patients=Count("patient_id", distinct=True), oldest=Min("requested_at")
    )
    return Today(
        recorded=recorded.count(),
        classes=[ClassCount(code, label, classes[code]) for code, label in RESPONSE_CLASS if code in classes],
        waiting_patients=owed["patients"],
        oldest_waiting_seconds=int((now - owed["oldest"]).total_seconds()) if owed["oldest"] else None,
    )


def open_alerts_of(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Alert]:
    """Open alerts that this person may see, newest first; what belongs to a hand-over is told by the hand-over."""
    return (
        Alert.objects.live()
        .visible_to(user)
        .told_alone()
        .select_related("patient", "centre", "evidence")
        .annotate(handed_over_count=Count("handed_over"))
        .order_by("-opened_at", "-pk")
    )


def worklist_rows(worklist: Alert) -> QuerySet[Alert]:
    """The rows of a worklist, what waits for a signature first, then by level, speed of the rise and days without
    drug.
    """
    level = Coalesce("highest_percent", "is_percent", output_field=DecimalField())
    return (
        worklist.handed_over.select_related("patient", "centre", "evidence", "acted_by")
        .annotate(
            is_signed=Case(When(acted_at__isnull=True, closed_at__isnull=True, then=0), default=1),
            level=level,
            stopped_on=ExpressionWrapper(F("evidence_on") - F("days_off_treatment"), output_field=DateField()),
        )
        .order_by(
            "is_signed",
            level.desc(nulls_last=True),
            F("doubling_days").asc(nulls_last=True),
            F("stopped_on").asc(nulls_last=True),
            "pk",
        )
    )


@dataclass(frozen=True, slots=True)
class Home:
    """What waits for the roles that a person has."""

    unverified: int
    off_treatment: int
    without_note: int


def home_of(user: AbstractBaseUser | AnonymousUser) -> Home:
    """How many results wait for verification, patients are off treatment, and alerts nobody has acknowledged."""
    patients = Patient.objects.visible_to(user)
    preliminary = PcrResult.objects.filter(
        status=ResultStatus.PRELIMINARY, superseded_by__isnull=True, patient__in=patients
    )
    return Home(
        unverified=preliminary.count(),
        off_treatment=TfrEpisode.objects.filter(patient__in=patients, state__in=OFF_TREATMENT).count(),
        without_note=open_alerts_of(user).filter(state=AlertState.OPEN).count(),
    )
