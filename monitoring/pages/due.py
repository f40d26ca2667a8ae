"""Whose next sample is due, and who is overdue: the work list of a clinic."""

from __future__ import annotations

import datetime as dt

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from monitoring import clock
from monitoring.models import MonitoringPlan, Patient
from monitoring.permissions import ANY_ROLE, requires_role
from monitoring.services.alerts.plans import late_plans

PAGE_SIZE = 50
WEEK = dt.timedelta(days=7)


@require_GET
@requires_role(ANY_ROLE)
def due(request: HttpRequest) -> HttpResponse:
    """Samples due within a week, or overdue, of the person's centres. For everybody with a role."""
    today = clock.now().date()
    which = "overdue" if request.GET.get("which") == "overdue" else "week"
    patients = Patient.objects.visible_to(request.user)
    plans = MonitoringPlan.objects.filter(due_on__lte=today + WEEK, latest_on__gte=today, followed_until__gte=today)
    if which == "overdue":
        plans = late_plans(today)
    rows = plans.filter(patient__in=patients).select_related("patient__centre").order_by("due_on", "pk")
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "patients/due.html", {"page": page, "which": which, "today": today, "until": today + WEEK})
