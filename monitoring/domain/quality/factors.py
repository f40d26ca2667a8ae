"""Whether a conversion factor can be one of a laboratory, by those it has registered."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

# Half-way, in log10, to a slip of two decimal places; factors of one laboratory differ by far less.
MOST_TIMES = 30


def usual_instead(factor: Decimal, registered: Collection[Decimal]) -> Decimal | None:
    """The registered factor that a given one is too far away from, None where it is near one of them, or none is
    known.
    """
    if not registered or any(known / MOST_TIMES < factor < known * MOST_TIMES for known in registered):
        return None
    return max(registered)
