"""What every page shows."""

from django.http import HttpRequest

from monitoring import clock
from monitoring.models import Centre
from monitoring.permissions import roles_of
from monitoring.selectors.freshness import freshness


def every_page(request: HttpRequest) -> dict[str, object]:
    """The banner of synthetic data, since when data is not current, and the roles that decide the menu."""
    user = getattr(request, "user", None)  # absent where a request was refused before authentication
    if user is None or not user.is_authenticated:
        return {}
    found = freshness(clock.now())
    return {
        "has_synthetic_data": Centre.objects.filter(is_synthetic=True).exists(),
        "stale_since": found.stale,
        "unsent_since": found.unsent,
        "my_roles": roles_of(user),
    }
