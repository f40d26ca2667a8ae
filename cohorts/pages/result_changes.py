"""A stored result amended, or marked as entered in error: old and new side by side, and what follows, cohorts included,
before anything is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from cohorts.services.what_if import cohort_changes
from monitoring import clock
from monitoring.domain.scoring.laboratory_report import LaboratoryReport
from monitoring.intake.written import cells_of_report
from monitoring.models import Patient, ResultStatus
from monitoring.pages.bench import ENTERING, Entered, EntryForm, centres_within, entering_reach, read_entry
from monitoring.pages.previews import is_preview
from monitoring.pages.results import standing_to_change
from monitoring.permissions import requires_role, signed_in
from monitoring.services.entry.amendments import StandingResult, amend_result, retract_result
from monitoring.services.entry.foreseen_facts import foresee_for
from monitoring.services.entry.reach import Reach
from monitoring.services.entry.verdicts import RowOutcome, Verdict
from monitoring.services.foundation.stale_version import StaleVersionError

STALE = "stale"
NOT_TYPED_YET = "–"  # stands for the reason while it is not typed: the consequences are the same with any


class ReasonForm(forms.Form):
    """Why a result is changed, and which version its reader has seen."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500)


class AmendForm(EntryForm):
    """The cells of a stored result, why they change, and which version its reader has seen."""

    use_required_attribute = False  # the browser would hold back every preview until the reason is typed
    version = forms.IntegerField(widget=forms.HiddenInput)
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500)

    def __init__(self, *args: Any, reason_is_typed: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = reason_is_typed


class Line(NamedTuple):
    """A field of a result as it stands and as it would be."""

    label: str
    before: str
    after: str


@require_http_methods(["GET", "POST"])
@requires_role(ENTERING)
def retract(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Mark as entered in error, with a reason. For technicians and verifiers of the centre."""
    standing = standing_to_change(request, public_id, ENTERING)
    form = ReasonForm(request.POST if request.method == "POST" else None, initial={"version": standing.row.version})

    def record(reason: str, version: int) -> Verdict:
        me = signed_in(request)
        return retract_result(
            standing, by=me, reach=entering_reach(me), reason=reason, version=version, now=clock.now()
        )

    if form.is_bound and form.is_valid():
        try:
            verdict = record(form.cleaned_data["reason"], form.cleaned_data["version"])
        except StaleVersionError as problem:
            form.add_error(None, forms.ValidationError(str(problem), code=STALE))
        else:
            messages.success(request, _retracted_words(verdict))
            return redirect("result", public_id=public_id)
    foreseen = _foreseen([standing.row.patient], lambda: record(NOT_TYPED_YET, standing.row.version))
    context = {"result": standing.row, "form": form, "lines": _lines(standing.report), **foreseen}
    return render(request, "results/retract.html", context, status=_status(form))


@require_http_methods(["GET", "POST"])
@requires_role(ENTERING)
def amend(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """Correct a result, with a reason. For technicians and verifiers of the centre."""
    standing = standing_to_change(request, public_id, ENTERING)
    reach = entering_reach(signed_in(request))
    centres, tubes = centres_within(reach), max((tube.number for tube in standing.report.replicates), default=0)
    if request.method == "GET":
        return _amend_page(request, standing, AmendForm(centres=centres, initial=_initial(standing), tubes=tubes))
    form = AmendForm(request.POST, centres=centres, tubes=tubes, reason_is_typed=not is_preview(request))
    entered = _read_amendment(form, standing, reach)
    if entered is None:
        return _amend_page(request, standing, form)

    def record() -> Verdict:
        return amend_result(
            standing, entered.report, patient=entered.patient, by=signed_in(request), reach=reach,
            version=form.cleaned_data["version"], now=clock.now(),
        )  # fmt: skip

    try:
        if is_preview(request):
            patients = {patient.pk: patient for patient in (standing.row.patient, entered.patient)}
            foreseen = _foreseen(list(patients.values()), record)
            lines = _lines(standing.report, entered.report)
            return _amend_page(request, standing, form, lines=lines, **foreseen)
        verdict = record()
    except StaleVersionError as problem:
        form.add_error(None, forms.ValidationError(str(problem), code=STALE))
        return _amend_page(request, standing, form)
    if verdict.action is RowOutcome.REFUSED:
        for found in verdict.problems:
            form.show(found.column, found.reason)
        return _amend_page(request, standing, form)
    messages.success(request, _amended_words(verdict))
    return redirect("result", public_id=public_id)


def _read_amendment(form: AmendForm, standing: StandingResult, reach: Reach) -> Entered | None:
    """What the form says, or None with each refusal beside its field; the name of a result stays."""
    cells = cells_of_report(standing.report)[0]
    reason = form.data.get("reason", "")[:500] or NOT_TYPED_YET
    entered = read_entry(form, reach, status=ResultStatus.FINAL, reason=reason, standing=cells)
    if entered is None:
        return None
    key = (entered.report.laboratory, entered.report.accession_number)
    if key != (standing.report.laboratory, standing.report.accession_number):
        words = _("the name of a result stays; mark this one as entered in error instead")
        form.add_error("accession_number", words)
        return None
    return entered


def _amended_words(verdict: Verdict) -> str:
    if verdict.action is RowOutcome.UNCHANGED:
        return _("Nothing was changed.")
    return _("Amended. It waits for a second person to verify it.") if verdict.waits else _("Amended.")


def _retracted_words(verdict: Verdict) -> str:
    if verdict.action is RowOutcome.UNCHANGED:
        return _("Nothing was changed.")
    return _("Marked as entered in error. It counts for nothing any more.")


def _initial(standing: StandingResult) -> dict[str, Any]:
    """The stored result as the form's cells."""
    cells, tubes = cells_of_report(standing.report)
    whole: dict[str, Any] = {**cells, "centre": standing.row.patient.centre.code}
    for tube in tubes:
        whole[f"bcr_abl1_copies_{tube['replicate']}"] = tube["bcr_abl1_copies"]
        whole[f"control_gene_copies_{tube['replicate']}"] = tube["control_gene_copies"]
        whole[f"run_failed_{tube['replicate']}"] = tube["run_valid"] == "false"
    return {**whole, "version": standing.row.version, "reason": ""}


def _lines(old: LaboratoryReport, new: LaboratoryReport | None = None) -> list[Line]:
    """What a report says field by field, and what another says instead; of two only where they differ."""
    before, after = _said(old), _said(new) if new else {}
    names = [name for name in dict.fromkeys([*before, *after]) if new is None or before.get(name) != after.get(name)]
    return [Line(name, before.get(name, ""), after.get(name, "")) for name in names]


def _said(report: LaboratoryReport) -> dict[str, str]:
    """The filled cells of a report under the labels of the form."""
    cells, tubes = cells_of_report(report)
    labels = {name: str(field.label) for name, field in EntryForm.base_fields.items()}
    said = {labels[name]: value for name, value in cells.items() if value and name in labels}
    for tube in tubes:
        copies = f"{tube['bcr_abl1_copies']} / {tube['control_gene_copies']}"
        failed = "" if tube["run_valid"] == "true" else " · " + _("run invalid")
        said[_("Replicate %(number)s") % {"number": tube["replicate"]}] = copies + failed
    return said


def _foreseen(patients: Sequence[Patient], record: Callable[[], Verdict]) -> dict[str, Any]:
    """What follows for the patients and the cohorts. Nothing is stored."""
    today = clock.now().date()
    foreseen = foresee_for(patients, record, today=today)
    changed = {
        one.patient.pk: one.after.replayed.points
        for one in foreseen
        if one.patient and one.before and one.after and one.before.replayed.points != one.after.replayed.points
    }
    return {"foreseen": foreseen, "cohorts": cohort_changes(changed, today) if changed else []}


def _amend_page(request: HttpRequest, standing: StandingResult, form: AmendForm, **foreseen: Any) -> HttpResponse:
    context = {"result": standing.row, "form": form, **foreseen}
    if is_preview(request):
        return render(request, "results/change_preview.html", context)
    return render(request, "results/amend.html", context, status=_status(form))


def _status(form: forms.Form) -> int:
    if not form.is_bound:
        return 200
    return 409 if form.has_error("__all__", code=STALE) else 400
