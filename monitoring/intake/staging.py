"""A file of any size in a temporary table: rows of one record come out together, whatever their order in the file.

The table belongs to a database session of its own, so that the storing session can commit chunk by chunk.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType

from django.utils.translation import gettext as _
from psycopg import sql

from monitoring.intake.columns import NUMBER_COLUMNS
from monitoring.intake.file_problems import Wrong
from monitoring.intake.numbers import AMBIGUOUS, PROOFS
from monitoring.intake.plain import SEPARATOR
from monitoring.intake.tables import Table, TableRow
from monitoring.services.foundation.sessions import own_session

RUN_LOCKS = 727_003  # the class of the locks by which running imports are told from killed ones
FETCH_ROWS = 5000
COPY_ROWS = 1000
# Sorting a file is the only heavy query of the session; without this even small files are sorted on disk.
_SORT_MEMORY = "64MB"
# What is wrong with a row: the fields of ``file_problems.Wrong``.
_WRONG_NAMES = ("wrong_column", "wrong_value", "wrong_reason")
_WRONG = sql.SQL(", ").join(map(sql.Identifier, _WRONG_NAMES))
_WRONG_COLUMNS = sql.SQL(", ").join(sql.Identifier(name) + sql.SQL(" text") for name in _WRONG_NAMES)
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class Staging:
    """The rows of one file, and the refusals of its rows, in temporary tables.

    ``fill`` reads the file and numbers its records from 1 in order of their key; the other methods name records by
    number.
    """

    def __init__(self) -> None:
        self._session = own_session()
        self._session.execute("set idle_in_transaction_session_timeout = 0")
        self._session.execute(f"set work_mem = '{_SORT_MEMORY}'".encode())
        self._session.execute("create temporary table refusal (line integer, col text, value text, reason text)")
        self._names: tuple[str, ...] = ()
        self._typed = False
        self.records_count = 0

    def stands_for(self, run_id: int) -> None:
        """Hold a lock that says this run is at work; it ends with the session, however the process ends."""
        self._session.execute("select pg_advisory_lock(%s, %s)", [RUN_LOCKS, run_id])

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def fill(
        self, table: Table, keys: Sequence[str], plain: re.Pattern[str] | None = None, *, in_parts: bool = False
    ) -> int:
        """Read all rows of the file; returns how many. ``keys`` are the columns that name a record.

        A record is plain when each of its rows matches the pattern. With ``in_parts`` a record may have several rows. A
        row without its whole key may then belong to the nearest record above, or to one with the same last key:
        those records are marked as wrong.
        """
        self._names = table.names
        columns = sql.SQL(", ").join(sql.Identifier(name) + sql.SQL(" text") for name in table.names)
        self._session.execute(
            sql.SQL("create temporary table staged (line integer, {}, plain boolean, {})").format(
                _WRONG_COLUMNS, columns
            )
        )
        count = 0
        lines = (_copy_line(*row, plain, len(table.names)) for row in table.rows)
        with self._session.cursor() as cursor, cursor.copy("copy staged from stdin") as copy:
            while block := list(itertools.islice(lines, COPY_ROWS)):
                copy.write("".join(block))
                count += len(block)
        named = [key for key in keys if key]
        if in_parts:
            self._mark_what_may_lack_a_row(named)
        self._number_records(named)
        self._typed = table.typed
        return count

    def _mark_what_may_lack_a_row(self, keys: Sequence[str]) -> None:
        given = [sql.SQL("coalesce({}, '') <> ''").format(sql.Identifier(key)) for key in keys]
        known = sql.SQL(" and ").join(given)
        orphan = self._session.execute(sql.SQL("select 1 from staged where not ({}) limit 1").format(known))
        if orphan.fetchone() is None:
            return
        own = sql.Identifier(keys[-1])
        reason = _(
            "line %(line)s does not name its accession and may be a replicate of this one; a result is stored whole "
            "or not at all"
        )
        self._session.execute(
            sql.SQL("""
                with marked as (
                    select line, {own} as own, {known} as is_known,
                           max(line) filter (where {known}) over (order by line) as line_above
                      from staged
                ), orphan as (select * from marked where not is_known)
                update staged set wrong_column = %s, wrong_value = coalesce(staged.{own}, ''), plain = false,
                                  wrong_reason = replace(%s, '{{line}}', orphan.line::text)
                  from orphan
                 where {known} and wrong_reason = ''
                   and (staged.line = orphan.line_above or nullif(orphan.own, '') = staged.{own})
            """).format(own=own, known=known),
            [keys[-1], reason % {"line": "{line}"}],
        )  # fmt: skip

    def decimal_mark(self) -> str:
        """The decimal mark that the numbers of the file show; empty where no number depends on it."""
        columns = [name for name in NUMBER_COLUMNS if name in self._names]
        if self._typed or not columns:
            return ""

        def any_like(pattern: str) -> sql.Composed:
            like = [sql.SQL("{} ~ {}").format(sql.Identifier(name), sql.Literal(pattern)) for name in columns]
            return sql.SQL("exists (select 1 from numbered where {})").format(sql.SQL(" or ").join(like))

        doubtful = self._session.execute(sql.SQL("select {}").format(any_like(AMBIGUOUS))).fetchone()
        if not (doubtful and doubtful[0]):
            return ""
        shown = [
            mark
            for mark, proof in PROOFS.items()
            if (row := self._session.execute(sql.SQL("select {}").format(any_like(proof))).fetchone()) and row[0]
        ]
        return shown[0] if len(shown) == 1 else ""

    def _number_records(self, keys: Sequence[str]) -> None:
        """Number the records. Keys are compared by their bytes, so that the order is the same in every database."""
        key = sql.SQL(", ").join(
            sql.SQL("""coalesce({}, '') collate "C" """).format(sql.Identifier(name)) for name in keys
        )
        self._session.execute(
            sql.SQL("""
                create temporary table numbered as
                select dense_rank() over (order by {key}) as record,
                       row_number() over (partition by {key} order by line, ctid) as position,
                       bool_and(plain) over (partition by {key}) as whole_plain,
                       staged.*
                  from staged
            """).format(key=key)
        )
        self._session.execute("drop table staged")
        self._session.execute("create index on numbered (record)")
        self._session.execute("analyze numbered (record)")
        row = self._session.execute("select coalesce(max(record), 0) from numbered").fetchone()
        self.records_count = row[0] if row else 0

    def plain_rows(self, first: int, last: int) -> bytes:
        """The rows of the plain records between two numbers as COPY reads them: record, position and all cells.

        One value, because fetching row by row costs more than building the text. No plain cell needs an escape.
        """
        query = sql.SQL("""
            select convert_to(string_agg(concat_ws(E'\\t', record, position, {}), E'\\n' order by record, position),
                              'UTF8')
              from numbered where record between %s and %s and whole_plain
        """).format(sql.SQL(", ").join(map(sql.Identifier, self._names)))
        with self._session.cursor(binary=True) as cursor:
            row = cursor.execute(query, [first, last]).fetchone()
        return bytes(row[0]) if row and row[0] else b""

    def records(self, first: int, last: int, *, but: Sequence[int] | None = None) -> Iterator[list[TableRow]]:
        """The rows of each record between two numbers together, in order of line; records in order of their number.

        With ``but`` the plain records are left out, except those that it names.
        """
        columns = sql.SQL(", ").join(map(sql.Identifier, self._names))
        query = sql.SQL("""
            select record, line, {}, {} from numbered
             where record between %s and %s
               and (%s::integer[] is null or not whole_plain or record = any(%s::integer[]))
             order by record, position
        """).format(_WRONG, columns)
        named = None if but is None else list(but)
        with self._session.cursor(name="records") as cursor:
            cursor.itersize = FETCH_ROWS
            cursor.execute(query, [first, last, named, named])
            for _record, group in itertools.groupby(cursor, key=lambda row: row[0]):
                yield [
                    TableRow(line, self._cells(cells), Wrong(column, value, reason) if reason else None)
                    for _record, line, column, value, reason, *cells in group
                ]

    def _cells(self, values: Sequence[str | None]) -> dict[str, str]:
        """Cells by name; cells missing at the end of a short row are absent."""
        return {name: value for name, value in zip(self._names, values, strict=True) if value is not None}

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


def _copy_line(line: int, cells: list[str], problem: Wrong | None, plain: re.Pattern[str] | None, width: int) -> str:
    """A row as COPY reads it. A plain row, as most rows are, needs no escapes."""
    joined = SEPARATOR.join(cells)
    if plain is not None and not problem and plain.fullmatch(joined):
        return f"{line}\t\t\t\tt\t{joined}\n"
    texts = [cell.translate(_ESCAPES) for cell in (*(problem or ("", "", "")), "f", *cells)]
    return "\t".join([str(line), *texts, *["\\N"] * (width - len(cells))]) + "\n"
