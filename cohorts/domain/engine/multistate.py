"""The chance to be in a state at a day, where people leave states and come back: Aalen–Johansen with its variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cohorts.domain.engine.arrays import Floats, Ints, sums_at

STATES = 3


@dataclass(frozen=True, slots=True)
class Stays:
    """Stays in a state, one a row: the patient, the state (0 in remission, 1 not), from day to day, and where to.

    ``to`` is the state entered at the end (2 is dead), -1 where observation ended.
    """

    patient: Ints
    state: Ints
    start: Ints
    end: Ints
    to: Ints


@dataclass(frozen=True, slots=True)
class Transitions:
    """Who leaves which state on each day on which somebody does: days x states x states, and who is at risk."""

    days: Ints
    moves: Floats
    at_risk: Floats  # days x states

    @property
    def hazards(self) -> Floats:
        """The share of each state that goes to each other on a day; rows sum to 0."""
        at_risk = np.maximum(self.at_risk, 1)[:, :, None]
        hazards = self.moves / at_risk
        diagonal = np.arange(STATES)
        hazards[:, diagonal, diagonal] = -hazards.sum(axis=2)
        return hazards


def transitions(stays: Stays) -> Transitions:
    """The moves of these stays. At risk on a day is who entered the state before it and is in it up to that day."""
    moved = stays.to >= 0
    days, day = np.unique(stays.end[moved], return_inverse=True)
    cells = (day * STATES + stays.state[moved]) * STATES + stays.to[moved]
    moves = np.bincount(cells, minlength=len(days) * STATES**2).reshape(len(days), STATES, STATES).astype(float)
    at_risk = np.empty((len(days), STATES))
    for state in range(STATES):
        here = stays.state == state
        entered = np.searchsorted(np.sort(stays.start[here]), days, side="left")
        left = np.searchsorted(np.sort(stays.end[here]), days, side="left")
        at_risk[:, state] = entered - left
    return Transitions(days, moves, at_risk)


@dataclass(frozen=True, slots=True)
class Occupation:
    """The chance to be in each state on a day, with the standard error of each."""

    estimate: Floats
    se: Floats


def occupation(stays: Stays, found: Transitions, patients: int, day: float) -> Occupation:
    """Everybody begins in state 0 on day 0. The standard error is the infinitesimal jackknife by patient, as in R.

    It holds where the past of a patient matters too, as it does here (Datta and Satten 2001).
    """
    size = int(np.searchsorted(found.days, day, side="right"))
    hazards = found.hazards[:size]
    before = np.empty((size + 1, STATES))  # the chance of each state just before each day of a move
    before[0] = (1.0, 0.0, 0.0)
    for step in range(size):
        before[step + 1] = before[step] + before[step] @ hazards[step]
    after = np.empty((size + 1, STATES, STATES))  # what a state after each day leads to by ``day``
    after[size] = np.eye(STATES)
    for step in range(size - 1, -1, -1):
        after[step] = after[step + 1] + hazards[step] @ after[step + 1]
    weight = before[:size] / np.maximum(found.at_risk[:size], 1)
    # Being at risk pulls towards what did not happen, by day and state; a move of one's own pushes the other way.
    pull = -weight[:, :, None] * (hazards @ after[1:])
    pulled = np.concatenate([np.zeros((1, STATES, STATES)), np.cumsum(pull, axis=0)])
    first = np.searchsorted(found.days[:size], stays.start, side="right")
    last = np.searchsorted(found.days[:size], stays.end, side="right")
    influence = pulled[last, stays.state] - pulled[np.minimum(first, last), stays.state]
    own = np.flatnonzero((stays.to >= 0) & (stays.end <= day))
    at = np.searchsorted(found.days[:size], stays.end[own])
    push = after[at + 1, stays.to[own]] - after[at + 1, stays.state[own]]
    influence[own] += weight[at, stays.state[own]][:, None] * push
    squares = [sums_at(stays.patient, column, patients) ** 2 for column in influence.T]
    return Occupation(before[size], np.sqrt(np.array([square.sum() for square in squares])))
