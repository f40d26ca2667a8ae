"""What every page shows."""

from django.http import HttpRequest

from monitoring.models import Centre


def demo_banner(request: HttpRequest) -> dict[str, bool]:
    """Whether synthetic data is in this database: pages then say so in a banner."""
    return {"has_synthetic_data": request.user.is_authenticated and Centre.objects.filter(is_synthetic=True).exists()}
