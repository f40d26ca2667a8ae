"""Forms of a run of the bench: its header, and why it counts for nothing."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from monitoring.domain.vocabulary.measurement import Method
from monitoring.domain.vocabulary.scale import ControlGene
from monitoring.intake.values import CellProblem, Cells
from monitoring.pages.days import day_field
from monitoring.services.entry.runs import MOST_TUBES, RunHeader


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
