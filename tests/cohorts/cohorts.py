"""Cohorts of made-up patients: their rows one by one, and their figures."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cohorts.domain.definition import Definition
from cohorts.domain.figures.compute import compute_figures
from cohorts.domain.member_table import APART, MemberTable
from cohorts.domain.members import cohort_of
from cohorts.domain.readings import Columns, read_histories
from monitoring.domain.following.reading import PatientHistory


def readings(histories: Iterable[PatientHistory], definition: Definition, as_of: dt.date) -> Columns:
    known = (history.until(as_of) for history in histories)
    return read_histories(known, definition.event_rule, definition.dmr)


def table_of(
    histories: Iterable[PatientHistory], definition: Definition, as_of: dt.date
) -> tuple[MemberTable, Mapping[str, int]]:
    return cohort_of(readings(histories, definition, as_of), definition)


def figures_of(histories: Iterable[PatientHistory], definition: Definition, as_of: dt.date) -> dict[str, Any]:
    table, passed_over = table_of(histories, definition, as_of)
    return compute_figures(table, definition, as_of, passed_over)


@dataclass
class Row:
    """One row of a cohort, as a test reads it."""

    table: MemberTable
    position: int

    def __getattr__(self, name: str) -> Any:
        return self.table[name][self.position]

    @property
    def included(self) -> bool:
        return bool(self.table.included[self.position])

    @property
    def apart(self) -> tuple[str, ...]:
        return tuple(reason for reason in APART if self.table[reason][self.position])

    def group(self, factor_id: str) -> str | None:
        grouping = self.table.groupings[factor_id]
        code = int(grouping.codes[self.position])
        return grouping.labels[code] if code >= 0 else None


def rows_of(histories: Iterable[PatientHistory], definition: Definition, as_of: dt.date) -> list[Row]:
    table, _passed_over = table_of(histories, definition, as_of)
    return [Row(table, position) for position in range(len(table))]
