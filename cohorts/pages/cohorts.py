"""Cohorts on screen: published figures with unit, interval, denominator, rule and date of data."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from cohorts.domain import study
from cohorts.domain.columns import CSV_COLUMNS
from cohorts.domain.definition_file import DefinitionProblem, parse_definition
from cohorts.models import Cohort, CohortRun
from cohorts.pages.curve import curve_of
from cohorts.selectors.disclosure import disclosed, member_rows, readable, sees_all_rows
from cohorts.selectors.snapshots import is_published, published
from cohorts.services.definitions import centres_of_author, may_change
from cohorts.wording.study import lines_of
from monitoring.domain.text.spreadsheet import as_cells
from monitoring.models import Role
from monitoring.permissions import ANY_ROLE, requires_role
from monitoring.services.classification.readings import progress
from monitoring.services.foundation.access import record_access

PAGE_SIZE = 50
READING_ROWS = (Role.ANALYST, Role.ADMINISTRATOR)


@require_GET
@requires_role(ANY_ROLE)
def index(request: HttpRequest) -> HttpResponse:
    """All cohorts with what is published of them. For everybody with a role."""
    cohorts = Cohort.objects.select_related("publication__snapshot").defer(
        "publication__snapshot__rows", "publication__snapshot__figures"
    )
    page = Paginator(cohorts.order_by("slug"), PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "cohorts/index.html", {"page": page})


@require_GET
@requires_role(ANY_ROLE)
def detail(request: HttpRequest, slug: str) -> HttpResponse:
    """The figures of a cohort, published or kept. For everybody with a role; small groups elsewhere are withheld."""
    cohort = get_object_or_404(Cohort, slug=slug)
    asked = request.GET.get("snapshot", "")
    standing = published(cohort)
    publication = readable(cohort, asked, request.user) if asked else standing
    if asked and publication is None:
        raise Http404
    figures: dict[str, Any] | None = disclosed(publication, request.user) if publication else None
    latest_run = CohortRun.objects.filter(cohort=cohort).order_by("-started_at").first()
    return render(
        request,
        "cohorts/detail.html",
        {
            "cohort": cohort,
            "publication": publication,
            "f": figures,
            "curve": curve_of(figures) if figures and "kaplan_meier" in figures else None,
            "asks_the_same": figures is not None and study.asks_the_same(figures["definition"]),
            "is_kept": publication is not None and not is_published(publication),
            "may_change": may_change(cohort, centres_of_author(request.user)),
            "may_take_bundle": publication is not None and sees_all_rows(publication, request.user),
            "building": _building(cohort),
            "failed_run": latest_run if latest_run and latest_run.ok is False else None,
        },
    )


@require_GET
@requires_role(ANY_ROLE)
def beside_study(request: HttpRequest, slug: str) -> HttpResponse:
    """The study's published figures beside those of a cohort that asks the same. For everybody with a role."""
    cohort = get_object_or_404(Cohort, slug=slug)
    publication = published(cohort)
    if publication is None or not study.asks_the_same(publication.snapshot.figures["definition"]):
        raise Http404
    figures = disclosed(publication, request.user)
    context = {
        "cohort": cohort,
        "publication": publication,
        "f": figures,
        "lines": lines_of(figures),
        "source": study.SOURCE,
    }
    return render(request, "cohorts/study.html", context)


def _building(cohort: Cohort) -> dict[str, int] | None:
    """How far the readings of a definition are; None once they are whole."""
    try:
        definition = parse_definition(cohort.definition)
    except DefinitionProblem:  # of an earlier version; the failed run says so
        return None
    found = progress(definition.event_rule, definition.dmr)
    return None if found is None else {"done": found[0], "total": found[1]}


@require_GET
@requires_role(ANY_ROLE)
def download_figures(request: HttpRequest, slug: str) -> HttpResponse:
    """The published figures as a JSON file. For everybody with a role; recorded as an export."""
    publication = published(get_object_or_404(Cohort, slug=slug))
    if publication is None:
        raise Http404
    assert isinstance(request.user, User)
    record_access(request.user, action="export figures", detail=slug)
    text = json.dumps(disclosed(publication, request.user), ensure_ascii=False, indent=2)
    return _file(text + "\n", f"{slug}.json", "application/json")


@require_GET
@requires_role(READING_ROWS)
def download_members(request: HttpRequest, slug: str) -> HttpResponse:
    """Member rows of the centres in which the person is analyst or administrator; recorded as an export."""
    publication = published(get_object_or_404(Cohort, slug=slug))
    if publication is None:
        raise Http404
    assert isinstance(request.user, User)
    record_access(request.user, action="export members", detail=slug)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(as_cells(row) for row in member_rows(publication, request.user))
    return _file(buffer.getvalue(), f"{slug}-members.csv", "text/csv; charset=utf-8")


def _file(text: str, name: str, content_type: str) -> HttpResponse:
    return HttpResponse(text, content_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})
