"""A word that is none of the known ones: the nearest of them, or all."""

from __future__ import annotations

import difflib
from collections.abc import Collection


def nearest(word: str, known: Collection[str]) -> str | None:
    """The known word that was most probably meant, None where none is near."""
    near = difflib.get_close_matches(word, known, n=1)
    return near[0] if near else None


def unknown_word(word: str, known: Collection[str], *, near: str, none_near: str) -> str:
    """``near``, a text with ``%(near)s``, or ``none_near``, a text with ``%(known)s``."""
    meant = nearest(word, known)
    return none_near % {"known": ", ".join(known)} if meant is None else near % {"near": meant}
