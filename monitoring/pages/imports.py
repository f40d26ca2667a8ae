"""Loading files on the page: in a dry run first, then for real; each row has its verdict."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from django import forms
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import content_disposition_header
from django.utils.translation import get_language, gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from monitoring.intake.columns import COLUMNS
from monitoring.intake.file_problems import FileProblem
from monitoring.intake.uploads import LOADING, foreseen_of, load_again, refused_rows, take_upload, verdict_rows
from monitoring.models import ImportRun
from monitoring.permissions import requires_role

PAGE_SIZE = 50
KINDS = [
    ("results", gettext_lazy("results")),
    ("patients", gettext_lazy("patients")),
    ("treatments", gettext_lazy("treatments")),
    ("observations", gettext_lazy("observations")),
]


class UploadForm(forms.Form):
    """A file and what is to be done with it."""

    kind = forms.ChoiceField(label=gettext_lazy("What the file holds"), choices=KINDS)
    file = forms.FileField(label=gettext_lazy("File (CSV in UTF-8, or XLSX)"), max_length=255)
    dry_run = forms.BooleanField(
        label=gettext_lazy("Try first: say what would happen and store nothing"), required=False, initial=True
    )
    amend_reason = forms.CharField(
        label=gettext_lazy("Reason, only if the file may change what is stored"), required=False, max_length=500
    )


@require_http_methods(["GET", "POST"])
@requires_role(LOADING)
def index(request: HttpRequest) -> HttpResponse:
    """Upload a file, and the list of earlier uploads. For the laboratory and administrators, into their own centres."""
    assert isinstance(request.user, User)
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            run = take_upload(
                values["kind"], values["file"].name, values["file"].read(), by=request.user, dry_run=values["dry_run"],
                amend_reason=values["amend_reason"], language=get_language() or "en",
            )  # fmt: skip
        except FileProblem as problem:
            form.add_error("file", str(problem))
        else:
            return redirect("import", public_id=run.public_id)
    page = Paginator(_own_runs(request), PAGE_SIZE).get_page(request.GET.get("page"))
    status = 400 if form.errors else 200
    context = {"form": form, "page": page, "columns": COLUMNS, "kinds": dict(KINDS)}
    return render(request, "imports/index.html", context, status=status)


@require_GET
@requires_role(LOADING)
def detail(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """One file: its progress, then the verdict of every row. For its uploader."""
    run = get_object_or_404(_own_runs(request), public_id=public_id)
    rows: list[dict[str, Any]] = [*verdict_rows(run)]
    if request.GET.get("only") == "refused":
        rows = [row for row in rows if row["verdict"] == "refused"]
    rows.sort(key=lambda row: int(row["row"]))
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    foreseen = foreseen_of(run)
    for row in page:
        code, percent = foreseen.get("lines", {}).get(row["row"], ("", ""))
        row["response_class"], row["is_percent"] = code, Decimal(percent) if percent else None
    context: dict[str, Any] = {"run": run, "page": page, "kinds": dict(KINDS), "foreseen": foreseen}
    return render(request, "imports/detail.html", context)


@require_GET
@requires_role(LOADING)
def refused(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """The refused rows with the reasons beside them, as a CSV file to mend and give again. For its uploader."""
    run = get_object_or_404(_own_runs(request), public_id=public_id)
    rows = refused_rows(run)
    if not rows:
        raise Http404
    response = HttpResponse(rows, content_type="text/csv; charset=utf-8")
    name = f"{Path(run.file_name).stem}-refused.csv"
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name) or "attachment"
    return response


@require_GET
@requires_role(LOADING)
def progress(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """The progress of a file, as a fragment; when it is done the page reloads. For its uploader."""
    run = get_object_or_404(_own_runs(request), public_id=public_id)
    response = render(request, "imports/progress.html", {"run": run})
    if run.finished_at is not None:
        response["HX-Refresh"] = "true"
    return response


@require_POST
@requires_role(LOADING)
def load(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Load the file of a dry run for real. For its uploader."""
    assert isinstance(request.user, User)
    run = load_again(get_object_or_404(_own_runs(request), public_id=public_id), by=request.user)
    if run is None:
        raise Http404
    return redirect("import", public_id=run.public_id)


def _own_runs(request: HttpRequest) -> QuerySet[ImportRun]:
    """The files this person has uploaded. Nobody else sees them: their rows name patients."""
    return ImportRun.objects.filter(by_id=request.user.pk).order_by("-started_at")
