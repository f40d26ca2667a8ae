"""Periodic jobs: one row per job and slot; whoever claims the row runs it."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.db.models import Q

from monitoring.models import JobRun


def claim_slot(job: str, slot_at: dt.datetime, *, now: dt.datetime, lease_seconds: int) -> JobRun | None:
    """The row of a slot, claimed for us, or None where somebody else runs it or it has succeeded.

    A claim is a lease: what was killed can be claimed again when the lease is over. A failed slot stays failed.
    """
    JobRun.objects.bulk_create([JobRun(job=job, slot_at=slot_at)], ignore_conflicts=True)
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    with transaction.atomic():
        run = (
            JobRun.objects.select_for_update(skip_locked=True)
            .filter(free, job=job, slot_at=slot_at, finished_at__isnull=True)
            .first()
        )
        if run is None:
            return None
        run.claimed_at, run.lease_until = now, now + dt.timedelta(seconds=lease_seconds)
        run.attempts += 1
        run.save(update_fields=["claimed_at", "lease_until", "attempts"])
        return run


def finish(run: JobRun, *, ok: bool, detail: str, now: dt.datetime) -> bool:
    """Record the outcome, if the lease is still ours (the number of attempts is the fence). Returns whether it was."""
    return bool(
        JobRun.objects.filter(pk=run.pk, attempts=run.attempts, finished_at__isnull=True).update(
            finished_at=now, ok=ok, detail=detail[:500]
        )
    )


def put_off(run: JobRun, *, detail: str, until: dt.datetime) -> None:
    """Leave a slot owed that did not go well: nobody takes it up before ``until``."""
    mine = JobRun.objects.filter(pk=run.pk, attempts=run.attempts, finished_at__isnull=True)
    mine.update(detail=detail[:500], lease_until=until)


def owed_slots(prefix: str, *, now: dt.datetime, since: dt.timedelta) -> list[JobRun]:
    """Slots that nobody is working on: never claimed, or claimed by something that died."""
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    return list(
        JobRun.objects.filter(
            free, job__startswith=prefix, finished_at__isnull=True, slot_at__gte=now - since
        ).order_by("slot_at", "job")
    )
