"""Which rows of a results file are plain: written so that they can be stored without being parsed.

Nothing in a plain row could be refused for its spelling, normalised or noted. One regular expression, made once from
the header, recognises the whole row. A row that is not plain is not wrong: ``reports`` parses it, and only ``reports``
judges unusual spellings. So this module admits no doubtful spelling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from monitoring.domain.vocabulary.measurement import Method
from monitoring.domain.vocabulary.scale import ControlGene, ResponseClass

SEPARATOR = "\t"  # stands in no cell of a plain row, no more than a line end or a backslash

# Printable ASCII without the backslash, Latin letters with their marks, Chinese characters; an error of a spreadsheet
# begins with a number sign.
_CHARACTER = r"[ -\[\]-~\u00c0-\u024f\u4e00-\u9fa5]"
# Digits before an E could be a long number that a spreadsheet has mangled.
_IDENTIFIER = rf"(?!#)(?![0-9.,]+[eE]){_CHARACTER}{{1,60}}"
# Any day of any year that exists in every year: the 29th of February is left to the calendar.
_DAY = (
    r"(?:19[0-9]{2}|20[0-9]{2})-"
    r"(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)


def _text(longest: int) -> str:
    return rf"(?:(?!#){_CHARACTER}{{1,{longest}}})?"


def _words(words: Iterable[str]) -> str:
    return "(?:" + "|".join(re.escape(word) for word in words if word) + ")?"


# 52.000 could be fifty-two thousand.
_COUNT = r"(?![1-9][0-9]{0,2}\.[0-9]{3}(?![0-9]))"


def _above_zero(digits: int) -> str:
    """A number that is not 0, with so many digits before the point."""
    return rf"(?:[1-9][0-9]{{0,{digits - 1}}}(?:\.[0-9]{{1,9}})?|0\.0{{0,9}}[1-9][0-9]{{0,9}})"


_PATTERNS = {
    "laboratory": _IDENTIFIER,
    "accession_number": _IDENTIFIER,
    "patient_id": _IDENTIFIER,
    "centre": f"(?:{_IDENTIFIER})?",
    "collected_on": _DAY,
    "received_on": f"(?:{_DAY})?",
    "tested_on": f"(?:{_DAY})?",
    "control_gene": _words(ControlGene),
    "replicate": "(?:[1-9][0-9]?)?",
    "bcr_abl1_copies": f"(?:nd|{_COUNT}{_above_zero(9)})?",
    "control_gene_copies": rf"(?:{_COUNT}(?:0|[1-9][0-9]{{0,8}}(?:\.[0-9]{{1,9}})?))?",
    "is_percent": f"(?:[<>]? ?{_above_zero(4)})?",
    "mr_value": r"(?:[0-9](?:\.[0-9]{1,9})?)?",
    "reported_class": _words(ResponseClass),
    "limit_of_detection": f"(?:{_above_zero(4)})?",
    "limit_of_quantification": f"(?:{_above_zero(4)})?",
    "method": _words(Method),
    "assay": _text(100),
    "kit_lot": _text(60),
    "run": f"(?:{_IDENTIFIER})?",
    "specimen": _words(("PB", "BM")),
    "conversion_factor": f"(?:{_above_zero(2)})?",
    "run_valid": _words(("true", "false", "yes", "no")),
    "status": _words(("final",)),
    "version": "1?",
}


def plain_row_pattern(names: Sequence[str]) -> re.Pattern[str] | None:
    """What a plain row of a file with these columns looks like, its cells joined by ``SEPARATOR``.

    A column without a pattern is empty in a plain row: times with their zones, stated detection, reasons of changes.
    None where no row can be plain because the file has no day of collection.
    """
    if "collected_on" not in names:
        return None
    return re.compile(SEPARATOR.join(_PATTERNS.get(name, "") for name in names))
