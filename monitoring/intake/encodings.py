"""In which encoding a text file is written, as far as its bytes prove it."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from django.utils.translation import gettext as _

_BLOCK_BYTES = 1 << 16
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
# Western text that is read as GB18030 gives single characters in the middle of Latin words.
_NO_CHINESE_TEXT = re.compile(r"[A-Za-z][^\x00-\x7f]|[^\x00-\x7f][A-Za-z]|[\x80-\u2fff\ue000-\uf8ff]")
_CHINESE_SIGNS = str.maketrans("", "", "·—‘’“”…、。《》≤≥±×°μ")


class EncodingProblem(Exception):
    """The bytes are no text that can be read without guessing; the message says why and what to do."""


def encoding_of(path: Path) -> tuple[str, str]:
    """The encoding of a file, and a note where it is not plain UTF-8. Raises ``EncodingProblem``.

    GB18030 is taken only where every character then stands among Chinese text: almost any bytes can be read as it.
    """
    with path.open("rb") as handle:
        start = handle.read(4)
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            _check(path, encoding)
            note = "" if encoding == "utf-8-sig" else _("the file is UTF-16 text and was read as that")
            return encoding, note
    if b"\x00" in start:
        raise EncodingProblem(_("the file looks like UTF-16; save it as CSV UTF-8"))
    wrong = _first_wrong_byte(path)
    if wrong is None:
        return "utf-8", ""
    line, byte = wrong
    if _is_chinese(path):
        return "gb18030", _("the file is Chinese text in GB18030 and was read as that")
    values = {"line": line, "byte": f"{byte:#x}"}
    raise EncodingProblem(_("line %(line)s is not UTF-8 text (byte %(byte)s); save the file as CSV UTF-8") % values)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK_BYTES):
            yield block


def _check(path: Path, encoding: str) -> None:
    """Decode the whole file once, so that a wrong byte is found before any row is used."""
    decoder = codecs.getincrementaldecoder(encoding)()
    lines = 1
    try:
        for block in _blocks(path):
            lines += decoder.decode(block).count("\n")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as problem:
        values = {"line": lines, "byte": f"{problem.object[problem.start]:#x}"}
        words = _("line %(line)s or one after it holds a byte that is no text (%(byte)s); save the file as CSV UTF-8")
        raise EncodingProblem(words % values) from None


def _first_wrong_byte(path: Path) -> tuple[int, int] | None:
    """The line and the value of the first byte that is not UTF-8; None where all are."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines = 1
    try:
        for block in _blocks(path):
            lines += decoder.decode(block).count("\n")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as problem:
        before = problem.object[: problem.start].decode("utf-8", "replace")
        return lines + before.count("\n"), problem.object[problem.start]
    return None


def _is_chinese(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("gb18030")()
    try:
        text = "".join(map(decoder.decode, _blocks(path))) + decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return _NO_CHINESE_TEXT.search(text.translate(_CHINESE_SIGNS)) is None
