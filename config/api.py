"""The API as a whole: its addresses, its OpenAPI file, and documentation that works offline."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.decorators.http import require_GET
from drf_spectacular.views import SpectacularJSONAPIView

from monitoring.api.permissions import RolesAllow
from monitoring.api.problems import not_found
from monitoring.permissions import ANY_ROLE, requires_role


class OpenApiFile(SpectacularJSONAPIView):
    """The OpenAPI 3 file. For everybody with a role."""

    permission_classes = [RolesAllow]
    read_roles = ANY_ROLE


@require_GET
@requires_role(ANY_ROLE)
def documentation(request: HttpRequest) -> HttpResponse:
    """Swagger UI from our own files. For everybody with a role."""
    return render(request, "api/documentation.html")


urlpatterns: list[URLPattern | URLResolver] = [
    path("v1/", include("monitoring.api.urls")),
    path("v1/", include("cohorts.api.urls")),
    path("schema/", OpenApiFile.as_view(), name="api-schema"),
    path("docs/", documentation, name="api-docs"),
    re_path(r"^(?P<path>.*)$", login_not_required(not_found), name="api-nothing"),
]
