"""The state of the service for administrators: pending work, how old it is, and what ran."""

from __future__ import annotations

from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from monitoring import clock
from monitoring.models import Centre, Heartbeat, JobRun, Membership, Role, SetAside, SetAsideKind
from monitoring.permissions import centres_with_role, is_operator, requires_role
from monitoring.selectors.freshness import owed_work
from monitoring.selectors.set_aside import shown_to

SHOWN = 20
# The page that shows a piece of work that is set aside; its key is the public id in the address.
PAGE_OF = {
    SetAsideKind.ESCALATION: "alert",
    SetAsideKind.CLASSIFICATION: "patient",
    SetAsideKind.OVERDUE: "patient",
    SetAsideKind.NO_RESTART: "patient",
    SetAsideKind.NO_MMR_AFTER_RESTART: "patient",
    SetAsideKind.UNVERIFIED: "result",
    SetAsideKind.SUSPICIOUS: "result",
}


@require_GET
@requires_role((Role.ADMINISTRATOR,))
def operations(request: HttpRequest) -> HttpResponse:
    """Pending work, what is set aside in one's centres, heartbeats and the latest nightly jobs. For administrators."""
    now = clock.now()
    aside = shown_to(centres_with_role(request.user, (Role.ADMINISTRATOR,)))
    return render(
        request,
        "operations.html",
        {
            "now": now,
            "owed": owed_work(now),
            "deserted": _deserted_centres()[:SHOWN] if is_operator(request.user) else [],
            "beats": Heartbeat.objects.order_by("name"),
            "aside": [(row, _address(row)) for row in aside[:SHOWN]],
            "aside_count": aside.count(),
            "jobs": JobRun.objects.order_by("-slot_at", "job")[:SHOWN],
        },
    )


def _deserted_centres() -> QuerySet[Centre]:
    """Centres in which nobody is left to be told, with the number of their open alerts; the fullest first."""
    open_alerts = Count("alerts", filter=Q(alerts__closed_at__isnull=True))
    return Membership.objects.deserted_centres().annotate(open_alerts=open_alerts).order_by("-open_alerts", "code")


def _address(row: SetAside) -> str:
    page = PAGE_OF.get(SetAsideKind(row.kind))
    return reverse(page, args=[row.key]) if page else ""
