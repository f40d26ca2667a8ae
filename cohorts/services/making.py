"""Making the files that people asked for. Loads the statistics, matplotlib and Typst: only a worker imports it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import translation
from django.utils.translation import gettext as _

from cohorts.domain.artefact import is_artefact, thawed
from cohorts.domain.difference import KINDS, Change, changes_between
from cohorts.domain.member_table import MemberTable
from cohorts.models import CohortOutput, CohortSnapshot, OutputKind
from cohorts.reports.bundle import archive_of, bundle_of
from cohorts.reports.pictures import pictures_of
from cohorts.reports.printed import printed_report
from cohorts.selectors.disclosure import analysed_centres, disclosed
from cohorts.selectors.snapshots import SYNTHETIC_MARK, as_published, is_synthetic
from cohorts.services.outputs import AGAIN_AFTER, MOST_TRIES, PURPOSE, NotAllowed, check_allowed, seen_digest
from cohorts.services.recompute import same_definition
from cohorts.wording.differences import change_words, kind_words
from cohorts.wording.figures import moved_word
from monitoring import clock
from monitoring.services.foundation.sealing import seal
from monitoring.services.foundation.set_aside import is_database_lost


def make(pk: int) -> bool:
    """Make a file unless somebody else does or has; returns whether this call did it.

    A killed worker's file is made again after a while, three times at most; a failure is told to who asked.
    """
    language = CohortOutput.objects.filter(pk=pk).values_list("language", flat=True).first()
    with translation.override(language or "en"):
        output = _claimed(pk, clock.now())
        return output is not None and _made(output)


def _made(output: CohortOutput) -> bool:
    user = output.asked_by
    assert isinstance(user, User)
    try:
        publication = as_published(output.snapshot)
        check_allowed(publication, output.kind, user)
        seen = seen_digest(publication, user)
        content = MAKERS[OutputKind(output.kind)](output, disclosed(publication, user), user)
    except (NotAllowed, NoRows) as problem:
        _ended(output, error=str(problem))
        return False
    except SoftTimeLimitExceeded:
        _ended(output, error=_("It takes longer than four minutes; ask the operator for the command cohort_report."))
        return False
    except Exception as problem:
        if not is_database_lost(problem):
            _ended(output, error=_("It could not be made; the log of the operator says why."))
        raise
    _ended(output, content=seal(content, owner=output.public_id, purpose=PURPOSE), seen=seen)
    return True


def _claimed(pk: int, now: dt.datetime) -> CohortOutput | None:
    free = Q(tried_at__isnull=True) | Q(tried_at__lt=now - AGAIN_AFTER)
    with transaction.atomic():
        owed = CohortOutput.objects.filter(free, pk=pk, made_at__isnull=True, error="")
        output = owed.select_for_update(skip_locked=True, of=("self",)).first()
        if output is None:
            return None
        if output.tries >= MOST_TRIES:
            _ended(output, error=_("It was begun three times and not finished; ask the operator."))
            return None
        output.tries, output.tried_at = output.tries + 1, now
        output.save(update_fields=["tries", "tried_at"])
    return CohortOutput.objects.select_related("snapshot__cohort", "asked_by", "compared_with").get(pk=pk)


def _ended(output: CohortOutput, *, content: bytes | None = None, seen: str = "", error: str = "") -> None:
    """Record the outcome, if the file is still ours to make."""
    ours = CohortOutput.objects.filter(pk=output.pk, tries=output.tries, made_at__isnull=True)
    if error:
        ours.update(error=error[:500])
    else:
        ours.update(content=content, seen_digest=seen, made_at=clock.now())


# --- what is made ------------------------------------------------------------------------------------------------


class NoRows(Exception):
    """A snapshot whose rows were frozen before they could be read as columns."""


def table_of(snapshot: CohortSnapshot) -> MemberTable:
    """The rows of a snapshot. Raises ``NoRows``."""
    raw = bytes(snapshot.rows)
    if not is_artefact(raw):
        raise NoRows(_("The rows of this snapshot were frozen by an earlier version; compute the cohort again."))
    return thawed(raw)


def pictures_archive(shown: dict[str, Any]) -> bytes:
    """Every picture of a snapshot as SVG and as PNG, in one archive. Raises ``NoRows`` where there is none."""
    pictures = pictures_of(shown)
    if not pictures:
        raise NoRows(_("There is no picture: too few people, or too few that you may see one by one."))
    made = {f"{picture.name}.{ending}": getattr(picture, ending)() for picture in pictures for ending in ("svg", "png")}
    return archive_of(made)


def differences_text(before: CohortSnapshot, after: CohortSnapshot, centres: set[str] | None) -> str:
    """What is different between two snapshots, in words; only of people of these centres, None for all."""
    changes = [
        change
        for change in changes_between(table_of(before), table_of(after))
        if centres is None or change.centre in centres
    ]
    lines = [
        _("From %(before)s, data up to %(old)s, to %(after)s, data up to %(new)s")
        % {
            "before": before.digest[:12], "old": before.data_cutoff, "after": after.digest[:12],
            "new": after.data_cutoff,
        },
        *_other_reasons(before, after),
    ]  # fmt: skip
    if is_synthetic():
        lines.insert(0, SYNTHETIC_MARK)
    if centres is not None:
        lines.append(_("Told are people of: %(centres)s") % {"centres": ", ".join(sorted(centres)) or "–"})
    for kind in KINDS:
        of_kind = [change for change in changes if change.kind == kind]
        lines += ["", f"{kind_words(kind)}: {len(of_kind)}", *(_line(change) for change in of_kind)]
    return "\n".join(lines) + "\n"


def _line(change: Change) -> str:
    return f"  {change.centre} {change.patient_id} {change.stopped_on}: {change_words(change)}"


def _other_reasons(before: CohortSnapshot, after: CohortSnapshot) -> list[str]:
    lines = []
    if not same_definition(before.figures.get("definition"), after.figures.get("definition")):
        lines.append(_("The definition of the cohort is another."))
    for name in ("figures_version", "rule_versions", "library_versions"):
        old, new = before.figures.get(name), after.figures.get(name)
        if old != new:
            shown = (json.dumps(value, sort_keys=True) for value in (old, new))
            lines.append(f"{moved_word(name)}: " + " → ".join(shown))
    return lines


def _report(output: CohortOutput, shown: dict[str, Any], _user: User) -> bytes:
    return printed_report(shown, output.language)


def _pictures(_output: CohortOutput, shown: dict[str, Any], _user: User) -> bytes:
    return pictures_archive(shown)


def _bundle(output: CohortOutput, shown: dict[str, Any], _user: User) -> bytes:
    return bundle_of(shown, table_of(output.snapshot))


def _difference(output: CohortOutput, _shown: dict[str, Any], user: User) -> bytes:
    assert output.compared_with is not None
    return differences_text(output.compared_with, output.snapshot, analysed_centres(user)).encode()


MAKERS: dict[OutputKind, Callable[[CohortOutput, dict[str, Any], User], bytes]] = {
    OutputKind.REPORT: _report,
    OutputKind.PICTURES: _pictures,
    OutputKind.BUNDLE: _bundle,
    OutputKind.DIFFERENCE: _difference,
}
