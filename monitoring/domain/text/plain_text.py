"""Text that is safe in a header, a code or a line of a file: no control, invisible or line-separating characters."""

from __future__ import annotations

import re
import unicodedata

# Unicode's control, format, surrogate, private and unassigned characters, and its own line and paragraph separators.
_LINE_SEPARATORS = ("Zl", "Zp")
# The same as ranges for PostgreSQL, which has no Unicode categories: C0, C1, and the format characters in use.
ODD_RANGES = (
    (0x01, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x600, 0x605), (0x61C, 0x61C), (0x180E, 0x180E), (0x200B, 0x200F),
    (0x2028, 0x202E), (0x2060, 0x206F), (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB), (0xE0001, 0xE007F),
)  # fmt: skip
_RUNS_OF_SPACE = re.compile(r"\s+")


def is_odd(character: str) -> bool:
    """Whether a character is a control character, is invisible, or ends a line."""
    category = unicodedata.category(character)
    return category.startswith("C") or category in _LINE_SEPARATORS


def odd_characters(text: str) -> list[str]:
    """The names of a text's odd characters as ``U+2028``, each once, in order of appearance."""
    if text.isascii() and text.isprintable():
        return []
    return list(dict.fromkeys(f"U+{ord(c):04X}" for c in text if is_odd(c)))


def without_odd(text: str, instead: str = " ") -> str:
    """The text on one line, with each odd character replaced and runs of spaces collapsed."""
    return _RUNS_OF_SPACE.sub(" ", "".join(instead if is_odd(c) else c for c in text)).strip()


def plain_pattern() -> str:
    """A regular expression of PostgreSQL for a text without odd characters."""
    odd = "".join(f"\\U{first:08X}-\\U{last:08X}" for first, last in ODD_RANGES)
    return f"^[^{odd}]+$"
