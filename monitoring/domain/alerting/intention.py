"""An alert that a patient's course calls for, before anything of it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from monitoring.domain.alerting.kinds import AlertKind
from monitoring.domain.course.relapse import Certainty

# A loss that goes on rising is told again when it passes one of these lines, in % IS.
RISE_LINES_PERCENT = (1, 10)
_ORDER = list(Certainty)  # from the least to the most certain


@dataclass(frozen=True, slots=True)
class Closing:
    """Why an alert no longer holds (a code of ``ClosingReason``), and since which day."""

    by: str
    on: date | None


@dataclass(frozen=True, slots=True)
class Intention:
    """An alert that the course calls for. With a ``closing`` no alert is opened, and one that is still open is closed.

    Values are % IS. ``days_off_treatment`` counts from the stop to the evidence; ``doubling_days`` is the doubling
    time.
    """

    kind: AlertKind
    subject_key: str
    certainty: Certainty
    evidence_key: str
    evidence_on: date
    is_percent: Decimal | None = None
    days_off_treatment: int | None = None
    highest_percent: Decimal | None = None
    doubling_days: Decimal | None = None
    closing: Closing | None = None

    @property
    def level_percent(self) -> int:
        """The higher of the lines 1 % and 10 % IS that later values have passed, 0 for none. Each line is told
        again.
        """
        return max((line for line in RISE_LINES_PERCENT if (self.highest_percent or 0) > line), default=0)

    def is_told_again(self, told: Certainty, told_level_percent: int) -> bool:
        """Whether people must be told again: the loss is more certain than they were told, or has passed 1 % or 10 %
        IS.
        """
        return _ORDER.index(self.certainty) > _ORDER.index(told) or self.level_percent > told_level_percent
