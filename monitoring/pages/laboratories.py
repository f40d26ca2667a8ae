"""Laboratories on screen: what their assays can detect, and which conversion factors are valid."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from monitoring import clock
from monitoring.models import Centre, Laboratory, Role
from monitoring.permissions import (
    ANY_ROLE,
    administered_centres,
    centres_with_role,
    check_administers_all,
    is_operator,
    requires_role,
)
from monitoring.selectors.laboratories import WARNED_DAYS_BEFORE, factors_to_look_after, standing_factors
from monitoring.services.settings.laboratories import StandingResultsError, start_reporting, stop_reporting

PAGE_SIZE = 50
MOST_OF_ONE = 200  # assays or factors of one laboratory


@require_GET
@requires_role(ANY_ROLE)
def index(request: HttpRequest) -> HttpResponse:
    """Laboratories, and the factors that need attention. For everybody with a role."""
    laboratories = Laboratory.objects.annotate(
        assay_count=Count("assays", distinct=True), factor_count=Count("conversion_factors", distinct=True)
    )
    page = Paginator(laboratories.order_by("code"), PAGE_SIZE).get_page(request.GET.get("page"))
    attention = factors_to_look_after(clock.now().date())[:MOST_OF_ONE]
    context = {"page": page, "attention": attention, "warned_days": WARNED_DAYS_BEFORE}
    return render(request, "laboratories/index.html", context)


@require_GET
@requires_role(ANY_ROLE)
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One laboratory with its assays and factors. For everybody with a role."""
    laboratory = get_object_or_404(Laboratory, pk=pk)
    factors = laboratory.conversion_factors.order_by("control_gene", "assay_name", "-valid_from")[:MOST_OF_ONE]
    administered = set(administered_centres(request.user).values_list("pk", flat=True))
    served = set(laboratory.centres.values_list("pk", flat=True))
    context = {
        "laboratory": laboratory,
        "may_change": is_operator(request.user) or (bool(served) and served <= administered),
        "reports_for_mine": laboratory.centres.filter(pk__in=centres_with_role(request.user, ANY_ROLE)).exists(),
        "assays": laboratory.assays.order_by("name")[:MOST_OF_ONE],
        "factors": standing_factors(factors, clock.now().date()),
    }
    return render(request, "laboratories/detail.html", context)


class CentreForm(forms.Form):
    """A centre that a laboratory begins or ceases to report for, and why."""

    centre = forms.ModelChoiceField(Centre.objects.none(), label=gettext_lazy("Centre"), empty_label=None)
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500)


@require_http_methods(["GET", "POST"])
@requires_role((Role.ADMINISTRATOR,))
def centres(request: HttpRequest, pk: int) -> HttpResponse:
    """The centres a laboratory reports for. For administrators of each of them, and of the one that is added.

    So nobody reaches the accession numbers of a laboratory that reports for another hospital.
    """
    laboratory = administered_laboratory(request, pk)
    form = CentreForm(request.POST if request.method == "POST" else None)
    form.fields["centre"].queryset = administered_centres(request.user)  # type: ignore[attr-defined]  # of the field that the form declares
    served = laboratory.centres.order_by("code")
    if request.method == "POST" and form.is_valid():
        centre, reason = form.cleaned_data["centre"], form.cleaned_data["reason"].strip()
        stands = served.filter(pk=centre.pk).exists()
        if "remove" not in request.POST:
            start_reporting(laboratory, centre, by=request.user.get_username(), reason=reason)
            messages.success(request, _("The laboratory reports for %(centre)s.") % {"centre": centre.code})
            return redirect("laboratory-centres", pk=pk)
        if not stands or served.count() == 1:
            form.add_error("centre", _("the laboratory keeps at least one centre; the operator removes the last"))
        else:
            try:
                stop_reporting(laboratory, centre, by=request.user.get_username(), reason=reason)
            except StandingResultsError:
                form.add_error("centre", _("results of this laboratory are stored there; it goes on reporting for it"))
            else:
                messages.success(
                    request, _("The laboratory reports for %(centre)s no longer.") % {"centre": centre.code}
                )
                return redirect("laboratory-centres", pk=pk)
    context = {"laboratory": laboratory, "served": served, "form": form}
    return render(request, "laboratories/centres.html", context, status=400 if form.errors else 200)


def administered_laboratory(request: HttpRequest, pk: int) -> Laboratory:
    """The laboratory, for somebody who administers every centre it reports for; without a centre, for the operator."""
    laboratory = get_object_or_404(Laboratory, pk=pk)
    served = list(laboratory.centres.values_list("pk", flat=True))
    if not served and not is_operator(request.user):
        raise PermissionDenied
    check_administers_all(request.user, served)
    return laboratory
