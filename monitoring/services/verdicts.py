"""What became of one row at a door: stored, the same as before, or refused with the reason in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """What was done with a row, or would be done in a dry run."""

    CREATED = "created"
    UNCHANGED = "unchanged"
    COMPLETED = "completed"
    AMENDED = "amended"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row was refused: the column, its value, and the reason with the fix."""

    column: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one row, or of all rows of one accession."""

    action: Action
    problems: tuple[Problem, ...] = ()
    id: int | None = None
    notes: tuple[str, ...] = ()


def refused(column: str, value: object, reason: str) -> Verdict:
    """A refusal for one reason."""
    return Verdict(Action.REFUSED, (Problem(column, "" if value is None else str(value), reason),))


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
        if is_empty(value) or value == stored[name]:
            continue
        if is_empty(stored[name]):
            filled[name] = value
        else:
            contradicted[name] = (stored[name], value)
    return Difference(filled, contradicted)


def contradiction(found: Difference) -> Verdict:
    """The refusal of facts that contradict what is stored."""
    return Verdict(
        Action.REFUSED,
        tuple(
            Problem(name, str(new), f"{old} is stored; to change it, give a reason (--amend REASON)")
            for name, (old, new) in found.contradicted.items()
        ),
    )
