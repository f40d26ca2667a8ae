"""What every page shows."""

from django.http import HttpRequest

from monitoring import clock
from monitoring.models import Centre
from monitoring.pages.menu import menu_of
from monitoring.permissions import is_operator, roles_of
from monitoring.selectors.freshness import freshness


def every_page(request: HttpRequest) -> dict[str, object]:
    """The banner of synthetic data, since when data is not current, the roles and the menu they open."""
    user = getattr(request, "user", None)  # absent where a request was refused before authentication
    if user is None or not user.is_authenticated:
        return {}
    found, roles = freshness(clock.now()), roles_of(user)
    return {
        "has_synthetic_data": Centre.objects.filter(is_synthetic=True).exists(),
        "stale_since": found.stale,
        "unsent_since": found.unsent,
        "my_roles": roles,
        "menu": menu_of(roles, request.path, is_operator=is_operator(user)),
    }
