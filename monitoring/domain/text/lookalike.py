"""Identifiers that a reader cannot tell apart: they differ only in case, width, blanks or the script of a letter."""

from __future__ import annotations

import unicodedata

LONGEST_LOOK = 200  # characters; normalising can make many of one

# Greek and Cyrillic letters with the shape of a Latin one, and the dashes with the shape of a hyphen.
_SAME_SHAPE = str.maketrans(
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹανορυχικАВЕЅІЈКМНОРСТУХԛԝаеѕіјорсухһӏ‐‑‒–—−",
    "ABEZHIKMNOPTYXCavopuxikABESIJKMHOPCTYXqwaesijopcyxhl------",
)


def look_of(identifier: str) -> str:
    """The look of an identifier: the same for two that a reader cannot tell apart.

    Differences of width and case, blanks and invisible characters are removed. Letters of the same shape become one
    letter. Digits never become letters: ``P01`` and ``PO1`` may both be intended.
    """
    flat = unicodedata.normalize("NFKC", identifier).translate(_SAME_SHAPE)
    seen = "".join(c for c in flat if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc", "Mn"))
    return seen.casefold()[:LONGEST_LOOK]
