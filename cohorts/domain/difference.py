"""Why figures moved: what is different between the rows of two snapshots of a cohort."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cohorts.domain.engine.arrays import Bools, Ints
from cohorts.domain.member_table import Column, MemberTable

ENTERED, LEFT, EVENT, END, AMENDED = "entered", "left", "event", "end", "amended"
KINDS = (ENTERED, LEFT, EVENT, END, AMENDED)
NEW, GONE = "new", "gone"
# What follows from the course after the stop: told as an event or an end, or no reason why a figure moved.
_OF_THE_END = (
    "end_on", "days", "event", "end_reason", "last_seen_on", "last_contact_on", "remission_path", "loss_on",
    "last_negative_on", "restarted_on", "restart_drug", "mmr_regained_on", "dmr_regained_on", "OTHER_DRUG_AFTER_STOP",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """One episode that is different: what happened to it, why or what exactly, and of which patient."""

    kind: str
    centre: str
    patient_id: str
    stopped_on: str
    detail: str


def changes_between(before: MemberTable, after: MemberTable) -> list[Change]:
    """Every episode that entered or left the members, or whose event, end or other values are different.

    ``detail`` is for those who entered or left the reason of exclusion on the other side (or ``new`` and ``gone``), for
    events and ends both ends, for other values the names of the columns.
    """
    old_keys, new_keys = _keys(before, after)
    _both, first, second = np.intersect1d(old_keys, new_keys, return_indices=True)
    found = [
        *_crossed(after, before, second, first, ENTERED, NEW),
        *_crossed(before, after, first, second, LEFT, GONE),
    ]
    stayed = before.included[first] & after.included[second]
    found += _ends(before, after, first[stayed], second[stayed])
    found += _amended(before, after, first[stayed], second[stayed])
    return sorted(found, key=lambda c: (KINDS.index(c.kind), c.centre, c.patient_id, c.stopped_on))


MOST_DAYS = 1_000_000  # days since 1970 of any stop are fewer


def _keys(before: MemberTable, after: MemberTable) -> tuple[Ints, Ints]:
    """A number for each episode, the same in both tables for the same centre, patient and day of the stop."""
    key = np.zeros(len(before) + len(after), np.int64)
    for name in ("centre", "patient_id"):
        codes = pd.factorize(np.concatenate([before[name], after[name]]))[0]
        key = np.unique(key * (len(key) + 1) + codes, return_inverse=True)[1]
    days = np.concatenate([before["stopped_on"], after["stopped_on"]]).astype("datetime64[D]").astype(np.int64)
    key = key * MOST_DAYS + days + MOST_DAYS // 2
    return key[: len(before)], key[len(before) :]


def _change(kind: str, table: MemberTable, row: int, detail: str) -> Change:
    centre, patient_id, stopped_on = (str(table[name][row]) for name in ("centre", "patient_id", "stopped_on"))
    return Change(kind, centre, patient_id, stopped_on, detail)


def _crossed(
    here: MemberTable, there: MemberTable, of_here: Ints, of_there: Ints, kind: str, otherwise: str
) -> Iterator[Change]:
    """The members on this side who are none on the other."""
    position = np.full(len(here), -1)
    position[of_here] = of_there
    rows = np.flatnonzero(here.included)
    other = position[rows]
    crossed = (other < 0) | ~there.included[other] if len(there) else np.ones(len(rows), bool)
    for row, found in zip(rows[crossed].tolist(), other[crossed].tolist(), strict=True):
        yield _change(kind, here, row, otherwise if found < 0 else str(there["exclusion_reason"][found]))


def _ends(before: MemberTable, after: MemberTable, first: Ints, second: Ints) -> list[Change]:
    event = before["event"][first] != after["event"][second]
    # A longer time to the same kind of end is the ordinary course of things; an event on another day is not.
    moved = ~event & before["event"][first] & (before["days"][first] != after["days"][second])
    moved |= ~event & (before["end_reason"][first] != after["end_reason"][second])
    found = []
    for kind, chosen in ((EVENT, event), (END, moved)):
        for old, new in zip(first[chosen], second[chosen], strict=True):
            sides = [
                f"{table['end_reason'][row]} {table['end_on'][row]}" for table, row in ((before, old), (after, new))
            ]
            found.append(_change(kind, after, int(new), f"{sides[0]} → {sides[1]}"))
    return found


def _amended(before: MemberTable, after: MemberTable, first: Ints, second: Ints) -> list[Change]:
    named: dict[int, list[str]] = {}
    for name, column in after.columns.items():
        if name in _OF_THE_END or name not in before.columns:
            continue
        for position in np.flatnonzero(~_same(before.columns[name][first], column[second])):
            named.setdefault(int(position), []).append(name)
    return [_change(AMENDED, after, int(second[p]), ", ".join(names)) for p, names in named.items()]


def _same(old: Column, new: Column) -> Bools:
    if old.dtype.kind == "M":
        return np.asarray((old == new) | (np.isnat(old) & np.isnat(new)))
    if old.dtype.kind == "f" and new.dtype.kind == "f":
        return np.asarray((old == new) | (np.isnan(old) & np.isnan(new)))
    return np.asarray(old == new)


def counted(changes: list[Change]) -> Mapping[str, Any]:
    """How many of each kind, and of those who entered or left by which reason."""
    counts: dict[str, Any] = {kind: sum(c.kind == kind for c in changes) for kind in KINDS}
    for kind in (ENTERED, LEFT):
        reasons = sorted({c.detail for c in changes if c.kind == kind})
        counts[f"{kind}_by"] = {
            reason: sum(c.kind == kind and c.detail == reason for c in changes) for reason in reasons
        }
    return counts
