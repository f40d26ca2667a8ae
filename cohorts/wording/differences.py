"""What is different between two snapshots, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from cohorts.domain.difference import AMENDED, END, ENTERED, EVENT, GONE, LEFT, NEW, Change
from cohorts.wording.figures import end_word, exclusion_word


def kind_words(kind: str) -> str:
    """What happened to an episode between two snapshots."""
    return {
        ENTERED: _("entered the members"),
        LEFT: _("left the members"),
        EVENT: _("has the event now, or no longer"),
        END: _("ended by something else, or on another day"),
        AMENDED: _("other values were amended"),
    }[kind]


def change_words(change: Change) -> str:
    """Why an episode entered or left, both ends, or the columns that are different."""
    if change.kind in (ENTERED, LEFT):
        return _crossing_word(change.kind, change.detail)
    if change.kind in (EVENT, END):
        sides = (side.partition(" ") for side in change.detail.split(" → "))
        return " → ".join(f"{end_word(reason)} {on}" for reason, _space, on in sides)
    return change.detail


def _crossing_word(kind: str, detail: str) -> str:
    if detail == NEW:
        return _("a stop that was not there before, or did not meet the criteria")
    if detail == GONE:
        return _("the stop is no longer there, or no longer meets the criteria")
    reason = exclusion_word(detail)
    return _("was excluded before: %s") % reason if kind == ENTERED else _("is excluded now: %s") % reason


def moved_words(moved: Mapping[str, Any]) -> list[str]:
    """How many entered, left and are different, with the reasons."""
    told = []
    for kind in (ENTERED, LEFT, EVENT, END, AMENDED):
        if not moved[kind]:
            continue
        reasons = moved.get(f"{kind}_by") or {}
        why = "; ".join(f"{_crossing_word(kind, detail)} {number}" for detail, number in reasons.items())
        told.append(f"{kind_words(kind)}: {moved[kind]}" + (f" ({why})" if why else ""))
    return told or [_("nobody entered or left, and no event is different: later samples only")]
