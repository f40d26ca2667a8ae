"""A snapshot computed again from its own frozen rows: today's code and libraries, the rows of then."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from cohorts.domain.artefact import is_artefact, thawed
from cohorts.domain.definition_file import parse_definition
from cohorts.domain.figures.compute import compute_figures
from cohorts.domain.members import criteria_of
from cohorts.models import CohortSnapshot
from cohorts.services.recompute import versions, without_nan

SAME = 1e-9


class NotRecomputable(Exception):
    """A snapshot of an earlier version whose rows are no artefact of this one."""


def differences(snapshot: CohortSnapshot) -> list[str]:
    """Every figure that comes out differently today, with its place and both values; versions that have changed.

    Raises ``NotRecomputable`` for rows frozen as CSV, before they were Parquet.
    """
    raw, stored = bytes(snapshot.rows), snapshot.figures
    if not is_artefact(raw):
        raise NotRecomputable("its rows were frozen before they were Parquet")
    definition = parse_definition(stored["definition"])
    asked = set(criteria_of(definition))
    passed_over = {step["criterion"]: step["excluded"] for step in stored["flow"] if step["criterion"] in asked}
    table = thawed(raw)
    figures = without_nan(compute_figures(table, definition, snapshot.data_cutoff, passed_over))
    then = {name: value for name, value in versions().items() if stored.get(name) != value}
    changed = [f"{name}: {stored.get(name)} then, {value} today" for name, value in then.items()]
    return changed + [line for name in figures for line in _compare(name, stored.get(name), figures[name])]


def _compare(place: str, stored: Any, today: Any) -> Iterator[str]:
    """Places at which two figures differ by more than rounding."""
    if isinstance(stored, dict) and isinstance(today, dict):
        for name in sorted(stored.keys() | today.keys()):
            yield from _compare(f"{place}.{name}", stored.get(name), today.get(name))
    elif isinstance(stored, list) and isinstance(today, list) and len(stored) == len(today):
        for position, (first, second) in enumerate(zip(stored, today, strict=True)):
            yield from _compare(f"{place}[{position}]", first, second)
    elif not _same(stored, today):
        yield f"{place}: {stored} then, {today} today"


def _same(stored: Any, today: Any) -> bool:
    numbers = (int, float)
    if isinstance(stored, numbers) and isinstance(today, numbers):
        return math.isclose(stored, today, rel_tol=SAME, abs_tol=1e-12)
    return bool(stored == today)
