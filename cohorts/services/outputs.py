"""Files of a snapshot that people ask for on a page: kept as owed, made by a worker, given to who asked, for a day."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from cohorts.models import CohortOutput, CohortPublication, CohortSnapshot, OutputKind
from cohorts.selectors.disclosure import analysed_centres, disclosed, sees_all_rows
from cohorts.selectors.snapshots import as_published
from monitoring import clock
from monitoring.services.foundation.access import record_access
from monitoring.services.foundation.sealing import unseal
from tasks import hints

KEPT_FOR = dt.timedelta(days=1)
AGAIN_AFTER = dt.timedelta(minutes=6)  # longer than a worker may take
MOST_TRIES = 3
MOST_OWED = 10
PURPOSE = "cohort output"


class NotAllowed(Exception):
    """Somebody may not have this file; the message says why."""


def ask(
    publication: CohortPublication, kind: str, *, by: User, language: str, compared_with: CohortSnapshot | None = None
) -> CohortOutput:
    """Owe a file and hint to a worker; the same file asked for again is the same one. Raises ``NotAllowed``."""
    check_allowed(publication, kind, by)
    wanted = {
        "snapshot": publication.snapshot, "kind": kind, "language": language, "asked_by": by,
        "compared_with": compared_with,
    }  # fmt: skip
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=by.pk)  # two clicks at once owe one file
        standing = CohortOutput.objects.filter(**wanted, error="", asked_at__gt=clock.now() - KEPT_FOR / 2)
        seen = seen_digest(publication, by)
        for output in standing.defer("content"):
            if output.made_at is None or output.seen_digest == seen:
                return output
        owed = CohortOutput.objects.filter(asked_by=by, made_at__isnull=True, error="")
        if owed.count() >= MOST_OWED:
            raise NotAllowed(
                _("%(most)s files of yours are still being made; wait for one of them.") % {"most": MOST_OWED}
            )
        output = CohortOutput.objects.create(**wanted, asked_at=clock.now())
        record_access(by, action=f"ask for {kind}", detail=publication.cohort.slug)
        hints.after_commit(hints.MAKE_OUTPUT, output.pk)
    return output


def check_allowed(publication: CohortPublication, kind: str, user: User) -> None:
    """Refuse a file that a person may not have. Raises ``NotAllowed``."""
    if kind == OutputKind.BUNDLE and not sees_all_rows(publication, user):
        raise NotAllowed(_("The bundle holds every row: it is for analysts of all centres of the cohort."))
    if kind == OutputKind.DIFFERENCE and not analysed_centres(user):
        raise NotAllowed(_("What is different names people: it is for analysts and administrators."))


def output_of(public_id: UUID, user: User) -> CohortOutput | None:
    """The file that this person asked for; None for anybody else."""
    found = CohortOutput.objects.filter(public_id=public_id, asked_by=user)
    return found.select_related("snapshot__cohort").defer("content", "snapshot__rows", "snapshot__figures").first()


def content_of(output: CohortOutput, user: User) -> bytes:
    """The file, if the person may still see what it shows. Raises ``NotAllowed``."""
    publication = as_published(output.snapshot)
    check_allowed(publication, output.kind, user)
    if output.made_at is None or seen_digest(publication, user) != output.seen_digest:
        raise NotAllowed(_("What you may see has changed since; ask for the file again."))
    content = None if output.content is None else unseal(output.content, owner=output.public_id, purpose=PURPOSE)
    if content is None:
        raise NotAllowed(_("The file is no longer kept; ask for it again."))
    return content


def seen_digest(publication: CohortPublication, user: User) -> str:
    """A digest of what a person may see of a snapshot: its figures, and the centres whose rows are theirs to read."""
    shown = {name: value for name, value in disclosed(publication, user).items() if name != "confirmed_at"}
    text = json.dumps([shown, sorted(analysed_centres(user))], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


# --- what is owed ------------------------------------------------------------------------------------------------


def owed_outputs(*, now: dt.datetime) -> list[int]:
    """Files that nobody is making: their hint was lost, or the worker was."""
    free = Q(tried_at__isnull=True, asked_at__lt=now - dt.timedelta(minutes=1)) | Q(tried_at__lt=now - AGAIN_AFTER)
    owed = CohortOutput.objects.filter(free, made_at__isnull=True, error="")
    return list(owed.order_by("asked_at").values_list("pk", flat=True)[:20])


def forget_old_outputs(*, now: dt.datetime) -> None:
    """Delete files a day after they were asked for."""
    CohortOutput.objects.filter(asked_at__lt=now - KEPT_FOR).delete()
