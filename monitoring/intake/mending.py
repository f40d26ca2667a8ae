"""The refused rows of a file as a file of their own, with the reasons beside them, to be mended and given again."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from monitoring.domain.text.spreadsheet import as_cell
from monitoring.intake.columns import NUMBER_COLUMNS, REFUSED_BECAUSE
from monitoring.intake.numbers import AMBIGUOUS, unmistakable
from monitoring.intake.tables import TableRow


class RefusedRows:
    """The refused rows in the order in which they were refused, compressed as they come.

    Every row of a refused accession is there, because a result is stored whole. Rows of the file are written with its
    own columns; one row of the file that held several replicates is written as one row each.
    """

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._text = io.TextIOWrapper(gzip.GzipFile(fileobj=self._buffer, mode="wb", mtime=0), "utf-8", newline="")
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._names: Sequence[str] = ()

    def take(self, rows: Iterable[TableRow], reasons: Mapping[int, str], names: Sequence[str], mark: str) -> None:
        """Add rows of one record. ``mark`` is the decimal mark that the whole file has shown."""
        if not self._names:
            self._names = names
            self._writer.writerow([*names, REFUSED_BECAUSE])
        for row in rows:
            cells = [_alone(name, row.cells.get(name, ""), mark) for name in names]
            self._writer.writerow([as_cell(cell) for cell in (*cells, reasons.get(row.line, ""))])

    def packed(self) -> bytes:
        """The file, compressed; empty where nothing was refused."""
        self._text.close()
        return self._buffer.getvalue() if self._names else b""


def _alone(name: str, cell: str, mark: str) -> str:
    """A cell that means the same without its neighbours: 1,500 of a file with decimal commas is 1.5000."""
    if not mark or name not in NUMBER_COLUMNS or not re.match(AMBIGUOUS, cell):
        return cell
    given = "," if "," in cell else "."
    return unmistakable(Decimal(cell.replace(given, "." if given == mark else "")))
