"""Finding patients, and one patient over time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from monitoring import clock
from monitoring.domain.course.episodes import Episode
from monitoring.domain.vocabulary.scale import CLASS_LIMITS_PERCENT
from monitoring.models import Alert, Patient, Role, TkiCourse
from monitoring.models.choices import ALERT_KIND, EPISODE_STATE, FACT_KIND, RESPONSE_CLASS
from monitoring.permissions import ANY_ROLE, has_role_in, requires_role, roles_of
from monitoring.selectors.as_of import as_known, day_of, end_of_day, known_rows
from monitoring.selectors.clinical import clinical_view
from monitoring.selectors.episodes import latest_states, with_states
from monitoring.selectors.patients import found_patients, is_alike_elsewhere, likely_same_person, with_standing
from monitoring.selectors.timeline import PatientRecord, TimelineRow, patient_record, timeline_rows
from monitoring.services.entry.identities import blind_index, read_identity
from monitoring.services.entry.reach import RECORDING, TREATING
from monitoring.services.foundation.access import record_access
from monitoring.wording.codes import value_words

PAGE_SIZE = 50
# Who may find people by hospital number and see names: those who treat them or label their tubes.
NAMING = (Role.CLINICIAN, Role.TECHNICIAN, Role.VERIFIER)
STATES = ("off_treatment", "alert")
LEAST_SPAN = dt.timedelta(days=730)


@require_http_methods(["GET", "POST"])
@requires_role(ANY_ROLE)
def search(request: HttpRequest) -> HttpResponse:
    """Patients of the person's centres. For everybody with a role; by hospital number for those who may see names.

    The search is posted, because addresses are kept in browser histories and logs, where no hospital number belongs.
    A part of a pseudonym redirects to an address that can be kept. Any other text is looked up as a hospital
    number, and the list is the answer to the POST.
    """
    given = request.POST if request.method == "POST" else request.GET
    typed = given.get("q", "").strip().replace("\x00", "")[:60]
    state = given.get("state", "")
    state = state if state in STATES else ""
    mine = roles_of(request.user)
    may_name = not mine.isdisjoint(NAMING)
    patients = found_patients(request.user, search=typed, state=state)
    if request.method == "POST":
        if not typed or found_patients(request.user, search=typed).exists():
            return redirect(_address_of_search(typed, state))
        if may_name:
            patients = found_patients(request.user, hospital_number_index=blind_index(typed), state=state)
    paginator = Paginator(patients, PAGE_SIZE)
    page = paginator.get_page(request.GET.get("page"))
    rows = with_standing(Patient.objects.filter(pk__in=[p.pk for p in page])).order_by("patient_id", "pk")
    states = latest_states([p.pk for p in page], clock.now().date())
    for row in rows:
        row.standing = states.get(row.pk)  # type: ignore[attr-defined]  # for the list
    labels = {"response": dict(RESPONSE_CLASS), "state": dict(EPISODE_STATE)}
    return render(
        request, "patients/search.html",
        {"page": page, "rows": rows, "q": typed, "state": state, "labels": labels, "may_name": may_name,
         "may_record": not mine.isdisjoint(RECORDING), "may_move": not mine.isdisjoint(TREATING)},
    )  # fmt: skip


def _address_of_search(typed: str, state: str) -> str:
    query = urlencode({name: value for name, value in (("q", typed), ("state", state)) if value})
    return reverse("patients") + (f"?{query}" if query else "")


@require_GET
@requires_role(ANY_ROLE)
def timeline(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """One patient over time. For everybody with a role in the centre; each look is recorded."""
    assert isinstance(request.user, User)
    patient = get_object_or_404(
        Patient.objects.visible_to(request.user).select_related("centre__protocol", "merged_into"), public_id=public_id
    )
    now = clock.now()
    known_at = _known_at(request, patient, now)
    record = patient_record(patient, known_at)
    clinical = clinical_view(patient, day_of(known_at, patient.centre, now), known_at)
    episodes = [row.episode for row in clinical.episodes]
    rows = timeline_rows(patient, episodes, clinical.ratios, known_at)
    recorded = Q(recorded_at__lte=known_at) if known_at else Q()
    standing = Q(retracted_by__isnull=True) | (Q(retracted_by__recorded_at__gt=known_at) if known_at else Q(pk=None))
    may_name = known_at is None and has_role_in(request.user, patient.centre_id, NAMING)
    identity = read_identity(patient) if may_name else None
    record_access(request.user, action="patient page", patient=patient, detail="with name" if identity else "")
    may_change = known_at is None and patient.merged_into_id is None
    page = Paginator(rows[::-1], PAGE_SIZE).get_page(request.GET.get("page"))
    return render(
        request,
        "patients/timeline.html",
        {
            "patient": patient,
            "said": known_rows(Patient, [patient.pk], known_at).first() if known_at else patient,
            "record": record,
            "page": page,
            "identity": identity,
            "alerts": _alerts(request, patient, known_at, now),
            "events": patient.response_events.filter(recorded, standing, retracts__isnull=True).order_by(
                "-occurred_on", "-pk"
            )[:PAGE_SIZE],
            "known_at": known_at,
            "chart": chart_of(rows, record, episodes, day_of(known_at, patient.centre, now)) if rows else None,
            "labels": {"state": dict(EPISODE_STATE)},
            "alike": likely_same_person(patient, request.user) if known_at is None else [],
            "alike_elsewhere": known_at is None and is_alike_elsewhere(patient, request.user),
            "clinical": clinical,
            "may_record": may_change and has_role_in(request.user, patient.centre_id, RECORDING),
            "may_move": may_change and has_role_in(request.user, patient.centre_id, TREATING),
        },
    )


def _alerts(request: HttpRequest, patient: Patient, known_at: dt.datetime | None, now: dt.datetime) -> list[Any]:
    """The alerts of a patient, as they are now or as they were at an instant."""
    if known_at is None:
        alerts = (
            Alert.objects.visible_to(request.user)
            .filter(patient=patient)
            .select_related("centre", "patient", "evidence")
        )
        return with_states(alerts.order_by("closed_at", "-opened_at")[:PAGE_SIZE], now.date())
    stood = as_known(Alert, known_at).filter(patient_id=patient.pk).select_related("centre", "patient", "evidence")
    return sorted(stood, key=lambda alert: alert.opened_at, reverse=True)[:PAGE_SIZE]


def _known_at(request: HttpRequest, patient: Patient, now: dt.datetime) -> dt.datetime | None:
    """The end of the requested day, in the centre's time; None for now, or where the text is no day."""
    return end_of_day(request.GET.get("known_at", ""), patient.centre, now)


# --- the chart ---------------------------------------------------------------------------------------------------


def chart_of(
    rows: list[TimelineRow], record: PatientRecord, episodes: Sequence[Episode], today: dt.date
) -> dict[str, Any]:
    """What the chart draws. A logarithmic axis has no zero: points without a height are drawn in a lane below it."""
    first, last = rows[0].result.collected_on, max(rows[-1].result.collected_on, today)
    first = min([first, *(c.started_on for c in record.courses)])
    if last - first < LEAST_SPAN:
        first = last - LEAST_SPAN
    return {
        "from": first.isoformat(),
        "to": last.isoformat(),
        "points": [_point(row) for row in rows],
        "courses": [_bar(course, last) for course in record.courses],
        "marks": [*_stops(episodes), *_observed(record)],
        "lines": [
            {"percent": float(limit), "label": f"{dict(RESPONSE_CLASS)[response_class]} {limit} %"}
            for response_class, limit in CLASS_LIMITS_PERCENT
        ],
        "words": {
            "quantified": _("quantified"),
            "below": _("detected below the limit drawn"),
            "above": _("above the limit drawn"),
            "undetected": _("not detected, drawn at the sample's own sensitivity"),
            "off_scale": _("raw ratio, off the International Scale"),
            "not_evaluable": _("not evaluable"),
            "waiting": _("waits for its class"),
            "axis": _("% IS"),
            "treatment": _("treatment"),
            "lab_changed": _("other laboratory, method, control gene or conversion factor than before"),
        },
    }  # fmt: skip


def _point(row: TimelineRow) -> dict[str, Any]:
    labels = dict(RESPONSE_CLASS)
    words = [row.result.collected_on.isoformat(), value_words(row)]
    if row.response_class:
        words.append(str(labels[row.response_class]))
    if row.is_marrow:
        words.append(_("bone marrow"))
    words.append(row.result.laboratory.code)
    return {
        "on": row.result.collected_on.isoformat(),
        "shape": row.shape.value,
        "percent": float(row.percent) if row.percent else None,
        "words": " · ".join(words),
        "lab_changed": row.way_changed,
        "preliminary": row.result.status == "preliminary",
    }


def _bar(course: TkiCourse, last: dt.date) -> dict[str, Any]:
    dose = f" {course.dose_mg_per_day.normalize():f} mg" if course.dose_mg_per_day else ""
    return {
        "from": course.started_on.isoformat(),
        "to": (course.stopped_on or last).isoformat(),
        "open": course.stopped_on is None,
        "drug": course.drug_text or course.drug,
        "label": f"{course.drug_text or course.drug}{dose}",
    }


def _stops(episodes: Sequence[Episode]) -> list[dict[str, str]]:
    marks = []
    for episode in episodes:
        marks.append({"on": episode.stopped_on.isoformat(), "label": _("stop")})
        if episode.loss:
            marks.append({"on": episode.loss.first.on.isoformat(), "label": str(dict(ALERT_KIND)["loss_of_mmr"])})
        if episode.restarted_on:
            marks.append({"on": episode.restarted_on.isoformat(), "label": _("restart")})
    return marks


def _observed(record: PatientRecord) -> list[dict[str, str]]:
    labels = dict(FACT_KIND)
    return [
        {"on": o.observed_on.isoformat(), "label": str(labels[o.kind])}
        for o in record.observations
        if o.kind not in ("last_contact", "sample_taken")
    ]
