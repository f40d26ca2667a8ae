"""Whether a conversion factor can be one of a laboratory, by those it has registered."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

# Half-way, in log10, to a slip of two decimal places; factors of one laboratory differ by far less.
MOST_TIMES = 30

# Laboratories on the International Scale have factors of about 0.2 to 2.5 (Branford 2008, Blood 112:3330); one beyond
# these lines is asked about before it is registered.
LEAST_USUAL, MOST_USUAL = Decimal("0.1"), Decimal(10)


def is_unusual(factor: Decimal) -> bool:
    """Whether a factor lies far outside what laboratories have."""
    return not LEAST_USUAL <= factor <= MOST_USUAL


def slipped(factor: Decimal) -> Decimal:
    """The factor that may have been meant: the same digits with the decimal mark where factors usually have it."""
    while factor > MOST_USUAL / 5:
        factor /= 10
    while factor < LEAST_USUAL:
        factor *= 10
    return factor.normalize()


def usual_instead(factor: Decimal, registered: Collection[Decimal]) -> Decimal | None:
    """The registered factor that a given one is too far away from, None where it is near one of them, or none is
    known.
    """
    if not registered or any(known / MOST_TIMES < factor < known * MOST_TIMES for known in registered):
        return None
    return max(registered)
