"""The row of the decision table that gave a class, with the facts it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Decision:
    """``row`` is numbered as in ``docs/clinical/scoring.md``; the text ``class.<code>`` makes a sentence of the facts.

    ``value`` and ``limit`` are % IS, ``control`` and ``needed`` copies of the control gene.
    """

    row: str
    code: str
    facts: tuple[tuple[str, Decimal | None], ...] = ()


def decision(row: str, code: str, **facts: Decimal | None) -> Decision:
    """A decision with its facts by name."""
    return Decision(row, code, tuple(facts.items()))
