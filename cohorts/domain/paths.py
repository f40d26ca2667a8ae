"""What became of the remission of each patient after the first stop: lost, regained, stopped again, until last seen.

A path is a text of states, each with the day after the stop on which it began: ``L`` not in remission off treatment
(MMR lost, or on treatment again), ``T`` off treatment and in MMR again, ``D`` dead, ``E`` last seen. So
``L152 T813 E1500`` lost MMR on day 152, was off treatment in MMR again from day 813, and was last seen on day 1500.
"""

from __future__ import annotations

import numpy as np

from cohorts.domain.engine.arrays import Bools, Ints
from cohorts.domain.engine.multistate import Stays
from cohorts.domain.readings import Column, Columns
from monitoring.domain.vocabulary.scale import DEPTH, ResponseClass

LOST, AGAIN, DIED, SEEN = "L", "T", "D", "E"
_STATE = {AGAIN: 0, LOST: 1, DIED: 2, SEEN: -1}
_NEVER = np.iinfo(np.int64).max


def remission_paths(readings: Columns, patients: Ints, chosen: Ints) -> Column:
    """The path of each chosen reading from its stop on, through all later stops of the patient.

    ``readings`` are in order, so that those of a patient (numbered in ``patients``) stand together by stop.
    """
    after = np.searchsorted(patients, patients[chosen], side="right")  # the first reading of the next patient
    many = after - chosen
    path = np.repeat(np.arange(len(chosen)), many)
    later = np.arange(len(path)) - np.repeat(np.cumsum(many) - many, many)  # 0 is the chosen reading itself
    reading = np.repeat(chosen, many) + later
    lost = np.minimum(_day(readings, "loss_on", reading), _day(readings, "restarted_on", reading))
    again = _day(readings, "seen_again_on", reading)
    again[_day(readings, "loss_on", reading) == _NEVER] = _NEVER
    stop = _day(readings, "stopped_on", reading)
    stop[(later == 0) | ~_is_in_mmr(readings, reading)] = _NEVER
    # What can happen in a time off treatment, in its order; a row is one path's, a column one kind of step.
    days = np.stack([stop, lost, again], axis=1)
    transplant, died = (_day(readings, name, chosen) for name in ("transplant_on", "death_on"))
    days[days >= np.minimum(transplant, died)[path, None]] = _NEVER
    transplant[transplant >= died] = _NEVER
    zero, last = (_day(readings, name, chosen) for name in ("stopped_on", "last_seen_on"))
    last[last == _NEVER] = zero[last == _NEVER]
    # Nobody is last seen before what happened.
    np.maximum.at(last, path, np.where(days == _NEVER, zero[path, None], days).max(axis=1))
    last = np.maximum(last, np.where(transplant == _NEVER, zero, transplant))
    columns = [
        (np.repeat(path, 3), days.ravel(), np.tile([_STATE[AGAIN], _STATE[LOST], _STATE[AGAIN]], len(path))),
        (np.arange(len(chosen)), transplant, np.full(len(chosen), _STATE[LOST])),
        (np.arange(len(chosen)), np.where(died == _NEVER, last, died), np.where(died == _NEVER, -1, _STATE[DIED])),
    ]
    owner, day, state = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    order = np.argsort(owner, kind="stable")
    order = order[day[order] != _NEVER]
    return _texts(owner[order], day[order] - zero[owner[order]], state[order], len(chosen))


def _day(readings: Columns, name: str, rows: Ints) -> Ints:
    """The days of these rows as numbers; what did not happen is never."""
    found = readings[name][rows].astype("datetime64[D]")
    return np.where(np.isnat(found), _NEVER, found.astype(np.int64))


def _is_in_mmr(readings: Columns, rows: Ints) -> Bools:
    classes = [c.value for c in DEPTH if ResponseClass(c).at_least(ResponseClass.MMR)]
    return np.isin(readings["baseline_class"][rows].astype(str), classes)


def _texts(owner: Ints, day: Ints, state: Ints, paths: int) -> Column:
    """The steps at which the state changes, as one text for each path."""
    is_first = np.diff(owner, prepend=-1) != 0
    before = np.where(is_first, _STATE[AGAIN], np.roll(state, 1))
    changes = np.flatnonzero(state != before)
    letters = {number: letter for letter, number in _STATE.items()}
    words = [f"{letters[to]}{on}" for to, on in zip(state[changes].tolist(), day[changes].tolist(), strict=True)]
    ends = np.searchsorted(owner[changes], np.arange(paths), side="right").tolist()
    texts = [" ".join(words[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
    return np.array(texts, dtype=object)


def stays_of(paths: Column) -> Stays:
    """The stays of these paths; one that ends on the day it began belongs to the stay before it."""
    steps = np.array([path.count(" ") + 1 for path in paths], dtype=np.int64)
    words = " ".join(paths).split()
    patient = np.repeat(np.arange(len(paths)), steps)
    day = np.array([int(word[1:]) for word in words], dtype=np.int64)
    to = np.array([_STATE[word[0]] for word in words], dtype=np.int64)
    is_first = np.diff(patient, prepend=-1) != 0
    start = np.where(is_first, 0, np.roll(day, 1))
    state = np.where(is_first, _STATE[AGAIN], np.roll(to, 1))
    stays = np.flatnonzero(day > start)
    # Where to: the last of the steps on that day, but being last seen then is no step.
    last = np.append(stays, len(day))[1:] - 1
    last = np.minimum(last, np.cumsum(steps)[patient[stays]] - 1)
    last = np.where((to[last] < 0) & (last > stays), last - 1, last)
    where = np.where(to[last] == state[stays], -1, to[last])
    return Stays(patient[stays], state[stays], start[stays], day[stays], where)
