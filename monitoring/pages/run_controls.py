"""The control samples of a run: measured, judged, and beside them their last values."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from monitoring.domain.quality.controls import ControlKind, ControlVerdict
from monitoring.domain.scoring.laboratory_report import FactorUsed
from monitoring.intake.not_detected import means_not_detected
from monitoring.intake.values import CellProblem, Cells
from monitoring.models import BenchRun, RunControl
from monitoring.pages.bench import ENTERING
from monitoring.pages.run_rows import run_of
from monitoring.pages.strips import Strip, strip_of
from monitoring.permissions import requires_role, signed_in
from monitoring.selectors.runs import chart_points, factor_of
from monitoring.services.entry.runs import RunClosed, control_verdict, held_words, save_control
from monitoring.wording.quality import fault_words

STRIP_VALUES = 20


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


def controls_of(one: BenchRun) -> list[dict[str, Any]]:
    """Each control with its form, verdict, words and strip."""
    found, factor = [], factor_of(one)
    order = {kind.value: n for n, kind in enumerate(ControlKind)}
    for control in sorted(one.controls.all(), key=lambda row: order[row.kind]):
        measured = "u" if control.detected is False else control.bcr_abl1_copies
        initial = {
            "lot": control.lot, "target_percent": control.target_percent, "bcr_abl1_copies": measured,
            "control_gene_copies": control.control_gene_copies,
        }  # fmt: skip
        found.append(_control(one, control, ControlForm(initial=initial, prefix=control.kind), factor))
    return found


def _control(one: BenchRun, control: RunControl, form: ControlForm, factor: FactorUsed) -> dict[str, Any]:
    verdict: ControlVerdict | None = control_verdict(one, control, factor) if control.detected is not None else None
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
    one = run_of(request, public_id)
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
        "run": one, "one": _control(one, standing, form, factor_of(one)), "held": held_words(one),
    }  # fmt: skip
    return render(request, "runs/control_said.html", context, status=status)
