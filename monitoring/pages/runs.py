"""Runs of the bench: the list, the grid of a draft, what submitting it will do, and its end."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from monitoring import clock
from monitoring.models import BenchRun, Laboratory, Patient, PcrResult, RunState
from monitoring.pages.bench import ENTERING, entering_reach
from monitoring.pages.run_controls import controls_of
from monitoring.pages.run_forms import HeaderForm, ReasonForm
from monitoring.pages.run_rows import (
    RowState,
    RowView,
    cell_names,
    given_by_header,
    places_to_show,
    reach_in,
    rows_of,
    run_of,
    tally_of,
)
from monitoring.permissions import centres_with_role, requires_role, signed_in
from monitoring.selectors.runs import factor_of, runs_of
from monitoring.services.entry.runs import (
    MOST_ROWS,
    RowsRefused,
    RunClosed,
    RunHeld,
    change_header,
    held_words,
    reject_run,
    start_run,
    submit_run,
)
from monitoring.services.foundation.field_problem import FieldProblem

PAGE_SIZE = 30


def _laboratories(request: HttpRequest) -> list[str]:
    mine = Laboratory.objects.filter(centres__in=centres_with_role(request.user, ENTERING))
    return list(mine.values_list("code", flat=True).distinct().order_by("code"))


@require_http_methods(["GET", "POST"])
@requires_role(ENTERING)
def index(request: HttpRequest) -> HttpResponse:
    """The runs of a person's laboratories, and the start of another one. For technicians and verifiers."""
    now, me, laboratories = clock.now(), signed_in(request), _laboratories(request)
    runs = runs_of(centres_with_role(request.user, ENTERING))
    form = HeaderForm(request.POST or None, laboratories=laboratories, initial=_proposed(request, laboratories, runs))
    if request.method == "POST" and (header := form.header()) is not None:
        try:
            run = start_run(
                form.cleaned_data["laboratory"], header, by=me, reach=entering_reach(me), now=now
            )  # fmt: skip
        except FieldProblem as problem:
            form.add_error(problem.field, problem.words)
        else:
            return redirect("run", run.public_id)
    page = Paginator(runs, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {"form": form, "page": page, "laboratories": laboratories}
    return render(request, "runs/index.html", context, status=400 if form.errors else 200)


def _proposed(request: HttpRequest, laboratories: list[str], runs: Any) -> dict[str, Any]:
    """A header like that of the last run, of today, under a name that is free."""
    today = clock.now().date()
    last = runs.first()
    code = last.laboratory.code if last else (laboratories[0] if laboratories else "")
    number = 1 + BenchRun.objects.filter(laboratory__code=code, name__startswith=f"{today:%Y-%m-%d}-").count()
    kept = _cells(last) if last else {}
    return {
        **kept, "laboratory": code, "name": f"{today:%Y-%m-%d}-{number}", "run_on": today.isoformat(),
        "operator": request.user.get_username(), "conversion_factor": "", "collected_on": "", "received_on": "",
    }  # fmt: skip


def _cells(run: BenchRun) -> dict[str, Any]:
    """The header of a run as the form's cells."""
    days = {name: getattr(run, name) for name in ("run_on", "collected_on", "received_on")}
    return {
        "laboratory": run.laboratory.code, "name": run.name, "operator": run.operator, "assay": run.assay_name,
        "method": run.method, "control_gene": run.control_gene, "kit_lot": run.kit_lot, "tubes": run.tubes,
        "specimen": run.specimen, "conversion_factor": "" if run.conversion_factor is None else run.conversion_factor,
        **{name: day.isoformat() if day else "" for name, day in days.items()},
    }  # fmt: skip


@require_GET
@requires_role(ENTERING)
def run(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """The grid of a draft, or what a run has come to. For technicians and verifiers of its centres."""
    one = run_of(request, public_id)
    if one.state != RunState.DRAFT:
        return _ended(request, one)
    return _grid(request, one, HeaderForm(laboratories=[one.laboratory.code], initial=_cells(one)))


def _grid(request: HttpRequest, one: BenchRun, form: HeaderForm, status: int = 200) -> HttpResponse:
    views = rows_of(request, one)
    rows = [
        views.get(place) or RowView(place, tubes=one.tubes, given=given_by_header(one))
        for place in places_to_show(set(views))
    ]
    context = {
        "run": one, "form": form, "rows": rows, "names": cell_names(one.tubes), "controls": controls_of(one),
        "held": held_words(one), "factor": factor_of(one), "most_rows": MOST_ROWS, **tally_of(views),
    }  # fmt: skip
    return render(request, "runs/grid.html", context, status=status)


@require_POST
@requires_role(ENTERING)
def header(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Change what holds for every sample of a draft."""
    one = run_of(request, public_id)
    form = HeaderForm(request.POST, laboratories=[one.laboratory.code])
    changed = form.header()
    if changed is not None:
        try:
            change_header(one, changed, by=signed_in(request), now=clock.now())
        except FieldProblem as problem:
            form.add_error(problem.field, problem.words)
        except RunClosed as problem:
            messages.error(request, str(problem))
            return redirect("run", public_id)
    return _grid(request, one, form, status=400) if form.errors else redirect("run", public_id)


# --- the end ---------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@requires_role(ENTERING)
def submit(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Say what submitting a run will do, and do it."""
    one = run_of(request, public_id)
    if one.state != RunState.DRAFT:
        return redirect("run", public_id)
    views = {place: view for place, view in rows_of(request, one).items() if view.cells}
    seen = ",".join(f"{place}:{view.version}" for place, view in sorted(views.items()))
    tally, problem, status = tally_of(views), held_words(one), 200
    if request.method == "POST" and not problem:
        if request.POST.get("seen") != seen:
            problem, status = _("a row has changed meanwhile; this is how the run stands now"), 409
        elif tally["invalid"]:
            problem, status = _("rows that are refused must be mended or emptied first"), 400
        elif tally["look"] and request.POST.get("looked") != "yes":
            problem, status = _("say that you have looked at the rows that ask for it"), 400
        else:
            answer = _submitted(request, one, views)
            if isinstance(answer, HttpResponse):
                return answer
            problem, status = answer, 409
    elif request.method == "POST":
        status = 409
    asking = [view for view in views.values() if view.state in (RowState.LOOK, RowState.INVALID)]
    context = {"run": one, "asking": asking, "seen": seen, "problem": problem, "held": held_words(one), **tally}
    return render(request, "runs/submit.html", context, status=status)


def _submitted(request: HttpRequest, one: BenchRun, views: dict[int, RowView]) -> HttpResponse | str:
    me = signed_in(request)
    reports = {
        place: (view.reading.report, view.reading.patient)
        for place, view in views.items()
        if view.reading.report is not None and view.reading.patient is not None
    }
    try:
        submit_run(
            one, reports, versions={place: view.version for place, view in views.items()}, by=me,
            reach=reach_in(one, entering_reach(me)), now=clock.now(),
        )  # fmt: skip
    except (RunClosed, RunHeld) as problem:
        return str(problem)
    except RowsRefused as problem:
        said = [f"{place}: {found.reason}" for place, v in problem.verdicts.items() for found in v.problems]
        return _("rows were refused: %(rows)s") % {"rows": "; ".join(said)}
    messages.success(request, _("Submitted; the results are stored."))
    return redirect("run", one.public_id)


@require_POST
@requires_role(ENTERING)
def reject(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """End a run without results, with the reason."""
    one = run_of(request, public_id)
    form = ReasonForm(request.POST)
    if form.is_valid():
        try:
            reject_run(one, reason=form.cleaned_data["reason"], by=signed_in(request), now=clock.now())
            messages.success(request, _("Rejected; nothing of this run counts."))
        except (FieldProblem, RunClosed) as problem:
            messages.error(request, problem.words if isinstance(problem, FieldProblem) else str(problem))
    else:
        messages.error(request, _("A run is rejected with a reason."))
    return redirect("run", public_id)


def _ended(request: HttpRequest, one: BenchRun) -> HttpResponse:
    assert isinstance(request.user, User)
    results = (
        PcrResult.objects.filter(
            laboratory=one.laboratory_id, run=one.name, superseded_by__isnull=True,
            patient__in=Patient.objects.visible_to(request.user),
        )
        .select_related("patient__centre")
        .prefetch_related("assessments")
        .order_by("accession_number", "pk")
    )  # fmt: skip
    page = Paginator(results, MOST_ROWS).get_page(request.GET.get("page"))
    typed = list(one.rows.order_by("place")) if one.state == RunState.REJECTED else []
    context = {
        "run": one, "page": page, "controls": controls_of(one), "typed": typed, "names": cell_names(one.tubes),
    }  # fmt: skip
    return render(request, "runs/ended.html", context)
