"""Why a statement holds: rule, line of the rule, citation, facts, and a stable code that pages translate.

Rules contain no sentences: ``wording.reason_texts`` has one for every code, with the names of facts as placeholders.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

FactValue = str | int | Decimal | date | None


@dataclass(frozen=True, slots=True)
class Reason:
    """One statement with everything it rests on; ``text_code`` is a key of ``wording.reason_texts.TEXTS``."""

    rule_id: str
    line: str
    citation: str
    facts: tuple[tuple[str, FactValue], ...]
    text_code: str
    is_guess: bool = False  # worked out later from what was stored, not given by the rules when they decided

    @property
    def values(self) -> dict[str, FactValue]:
        """The facts by name, for the placeholders of a translated template."""
        return dict(self.facts)
