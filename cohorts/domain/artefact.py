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
            columns[name] = _texts(chunks.combine_chunks())
        elif pa.types.is_integer(chunks.type):
            columns[name] = chunks.to_numpy().astype(np.int64)
        else:
            columns[name] = chunks.to_numpy()
    return MemberTable(columns, groupings)


def _texts(values: pa.Array) -> Column:
    """Texts in which equal ones are one object: a registry's rows say the same few words a million times."""
    coded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    words: Column = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
    chosen: Column = words[coded.indices.fill_null(len(words) - 1).to_numpy()]
    return chosen


def _grouping(values: pa.Array) -> Grouping:
    words = values.dictionary.to_pylist()
    used = set(np.unique(values.indices.drop_null().to_numpy()).tolist())
    labels = in_label_order({word for number, word in enumerate(words) if number in used})
    position = [labels.index(word) if word in labels else -1 for word in words]
    codes = np.array([*position, -1], dtype=np.int64)[values.indices.fill_null(len(words)).to_numpy()]
    return Grouping(labels, codes)


def centres_of(raw: bytes) -> tuple[Column, Bools]:
    """The centre of each row and whether it is a member, without reading the rest."""
    file = pq.read_table(io.BytesIO(raw), columns=["centre", "exclusion_reason"])
    centre, reason = (
        file.column(name).cast(pa.string()).to_numpy(zero_copy_only=False) for name in ("centre", "exclusion_reason")
    )
    return centre, np.asarray(reason == "", dtype=bool)
