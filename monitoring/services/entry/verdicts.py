"""What became of one row at a door: stored, the same as before, or refused with the reason in plain words."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext as _

from monitoring.domain.scoring.laboratory_report import LaboratoryReport
from monitoring.domain.vocabulary.dates import PartialDate


class RowOutcome(StrEnum):
    """What was done with a row, or would be done in a dry run."""

    CREATED = "created"
    UNCHANGED = "unchanged"
    COMPLETED = "completed"
    AMENDED = "amended"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row was refused: the column, its value, and the reason with the fix.

    ``contradicts`` where another value is stored, which only a reason for the change replaces.
    """

    column: str
    value: str
    reason: str
    contradicts: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one row, or of all rows of one accession."""

    action: RowOutcome
    problems: tuple[Problem, ...] = ()
    id: int | None = None
    public_id: uuid.UUID | None = None
    notes: tuple[str, ...] = ()
    waits: bool = False  # for a second person of the laboratory, who verifies it
    is_late: bool = False  # an older report than the one that stands: kept beside it
    stored: LaboratoryReport | None = None  # the whole report that is stored, or in a dry run would be


def refusal(column: str, value: object, reason: str) -> Verdict:
    """A refusal for one reason."""
    return Verdict(RowOutcome.REFUSED, (Problem(column, "" if value is None else str(value), reason),))


@dataclass(frozen=True, slots=True)
class Difference:
    """How new facts stand to the stored ones: values that fill an empty cell, and values that contradict."""

    filled: dict[str, Any]
    contradicted: dict[str, tuple[Any, Any]]

    @property
    def is_none(self) -> bool:
        return not self.filled and not self.contradicted


def is_empty(value: object) -> bool:
    """Whether a value means not known."""
    return value is None or value in ("", ())


def difference(stored: Mapping[str, Any], given: Mapping[str, Any]) -> Difference:
    """Compare by name. An empty given value is not known and never contradicts."""
    filled: dict[str, Any] = {}
    contradicted: dict[str, tuple[Any, Any]] = {}
    for name, value in given.items():
        if is_empty(value) or value == stored[name] or _same_date(value, stored[name]):
            continue
        if is_empty(stored[name]) or _refines(value, stored[name]):
            filled[name] = value
        elif _refines(stored[name], value):
            continue
        else:
            contradicted[name] = (stored[name], value)
    return Difference(filled, contradicted)


# What a field is called at the doors, where that is another word.
COLUMN_OF = {
    "born_on": "birth_date",
    "assay_name": "assay",
    "replicates": "bcr_abl1_copies",
    "is_comparator": "is_percent",
}


def _same_date(one: object, other: object) -> bool:
    """Whether two partly known dates are the same words, wherever a known order has moved them."""
    return isinstance(one, PartialDate) and isinstance(other, PartialDate) and str(one) == str(other)


def _refines(new: object, old: object) -> bool:
    """Whether a date is a more exact word for a partly known one."""
    if not isinstance(new, PartialDate) or not isinstance(old, PartialDate):
        return False
    wider = old.latest - old.earliest > new.latest - new.earliest
    return wider and old.earliest <= new.earliest and new.latest <= old.latest


def contradiction(found: Difference, shown: Callable[[str, Any], str] = lambda name, value: str(value)) -> Verdict:
    """The refusal of facts that contradict what is stored; ``shown`` puts a value into words."""
    words = _("%(value)s is stored; to change it, give a reason")
    return Verdict(
        RowOutcome.REFUSED,
        tuple(
            Problem(COLUMN_OF.get(name, name), shown(name, new), words % {"value": shown(name, old)}, contradicts=True)
            for name, (old, new) in found.contradicted.items()
        ),
    )
