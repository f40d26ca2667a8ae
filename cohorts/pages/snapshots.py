"""Kept snapshots of a cohort on screen: their names, what is different, and the files that are made of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from cohorts.models import Cohort, CohortOutput, CohortPublication, CohortSnapshot, OutputKind
from cohorts.selectors.disclosure import readable, sees_all_rows
from cohorts.selectors.snapshots import published
from cohorts.services.names import NameProblem, name_snapshot
from cohorts.services.outputs import NotAllowed, ask, content_of, output_of
from monitoring.models import Role
from monitoring.permissions import ANY_ROLE, requires_role
from monitoring.services.foundation.access import record_access

PAGE_SIZE = 50
ANALYSTS = (Role.ANALYST, Role.ADMINISTRATOR)
CONTENT_TYPES = {
    OutputKind.REPORT: ("application/pdf", "report.pdf"),
    OutputKind.PICTURES: ("application/zip", "pictures.zip"),
    OutputKind.BUNDLE: ("application/zip", "bundle.zip"),
    OutputKind.DIFFERENCE: ("text/plain; charset=utf-8", "difference.txt"),
}


@require_GET
@requires_role(ANY_ROLE)
def index(request: HttpRequest, slug: str) -> HttpResponse:
    """The kept snapshots of a cohort with their names. For everybody with a role.

    Without the right to all rows only those that are published or have a name.
    """
    cohort = get_object_or_404(Cohort, slug=slug)
    standing = published(cohort)
    snapshots = CohortSnapshot.objects.filter(cohort=cohort)
    if standing is not None and not sees_all_rows(standing, request.user):
        snapshots = snapshots.filter(Q(names__isnull=False) | Q(pk=standing.snapshot_id)).distinct()
    snapshots = snapshots.defer("figures", "rows").prefetch_related("names__named_by")
    page = Paginator(snapshots.order_by("-computed_at", "-pk"), PAGE_SIZE).get_page(request.GET.get("page"))
    context: dict[str, Any] = {"cohort": cohort, "page": page, "published": standing}
    return render(request, "cohorts/snapshots.html", context)


@require_POST
@requires_role(ANALYSTS)
def name(request: HttpRequest, slug: str) -> HttpResponse:
    """Give a snapshot a name. For analysts and administrators of every centre that it holds people of."""
    publication = _chosen(request, get_object_or_404(Cohort, slug=slug), request.POST.get("digest", ""))
    assert isinstance(request.user, User)
    if not sees_all_rows(publication, request.user):
        messages.error(request, _("Names are given by analysts of all centres of the cohort."))
        return redirect("cohort-snapshots", slug=slug)
    try:
        given = name_snapshot(
            publication.snapshot, request.POST.get("name", ""), by=request.user, note=request.POST.get("note", "")
        )
    except NameProblem as problem:
        messages.error(request, str(problem))
    else:
        messages.success(request, _("The snapshot is called: %(name)s") % {"name": given.name})
    return redirect("cohort-snapshots", slug=slug)


@require_POST
@requires_role(ANY_ROLE)
def ask_output(request: HttpRequest, slug: str) -> HttpResponse:
    """Ask for a file. Reports and pictures are for everybody with a role, rows for analysts of all centres."""
    cohort = get_object_or_404(Cohort, slug=slug)
    publication = _chosen(request, cohort, request.POST.get("digest", ""))
    kind = request.POST.get("kind", "")
    if kind not in OutputKind.values:
        messages.error(request, _("Choose what to make: report, pictures, bundle or difference."))
        return redirect("cohort", slug=slug)
    compared = None
    if kind == OutputKind.DIFFERENCE:
        compared = _chosen(request, cohort, request.POST.get("with", "")).snapshot
    assert isinstance(request.user, User)
    try:
        output = ask(publication, kind, by=request.user, language=get_language() or "en", compared_with=compared)
    except NotAllowed as problem:
        messages.error(request, str(problem))
        return redirect("cohort", slug=slug)
    return redirect("cohort-output", public_id=output.public_id)


def _chosen(request: HttpRequest, cohort: Cohort, digest: str) -> CohortPublication:
    """The published snapshot, or another one by its whole digest."""
    found = readable(cohort, digest, request.user) if digest else published(cohort)
    if found is None:
        raise Http404
    return found


@require_GET
@requires_role(ANY_ROLE)
def output(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """How far a file is. For the person who asked for it."""
    return render(request, "cohorts/output.html", {"output": _own(request, public_id)})


@require_GET
@requires_role(ANY_ROLE)
def output_file(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """The file. For the person who asked for it, as long as the rights are the same; recorded as an export."""
    found = _own(request, public_id)
    assert isinstance(request.user, User)
    try:
        content = content_of(found, request.user)
    except NotAllowed as problem:
        messages.error(request, str(problem))
        return redirect("cohort", slug=found.snapshot.cohort.slug)
    record_access(request.user, action=f"export {found.kind}", detail=found.snapshot.cohort.slug)
    content_type, ending = CONTENT_TYPES[OutputKind(found.kind)]
    name_ = f"{found.snapshot.cohort.slug}-{found.snapshot.digest[:8]}-{ending}"
    return HttpResponse(content, content_type, headers={"Content-Disposition": f'attachment; filename="{name_}"'})


def _own(request: HttpRequest, public_id: UUID) -> CohortOutput:
    assert isinstance(request.user, User)
    found = output_of(public_id, request.user)
    if found is None:
        raise Http404
    return found
