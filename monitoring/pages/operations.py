"""The state of the service for administrators: what is owed, how old it is, and what ran."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from monitoring import clock
from monitoring.models import Heartbeat, JobRun, Role
from monitoring.permissions import requires_role
from monitoring.selectors.currency import owed_work

SHOWN = 20


@require_GET
@requires_role((Role.ADMINISTRATOR,))
def operations(request: HttpRequest) -> HttpResponse:
    """What is owed, heartbeats and the latest nightly jobs. For administrators."""
    now = clock.now()
    return render(
        request,
        "operations.html",
        {
            "now": now,
            "owed": owed_work(now),
            "beats": Heartbeat.objects.order_by("name"),
            "jobs": JobRun.objects.order_by("-slot_at", "job")[:SHOWN],
        },
    )
