"""A conversion factor, new or corrected: first everything that would change, cohorts included, then the change."""

from __future__ import annotations

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
from monitoring.models import Centre, ConversionFactor, Laboratory, PcrResult, Role
from monitoring.permissions import check_role_in_all, requires_role
from monitoring.services.laboratories import save_setting
from monitoring.services.what_if import preview_factor


class FactorForm(forms.ModelForm):  # type: ignore[type-arg]  # generic to the type checker only
    """A factor with the days on which it holds, and why it is registered or corrected."""

    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500, required=False)

    class Meta:
        model = ConversionFactor
        fields = ("assay_name", "control_gene", "factor", "valid_from", "valid_to", "revalidate_by", "source")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("valid_from", "valid_to", "revalidate_by"):
            self.fields[name].widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


@require_http_methods(["GET", "POST"])
@requires_role((Role.ADMINISTRATOR,))
def factor(request: HttpRequest, pk: int, factor_id: int | None = None) -> HttpResponse:
    """Register or correct a factor. For administrators of every centre whose results the laboratory has reported."""
    laboratory = get_object_or_404(Laboratory, pk=pk)
    stored = get_object_or_404(ConversionFactor, pk=factor_id, laboratory=laboratory) if factor_id else None
    _check_administrator_of_all(request, laboratory)
    instance = stored or ConversionFactor(laboratory=laboratory)
    form = FactorForm(request.POST if request.method == "POST" else None, instance=instance)
    context: dict[str, Any] = {"laboratory": laboratory, "stored": stored, "form": form}
    if request.method == "POST" and form.is_valid():
        assert isinstance(request.user, User)
        wanted = form.save(commit=False)
        reason = form.cleaned_data["reason"].strip()
        if "change" in request.POST and not reason:
            form.add_error("reason", _("say why the factor changes"))
        elif "change" in request.POST:
            save_setting(wanted, by=request.user.get_username(), reason=reason)
            messages.success(request, _("Stored. The results that rest on it are read again."))
            return redirect("laboratory", pk=pk)
        found = preview_factor(wanted)
        context |= found.in_words() | {"cohorts": cohort_changes(found.points, clock.now().date())}
    return render(request, "laboratories/factor.html", context, status=400 if form.errors else 200)


def _check_administrator_of_all(request: HttpRequest, laboratory: Laboratory) -> None:
    """A factor reaches every centre with results of the laboratory: somebody who administers each of them changes it."""
    results = PcrResult.objects.filter(laboratory=laboratory)
    served = Centre.objects.filter(patients__results__in=results).values_list("pk", flat=True).distinct()
    check_role_in_all(request.user, served, Role.ADMINISTRATOR)
