"""Numbers as people and spreadsheets write them: one grammar for files, pages and programs.

A text is read only where it can mean one number. A mark before exactly three digits could separate thousands or
decimals: it is read where only one of the two is within bounds, or where other numbers of the file show its decimal
mark.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from monitoring.domain.vocabulary.bounds import Bounds

_PLAIN = re.compile(r"\d+(\.\d+)?|\.\d+", re.ASCII)
_COMMA = re.compile(r"\d+,\d+|,\d+", re.ASCII)
_EXPONENT = re.compile(r"(\d+)([.,]\d+)?[eE]([+-]?\d{1,2})", re.ASCII)
# Groups of three after one to three digits that do not begin with 0: nothing else is a thousands mark.
_BLANKED = re.compile(r"[1-9]\d{0,2}(?:([ '])\d{3})(?:\1\d{3})*([.,]\d+)?", re.ASCII)
_MARKED = re.compile(
    r"[1-9]\d{0,2}(?:([.,])\d{3})(?:\1\d{3})+|[1-9]\d{0,2}(?:,\d{3})+\.\d+|[1-9]\d{0,2}(?:\.\d{3})+,\d+", re.ASCII
)
# What shows the decimal mark of a file: digits before or after it that no group of thousands has. Also read by SQL.
_PROOF = "^[<>]? ?(0{mark}[0-9]+|[0-9]{{4,}}{mark}[0-9]+|[0-9]{{1,3}}{mark}([0-9]{{1,2}}|[0-9]{{4,}})) ?%?$"
PROOFS = {".": _PROOF.format(mark="[.]"), ",": _PROOF.format(mark=",")}
AMBIGUOUS = "^[1-9][0-9]{0,2}[.,][0-9]{3}$"
_EITHER = re.compile(AMBIGUOUS)
_MOST_DIGITS = 30
_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "´": "'", "−": "-", "≦": "≤", "≧": "≥"})
_WIDTHS = ("<wide>", "<narrow>", "<noBreak>")


class NotANumber(ValueError):
    """A text that is no number, or could be two; ``code`` says which, ``values`` with what."""

    def __init__(self, code: str, **values: str) -> None:
        super().__init__(code)
        self.code = code
        self.values = values


@dataclass(frozen=True, slots=True)
class Read:
    """A number, and whether it was not written plainly, so that a note says how it was read."""

    number: Decimal
    normalised: bool


def in_one_width(text: str) -> str:
    """Full-width digits and signs, and every kind of blank, in their plain form; everything else unchanged.

    A superscript or a fraction stays what it is: 10³ is not 103.
    """
    if text.isascii():
        return text
    return "".join(map(_plain_character, text)).translate(_APOSTROPHES)


def _plain_character(character: str) -> str:
    if character.isspace():
        return " "
    decomposition = unicodedata.decomposition(character)
    return unicodedata.normalize("NFKC", character) if decomposition.startswith(_WIDTHS) else character


def decimal_mark_of(cells: Iterable[str]) -> str:
    """The decimal mark that the numbers of a file show, as 0.5 or 12,25 do; empty for none or both."""
    cells = list(cells)
    shown = [mark for mark, proof in PROOFS.items() if any(re.match(proof, cell) for cell in cells)]
    return shown[0] if len(shown) == 1 else ""


def read_number(text: str, bounds: Bounds, *, decimal_mark: str = "", negative: bool = False) -> Read:
    """The one number that a text can mean within the bounds of its column. Raises ``NotANumber``.

    ``decimal_mark`` is the mark that the file has shown.
    """
    plain = in_one_width(text).strip()
    sign = ""
    if negative and plain.startswith("-"):
        sign, plain = "-", plain[1:].strip()
    digits = _digits(plain, text, bounds, decimal_mark)
    if len(digits) > _MOST_DIGITS:
        raise NotANumber("digits")
    return Read(Decimal(sign + digits), digits != text.strip().removeprefix("-"))


def _digits(plain: str, text: str, bounds: Bounds, decimal_mark: str) -> str:
    """The text as digits with a decimal point."""
    if _EITHER.match(plain):
        return _one_of_both(plain, bounds, decimal_mark)
    if _PLAIN.fullmatch(plain):
        return plain
    if _COMMA.fullmatch(plain):
        return plain.replace(",", ".")
    if matched := _EXPONENT.fullmatch(plain):
        whole, fraction, exponent = matched.groups()
        return format(Decimal(f"{whole}{(fraction or '').replace(',', '.')}E{exponent}"), "f")
    if _BLANKED.fullmatch(plain):
        return plain.replace(" ", "").replace("'", "").replace(",", ".")
    if _MARKED.fullmatch(plain):
        last = max(plain.rfind("."), plain.rfind(","))
        if plain.count(plain[last]) > 1:  # a mark that stands twice parts thousands
            return plain.replace(plain[last], "")
        other = "," if plain[last] == "." else "."
        return plain.replace(other, "").replace(plain[last], ".")
    raise NotANumber("form")


def _one_of_both(plain: str, bounds: Bounds, decimal_mark: str) -> str:
    mark = "," if "," in plain else "."
    whole, decimal = plain.replace(mark, ""), plain.replace(mark, ".")
    if decimal_mark:
        return decimal if mark == decimal_mark else whole
    possible = [digits for digits in (whole, decimal) if bounds.least <= Decimal(digits) < bounds.limit]
    if len(possible) == 2:
        raise NotANumber("ambiguous", whole=whole, decimal=decimal, mark=mark)
    return possible[0] if possible else decimal


def unmistakable(number: Decimal) -> str:
    """A number as plain digits that can be read in one way only: 123.456 as 123.4560."""
    digits = format(number, "f")
    return digits + "0" if _EITHER.match(digits) else digits
