"""Names of snapshots: by which a figure in a manuscript is found again, whatever the nights bring."""

from __future__ import annotations

import unicodedata

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from cohorts.models import CohortSnapshot, SnapshotName
from monitoring import clock

MOST_LETTERS, MOST_NOTE = 80, 500


class NameProblem(Exception):
    """A name that cannot be given; the message says why and what to do."""


def name_snapshot(snapshot: CohortSnapshot, name: str, *, by: User, note: str = "") -> SnapshotName:
    """Give a snapshot a name, for good. A cohort has each name once. Raises ``NameProblem``."""
    name, note = " ".join(unicodedata.normalize("NFC", name).split()), note.strip()
    if not name:
        raise NameProblem(_("Write a name, such as: as in the manuscript."))
    if len(name) > MOST_LETTERS or len(note) > MOST_NOTE:
        raise NameProblem(
            _("A name has %(most)s letters at most, a note %(note)s.") % {"most": MOST_LETTERS, "note": MOST_NOTE}
        )
    if any(unicodedata.category(letter) == "Cc" for letter in name + note.replace("\n", " ").replace("\r", " ")):
        raise NameProblem(_("The name holds a control character; write it with letters."))
    try:
        with transaction.atomic():
            return SnapshotName.objects.create(
                cohort_id=snapshot.cohort_id, snapshot=snapshot, name=name, note=note, named_by=by, named_at=clock.now()
            )
    except IntegrityError:
        raise NameProblem(_("A snapshot of this cohort is called so already; names are never given twice.")) from None
