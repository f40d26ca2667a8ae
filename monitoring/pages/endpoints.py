"""Programs that are told of a centre's alerts: signed webhooks, chat and SMS gateways."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from monitoring import clock
from monitoring.domain.alerting.kinds import Severity
from monitoring.models import AlertEndpoint, EndpointKind, Role
from monitoring.models.escalation import SEVERITY
from monitoring.permissions import administered_centres, requires_role, signed_in
from monitoring.services.alerts.endpoints import add_endpoint, end_endpoint
from monitoring.services.foundation.field_problem import FieldProblem

PAGE_SIZE = 25


class EndpointForm(forms.Form):
    """A program that is told."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=60)
    kind = forms.ChoiceField(label=gettext_lazy("How it is told"), choices=EndpointKind.choices)
    address = forms.CharField(label=gettext_lazy("Address"), max_length=500)
    severity = forms.ChoiceField(label=gettext_lazy("Told from severity"), choices=SEVERITY)


@require_http_methods(["GET", "POST"])
@requires_role((Role.ADMINISTRATOR,))
def index(request: HttpRequest, centre_id: int) -> HttpResponse:
    """The programs of a centre; a POST adds one. For its administrators."""
    centre = get_object_or_404(administered_centres(request.user), pk=centre_id)
    form = EndpointForm(request.POST if request.method == "POST" else None)
    key = ""
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        try:
            _endpoint, key = add_endpoint(
                centre, EndpointKind(values["kind"]), name=values["name"], address=values["address"],
                severity=Severity(values["severity"]), by=signed_in(request),
            )  # fmt: skip
        except FieldProblem as problem:
            form.add_error(problem.field, problem.words)
        else:
            if not key:
                messages.success(request, _("Added. It is told from the next alert on."))
                return redirect("alert-endpoints", centre_id=centre_id)
            form = EndpointForm()  # the key is shown once, on this very page
    rows = (
        AlertEndpoint.objects.filter(centre=centre, ended_at__isnull=True).select_related("added_by").order_by("name")
    )
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {"centre": centre, "page": page, "form": form, "key": key}
    return render(request, "ladders/endpoints.html", context, status=400 if form.errors else 200)


@require_POST
@requires_role((Role.ADMINISTRATOR,))
def end(request: HttpRequest, centre_id: int, endpoint_id: int) -> HttpResponse:
    """Tell a program nothing more. For administrators of the centre."""
    centre = get_object_or_404(administered_centres(request.user), pk=centre_id)
    endpoint = get_object_or_404(AlertEndpoint, pk=endpoint_id, centre=centre, ended_at__isnull=True)
    end_endpoint(endpoint, by=signed_in(request), now=clock.now())
    messages.success(request, _("%(name)s is told nothing more.") % {"name": endpoint.name})
    return redirect("alert-endpoints", centre_id=centre_id)
