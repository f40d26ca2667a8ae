"""Writing a definition on a page: a form, who would be a member while it is filled in, and storing it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from cohorts.domain import study
from cohorts.domain.definition_file import DefinitionProblem
from cohorts.models import Cohort
from cohorts.pages.definition_form import DefinitionForm
from cohorts.services.counts import ask_count, count_of
from cohorts.services.definitions import centres_of_author, define_cohort, may_change
from monitoring.models import Centre, Role
from monitoring.permissions import requires_role

STOP_POLLING = 286  # htmx shows the answer and asks no more
ANALYSTS = (Role.ANALYST, Role.ADMINISTRATOR)


def _centre_choices(own: frozenset[int] | None) -> list[tuple[str, str]]:
    centres = Centre.objects.filter(is_canary=False) if own is None else Centre.objects.filter(pk__in=own)
    return [(centre.code, f"{centre.code} {centre.name}".strip()) for centre in centres.order_by("code")]


@require_http_methods(["GET", "POST"])
@requires_role(ANALYSTS)
def new(request: HttpRequest) -> HttpResponse:
    """Define a cohort. For analysts and administrators, of their centres."""
    centres = _centre_choices(centres_of_author(request.user))
    codes = [code for code, _name in centres]
    start: dict[str, Any] = {"slug": "cohort", "title": "", "include": {"centre": codes}}
    if request.GET.get("like") == "study":
        start = study.definition("zhao-2025", _("Who keeps the remission, as asked by Zhao 2025"), codes)
    initial = {**DefinitionForm.initial_of({**start, "title": start["title"] or "cohort"}), "title": start["title"]}
    if request.GET.get("like") != "study":
        initial["slug"] = ""
    form = DefinitionForm(_given(request), initial=initial, centres=centres, is_new=True)
    return _page(request, form, None)


@require_http_methods(["GET", "POST"])
@requires_role(ANALYSTS)
def edit(request: HttpRequest, slug: str) -> HttpResponse:
    """Change a definition. For analysts and administrators of every centre that it takes patients from."""
    own = centres_of_author(request.user)
    cohort = get_object_or_404(Cohort, slug=slug)
    if not may_change(cohort, own):
        raise Http404
    try:
        initial = DefinitionForm.initial_of(cohort.definition)
    except DefinitionProblem:  # of an earlier version: it is mended as a file
        messages.error(request, _("This definition is of an earlier version; mend it with define_cohort."))
        return redirect("cohort", slug=slug)
    form = DefinitionForm(_given(request), initial=initial, centres=_centre_choices(own), is_new=False)
    return _page(request, form, cohort)


def _given(request: HttpRequest) -> QueryDict | None:
    """What was posted, also where it is nothing."""
    return request.POST if request.method == "POST" else None


def _page(request: HttpRequest, form: DefinitionForm, cohort: Cohort | None) -> HttpResponse:
    assert isinstance(request.user, User)
    context: dict[str, Any] = {"form": form, "cohort": cohort}
    if request.method == "POST" and form.is_valid():
        stored: Mapping[str, Any] | None = cohort.definition if cohort else None
        data = form.definition(stored)
        centres = centres_of_author(request.user)
        try:
            if "store" not in request.POST:
                context["asked"] = ask_count(data, by=request.user, centres=centres)
            elif cohort is None and Cohort.objects.filter(slug=data["slug"]).exists():
                form.add_error("slug", _("A cohort is called so already; take another short name."))
            else:
                defined, _what = define_cohort(data, by=request.user.get_username(), centres=centres)
                messages.success(request, _("Stored. The figures follow with the next night."))
                return redirect("cohort", slug=defined.slug)
        except DefinitionProblem as problem:
            for words in problem.problems:
                form.add_error(None, words)
    return render(request, "cohorts/define.html", context, status=400 if form.errors else 200)


@require_POST
@requires_role(ANALYSTS)
def count(request: HttpRequest, slug: str = "") -> HttpResponse:
    """Who would be a member by what the form holds now. For analysts and administrators, of their centres."""
    assert isinstance(request.user, User)
    own = centres_of_author(request.user)
    stored: Mapping[str, Any] | None = None
    initial: dict[str, Any] = {}
    if slug:
        cohort = get_object_or_404(Cohort, slug=slug)
        if not may_change(cohort, own):
            raise Http404
        stored = cohort.definition
        try:
            initial = DefinitionForm.initial_of(cohort.definition)
        except DefinitionProblem:  # of an earlier version
            raise Http404 from None
    # A count needs neither title nor short name.
    given = request.POST.copy()
    given["title"] = given.get("title") or "-"
    given["slug"] = f"count-{secrets.token_hex(8)}"
    form = DefinitionForm(given, initial=initial, centres=_centre_choices(own), is_new=not slug)
    problems: list[str] = []
    if form.is_valid():
        try:
            asked = ask_count(form.definition(stored), by=request.user, centres=own)
            return render(request, "cohorts/count.html", {"asked": asked})
        except DefinitionProblem as problem:
            problems = problem.problems
    wrong = ((form[name].label, why) for name, why in form.errors.items() if name in form.fields)
    problems += [f"{label}: {' '.join(map(str, why))}" for label, why in wrong]
    return render(request, "cohorts/count.html", {"problems": problems})


@require_GET
@requires_role(ANALYSTS)
def counted(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """The count, or how far it is. For the person who asked."""
    assert isinstance(request.user, User)
    asked = count_of(public_id, request.user)
    if asked is None and request.headers.get("HX-Request"):  # another one was asked for meanwhile: stop looking
        words = {"problems": [_("This count was forgotten; change a field to count again.")]}
        return render(request, "cohorts/count.html", words, status=STOP_POLLING)
    if asked is None:
        raise Http404
    return render(request, "cohorts/count.html", {"asked": asked})
