"""What became of the remission of each patient after the first stop: lost, regained, stopped again, until last seen.

A path is a text of states, each with the day after the stop on which it began: ``L`` not in remission off treatment
(MMR lost, or on treatment again), ``T`` off treatment and in MMR again, ``D`` dead, ``E`` last seen. So
``L152 T813 E1500`` lost MMR on day 152, was off treatment in MMR again from day 813, and was last seen on day 1500.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from cohorts.domain.engine.arrays import Ints
from cohorts.domain.engine.multistate import Stays
from cohorts.domain.readings import Column, Columns
from monitoring.domain.vocabulary.scale import DEPTH, ResponseClass

LOST, AGAIN, DIED, SEEN = "L", "T", "D", "E"
_DAYS = (
    "stopped_on", "loss_on", "seen_again_on", "restarted_on", "death_on", "transplant_on", "last_seen_on",
)  # fmt: skip
_NONE = int(np.datetime64("NaT", "D").astype(np.int64))


def remission_paths(readings: Columns, patients: Ints, chosen: Ints) -> Column:
    """The path of each chosen reading from its stop on, through all later stops of the patient.

    ``readings`` are in order, so that those of a patient (numbered in ``patients``) stand together by stop.
    """
    days = {name: readings[name].astype("datetime64[D]").astype(np.int64).tolist() for name in _DAYS}
    in_mmr = np.isin(
        readings["baseline_class"], [c.value for c in DEPTH if ResponseClass(c).at_least(ResponseClass.MMR)]
    )
    after = np.searchsorted(patients, patients[chosen], side="right")  # the first reading of the next patient
    return np.array(
        [_path(days, in_mmr, first, int(end)) for first, end in zip(chosen.tolist(), after, strict=True)], dtype=object
    )


def _path(days: Mapping[str, list[int]], in_mmr: Column, first: int, end: int) -> str:
    zero = days["stopped_on"][first]
    steps: list[tuple[int, str]] = []
    for episode in range(first, end):
        stop, loss, again, restart = (days[name][episode] for name in _DAYS[:4])
        if episode > first and in_mmr[episode]:
            steps.append((stop, AGAIN))
        ended = [day for day in (loss, restart) if day != _NONE]
        if ended:
            steps.append((min(ended), LOST))
        if loss != _NONE and again != _NONE:
            steps.append((again, AGAIN))
    transplant, died = days["transplant_on"][first], days["death_on"][first]
    if transplant != _NONE:
        steps = [*(step for step in steps if step[0] < transplant), (transplant, LOST)]
    if died != _NONE:
        steps = [*(step for step in steps if step[0] < died), (died, DIED)]
    else:
        seen = max([days["last_seen_on"][first], zero, *(day for day, _state in steps)])
        steps.append((seen, SEEN))
    return " ".join(f"{state}{day - zero}" for day, state in _changes(steps))


def _changes(steps: Iterable[tuple[int, str]]) -> Iterable[tuple[int, str]]:
    """The steps at which the state changes."""
    state = AGAIN
    for day, next_state in steps:
        if next_state != state:
            yield day, next_state
            state = next_state


def stays_of(paths: Column) -> Stays:
    """The stays of these paths; one that ends on the day it began belongs to the stay before it."""
    rows: list[list[int]] = []
    for patient, path in enumerate(paths):
        state, start = 0, 0
        for step in path.split():
            day, kind = int(step[1:]), step[0]
            to = {LOST: 1, AGAIN: 0, DIED: 2, SEEN: -1}[kind]
            if day > start:
                rows.append([patient, state, start, day, to])
            elif rows and rows[-1][0] == patient and to >= 0:
                rows[-1][4] = to if to != rows[-1][1] else -1
            state, start = to, day
    columns = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    return Stays(*columns)
