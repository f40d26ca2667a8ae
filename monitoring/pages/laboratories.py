"""Laboratories on screen: what their assays can see and how their conversion factors stand."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from monitoring import clock
from monitoring.models import Laboratory
from monitoring.permissions import ANY_ROLE, requires_role
from monitoring.selectors.laboratories import WARNED_DAYS_BEFORE, factors_to_look_after, standing_factors

PAGE_SIZE = 50
MOST_OF_ONE = 200  # assays or factors of one laboratory


@require_GET
@requires_role(ANY_ROLE)
def index(request: HttpRequest) -> HttpResponse:
    """Laboratories, and the factors that somebody must look after. For everybody with a role."""
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
    context = {
        "laboratory": laboratory,
        "assays": laboratory.assays.order_by("name")[:MOST_OF_ONE],
        "factors": standing_factors(factors, clock.now().date()),
    }
    return render(request, "laboratories/detail.html", context)
