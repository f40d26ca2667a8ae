"""Harrell's concordance by counting over days, without looking at pairs."""

from __future__ import annotations

import numpy as np

from cohorts.domain.engine.arrays import Bools, Floats, Ints, Times, still_to_come

# A predictor with so few levels is counted in a table of moments by levels.
MOST_CELLS = 2_000_000


def concordance(times: Times, predictor: Floats) -> float | None:
    """The share of comparable pairs in which who lost earlier had the larger predictor; ties count one half.

    A pair is comparable where one has the event and the other is observed longer, or censored on that very day.
    Predictors that differ by rounding only are ties. None where no pair is comparable.
    """
    levels, level = np.unique(np.round(predictor, 9), return_inverse=True)
    # A censoring comes after the events of its day.
    moments, moment = np.unique(times.days * 2 + ~times.event, return_inverse=True)
    if len(moments) * len(levels) <= MOST_CELLS:
        below, tied, pairs = _in_a_table(moment, level, times.event, (len(moments), len(levels)))
    else:
        below, tied, pairs = _over_a_tree(moment, level, times.event)
    return (below + tied / 2) / pairs if pairs else None


def _in_a_table(moment: Ints, level: Ints, event: Bools, shape: tuple[int, int]) -> tuple[int, int, int]:
    """Pairs with a smaller predictor observed longer, with an equal one, and all comparable ones."""
    cells = moment * shape[1] + level
    size = shape[0] * shape[1]
    rows = np.bincount(cells, minlength=size).reshape(shape)
    events = np.bincount(cells[event], minlength=size).reshape(shape)
    later = still_to_come(rows) - rows
    smaller = np.cumsum(later, axis=1) - later
    return int((events * smaller).sum()), int((events * later).sum()), int((events.sum(1) * later.sum(1)).sum())


def _over_a_tree(moment: Ints, level: Ints, event: Bools) -> tuple[int, int, int]:
    """The same counts for many levels: within each block of 2^(b + 1) moments, every event of the first half meets
    all of the second half.
    """
    by_level = np.argsort(level, kind="stable")
    level, moment, event = level[by_level], moment[by_level], event[by_level]
    below = tied = pairs = 0
    for bit in range(int(moment.max()).bit_length()):
        block = moment >> (bit + 1)
        order = np.argsort(block.astype(np.int16 if block.max() < 2**15 else np.int64), kind="stable")
        block, is_later = block[order], ((moment[order] >> bit) & 1) == 1
        passed = np.concatenate([[0], np.cumsum(is_later)])
        new_block = np.flatnonzero(np.diff(block, prepend=-1))
        new_level = np.flatnonzero((np.diff(block, prepend=-1) != 0) | (np.diff(level[order], prepend=-1) != 0))
        asks = ~is_later & event[order]
        first, last = _edges(new_level, len(block))
        start, end = _edges(new_block, len(block))
        below += int((passed[first] - passed[start])[asks].sum())
        tied += int((passed[last] - passed[first])[asks].sum())
        pairs += int((passed[end] - passed[start])[asks].sum())
    return below, tied, pairs


def _edges(starts: Ints, size: int) -> tuple[Ints, Ints]:
    """For each row of consecutive runs, where its run starts and where it ends."""
    ends = np.append(starts[1:], size)
    lengths = ends - starts
    return np.repeat(starts, lengths), np.repeat(ends, lengths)
