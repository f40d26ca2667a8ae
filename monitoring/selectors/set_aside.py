"""What is set aside now, for those who run the service."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Count, Q, QuerySet

from monitoring.models import SetAside


def now_set_aside() -> QuerySet[SetAside]:
    """What is set aside now."""
    return SetAside.objects.filter(settled_at__isnull=True)


def shown_to(centre_ids: Iterable[int]) -> QuerySet[SetAside]:
    """What is set aside in these centres or belongs to none, the oldest first."""
    mine = now_set_aside().filter(Q(centre__in=centre_ids) | Q(centre__isnull=True))
    return mine.select_related("centre").order_by("first_at", "pk")


def set_aside_by_kind() -> dict[str, int]:
    """How many pieces of work of each kind are set aside."""
    rows = now_set_aside().values_list("kind").annotate(number=Count("pk")).order_by("kind")
    return dict(rows)
