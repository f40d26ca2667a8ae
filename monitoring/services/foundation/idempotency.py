"""Answers to requests that programs may repeat: kept for a week, as long as any of them tries again."""

from __future__ import annotations

import datetime as dt

from monitoring.models import IdempotentRequest

KEPT_FOR = dt.timedelta(days=7)


def forget_old_requests(*, now: dt.datetime) -> int:
    """Drop the answers that are older than a week; returns how many."""
    dropped, _ = IdempotentRequest.objects.filter(created_at__lt=now - KEPT_FOR).delete()
    return dropped
