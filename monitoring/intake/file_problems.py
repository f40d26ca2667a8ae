"""What is wrong with a file, or with a row of it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class FileProblem(Exception):
    """The file as a whole cannot be used; nothing of it was stored. The message says why and what to do.

    ``reason`` is the message without the name of the file.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message


def unusable(path: Path, reason: str) -> FileProblem:
    return FileProblem(f"{path}: {reason}", reason)


class Wrong(NamedTuple):
    """Why a row cannot be used as it stands in its file: the column (may be empty), what it holds, and the fix."""

    column: str
    value: str
    reason: str
