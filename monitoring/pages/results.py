"""The life of one result on screen: who verifies, what was amended, what was entered in error."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from monitoring import clock
from monitoring.intake.written import cells_of_report
from monitoring.models import LateReport, Patient, PcrResult, ResultStatus, Role
from monitoring.models.choices import FLAG, RESPONSE_CLASS
from monitoring.pages.bench import ENTERING, EntryForm, centres_within, entering_reach, read_entry
from monitoring.permissions import ANY_ROLE, has_role_in, memberships_of, requires_role
from monitoring.selectors.as_of import siblings_of
from monitoring.selectors.foresight import foresee
from monitoring.services.entry.amendments import (
    StandingResult,
    amend_result,
    retract_result,
    standing_result,
    verify_result,
)
from monitoring.services.entry.reach import reach_of
from monitoring.services.entry.reviews import changed_words
from monitoring.services.entry.verdicts import RowOutcome, Verdict
from monitoring.services.entry.verification import VerificationRefused, check_may_verify
from monitoring.services.foundation.stale_version import StaleVersionError


class ReasonForm(forms.Form):
    """Why a result is changed, and which version its reader has seen."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500)


class VersionForm(forms.Form):
    """Which version its reader has seen."""

    version = forms.IntegerField(widget=forms.HiddenInput)


@require_GET
@requires_role(ANY_ROLE)
def detail(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """One result with all its versions. For everybody with a role in the centre."""
    return _detail(request, standing_seen(request, public_id))


@require_POST
@requires_role((Role.VERIFIER,))
def verify(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Make a preliminary result final. For verifiers of the centre who did not enter it."""
    standing = standing_to_change(request, public_id, (Role.VERIFIER,))
    form = VersionForm(request.POST)
    if not form.is_valid():
        return _detail(request, standing, status=400)
    assert isinstance(request.user, User)
    try:
        verify_result(
            standing, by=request.user, reach=reach_of(memberships_of(request.user), (Role.VERIFIER,)),
            version=form.cleaned_data["version"], now=clock.now(),
        )  # fmt: skip
    except StaleVersionError as problem:
        if "from_lanes" in request.POST:
            messages.error(request, changed_words(standing.row))
            return redirect("waiting")
        return _detail(request, standing_seen(request, public_id), problem=str(problem), status=409)
    except VerificationRefused as problem:
        return _detail(request, standing_seen(request, public_id), problem=str(problem), status=409)
    messages.success(request, _("Verified %(accession)s.") % {"accession": standing.row.accession_number})
    return redirect("waiting")


@require_POST
@requires_role(ENTERING)
def retract(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Mark as entered in error. For technicians and verifiers of the centre."""
    standing = standing_to_change(request, public_id, ENTERING)
    form = ReasonForm(request.POST)
    if not form.is_valid():
        return _detail(request, standing, retract_form=form, status=400)
    assert isinstance(request.user, User)
    values = form.cleaned_data
    try:
        retract_result(
            standing,
            by=request.user,
            reach=entering_reach(request.user),
            reason=values["reason"],
            version=values["version"],
            now=clock.now(),
        )
    except StaleVersionError as problem:
        return _detail(request, standing_seen(request, public_id), problem=str(problem), status=409)
    messages.success(request, _("Marked as entered in error. It counts for nothing any more."))
    return redirect("result", public_id=public_id)


@require_http_methods(["GET", "POST"])
@requires_role(ENTERING)
def amend(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Correct a result, with a reason. For technicians and verifiers of the centre."""
    standing = standing_to_change(request, public_id, ENTERING)
    assert isinstance(request.user, User)
    reach = entering_reach(request.user)
    centres = centres_within(reach)
    tubes = max((tube.number for tube in standing.report.replicates), default=0)
    if request.method == "GET":
        form = EntryForm(centres=centres, initial=_initial(standing), tubes=tubes)
        return _amend_page(request, standing, form, ReasonForm(initial={"version": standing.row.version}))
    form, why = EntryForm(request.POST, centres=centres, tubes=tubes), ReasonForm(request.POST)
    reason, cells = request.POST.get("reason", "")[:500], cells_of_report(standing.report)[0]
    entered = read_entry(form, reach, status=ResultStatus.FINAL, reason=reason, standing=cells)
    if entered is None or not why.is_valid():
        return _amend_page(request, standing, form, why, status=400)
    key = (entered.report.laboratory, entered.report.accession_number)
    if key != (standing.report.laboratory, standing.report.accession_number):
        form.add_error("accession_number", _("the name of a result stays; mark this one as entered in error instead"))
        return _amend_page(request, standing, form, why, status=400)
    if "foresee" in request.POST:
        foresight = foresee(entered.patient, entered.report)
        return _amend_page(request, standing, form, why, foresight=foresight)
    try:
        verdict = amend_result(
            standing, entered.report, patient=entered.patient, by=request.user, reach=reach,
            version=why.cleaned_data["version"], now=clock.now(),
        )  # fmt: skip
    except StaleVersionError as problem:
        why.add_error(None, str(problem))
        return _amend_page(request, standing, form, why, status=409)
    if verdict.action is RowOutcome.REFUSED:
        _show(verdict, form)
        return _amend_page(request, standing, form, why, status=400)
    messages.success(request, _amended_words(verdict))
    return redirect("result", public_id=public_id)


def _amended_words(verdict: Verdict) -> str:
    if verdict.action is RowOutcome.UNCHANGED:
        return _("Nothing was changed.")
    return _("Amended. It waits for a second person to verify it.") if verdict.waits else _("Amended.")


def _show(verdict: Verdict, form: EntryForm) -> None:
    for problem in verdict.problems:
        form.show(problem.column, problem.reason)


def _initial(standing: StandingResult) -> dict[str, Any]:
    """The stored result as the form's cells."""
    cells, tubes = cells_of_report(standing.report)
    whole: dict[str, Any] = {**cells, "centre": standing.row.patient.centre.code}
    for tube in tubes:
        whole[f"bcr_abl1_copies_{tube['replicate']}"] = tube["bcr_abl1_copies"]
        whole[f"control_gene_copies_{tube['replicate']}"] = tube["control_gene_copies"]
        whole[f"run_failed_{tube['replicate']}"] = tube["run_valid"] == "false"
    return whole


def standing_seen(request: HttpRequest, public_id: UUID) -> StandingResult:
    """The current version, if its patient is of the person's centres."""
    seen = PcrResult.objects.filter(
        public_id=public_id, superseded_by__isnull=True, patient__in=Patient.objects.visible_to(request.user)
    ).exists()
    standing = standing_result(public_id) if seen else None
    if standing is None:
        raise Http404
    return standing


def standing_to_change(request: HttpRequest, public_id: UUID, roles: tuple[Role, ...]) -> StandingResult:
    standing = standing_seen(request, public_id)
    if not has_role_in(request.user, standing.row.patient.centre_id, roles):
        raise PermissionDenied
    return standing


def _detail(
    request: HttpRequest,
    standing: StandingResult,
    *,
    retract_form: ReasonForm | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    row = standing.row
    versions = (
        PcrResult.objects.filter(public_id=row.public_id)
        .select_related("recorded_by", "patient")
        .prefetch_related("replicates", "assessments")
        .order_by("-version")
    )
    return render(
        request,
        "results/detail.html",
        {
            "result": row,
            "versions": versions,
            "late_reports": LateReport.objects.filter(result=row.public_id)
            .select_related("recorded_by")
            .order_by("pk"),
            "siblings": siblings_of(row),
            "problem": problem,
            "why_not": _why_not_verify(request, standing),
            "may_change": has_role_in(request.user, row.patient.centre_id, ENTERING),
            "version_form": VersionForm(initial={"version": row.version}, auto_id="verify_%s"),
            "retract_form": retract_form or ReasonForm(initial={"version": row.version}, auto_id="retract_%s"),
            "labels": {"response": dict(RESPONSE_CLASS), "flag": dict(FLAG)},
        },
        status=status,
    )


def _why_not_verify(request: HttpRequest, standing: StandingResult) -> str | None:
    """Why this person cannot verify; empty where they can, None where the result is not preliminary."""
    if standing.row.status != ResultStatus.PRELIMINARY:
        return None
    assert isinstance(request.user, User)
    if not has_role_in(request.user, standing.row.patient.centre_id, (Role.VERIFIER,)):
        return _("verifiers of this centre verify")
    try:
        check_may_verify(standing.row, request.user)
    except VerificationRefused as problem:
        return str(problem)
    return ""


def _amend_page(
    request: HttpRequest,
    standing: StandingResult,
    form: EntryForm,
    why: ReasonForm,
    *,
    foresight: object = None,
    status: int = 200,
) -> HttpResponse:
    context = {"result": standing.row, "form": form, "why": why, "foresight": foresight, "amending": True}
    return render(request, "results/amend.html", context, status=status)
