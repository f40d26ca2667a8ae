"""Clinical facts entered on pages: a new patient, a course of a drug or its stop, an observation.

Each form says beside itself, while it is filled, what recording it would change; nothing is stored before "Record".
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from monitoring import clock
from monitoring.domain.course.series import FactKind
from monitoring.intake.facts import computed_risk, course_facts, observation_facts, patient_facts
from monitoring.intake.numbers import unmistakable
from monitoring.intake.values import CellProblem, Cells
from monitoring.models import Centre, Patient, TkiCourse
from monitoring.models.choices import DRUG_WORD, FACT_KIND, PHASE, RISK_GROUP, SEX, STOP_REASON, TRANSCRIPT
from monitoring.pages.days import day_field
from monitoring.pages.patients import NAMING
from monitoring.pages.previews import is_preview
from monitoring.permissions import has_role_in, memberships_of, requires_role, roles_of, signed_in
from monitoring.services.entry.foreseen_facts import ForeseenFacts, foresee_facts
from monitoring.services.entry.reach import RECORDING, Reach, reach_of
from monitoring.services.entry.reconciling import value_of
from monitoring.services.entry.records import record_courses, record_observations, record_patients
from monitoring.services.entry.verdicts import RowOutcome, Verdict
from monitoring.services.foundation.races import retry_lost_race

EMPTY = ("", "–")
STORED_AS = {"birth_date": "born_on"}
text = partial(forms.CharField, required=False, max_length=60)
choice = partial(forms.ChoiceField, required=False)


class FactForm(forms.Form):
    """The cells of one row; they are read exactly as those of a file."""

    def cells(self, **more: str) -> Cells:
        return Cells({name: str(value).strip() for name, value in self.cleaned_data.items()} | more)

    def show(self, column: str, reason: str) -> None:
        """Put a refusal beside the field it is about."""
        self.add_error(column if column in self.fields else None, reason)


class PatientForm(FactForm):
    """A new patient; the identity stands apart and is sealed."""

    centre = choice(label=gettext_lazy("Centre"))
    patient_id = text(label=gettext_lazy("Patient (pseudonym)"))
    sex = choice(label=gettext_lazy("Sex"), choices=[EMPTY, *SEX])
    birth_date = day_field(gettext_lazy("Born on"), help_text=gettext_lazy("a day, a month or a year"))
    diagnosed_on = day_field(gettext_lazy("Diagnosed on"))
    transcript = choice(label=gettext_lazy("Transcript"), choices=[EMPTY, *[one for one in TRANSCRIPT if one[0]]])
    phase = choice(label=gettext_lazy("Phase at diagnosis"), choices=[EMPTY, *PHASE])
    risk_score = choice(label=gettext_lazy("Risk score"), choices=[EMPTY, ("elts", "ELTS"), ("sokal", "Sokal")])
    risk_group = choice(
        label=gettext_lazy("Risk group"), choices=[EMPTY, *RISK_GROUP],
        help_text=gettext_lazy("computed where its parts are given"),
    )  # fmt: skip
    spleen_cm = text(label=gettext_lazy("Spleen at diagnosis, cm below the costal margin"))
    platelets_e9_per_l = text(label=gettext_lazy("Platelets at diagnosis, 10⁹/L"))
    blasts_percent = text(label=gettext_lazy("Blasts in peripheral blood at diagnosis, %"))
    hospital_number = text(label=gettext_lazy("Hospital number"))
    family_name = text(label=gettext_lazy("Family name"), max_length=200)
    given_name = text(label=gettext_lazy("Given name"), max_length=200)
    IDENTITY = ("hospital_number", "family_name", "given_name")

    def __init__(
        self, data: Any = None, *, centres: list[Centre], may_name: bool, initial: dict[str, Any] | None = None
    ) -> None:
        super().__init__(data, initial=initial)
        field = self.fields["centre"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(centre.code, str(centre)) for centre in centres]
        if len(centres) > 1:
            field.choices = [EMPTY, *field.choices]
        if not may_name:
            for name in self.IDENTITY:
                del self.fields[name]

    @property
    def facts(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name not in self.IDENTITY]

    @property
    def identity(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name in self.IDENTITY]


class PatientFactsForm(PatientForm):
    """What is known of a patient, without centre, pseudonym and identity."""

    reason = text(label=gettext_lazy("Why something that is stored is changed"), max_length=500)

    def __init__(self, data: Any = None, *, initial: dict[str, Any]) -> None:
        super().__init__(data, centres=[], may_name=False, initial=initial)
        del self.fields["centre"], self.fields["patient_id"]


class CourseForm(FactForm):
    """A course of a drug: its start, and its stop with the reason."""

    drug = choice(label=gettext_lazy("Drug"), choices=[EMPTY, *DRUG_WORD])
    drug_text = text(label=gettext_lazy("Name of another drug"), max_length=100)
    started_on = day_field(gettext_lazy("Started on"))
    dose_mg_per_day = text(label=gettext_lazy("mg per day"))
    stopped_on = day_field(gettext_lazy("Stopped on"), help_text=gettext_lazy("the last day with the drug"))
    stop_reason = choice(
        label=gettext_lazy("Reason of the stop"), choices=[EMPTY, *[one for one in STOP_REASON if one[0] != "unknown"]]
    )
    reason = text(label=gettext_lazy("Why something that is stored is changed"), max_length=500)


class ObservationForm(FactForm):
    """Something that happened on a day."""

    kind = choice(label=gettext_lazy("What"), choices=[EMPTY, *FACT_KIND])
    observed_on = day_field(gettext_lazy("On"))
    grade = text(label=gettext_lazy("Grade, where there is one"))
    detail = text(
        label=gettext_lazy("Detail"), max_length=200,
        help_text=gettext_lazy("of a death: cml, other or unknown"),
    )  # fmt: skip
    reason = text(label=gettext_lazy("Why something that is stored is changed"), max_length=500)


def _recording_reach(request: HttpRequest) -> Reach:
    return reach_of(memberships_of(request.user), RECORDING)


def _posted(request: HttpRequest) -> Any:
    """What was sent, be it nothing at all; None where the form is only asked for."""
    return request.POST if request.method == "POST" else None


@require_http_methods(["GET", "POST"])
@requires_role(RECORDING)
def new_patient(request: HttpRequest) -> HttpResponse:
    """Register a patient; while it is typed, who is likely known already. For everybody who records facts."""
    reach, me = _recording_reach(request), signed_in(request)
    centres = list(Centre.objects.filter(pk__in=reach.centres or ()).order_by("code"))
    may_name = bool({role.value for role in NAMING} & roles_of(request.user))
    form = PatientForm(_posted(request), centres=centres, may_name=may_name)
    verdict = None
    if form.is_bound and form.is_valid():
        verdict = _patient_verdict(form, me, reach, dry_run=is_preview(request))
    if is_preview(request):
        risk = computed_risk(patient_facts(form.cells()).values) if verdict is not None else None
        return render(request, "facts/patient_preview.html", {"form": form, "verdict": verdict, "risk": risk})
    if verdict is not None and verdict.action is not RowOutcome.REFUSED:
        patient = Patient.objects.get(
            centre__code=form.cleaned_data["centre"], patient_id=form.cells().identifier("patient_id")
        )
        for note in verdict.notes:
            messages.warning(request, note)
        messages.success(request, _("Recorded."))
        return redirect("patient", patient.public_id)
    return render(request, "facts/patient.html", {"form": form}, status=400 if form.is_bound else 200)


def _patient_verdict(form: PatientForm, me: Any, reach: Reach, *, dry_run: bool) -> Verdict | None:
    """The verdict on a new patient, or None with each refusal beside its field. One who is known is not "new"."""
    try:
        facts = patient_facts(form.cells())
    except CellProblem as problem:
        form.show(problem.column, problem.reason)
        return None
    known = Patient.objects.filter(
        centre__in=reach.centres or (), centre__code=facts.centre, patient_id=facts.patient_id
    )
    if known.exists():
        form.show("patient_id", _("is known in this centre; open the patient's page to add to it"))
        return None
    verdict = retry_lost_race(lambda: record_patients([facts], by=me, reach=reach, now=clock.now(), dry_run=dry_run))[0]
    for found in verdict.problems:
        form.show(found.column, found.reason)
    return verdict


@require_http_methods(["GET", "POST"])
@requires_role(RECORDING)
def patient_record(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Complete or correct what is known of a patient. For everybody who records facts in the centre."""
    patient = _writable(request, public_id)
    names = [name for name in PatientForm.base_fields if name not in ("centre", "patient_id", *PatientForm.IDENTITY)]
    initial = {name: _cell(value_of(patient, STORED_AS.get(name, name))) for name in names}
    form = PatientFactsForm(_posted(request), initial=initial)

    def record(facts: Any, reason: str) -> list[Verdict]:
        return record_patients(
            [facts], by=signed_in(request), reach=_recording_reach(request), now=clock.now(), amend_reason=reason
        )

    return _recorded(
        request, patient, form, lambda cells, _find: patient_facts(cells), record, _("What is known of the patient")
    )


def _cell(value: object) -> str:
    return "" if value is None else unmistakable(value) if isinstance(value, Decimal) else str(value)


@require_http_methods(["GET", "POST"])
@requires_role(RECORDING)
def course(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Start a drug, or record its stop (``?course=`` names it). For everybody who records facts in the centre."""
    patient = _writable(request, public_id)
    initial = {}
    if "course" in request.GET:
        standing = get_object_or_404(TkiCourse.objects.filter(patient=patient), pk=_number(request.GET["course"]))
        started_on = str(value_of(standing, "started_on"))
        initial = {"drug": standing.drug, "drug_text": standing.drug_text, "started_on": started_on}
    form = CourseForm(_posted(request), initial=initial)

    def record(facts: Any, reason: str) -> list[Verdict]:
        return record_courses(
            [facts], by=signed_in(request), reach=_recording_reach(request), now=clock.now(), amend_reason=reason
        )

    return _recorded(request, patient, form, course_facts, record, _("A course of a drug"))


@require_http_methods(["GET", "POST"])
@requires_role(RECORDING)
def observation(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Record an observation. For everybody who records facts in the centre."""
    patient = _writable(request, public_id)
    form = ObservationForm(_posted(request), initial={"kind": FactKind.WITHDRAWAL_SYNDROME})

    def record(facts: Any, reason: str) -> list[Verdict]:
        return record_observations(
            [facts], by=signed_in(request), reach=_recording_reach(request), now=clock.now(), amend_reason=reason
        )

    return _recorded(request, patient, form, observation_facts, record, _("An observation"))


def _writable(request: HttpRequest, public_id: UUID) -> Patient:
    """The patient, where this person records facts in the centre; 403 where one only reads, 404 elsewhere."""
    standing = Patient.objects.visible_to(request.user).filter(merged_into__isnull=True)
    patient = get_object_or_404(standing.select_related("centre__protocol"), public_id=public_id)
    if not has_role_in(request.user, patient.centre_id, RECORDING):
        raise PermissionDenied
    return patient


def _number(given: str) -> int:
    return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else 0


def _recorded(
    request: HttpRequest,
    patient: Patient,
    form: FactForm,
    facts_of: Callable[[Cells, Callable[[str, str], Patient]], Any],
    record: Callable[[Any, str], list[Verdict]],
    title: str,
) -> HttpResponse:
    """The form, its preview as a fragment, or the way back to the patient once it is recorded."""
    foreseen = risk = None
    if form.is_bound and form.is_valid():
        try:
            cells = form.cells(centre=patient.centre.code, patient_id=patient.patient_id)
            facts = facts_of(cells, lambda _centre, _patient_id: patient)
            reason = cells.text("reason", longest=500)
        except CellProblem as problem:
            form.show(problem.column, problem.reason)
        else:
            risk = computed_risk(facts.values)
            foreseen = _done(request, patient, lambda: record(facts, reason))
            for found in foreseen.verdict.problems:
                form.show(found.column, found.reason)
    context = {"form": form, "patient": patient, "title": title, "foreseen": foreseen, "risk": risk}
    if is_preview(request):
        return render(request, "facts/preview.html", context)
    if foreseen is not None and foreseen.verdict.action is not RowOutcome.REFUSED:
        said = _("This was stored before; nothing changed.") if _is_same(foreseen.verdict) else _("Recorded.")
        messages.success(request, said)
        return redirect("patient", patient.public_id)
    return render(request, "facts/fact.html", context, status=400 if form.is_bound else 200)


def _done(request: HttpRequest, patient: Patient, record: Callable[[], list[Verdict]]) -> ForeseenFacts:
    if is_preview(request):
        return foresee_facts(patient, lambda: record()[0], today=clock.now().date())
    return ForeseenFacts(retry_lost_race(record)[0])


def _is_same(verdict: Verdict) -> bool:
    return verdict.action is RowOutcome.UNCHANGED
