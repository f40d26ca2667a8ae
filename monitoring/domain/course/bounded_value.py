"""What a result says about % IS: a number, or only that it lies below or above a limit."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from monitoring.domain.course.series import Assessed
from monitoring.domain.vocabulary.scale import CLASS_LIMIT_PERCENT, MMR_LIMIT_PERCENT, ResponseClass


@dataclass(frozen=True, slots=True)
class KnownValue:
    """``is_percent``, or a value strictly below ``below`` (not detected, below a limit) or strictly above ``above``."""

    is_percent: Decimal | None = None
    below: Decimal | None = None
    above: Decimal | None = None

    def is_above(self, limit: Decimal, *, inclusive: bool = False) -> bool | None:
        """Whether the value is above the limit (or at it, where inclusive); None where the result does not say."""
        if self.is_percent is not None:
            return self.is_percent > limit or (inclusive and self.is_percent == limit)
        if self.below is not None and self.below <= limit:
            return False
        return True if self.above is not None and self.above >= limit else None

    def is_below(self, limit: Decimal, *, inclusive: bool = False) -> bool | None:
        """Whether the value is below the limit (or at it, where inclusive); None where the result does not say."""
        above = self.is_above(limit, inclusive=not inclusive)
        return None if above is None else not above

    def __str__(self) -> str:
        if self.is_percent is not None:
            return f"{self.is_percent.normalize():f}"
        return f"<{self.below}" if self.below is not None else f">{self.above}"


def known_value(item: Assessed) -> KnownValue:
    """What a classed result says: its number, the limit of its class, or the lower limit of a value above range."""
    score, reported = item.score, item.result.measurement.reported
    if score.is_percent is not None:
        return KnownValue(is_percent=score.is_percent)
    if score.response_class is ResponseClass.NO_MMR:
        return KnownValue(above=(reported.is_percent if reported.comparator == ">" else None) or MMR_LIMIT_PERCENT)
    return KnownValue(below=CLASS_LIMIT_PERCENT.get(score.response_class))
