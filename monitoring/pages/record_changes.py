"""Records that move: asking for a transfer or a merge, and deciding on one as a second person."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from monitoring import clock
from monitoring.intake.named import find_patient
from monitoring.intake.values import CellProblem, Cells
from monitoring.models import Centre, Laboratory, Patient, RecordChange, RecordChangeKind
from monitoring.pages.previews import is_preview
from monitoring.permissions import ANY_ROLE, centres_with_role, has_role_in, memberships_of, requires_role, signed_in
from monitoring.services.entry.foreseen_facts import ForeseenFacts, foresee_for
from monitoring.services.entry.reach import TREATING, Reach, reach_of
from monitoring.services.entry.reconciling import value_of
from monitoring.services.entry.record_changes import (
    FACTS,
    ask_merge,
    ask_transfer,
    can_be_undone,
    carry_out,
    decline,
    move,
    move_back,
    undo_merge,
)
from monitoring.services.entry.verdicts import RowOutcome, Verdict, is_empty
from monitoring.services.foundation.access import record_access
from monitoring.services.foundation.field_problem import FieldProblem

PAGE_SIZE = 50


class AskForm(forms.Form):
    """What both kinds of change ask for."""

    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500, required=False)

    def show(self, field: str, words: str) -> None:
        """Put a refusal beside the field it is about."""
        self.add_error(field if field in self.fields else None, words)


class TransferForm(AskForm):
    """Where a record goes, and under which name."""

    centre = forms.ModelChoiceField(
        Centre.objects.none(), label=gettext_lazy("Centre that the record goes to"), empty_label="–"
    )
    patient_id = forms.CharField(
        label=gettext_lazy("Pseudonym there, if it is another one"), max_length=60, required=False
    )
    field_order = ("centre", "patient_id", "reason")

    def __init__(self, *args: Any, patient: Patient, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = Centre.objects.filter(is_canary=False).exclude(pk=patient.centre_id).order_by("code")
        self.fields["centre"].queryset = others  # type: ignore[attr-defined]  # of the field that the form declares


class MergeForm(AskForm):
    """The record that stays."""

    into = forms.CharField(label=gettext_lazy("Record that stays (pseudonym, same centre)"), max_length=60)
    field_order = ("into", "reason")


class DecisionForm(forms.Form):
    """What a second person says."""

    action = forms.ChoiceField(choices=[(one, one) for one in ("carry_out", "decline", "undo")])
    note = forms.CharField(label=gettext_lazy("Note"), max_length=500, required=False)


@require_GET
@requires_role(TREATING)
def index(request: HttpRequest) -> HttpResponse:
    """Changes of records from and to the person's centres, what waits first. For those who treat there."""
    rows = _seen(request).order_by(F("is_done").asc(nulls_first=True), "-asked_at", "-pk")
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "records/index.html", {"page": page})


@require_http_methods(["GET", "POST"])
@requires_role(TREATING)
def transfer(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Ask that a record goes to another centre. For those who treat in its centre."""
    patient = _own_patient(request, public_id)
    form = TransferForm(request.POST if request.method == "POST" else None, patient=patient)
    if form.is_bound and form.is_valid():
        values, me = form.cleaned_data, signed_in(request)
        try:
            name = Cells({"patient_id": values["patient_id"]}).identifier("patient_id", required=False)
            if not is_preview(request):
                change = ask_transfer(
                    patient, values["centre"], patient_id=name, reason=values["reason"], by=me, reach=_reach(request)
                )
                messages.success(request, _("Asked. Somebody who treats there takes the record over, or declines."))
                return redirect("record-change", public_id=change.public_id)
        except CellProblem as problem:
            form.show(problem.column, problem.reason)
        except FieldProblem as problem:
            form.show(problem.field, problem.words)
    context: dict[str, Any] = {"form": form, "patient": patient, "title": _("Transfer to another centre")}
    if form.is_bound and form.is_valid():
        context |= _transfer_words(patient, form.cleaned_data["centre"])
    return _asking(request, context)


@require_http_methods(["GET", "POST"])
@requires_role(TREATING)
def merge(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Ask that a record goes into another one of the same person. For those who treat in its centre."""
    patient, reach, me = _own_patient(request, public_id), _reach(request), signed_in(request)
    form = MergeForm(request.POST if request.method == "POST" else None, initial={"into": request.GET.get("into", "")})
    context: dict[str, Any] = {"form": form, "patient": patient, "title": _("Merge with another record of this person")}
    if form.is_bound and form.is_valid():
        try:
            into = find_patient(reach, patient.centre.code, form.cleaned_data["into"].strip())
            reason = form.cleaned_data["reason"]
            change = RecordChange(patient=patient, into=into, from_centre=patient.centre, to_centre=patient.centre)
            context |= _merge_words(request, change)
            if not is_preview(request):
                change = ask_merge(patient, into, reason=reason, by=me, reach=reach)
                messages.success(request, _("Asked. A second person carries it out, or declines."))
                return redirect("record-change", public_id=change.public_id)
        except CellProblem as problem:
            form.show("into", problem.reason)
        except FieldProblem as problem:
            form.show(problem.field, problem.words)
    return _asking(request, context)


@require_GET
@requires_role(TREATING)
def detail(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """One change, what it does, and what was decided. For those who treat in either centre."""
    change = get_object_or_404(_seen(request), public_id=public_id)
    record_access(signed_in(request), action="record change", patient=change.patient)
    return _detail(request, change, DecisionForm())


@require_POST
@requires_role(TREATING)
def decide(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Carry out, decline or undo. For those who treat in the centre that the record goes to; declining also for those
    of the centre that it comes from.
    """
    change, me = get_object_or_404(_seen(request), public_id=public_id), signed_in(request)
    form, reach, now = DecisionForm(request.POST), _reach(request), clock.now()
    if not (reach.treats(change.from_centre_id) or reach.treats(change.to_centre_id)):
        raise PermissionDenied
    if form.is_valid():
        action, note = form.cleaned_data["action"], form.cleaned_data["note"]
        try:
            if action == "decline":
                decline(change, note=note, by=me, now=now)
            elif action == "undo":
                undo_merge(change, reason=note, by=me, reach=reach, now=now)
            else:
                carry_out(change, by=me, reach=reach, now=now)
        except FieldProblem as problem:
            form.add_error(problem.field or None, problem.words)
        else:
            said = {"carry_out": _("Done."), "decline": _("Declined."), "undo": _("Undone.")}
            messages.success(request, said[action])
            return redirect("record-change", public_id=public_id)
    return _detail(request, change, form)


def _asking(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    form = context["form"]
    if is_preview(request):
        return render(request, "records/preview.html", context)
    return render(request, "records/ask.html", context, status=400 if form.errors else 200)


def _detail(request: HttpRequest, change: RecordChange, form: DecisionForm) -> HttpResponse:
    context: dict[str, Any] = {
        "change": change, "form": form,
        "sees_patient": has_role_in(request.user, change.patient.centre_id, TREATING),
        "may_decide": change.is_done is None,
        "may_carry_out": has_role_in(request.user, change.to_centre_id, TREATING)
        and change.asked_by_id != request.user.pk,
        "may_undo": can_be_undone(change) and has_role_in(request.user, change.to_centre_id, TREATING),
    }  # fmt: skip
    if change.is_done is None and change.kind == RecordChangeKind.TRANSFER:
        context |= _transfer_words(change.patient, change.to_centre)
    elif change.is_done is None or context["may_undo"]:
        try:
            context |= _merge_words(request, change)
        except FieldProblem as problem:
            context["stale"] = problem.words
    return render(request, "records/detail.html", context, status=409 if form.errors else 200)


def _transfer_words(patient: Patient, centre: Centre) -> dict[str, Any]:
    """What a transfer means, and the laboratories that do not report there yet."""
    theirs = Laboratory.objects.filter(results__patient=patient).exclude(centres=centre).distinct()
    return {"to_centre": centre, "not_reporting": sorted(theirs.values_list("code", flat=True))}


def _merge_words(request: HttpRequest, change: RecordChange) -> dict[str, Any]:
    """What a merge would move, or its undoing move back, and what follows. Raises ``FieldProblem``."""
    me, now = signed_in(request), clock.now()
    assert change.into is not None
    moved: dict[str, Any] = {}

    def record() -> Verdict:
        if change.is_done:
            move_back(change, reason="–", by=me, now=now)
            moved.update(change.moved)
        else:
            moved.update(move(change, by=me, now=now))
        return Verdict(RowOutcome.AMENDED)

    foreseen: list[ForeseenFacts] = foresee_for([change.into, change.patient], record, today=now.date())
    labels = {field.name: field.verbose_name for field in Patient._meta.concrete_fields}
    facts = [(name, value_of(change.into, name), value_of(change.patient, name)) for name in FACTS]
    return {
        "foreseen": foreseen,
        "into": change.into,
        "moved": moved,
        "differing": [
            (labels[name], stays, goes)
            for name, stays, goes in facts
            if not is_empty(stays) and not is_empty(goes) and stays != goes
        ],
    }


def _own_patient(request: HttpRequest, public_id: UUID) -> Patient:
    standing = Patient.objects.visible_to(request.user).filter(merged_into__isnull=True)
    patient = get_object_or_404(standing.select_related("centre__protocol"), public_id=public_id)
    if not has_role_in(request.user, patient.centre_id, TREATING):
        raise PermissionDenied
    return patient


def _seen(request: HttpRequest) -> QuerySet[RecordChange]:
    """The changes from or to the centres of this person."""
    mine = centres_with_role(request.user, ANY_ROLE)
    rows = RecordChange.objects.filter(Q(from_centre__in=mine) | Q(to_centre__in=mine))
    return rows.select_related(
        "patient__centre__protocol", "into__centre__protocol", "from_centre", "to_centre", "asked_by", "decided_by",
        "undone_by",
    )  # fmt: skip


def _reach(request: HttpRequest) -> Reach:
    return reach_of(memberships_of(request.user), TREATING)
