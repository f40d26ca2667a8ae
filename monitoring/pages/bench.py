"""Entering one result: its class, its change and its consequence are shown before it is saved."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from monitoring import clock
from monitoring.domain.scoring.laboratory_report import LaboratoryReport
from monitoring.domain.vocabulary.measurement import Method
from monitoring.domain.vocabulary.scale import ControlGene
from monitoring.intake.named import NamedPatients
from monitoring.intake.not_detected import ND
from monitoring.intake.reports import LineProblem, parse_report
from monitoring.intake.tables import TableRow
from monitoring.intake.values import CellProblem
from monitoring.models import Centre, Laboratory, Patient, ResultStatus, Role
from monitoring.pages.days import day_field
from monitoring.permissions import centres_with_role, memberships_of, requires_role
from monitoring.selectors.foresight import Foresight, foresee
from monitoring.services.entry.reach import Reach, reach_of
from monitoring.services.entry.results import barred_report, record_result
from monitoring.services.entry.verdicts import RowOutcome, Verdict

ENTERING = (Role.TECHNICIAN, Role.VERIFIER)
LEAST_TUBES = 3
MOST_LABORATORIES = 200  # suggested while typing
# The fields that stay filled for the next sample of the same run.
KEPT = ("centre", "laboratory", "control_gene", "method", "assay", "kit_lot", "conversion_factor", "specimen")
SESSION_KEY = "bench"
UNDETECTED = "u"  # one key for not detected; its words are those of every entry point
text = partial(forms.CharField, required=False, max_length=60)


class EntryForm(forms.Form):
    """The cells of one result; they are read exactly as those of a file."""

    centre = forms.ChoiceField(label=gettext_lazy("Centre"), required=False)
    patient_id = text(label=gettext_lazy("Patient (pseudonym)"))
    laboratory = text(label=gettext_lazy("Laboratory"), widget=forms.TextInput(attrs={"list": "laboratories"}))
    accession_number = text(label=gettext_lazy("Accession number"))
    collected_on = day_field(gettext_lazy("Collected on"))
    received_on = day_field(gettext_lazy("Received on"))
    tested_on = day_field(gettext_lazy("Tested on"))
    specimen = forms.ChoiceField(
        label=gettext_lazy("Specimen"), required=False,
        choices=[("PB", gettext_lazy("peripheral blood")), ("BM", gettext_lazy("bone marrow"))],
    )  # fmt: skip
    control_gene = forms.ChoiceField(
        label=gettext_lazy("Control gene"), required=False, choices=[(g.value, g.value) for g in ControlGene]
    )
    method = forms.ChoiceField(
        label=gettext_lazy("Method"), required=False, choices=[("", "–"), *((m.value, m.value) for m in Method)]
    )
    assay = text(label=gettext_lazy("Assay"), max_length=100)
    kit_lot = text(label=gettext_lazy("Kit lot"))
    conversion_factor = text(label=gettext_lazy("Conversion factor (empty: the registered one)"))
    is_percent = text(label=gettext_lazy("Reported % IS"))
    mr_value = text(label=gettext_lazy("Reported MR value"))
    reported_class = text(label=gettext_lazy("Reported class"))
    detected = forms.ChoiceField(
        label=gettext_lazy("Detected, as reported"), required=False,
        choices=[("", "–"), ("yes", gettext_lazy("detected")), ("no", gettext_lazy("not detected"))],
    )  # fmt: skip
    limit_of_detection = text(label=gettext_lazy("Limit of detection, % IS"))
    limit_of_quantification = text(label=gettext_lazy("Limit of quantification, % IS"))
    SAMPLE = ("centre", "patient_id", "laboratory", "accession_number", "collected_on", "received_on")
    RUN = ("control_gene", "conversion_factor", "method", "assay", "kit_lot", "specimen", "tested_on")
    REPORTED = (
        "is_percent", "mr_value", "reported_class", "detected", "limit_of_detection", "limit_of_quantification",
    )  # fmt: skip

    def __init__(
        self,
        data: Any = None,
        *,
        centres: list[Centre],
        initial: dict[str, Any] | None = None,
        tubes: int = LEAST_TUBES,
    ) -> None:
        super().__init__(data, initial=initial)
        self.numbers = range(1, max(tubes, LEAST_TUBES) + 1)
        for number in self.numbers:
            copies = _("BCR::ABL1 copies, replicate %(n)s") % {"n": number}
            control = _("Control gene copies, replicate %(n)s") % {"n": number}
            self.fields[f"bcr_abl1_copies_{number}"] = text(label=copies)
            self.fields[f"control_gene_copies_{number}"] = text(label=control)
            failed = _("Run failed, replicate %(n)s") % {"n": number}
            self.fields[f"run_failed_{number}"] = forms.BooleanField(label=failed, required=False)
        field = self.fields["centre"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(centre.code, str(centre)) for centre in centres]
        if len(centres) > 1:
            field.choices = [("", "–"), *field.choices]

    @property
    def sample_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.SAMPLE]

    @property
    def run_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.RUN]

    @property
    def reported_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.REPORTED]

    @property
    def some_failed(self) -> bool:
        """Whether a replicate is marked as failed."""
        return any(failed.value() for *_others, failed in self.tubes)

    @property
    def tubes(self) -> list[tuple[int, forms.BoundField, forms.BoundField, forms.BoundField]]:
        """Number, copies, control copies and failed run of each replicate."""
        return [
            (n, self[f"bcr_abl1_copies_{n}"], self[f"control_gene_copies_{n}"], self[f"run_failed_{n}"])
            for n in self.numbers
        ]

    def rows(self, status: str, reason: str = "", standing: Mapping[str, str] | None = None) -> list[TableRow]:
        """The rows of a results file with this content; ``standing`` holds the cells of the result to correct."""
        cells = {name: str(value).strip() for name, value in self.cleaned_data.items()}
        whole = {**(standing or {}), **{name: cells[name] for name in (*self.SAMPLE, *self.RUN, *self.REPORTED)}}
        whole |= {"status": status, "reason": reason}
        if standing and standing["collected_on"] != cells["collected_on"]:
            whole["collected_at"] = ""  # the stored time belongs to the old day
        tubes = [
            {
                "replicate": str(n),
                "bcr_abl1_copies": ND if copies.lower() == UNDETECTED else copies,
                "control_gene_copies": cells[f"control_gene_copies_{n}"],
                "run_valid": "false" if failed else "true",
            }
            for n in self.numbers
            if (failed := self.cleaned_data[f"run_failed_{n}"])
            | bool((copies := cells[f"bcr_abl1_copies_{n}"]) or cells[f"control_gene_copies_{n}"])
        ]
        return [TableRow(1, {**whole, **tube}) for tube in tubes or [{}]]

    def show(self, column: str, reason: str, replicate: int = 1) -> None:
        """Put a refusal beside the field it is about."""
        name = f"{column}_{replicate}" if f"{column}_{replicate}" in self.fields else column
        self.add_error(name if name in self.fields else None, reason)


@dataclass(frozen=True, slots=True)
class Entered:
    """A form that could be read."""

    report: LaboratoryReport
    patient: Patient
    notes: tuple[str, ...]


@require_http_methods(["GET", "POST"])
@requires_role(ENTERING)
def bench(request: HttpRequest) -> HttpResponse:
    """Enter one result. For technicians and verifiers; preliminary unless the laboratory has switched that off."""
    assert isinstance(request.user, User)
    reach = entering_reach(request.user)
    centres = centres_within(reach)
    if request.method == "GET":
        return _page(request, EntryForm(centres=centres, initial=request.session.get(SESSION_KEY)))
    form = EntryForm(request.POST, centres=centres)
    entered = read_entry(form, reach, status=ResultStatus.PRELIMINARY)
    if entered is None:
        return _page(request, form, status=400)
    report = _with_status(entered.report)
    verdict = record_result(report, patient=entered.patient, by=request.user, reach=reach, now=clock.now())
    if verdict.action is RowOutcome.REFUSED:
        for problem in verdict.problems:
            form.show(problem.column, problem.reason)
        return _page(request, form, status=409, foresight=None)
    request.session[SESSION_KEY] = {name: form.cleaned_data[name] for name in KEPT}
    messages.success(request, _saved_words(verdict, report, entered.patient))
    return redirect("single-entry")


@require_POST
@requires_role(ENTERING)
def preview_entry(request: HttpRequest) -> HttpResponse:
    """The class, change and consequence of what stands in the form, as a fragment. Stores nothing."""
    assert isinstance(request.user, User)
    reach = entering_reach(request.user)
    form = EntryForm(request.POST, centres=centres_within(reach))
    entered = read_entry(form, reach, status=ResultStatus.PRELIMINARY)
    if entered is not None and (barred := barred_report(entered.report, entered.patient, reach)):
        form.show(barred.column, barred.reason)
        entered = None
    foresight = foresee(entered.patient, _with_status(entered.report)) if entered else None
    return render(
        request, "bench/preview.html", {"form": form, "entered": entered, "foresight": foresight, "began": _began(form)}
    )


def _began(form: EntryForm) -> bool:
    """Whether enough is typed to say what is missing."""
    return bool(form.data.get("patient_id") and form.data.get("collected_on"))


def entering_reach(user: User) -> Reach:
    """How far a person reaches who enters and changes results."""
    return reach_of(memberships_of(user), ENTERING)


def centres_within(reach: Reach) -> list[Centre]:
    """The centres of a reach, for the form's choice."""
    return list(Centre.objects.filter(pk__in=reach.centres or ()))


def read_entry(
    form: EntryForm,
    reach: Reach,
    *,
    status: str,
    reason: str = "",
    standing: Mapping[str, str] | None = None,
) -> Entered | None:
    """What the form says, or None with each refusal beside its field."""
    if not form.is_valid():
        return None
    named = NamedPatients([str(form.cleaned_data["patient_id"]).strip()], reach)
    laboratory = Laboratory.objects.filter(code=form.cleaned_data["laboratory"]).first()
    try:
        parsed = parse_report(
            form.rows(status, reason, standing),
            zone_of=named.zone,
            zero_means_not_detected=laboratory is not None and laboratory.zero_means_not_detected,
        )
        patient = named.patient(parsed.report.centre, parsed.report.patient_id)
    except LineProblem as problem:
        form.show(problem.cell.column, problem.cell.reason)
        return None
    except CellProblem as problem:
        form.show(problem.column, problem.reason)
        return None
    return Entered(parsed.report, patient, parsed.notes)


def _with_status(report: LaboratoryReport) -> LaboratoryReport:
    """Final at once only where the laboratory has switched verification off."""
    required = not Laboratory.objects.filter(code=report.laboratory, verification_required=False).exists()
    status = ResultStatus.PRELIMINARY if required else ResultStatus.FINAL
    return dataclasses.replace(report, status=status.value)


def _saved_words(verdict: Verdict, report: LaboratoryReport, patient: Patient) -> str:
    names = {"accession": report.accession_number, "patient": patient.patient_id}
    if verdict.action is RowOutcome.UNCHANGED:
        return _("%(accession)s of %(patient)s is stored already; nothing was changed.") % names
    if report.status == ResultStatus.PRELIMINARY:
        return _("Stored %(accession)s of %(patient)s. It waits for a second person to verify it.") % names
    return _("Stored %(accession)s of %(patient)s.") % names


def _laboratories(request: HttpRequest) -> QuerySet[Laboratory]:
    """The laboratories that report for a centre in which this person enters results."""
    centres = centres_with_role(request.user, ENTERING)
    return Laboratory.objects.filter(centres__in=centres).distinct()[:MOST_LABORATORIES]


def _page(request: HttpRequest, form: EntryForm, status: int = 200, foresight: Foresight | None = None) -> HttpResponse:
    today: dt.date = clock.now().date()
    context = {"form": form, "foresight": foresight, "today": today, "laboratories": _laboratories(request)}
    return render(request, "bench/entry.html", context, status=status)
