"""The first page: where monitoring and statistics meet, so it belongs to neither."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from cohorts.models import CohortPublication, CohortRun
from cohorts.pages.curve import curve_of
from cohorts.selectors.disclosure import disclosed
from monitoring import clock
from monitoring.permissions import ANY_ROLE, requires_role
from monitoring.selectors.episodes import with_states
from monitoring.selectors.home import home_of, open_alerts_of, today_of
from monitoring.selectors.laboratories import factors_to_look_after

ALERTS_SHOWN = 10


@require_GET
@requires_role(ANY_ROLE)
def home(request: HttpRequest) -> HttpResponse:
    """Results and classes today, open alerts, and the curve of the first cohort. For everybody with a role."""
    now = clock.now()
    alerts = open_alerts_of(request.user)
    publication = (
        CohortPublication.objects.filter(cohort__is_active=True)
        .select_related("cohort", "snapshot")
        .order_by("cohort__slug")
        .first()
    )
    latest_run = (
        CohortRun.objects.filter(cohort=publication.cohort).order_by("-started_at").first() if publication else None
    )
    figures = disclosed(publication, request.user) if publication else None
    return render(
        request,
        "home.html",
        {
            "now": now,
            "factors_to_look_after": len(factors_to_look_after(now.date())),
            "today": today_of(request.user, now),
            "alerts": with_states(alerts[:ALERTS_SHOWN], clock.now().date()),
            "home": home_of(request.user),
            "alert_count": alerts.count(),
            "publication": publication,
            "f": figures,
            "curve": curve_of(figures) if figures and "kaplan_meier" in figures else None,
            "failed_run": latest_run if latest_run and latest_run.ok is False else None,
        },
    )
