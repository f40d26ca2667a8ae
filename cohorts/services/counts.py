"""Counts of a definition that is being written: asked for on a page, answered by a worker within seconds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from cohorts.domain.definition_file import as_json
from cohorts.models import DefinitionCount
from cohorts.services.definitions import check_definition
from monitoring import clock
from tasks import hints

KEPT_FOR = dt.timedelta(hours=1)
OWED_AFTER = dt.timedelta(seconds=30)


def ask_count(data: object, *, by: User, centres: Collection[int] | None) -> DefinitionCount:
    """Owe a count of who would be a member. Raises ``DefinitionProblem``, also for centres of others."""
    definition = as_json(check_definition(data, centres))
    with transaction.atomic():
        # What the same person asked before and nobody counted yet is not wanted any more.
        DefinitionCount.objects.filter(asked_by=by, answered_at__isnull=True).delete()
        asked = DefinitionCount.objects.create(definition=definition, asked_by=by, asked_at=clock.now())
        hints.after_commit(hints.COUNT_MEMBERS, asked.pk)
    return asked


def count_of(public_id: UUID, user: User) -> DefinitionCount | None:
    """The count that this person asked for; None for anybody else, and once it is forgotten."""
    return DefinitionCount.objects.filter(public_id=public_id, asked_by=user).first()


def owed_counts(*, now: dt.datetime) -> list[int]:
    """Counts that nobody has begun: their hint was lost, or the worker was. One that builds readings hints itself."""
    owed = DefinitionCount.objects.filter(answer__isnull=True, asked_at__lt=now - OWED_AFTER)
    return list(owed.order_by("asked_at").values_list("pk", flat=True)[:20])


def forget_old_counts(*, now: dt.datetime) -> None:
    """Delete counts an hour after they were asked for."""
    DefinitionCount.objects.filter(asked_at__lt=now - KEPT_FOR).delete()
