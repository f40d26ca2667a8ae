"""The door of the grid: rows as they are typed, kept and answered; a pasted block only answered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from monitoring import clock
from monitoring.models import BenchRun
from monitoring.pages.bench import ENTERING, entering_reach
from monitoring.pages.run_rows import RowView, cell_names, fitting, look_at, reach_in, run_of
from monitoring.permissions import requires_role, signed_in
from monitoring.services.entry.runs import LONGEST_CELL, MOST_ROWS, MOST_TUBES, RunClosed, TypedRow, save_rows


class BadRows(Exception):
    """The body is none that the grid sends."""


@require_POST
@requires_role(ENTERING)
def rows(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Keep rows as they were typed and say what each would be; with ``dry`` only say it. JSON from the grid."""
    one = run_of(request, public_id)
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
