"""A laboratory's settings, an assay, a conversion factor: a preview of what would change, cohorts included, then the
change.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from cohorts.services.what_if import cohort_changes
from monitoring import clock
from monitoring.domain.quality.factors import is_unusual, slipped, usual_instead
from monitoring.models import Assay, ConversionFactor, Laboratory, LaboratorySetting, Role
from monitoring.pages.laboratories import administered_laboratory
from monitoring.permissions import requires_role
from monitoring.selectors.what_if import preview_setting
from monitoring.services.settings.backtests import ask_setting
from monitoring.services.settings.laboratories import save_setting
from monitoring.wording.previews import preview_words


class SettingForm(forms.ModelForm):  # type: ignore[type-arg]  # generic to the type checker only
    """A setting, and why it changes."""

    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500, required=False)


class FactorForm(SettingForm):
    """A factor with the days on which it holds."""

    is_meant = forms.BooleanField(label=gettext_lazy("The factor is meant as it is written"), required=False)

    class Meta:
        model = ConversionFactor
        fields = ("assay_name", "control_gene", "factor", "valid_from", "valid_to", "revalidate_by", "source")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("valid_from", "valid_to", "revalidate_by"):
            self.fields[name].widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")

    def clean(self) -> dict[str, Any]:
        """One factor of an assay and gene begins on a day; the laboratory is no field, so Django does not check it.

        A factor that no laboratory has, or far away from its others, is asked about once more.
        """
        cleaned = super().clean() or self.cleaned_data
        if (factor := cleaned.get("factor")) and not cleaned["is_meant"] and (doubt := self._doubt(factor)):
            self.add_error("factor", doubt)
        key = {name: cleaned.get(name) for name in ("assay_name", "control_gene", "valid_from")}
        same = ConversionFactor.objects.filter(laboratory=self.instance.laboratory, **key)
        if key["valid_from"] is not None and same.exclude(pk=self.instance.pk).exists():
            self.add_error(
                "valid_from", _("a factor of this assay and gene begins on this day already; correct that one")
            )
        return cleaned

    def _doubt(self, factor: Decimal) -> str:
        """Why a factor is asked about, empty where it is not."""
        meant = _("if it is meant, say so below")
        if is_unusual(factor):
            words = _("%(factor)s is unusual: laboratories have factors of about 0.2 to 2.5. Is %(slipped)s meant?")
            return words % {"factor": factor, "slipped": slipped(factor)} + " " + meant
        others = ConversionFactor.objects.filter(laboratory=self.instance.laboratory).exclude(pk=self.instance.pk)
        usual = usual_instead(factor, list(others.values_list("factor", flat=True)))
        if usual is None:
            return ""
        words = _("%(factor)s is more than thirty times away from the other factors of this laboratory (%(usual)s);")
        return words % {"factor": factor, "usual": usual} + " " + meant


class AssayForm(SettingForm):
    """What an assay sees, its limits and its scatter."""

    class Meta:
        model = Assay
        fields = (
            "name", "method", "control_gene", "sees_p210", "sees_p190", "minimum_control_copies",
            "limit_of_blank_copies",
            "limit_of_detection_percent", "limit_of_quantification_percent", "sd_log10_below_mr_3_5",
            "sd_log10_from_mr_3_5", "sd_log10_beyond_mr_4_25",
        )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """One assay of a name in a laboratory; the laboratory is no field of the form, so Django does not check it."""
        cleaned = super().clean() or self.cleaned_data
        same = Assay.objects.filter(laboratory=self.instance.laboratory, name=cleaned.get("name"))
        if same.exclude(pk=self.instance.pk).exists():
            self.add_error("name", _("this laboratory has an assay of this name; change that one"))
        return cleaned


class LaboratoryForm(SettingForm):
    """How the results of a laboratory are read and verified."""

    class Meta:
        model = Laboratory
        fields = ("name", "bcr_minimum_copies", "verification_required", "files_are_final", "zero_means_not_detected")


def _words_of(row: LaboratorySetting) -> tuple[str, str]:
    """What a page calls the setting, and what has to be known of it."""
    if isinstance(row, Laboratory):
        return _("Settings"), _("Results that were verified stay so; who verifies what comes in next changes at once.")
    if isinstance(row, Assay):
        title = _("Change an assay") if row.pk else _("Describe an assay")
        return title, _("An assay is found by its name on a result. Earlier classes stay readable beside the new ones.")
    title = _("Correct a conversion factor") if row.pk else _("Register a conversion factor")
    return title, _(
        "A factor counts for results that name none of their own, by the day of the test, else of receipt, else of "
        "collection. Earlier classes stay readable beside the new ones."
    )


@require_http_methods(["GET", "POST"])
@requires_role((Role.ADMINISTRATOR,))
def settings(request: HttpRequest, pk: int) -> HttpResponse:
    """The laboratory's own settings. For administrators of every centre it reports for, as all of these pages."""
    laboratory = administered_laboratory(request, pk)
    return _page(request, laboratory, LaboratoryForm, laboratory)


@require_http_methods(["GET", "POST"])
@requires_role((Role.ADMINISTRATOR,))
def assay(request: HttpRequest, pk: int, assay_id: int | None = None) -> HttpResponse:
    """Describe or change an assay."""
    laboratory = administered_laboratory(request, pk)
    stored = get_object_or_404(Assay, pk=assay_id, laboratory=laboratory) if assay_id else None
    return _page(request, laboratory, AssayForm, stored or Assay(laboratory=laboratory))


@require_http_methods(["GET", "POST"])
@requires_role((Role.ADMINISTRATOR,))
def factor(request: HttpRequest, pk: int, factor_id: int | None = None) -> HttpResponse:
    """Register or correct a factor."""
    laboratory = administered_laboratory(request, pk)
    stored = get_object_or_404(ConversionFactor, pk=factor_id, laboratory=laboratory) if factor_id else None
    return _page(request, laboratory, FactorForm, stored or ConversionFactor(laboratory=laboratory))


def _page(
    request: HttpRequest, laboratory: Laboratory, kind: type[SettingForm], row: LaboratorySetting
) -> HttpResponse:
    """Show what a setting would change, and with a reason change it."""
    title, about = _words_of(row)
    context: dict[str, Any] = {"laboratory": laboratory, "code": laboratory.code, "title": title, "about": about}
    form = kind(request.POST if request.method == "POST" else None, instance=row)
    if request.method == "POST" and form.is_valid():
        assert isinstance(request.user, User)
        changed = form.save(commit=False)
        reason = form.cleaned_data["reason"].strip()
        if "change" in request.POST and not reason:
            form.add_error("reason", _("say why this changes"))
        elif "change" in request.POST:
            save_setting(changed, by=request.user.get_username(), reason=reason)
            messages.success(request, _("Stored. The results that rest on it are read again."))
            return redirect("laboratory", pk=laboratory.pk)
        if "backtest" in request.POST:
            asked = ask_setting(changed, f"{laboratory.code} · {title}", by=request.user)
            return redirect("backtest", public_id=asked.public_id)
        preview = preview_setting(changed)
        context |= preview_words(preview) | {"cohorts": cohort_changes(preview.points, clock.now().date())}
    context["form"] = form
    return render(request, "laboratories/setting.html", context, status=400 if form.errors else 200)
