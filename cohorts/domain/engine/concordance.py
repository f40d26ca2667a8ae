"""Harrell's concordance by counting over a tree of days, without looking at pairs."""

from __future__ import annotations

import numpy as np

from cohorts.domain.engine.arrays import Floats, Times


def concordance(times: Times, predictor: Floats) -> float | None:
    """The share of comparable pairs in which who lost earlier had the larger predictor; ties count one half.

    A pair is comparable where one has the event and the other is observed longer, or censored on that very day.
    Predictors that differ by rounding only are ties. None where no pair is comparable.
    """
    _, level = np.unique(np.round(predictor, 9), return_inverse=True)
    # A censoring comes after the events of its day.
    _, moment = np.unique(times.days * 2 + ~times.event, return_inverse=True)
    moment = moment.astype(np.int64)
    by_level = np.argsort(level, kind="stable")
    level, moment, event = level[by_level], moment[by_level], times.event[by_level]
    below = tied = pairs = 0
    for bit in range(int(moment.max()).bit_length()):
        # Within each block of 2^(bit + 1) moments, every event of the first half meets all of the second half.
        block, later = moment >> (bit + 1), (moment >> bit) & 1
        order = np.argsort(block, kind="stable")  # by block, within it by level
        block, is_later = block[order], later[order] == 1
        passed = np.concatenate([[0], np.cumsum(is_later)])
        starts = np.searchsorted(block, block)
        key = block * (int(level.max()) + 1) + level[order]
        first, last = np.searchsorted(key, key), np.searchsorted(key, key, side="right")
        ends = np.searchsorted(block, block, side="right")
        asks = ~is_later & event[order]
        below += int((passed[first] - passed[starts])[asks].sum())
        tied += int((passed[last] - passed[first])[asks].sum())
        pairs += int((passed[ends] - passed[starts])[asks].sum())
    return (below + tied / 2) / pairs if pairs else None
