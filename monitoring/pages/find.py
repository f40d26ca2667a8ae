"""The search field of every page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from monitoring.pages.patients import NAMING
from monitoring.permissions import ANY_ROLE, requires_role, roles_of
from monitoring.selectors.find import Found, find
from monitoring.services.entry.identities import blind_index

MOST_TYPED = 60


@require_POST
@requires_role(ANY_ROLE)
def find_anything(request: HttpRequest) -> HttpResponse:
    """Patients and results, as a fragment while somebody types, else the only hit itself or the list of hits.

    For everybody with a role; by hospital number for those who may see names. Posted, because addresses are kept in
    histories and logs, where no hospital number belongs.
    """
    typed = request.POST.get("q", "").strip().replace("\x00", "")[:MOST_TYPED]
    may_name = bool({role.value for role in NAMING} & roles_of(request.user))
    found = (
        find(request.user, typed, hospital_number_index=blind_index(typed) if may_name else None)
        if typed
        else Found([], [], is_cut=False)
    )
    context = {"found": found, "typed": typed}
    if request.headers.get("X-Fragment"):
        return render(request, "parts/found.html", context)
    if found.count == 1:
        hit = (found.patients or found.results)[0]
        return redirect(reverse("patient" if found.patients else "result", args=[hit.public_id]))
    return render(request, "find.html", context)
