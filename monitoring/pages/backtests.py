"""Back-tests: what a change of rules would have told of the history of each centre, before anybody makes it."""

from __future__ import annotations

from statistics import median
from uuid import UUID

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from monitoring.models import BackTest, Role
from monitoring.permissions import administered_centres, requires_role, signed_in
from monitoring.services.settings.backtests import backtest_of

PAGE_SIZE = 25


@require_GET
@requires_role((Role.ADMINISTRATOR,))
def index(request: HttpRequest) -> HttpResponse:
    """One's own back-tests of the last month, newest first. For administrators."""
    mine = BackTest.objects.filter(asked_by=signed_in(request)).defer("answer").order_by("-asked_at")
    return render(
        request, "backtests/index.html", {"page": Paginator(mine, PAGE_SIZE).get_page(request.GET.get("page"))}
    )


@require_GET
@requires_role((Role.ADMINISTRATOR,))
def detail(request: HttpRequest, public_id: UUID) -> HttpResponse:
    """One back-test, as far as it is. For the administrator who asked, of the centres administered today."""
    asked = backtest_of(public_id, signed_in(request))
    if asked is None:
        raise Http404
    seen = set(administered_centres(request.user).values_list("code", flat=True))
    answer = asked.answer or {"centres": {}, "shown": [], "looked_at": 0}
    centres = [
        {
            "code": code,
            "patients": one["patients"],
            "gained": sorted(one["gained"].items()),
            "lost": sorted(one["lost"].items()),
            "earlier": len(one["earlier"]),
            "earlier_days": median(one["earlier"]) if one["earlier"] else None,
            "later": len(one["later"]),
            "later_days": median(one["later"]) if one["later"] else None,
            "extra_samples": one["extra_samples"],
        }
        for code, one in sorted(answer["centres"].items())
        if code in seen
    ]
    shown = answer["shown"] if seen >= set(answer["centres"]) else []
    context = {"asked": asked, "centres": centres, "shown": shown, "looked_at": answer["looked_at"]}
    name = "backtests/answer.html" if request.headers.get("HX-Request") else "backtests/detail.html"
    return render(request, name, context)
