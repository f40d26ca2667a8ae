"""Runs of the bench: the list, the grid of a draft, its controls, what submitting it will do, and its end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from monitoring import clock
from monitoring.domain.quality.controls import ControlKind, ControlVerdict
from monitoring.domain.vocabulary.measurement import Method
from monitoring.domain.vocabulary.scale import ControlGene
from monitoring.intake.not_detected import means_not_detected
from monitoring.intake.values import CellProblem, Cells
from monitoring.models import BenchRun, Laboratory, Patient, PcrResult, RunControl, RunState
from monitoring.pages.bench import ENTERING, entering_reach
from monitoring.pages.days import day_field
from monitoring.pages.run_rows import (
    RowState,
    RowView,
    cell_names,
    fitting,
    given_by_header,
    look_at,
    places_to_show,
    reach_in,
)
from monitoring.pages.strips import Strip, strip_of
from monitoring.permissions import ANY_ROLE, centres_with_role, requires_role, signed_in
from monitoring.selectors.runs import chart_points, factor_of, runs_of
from monitoring.services.entry.runs import (
    LONGEST_CELL,
    MOST_ROWS,
    MOST_TUBES,
    RowsRefused,
    RunClosed,
    RunHeader,
    RunHeld,
    TypedRow,
    change_header,
    control_verdict,
    held_words,
    reject_run,
    save_control,
    save_rows,
    start_run,
    submit_run,
)
from monitoring.services.foundation.field_problem import FieldProblem
from monitoring.wording.quality import fault_words

PAGE_SIZE = 30
STRIP_VALUES = 20


class HeaderForm(forms.Form):
    """What holds for every sample of a run."""

    laboratory = forms.ChoiceField(label=gettext_lazy("Laboratory"))
    name = forms.CharField(label=gettext_lazy("Run"), max_length=60)
    run_on = day_field(gettext_lazy("Run date"))
    operator = forms.CharField(label=gettext_lazy("Operator"), max_length=100, required=False)
    assay = forms.CharField(label=gettext_lazy("Assay"), max_length=100, required=False)
    method = forms.ChoiceField(
        label=gettext_lazy("Method"), required=False, choices=[("", "–"), *((m.value, m.value) for m in Method)]
    )
    control_gene = forms.ChoiceField(
        label=gettext_lazy("Control gene"), choices=[(g.value, g.value) for g in ControlGene]
    )
    kit_lot = forms.CharField(label=gettext_lazy("Kit lot"), max_length=60, required=False)
    conversion_factor = forms.CharField(
        label=gettext_lazy("Conversion factor (empty: the registered one)"), max_length=60, required=False
    )
    specimen = forms.ChoiceField(
        label=gettext_lazy("Specimen"),
        choices=[("PB", gettext_lazy("peripheral blood")), ("BM", gettext_lazy("bone marrow"))],
    )
    tubes = forms.ChoiceField(
        label=gettext_lazy("Tubes of each sample"), choices=[(n, n) for n in range(1, MOST_TUBES + 1)]
    )
    collected_on = day_field(gettext_lazy("Collected on, where a row says nothing else"))
    received_on = day_field(gettext_lazy("Received on, where a row says nothing else"))

    def __init__(self, data: Any = None, *, laboratories: list[str], initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial=initial)
        field = self.fields["laboratory"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(code, code) for code in laboratories]

    def header(self) -> RunHeader | None:
        """The header, or None with each refusal beside its field."""
        if not self.is_valid():
            return None
        values = self.cleaned_data
        cells = Cells({name: str(value).strip() for name, value in values.items()})
        read: dict[str, Any] = {}
        for name in ("run_on", "collected_on", "received_on"):
            try:
                read[name] = cells.exact_day(name)
            except CellProblem as problem:
                self.add_error(name, problem.reason)
        for name, reader in (("name", cells.identifier), ("conversion_factor", cells.number)):
            try:
                read[name] = reader(name)
            except CellProblem as problem:
                self.add_error(name, problem.reason)
        if self.errors:
            return None
        if read["run_on"] is None:
            self.add_error("run_on", _("is needed: the conversion factor of that day counts"))
            return None
        for name in ("method", "control_gene", "kit_lot", "specimen", "operator"):
            read[name] = cells.text(name)
        return RunHeader(**read, assay_name=cells.text("assay"), tubes=int(values["tubes"]))


class ReasonForm(forms.Form):
    """Why a run counts for nothing."""

    reason = forms.CharField(label=gettext_lazy("Why does this run count for nothing?"), max_length=500)


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


def _run(request: HttpRequest, public_id: UUID) -> BenchRun:
    """A run whose rows this person may see; 403 where one only reads, 404 elsewhere."""
    found = runs_of(centres_with_role(request.user, ENTERING)).filter(public_id=public_id).first()
    if found is not None:
        return found
    if BenchRun.objects.of_centres(centres_with_role(request.user, ANY_ROLE)).filter(public_id=public_id).exists():
        raise PermissionDenied
    raise Http404


@require_GET
@requires_role(ENTERING)
def run(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """The grid of a draft, or what a run has come to. For technicians and verifiers of its centres."""
    one = _run(request, public_id)
    if one.state != RunState.DRAFT:
        return _ended(request, one)
    return _grid(request, one, HeaderForm(laboratories=[one.laboratory.code], initial=_cells(one)))


def _grid(request: HttpRequest, one: BenchRun, form: HeaderForm, status: int = 200) -> HttpResponse:
    views = _views(request, one)
    rows = [
        views.get(place) or RowView(place, tubes=one.tubes, given=given_by_header(one))
        for place in places_to_show(set(views))
    ]
    context = {
        "run": one, "form": form, "rows": rows, "names": cell_names(one.tubes), "controls": _controls(one),
        "held": held_words(one), "factor": factor_of(one), "most_rows": MOST_ROWS, **_tally(views),
    }  # fmt: skip
    return render(request, "runs/grid.html", context, status=status)


def _views(request: HttpRequest, one: BenchRun) -> dict[int, RowView]:
    rows = {row.place: (row.cells, row.version) for row in one.rows.order_by("place")}
    me = signed_in(request)
    return look_at(one, rows, by=me, reach=reach_in(one, entering_reach(me)), now=clock.now())


def _tally(views: dict[int, RowView]) -> dict[str, Any]:
    """How many rows stand how."""
    counted = Counter(view.state for view in views.values())
    return {
        "count": len(views) - counted[RowState.EMPTY], "invalid": counted[RowState.INVALID],
        "look": counted[RowState.LOOK], "clear": counted[RowState.CLEAR],
        "opening": sum(view.opens for view in views.values()),
    }  # fmt: skip


@require_POST
@requires_role(ENTERING)
def header(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Change what holds for every sample of a draft."""
    one = _run(request, public_id)
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


# --- rows ------------------------------------------------------------------------------------------------------------


class BadRows(Exception):
    """The body is none that the grid sends."""


@require_POST
@requires_role(ENTERING)
def rows(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Keep rows as they were typed and say what each would be; with ``dry`` only say it. JSON from the grid."""
    one = _run(request, public_id)
    me = signed_in(request)
    try:
        typed, edited, is_dry = _typed(request, one)
    except BadRows as problem:
        return JsonResponse({"problem": str(problem)}, status=400)
    reach = reach_in(one, entering_reach(me))
    if is_dry:
        views = look_at(one, {row.place: (row.cells, row.seen) for row in typed}, by=me, reach=reach, now=clock.now())
        return JsonResponse({"html": _pasted(request, one, list(views.values()))})
    ends = fitting({row.place: row.cells for row in typed if row.place not in edited}, reach)
    typed = [_filled(row, ends.get(row.place, ())) for row in typed]
    try:
        kept, stale = save_rows(one, typed, by=me, now=clock.now())
    except RunClosed as problem:
        return JsonResponse({"problem": str(problem)}, status=409)
    asked = {row.place for row in typed}
    taken = {
        accession: place
        for place, row in kept.items()
        if place not in asked and (accession := row.cells.get("accession_number"))
    }
    wanted = {place: (row.cells, row.version) for place, row in kept.items() if place in asked}
    views = look_at(one, wanted, by=me, reach=reach, now=clock.now(), taken=taken)
    answers = []
    for place in sorted(asked):
        view = views.get(place) or RowView(place, tubes=one.tubes)
        by_other = kept[place].saved_by.get_username() if place in stale and place in kept else ""
        answers.append(
            {
                "place": place, "version": view.version, "cells": dict(view.cells), "state": view.state.value,
                "problems": {p.cell: p.reason for p in view.reading.problems},
                "html": render_to_string(
                    "runs/beside.html", {"row": view, "by_other": by_other, "ending": ends.get(place, ())}, request
                ),
                "stale": place in stale,
            }
        )  # fmt: skip
    return JsonResponse({"rows": answers})


def _filled(row: TypedRow, ending: Sequence[str]) -> TypedRow:
    """The row with the whole pseudonym where exactly one ends as what was typed."""
    return TypedRow(row.place, {**row.cells, "patient_id": ending[0]}, row.seen) if len(ending) == 1 else row


def _typed(request: HttpRequest, one: BenchRun) -> tuple[list[TypedRow], set[int], bool]:
    """The rows of a body, those in whose pseudonym somebody is typing, and whether it is only asked. Raises
    ``BadRows``.
    """
    names = set(cell_names(MOST_TUBES))
    try:
        body = json.loads(request.body)
        given = body["rows"]
        found = [TypedRow(int(row["place"]), dict(row["cells"]), int(row["seen"])) for row in given]
        edited = {int(row["place"]) for row in given if row.get("editing") == "patient_id"}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadRows(_("the rows could not be read; load the page again")) from None
    for row in found:
        if not 1 <= row.place <= MOST_ROWS or not 0 <= row.seen < 2**31:
            raise BadRows(_("a run has at most %(most)s rows") % {"most": MOST_ROWS})
        for name, value in row.cells.items():
            if name not in names or not isinstance(value, str) or len(value) > LONGEST_CELL or "\0" in value:
                raise BadRows(
                    _("row %(row)s: a cell takes at most %(most)s characters")
                    % {"row": row.place, "most": LONGEST_CELL}
                )
    if len({row.place for row in found}) < len(found):
        raise BadRows(_("the rows could not be read; load the page again"))
    clean = [
        TypedRow(row.place, {n: value.strip() for n, value in row.cells.items() if value.strip()}, row.seen)
        for row in found
    ]
    return clean, edited, bool(body.get("dry"))


def _pasted(request: HttpRequest, one: BenchRun, views: list[RowView]) -> str:
    """What a pasted block would be, before anything of it is taken."""
    refused = [(view.place, problem) for view in views for problem in view.reading.problems]
    context = {
        "run": one, "rows": len(views), "cells": sum(len(view.cells) for view in views), "refused": refused,
        "opening": [view for view in views if view.opens],
    }  # fmt: skip
    return render_to_string("runs/paste.html", context, request)


# --- controls --------------------------------------------------------------------------------------------------------


class ControlForm(forms.Form):
    """A control as measured."""

    lot = forms.CharField(label=gettext_lazy("Lot"), max_length=60, required=False)
    target_percent = forms.CharField(label=gettext_lazy("Target, % IS"), max_length=60, required=False)
    bcr_abl1_copies = forms.CharField(label=gettext_lazy("BCR::ABL1 copies"), max_length=60, required=False)
    control_gene_copies = forms.CharField(label=gettext_lazy("Control gene copies"), max_length=60, required=False)

    def values(self) -> dict[str, Any] | None:
        """What was measured, or None with each refusal beside its field."""
        if not self.is_valid():
            return None
        typed = {name: str(value).strip() for name, value in self.cleaned_data.items()}
        cells = Cells(typed | {"is_percent": typed["target_percent"]})  # read as every percentage is
        written = cells.text("bcr_abl1_copies")
        undetected = written.lower() == "u" or means_not_detected(written) or written == "0"
        read: dict[str, Any] = {"lot": cells.text("lot")}
        readers: dict[str, Any] = {
            "target_percent": lambda: cells.number("is_percent"),
            "control_gene_copies": lambda: cells.copy_number("control_gene_copies"),
        }
        if not undetected:
            readers["bcr_abl1_copies"] = lambda: cells.copy_number("bcr_abl1_copies")
        for name, reader in readers.items():
            try:
                read[name] = reader()
            except CellProblem as problem:
                self.add_error(name, problem.reason)
        if self.errors:
            return None
        copies = read.setdefault("bcr_abl1_copies", None)
        said = bool(written) or read["control_gene_copies"] is not None
        return read | {"detected": bool(copies) if said else None}


def _controls(one: BenchRun) -> list[dict[str, Any]]:
    """Each control with its form, verdict, words and strip."""
    found = []
    order = {kind.value: n for n, kind in enumerate(ControlKind)}
    for control in sorted(one.controls.all(), key=lambda row: order[row.kind]):
        measured = "u" if control.detected is False else control.bcr_abl1_copies
        initial = {
            "lot": control.lot, "target_percent": control.target_percent, "bcr_abl1_copies": measured,
            "control_gene_copies": control.control_gene_copies,
        }  # fmt: skip
        found.append(_control(one, control, ControlForm(initial=initial, prefix=control.kind)))
    return found


def _control(one: BenchRun, control: RunControl, form: ControlForm) -> dict[str, Any]:
    verdict: ControlVerdict | None = control_verdict(one, control) if control.detected is not None else None
    strip: Strip | None = None
    if ControlKind(control.kind).has_value and one.run_on:
        strip = strip_of(chart_points(one, control.kind, STRIP_VALUES), verdict.limits if verdict else None)
    return {
        "control": control, "form": form, "verdict": verdict, "strip": strip,
        "faults": fault_words(verdict.faults) if verdict else [],
        "warnings": fault_words(verdict.warnings) if verdict else [],
        "has_value": ControlKind(control.kind).has_value,
    }  # fmt: skip


@require_POST
@requires_role(ENTERING)
def control(request: HttpRequest, public_id: UUID, kind: str) -> HttpResponse:
    """Keep a control as measured and say whether it passes, as a fragment."""
    one = _run(request, public_id)
    standing = get_object_or_404(one.controls, kind=kind)
    form = ControlForm(request.POST, prefix=kind)
    values = form.values()
    status = 200
    if values is not None:
        try:
            save_control(one, ControlKind(kind), by=signed_in(request), **values)
        except RunClosed as problem:
            form.add_error(None, str(problem))
            status = 409
        else:
            standing.refresh_from_db()
    context = {
        "run": one, "one": _control(one, standing, form), "held": held_words(one),
    }  # fmt: skip
    return render(request, "runs/control_said.html", context, status=status)


# --- the end ---------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@requires_role(ENTERING)
def submit(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Say what submitting a run will do, and do it."""
    one = _run(request, public_id)
    if one.state != RunState.DRAFT:
        return redirect("run", public_id)
    views = {place: view for place, view in _views(request, one).items() if view.cells}
    seen = ",".join(f"{place}:{view.version}" for place, view in sorted(views.items()))
    tally, problem, status = _tally(views), held_words(one), 200
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
    one = _run(request, public_id)
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
        "run": one, "page": page, "controls": _controls(one), "typed": typed, "names": cell_names(one.tubes),
    }  # fmt: skip
    return render(request, "runs/ended.html", context)
