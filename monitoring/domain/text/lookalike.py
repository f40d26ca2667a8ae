"""Identifiers that a reader would take for one another: other case, other width, blanks, letters of another script."""

from __future__ import annotations

import unicodedata

LONGEST_LOOK = 200  # one written character may stand for many plain ones

# Greek and Cyrillic letters with the shape of a Latin one, and the dashes with the shape of a hyphen.
_SAME_SHAPE = str.maketrans(
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹανορυχικАВЕЅІЈКМНОРСТУХԛԝаеѕіјорсухһӏ‐‑‒–—−",
    "ABEZHIKMNOPTYXCavopuxikABESIJKMHOPCTYXqwaesijopcyxhl------",
)


def look_of(identifier: str) -> str:
    """What a reader sees of an identifier: two that look alike have the same look.

    Width, case, blanks and invisible characters are taken out, and letters of the same shape made one. Digits are
    never made letters: ``P01`` and ``PO1`` are both written in good faith.
    """
    flat = unicodedata.normalize("NFKC", identifier).translate(_SAME_SHAPE)
    seen = "".join(c for c in flat if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc", "Mn"))
    return seen.casefold()[:LONGEST_LOOK]
