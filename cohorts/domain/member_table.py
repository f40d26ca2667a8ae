"""The rows of a cohort as columns: what every figure reads, what is frozen, and the file of members."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohorts.domain.columns import CSV_COLUMNS
from cohorts.domain.definition import AGES, DURATIONS, Factor
from cohorts.domain.engine.arrays import Bools, Ints, Times
from monitoring.domain.vocabulary.dates import months_of

ENDS = ("loss_of_mmr", "restart", "death", "transplant", "progression")  # what may end a remission
# Members that are counted separately: their remission may not be treatment-free, or not as deep as it seems.
APART = ("TRANSCRIPT_NEVER_SEEN", "OTHER_DRUG_AFTER_STOP", "DMR_ACROSS_GAP")
# Of an excluded episode only what is known of the stop is written.
_OF_MEMBERS = ("end_on", "days", "months", "event", "end_reason")

Column = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Grouping:
    """The group of each row by a factor: a position among the labels, -1 where it is not known."""

    labels: tuple[str, ...]
    codes: Ints

    def of(self, chosen: Bools | Ints) -> Grouping:
        return Grouping(self.labels, self.codes[chosen])

    @property
    def known(self) -> Bools:
        return self.codes >= 0


@dataclass(frozen=True, slots=True)
class MemberTable:
    """Members and excluded episodes, a column each, in an order of their own: by centre, patient and stop.

    Dates are days (NaT where there is none), numbers NaN where they are not known, ``days`` -1 without an observation.
    """

    columns: Mapping[str, Column]
    groupings: Mapping[str, Grouping]

    def __len__(self) -> int:
        return len(self.columns["stopped_on"])

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def of(self, chosen: Bools | Ints) -> MemberTable:
        """Some of the rows; the same table, and no copy of it, where they are all of them."""
        if chosen.dtype == bool and chosen.all():
            return self
        return MemberTable(
            {name: column[chosen] for name, column in self.columns.items()},
            {name: grouping.of(chosen) for name, grouping in self.groupings.items()},
        )

    @property
    def included(self) -> Bools:
        return np.asarray(self["exclusion_reason"] == "")

    @property
    def members(self) -> MemberTable:
        return self.of(self.included)

    @property
    def times(self) -> Times:
        """What was observed of members."""
        return Times(self["days"], self["event"])

    @property
    def patients(self) -> Ints:
        """The patients of the rows as numbers; several attempts of one patient share it."""
        names = np.char.add(np.char.add(self["centre"].astype(str), "/"), self["patient_id"].astype(str))
        return np.unique(names, return_inverse=True)[1] if len(self) else np.array([], np.int64)

    def is_known(self, factor: Factor) -> Bools:
        """Which rows have a value of a factor."""
        if factor.is_category or factor.cut is not None:
            return self.groupings[factor.id].known
        return ~np.isnan(self[factor.column])


def in_label_order(labels: Collection[str]) -> tuple[str, ...]:
    """Groups of a cut in the order ``>=``, ``<``, categories by their label."""
    return tuple(sorted(labels, key=lambda label: (label.startswith("<"), label)))


# --- the file of members -----------------------------------------------------------------------------------------

ROWS_AT_A_TIME = 10_000


def csv_rows(table: MemberTable) -> Iterator[dict[str, str]]:
    """The rows of the member file as texts, what is not known empty; a part of the table at a time."""
    for start in range(0, len(table), ROWS_AT_A_TIME):
        part = table.of(np.arange(start, min(start + ROWS_AT_A_TIME, len(table))))
        texts = {name: _texts(part, name) for name in CSV_COLUMNS}
        for name in _OF_MEMBERS:
            texts[name] = np.where(part.included, texts[name], "")
        for row in zip(*(texts[name] for name in CSV_COLUMNS), strict=True):
            yield dict(zip(CSV_COLUMNS, map(str, row), strict=True))


def _texts(table: MemberTable, name: str) -> Column:
    """A column as it is written; what is not known is empty."""
    if name == "included":
        return _truths(table.included)
    if name == "months":
        return np.array([months_of(int(days)) for days in table["days"]], dtype=object)
    if name == "groups":
        return _groups(table)
    column = table[name]
    if column.dtype == bool:
        return _truths(column)
    if column.dtype.kind == "M":
        return np.where(np.isnat(column), "", column.astype(str)).astype(object)
    if name in AGES:
        return np.array(["" if np.isnan(years) else int(years) for years in column], dtype=object)
    if name in DURATIONS:
        return np.array(["" if np.isnan(months) else float(months) for months in column], dtype=object)
    return column.astype(object)


def _groups(table: MemberTable) -> Column:
    named = [
        [f"{factor}={g.labels[code] if code >= 0 else ''}" for code in g.codes] for factor, g in table.groupings.items()
    ]
    joined = [";".join(parts) for parts in zip(*named, strict=True)] if named else [""] * len(table)
    return np.array(joined, dtype=object)


def _truths(flags: Bools) -> Column:
    return np.where(flags, "true", "false").astype(object)
