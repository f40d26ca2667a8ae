"""A file of any size in a temporary table: rows of one record come out together, whatever their order in the file.

The table lives in a session of its own, beside the one that stores, so that chunks commit one by one.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType

from monitoring.intake.tables import TableRow
from monitoring.services.sessions import own_session

FETCH_ROWS = 5000


class Staging:
    """The rows of one file, and the refusals of its rows, in temporary tables."""

    def __init__(self) -> None:
        self._session = own_session()
        self._session.execute("set idle_in_transaction_session_timeout = 0")
        self._session.execute(
            "create temporary table staged (key1 text, key2 text, key3 text, line integer, cells text, problem text)"
        )
        self._session.execute("create temporary table refusal (line integer, col text, value text, reason text)")

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def fill(self, rows: Iterable[TableRow], keys: Sequence[str]) -> int:
        """Take in all rows of the file; returns how many. ``keys`` are the columns that name a record."""
        count = 0
        with self._session.cursor() as cursor, cursor.copy("copy staged from stdin") as copy:
            for row in rows:
                names = [row.cells.get(key, "").strip() for key in keys]
                copy.write_row((*names, row.line, json.dumps(row.cells, ensure_ascii=False), row.problem))
                count += 1
        return count

    def records(self) -> Iterator[list[TableRow]]:
        """The rows of each record together, in order of line; records in order of their key."""
        with self._session.cursor(name="records") as cursor:
            cursor.itersize = FETCH_ROWS
            cursor.execute("select key1, key2, key3, line, cells, problem from staged order by key1, key2, key3, line")
            for _, group in itertools.groupby(cursor, key=lambda row: row[:3]):
                yield [TableRow(line, json.loads(cells), problem) for *_, line, cells, problem in group]

    def refuse(self, rows: Iterable[tuple[int, str, str, str]]) -> None:
        """Keep refusals: line, column, value, reason."""
        with self._session.cursor() as cursor, cursor.copy("copy refusal from stdin") as copy:
            for row in rows:
                copy.write_row(row)

    def refusals(self) -> Iterator[tuple[int, str, str, str]]:
        """All refusals in order of line."""
        with self._session.cursor(name="refusals") as cursor:
            cursor.execute("select line, col, value, reason from refusal order by line, col")
            yield from cursor
