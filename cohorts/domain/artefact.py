"""The rows of a cohort as a frozen file: Parquet, written and read here, readable by pandas and by R's arrow.

Imported where rows are frozen or thawed, not when the service starts: it loads Arrow.
"""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cohorts.domain.engine.arrays import Bools
from cohorts.domain.member_table import Column, Grouping, MemberTable, in_label_order

GROUP = "group."


def frozen(table: MemberTable) -> bytes:
    """Every row with all that the figures read. The same rows give the same bytes with the same version of Arrow."""
    columns = {name: _to_arrow(column) for name, column in table.columns.items()}
    for factor, grouping in table.groupings.items():
        codes = pa.array(grouping.codes.astype(np.int32), mask=grouping.codes < 0)
        columns[f"{GROUP}{factor}"] = pa.DictionaryArray.from_arrays(codes, pa.array(grouping.labels, pa.string()))
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    return buffer.getvalue()


def _to_arrow(column: Column) -> pa.Array:
    if column.dtype == object:
        return pa.array(column, type=pa.string()).dictionary_encode()
    if column.dtype.kind == "i":
        return pa.array(column.astype(np.int32))
    return pa.array(column, from_pandas=True)  # a number that is not known is null in the file


def is_artefact(raw: bytes) -> bool:
    """Whether these bytes are a frozen file of this kind; rows frozen earlier are a compressed CSV file."""
    return raw.startswith(b"PAR1")


def thawed(raw: bytes) -> MemberTable:
    """The rows of a frozen file, as they were."""
    file = pq.read_table(io.BytesIO(raw))
    columns: dict[str, Column] = {}
    groupings: dict[str, Grouping] = {}
    for name in file.column_names:
        chunks = file.column(name)
        if name.startswith(GROUP):
            groupings[name.removeprefix(GROUP)] = _grouping(chunks.combine_chunks())
        elif pa.types.is_dictionary(chunks.type) or pa.types.is_string(chunks.type):
            columns[name] = chunks.cast(pa.string()).to_numpy(zero_copy_only=False).astype(object)
        elif pa.types.is_integer(chunks.type):
            columns[name] = chunks.to_numpy().astype(np.int64)
        else:
            columns[name] = chunks.to_numpy()
    return MemberTable(columns, groupings)


def _grouping(values: pa.Array) -> Grouping:
    texts = values.cast(pa.string()).to_numpy(zero_copy_only=False)
    known = np.array([text is not None for text in texts], dtype=bool)
    labels = in_label_order(set(texts[known]))
    position = {label: number for number, label in enumerate(labels)}
    return Grouping(labels, np.array([position.get(text, -1) for text in texts], dtype=np.int64))


def centres_of(raw: bytes) -> tuple[Column, Bools]:
    """The centre of each row and whether it is a member, without reading the rest."""
    file = pq.read_table(io.BytesIO(raw), columns=["centre", "exclusion_reason"])
    centre, reason = (
        file.column(name).cast(pa.string()).to_numpy(zero_copy_only=False) for name in ("centre", "exclusion_reason")
    )
    return centre, np.asarray(reason == "", dtype=bool)
