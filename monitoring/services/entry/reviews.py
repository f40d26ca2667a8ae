"""What a second person says of a result instead of verifying it, and verifying what is clear all at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from monitoring.models import PcrResult, ResultStatus, ReviewNote
from monitoring.models.reviews import ReviewKind
from monitoring.services.entry.amendments import StandingResult, standing_result, verify_result
from monitoring.services.entry.reach import Reach
from monitoring.services.entry.verdicts import RowOutcome
from monitoring.services.entry.verification import VerificationRefused
from monitoring.services.foundation.field_problem import FieldProblem
from monitoring.services.foundation.stale_version import StaleVersionError


def say(
    standing: StandingResult, kind: ReviewKind, note: str, *, by: User, version: int, now: dt.datetime
) -> ReviewNote:
    """Send a result back, or ask for a repeat, with a word. The next version answers it.

    Raises ``FieldProblem`` without a word, ``StaleVersionError`` and ``VerificationRefused``.
    """
    if not note.strip():
        raise FieldProblem("note", _("is needed: what is to be done?"))
    with transaction.atomic():
        row = PcrResult.objects.select_for_update(of=("self",)).select_related("recorded_by").get(pk=standing.row.pk)
        if row.version != version or PcrResult.objects.filter(supersedes=row).exists():
            raise StaleVersionError(changed_words(row))
        if row.status != ResultStatus.PRELIMINARY:
            raise VerificationRefused(_("only a preliminary result is sent back"))
        return ReviewNote.objects.create(
            result=row.public_id, version=row.version, kind=kind, note=note.strip()[:500], by=by, at=now
        )


def changed_words(row: PcrResult) -> str:
    """Who changed a result, and when."""
    newest = PcrResult.objects.filter(public_id=row.public_id).select_related("recorded_by").order_by("-version")[0]
    values = {
        "accession": newest.accession_number, "who": newest.recorded_by.get_username(),
        "at": f"{newest.recorded_at:%Y-%m-%d %H:%M:%S}",
    }  # fmt: skip
    return _("%(accession)s was changed by %(who)s at %(at)s UTC; look at it again") % values


def verify_each(
    chosen: Mapping[UUID, int], *, by: User, reach: Reach, now: dt.datetime
) -> tuple[list[str], dict[str, str]]:
    """Verify results (public id and the version that was read), each by itself.

    Returns the accessions that were verified, and of the others why not.
    """
    done: list[str] = []
    left: dict[str, str] = {}
    for public_id, version in chosen.items():
        standing = standing_result(public_id)
        if standing is None:
            continue
        accession = standing.row.accession_number
        try:
            verdict = verify_result(standing, by=by, reach=reach, version=version, now=now)
        except StaleVersionError:
            left[accession] = changed_words(standing.row)
        except VerificationRefused as problem:
            left[accession] = str(problem)
        else:
            if verdict.action is RowOutcome.REFUSED:
                left[accession] = verdict.problems[0].reason
            else:
                done.append(accession)
    return done, left
