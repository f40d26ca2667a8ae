"""The life of one result on screen: who verifies, what was amended, what was entered in error."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from monitoring import clock
from monitoring.models import LateReport, Patient, PcrResult, ResultStatus, Role
from monitoring.models.choices import FLAG, RESPONSE_CLASS
from monitoring.pages.bench import ENTERING
from monitoring.permissions import ANY_ROLE, has_role_in, memberships_of, requires_role
from monitoring.selectors.as_of import siblings_of
from monitoring.services.entry.amendments import (
    StandingResult,
    standing_result,
    verify_result,
)
from monitoring.services.entry.reach import reach_of
from monitoring.services.entry.reviews import changed_words
from monitoring.services.entry.verification import VerificationRefused, check_may_verify
from monitoring.services.foundation.stale_version import StaleVersionError


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
