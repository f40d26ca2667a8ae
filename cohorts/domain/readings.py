"""Readings of many patients as columns, from replays or from the database: what every cohort chooses from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from monitoring.domain.course.episodes import DmrRule
from monitoring.domain.course.relapse import LossRule
from monitoring.domain.following.reading import EpisodeReading, PatientHistory, read_episodes

Column = NDArray[Any]
Columns = Mapping[str, Column]

NUMBER = np.float32  # whole numbers below 16 million are exact in it, and a million rows are half as large
PATIENT_TEXTS = ("patient_id", "centre", "sex", "transcript", "risk_group", "risk_score")
_TYPES = get_type_hints(EpisodeReading)


def _of_type(kind: type) -> tuple[str, ...]:
    return tuple(name for name, hint in _TYPES.items() if kind in (hint, *get_args(hint)))


TEXTS = (*PATIENT_TEXTS, *_of_type(str))
FLAGS, DATES, NUMBERS = _of_type(bool), _of_type(date), _of_type(int)


def read_histories(histories: Iterable[PatientHistory], loss_rule: LossRule, dmr_rule: DmrRule) -> Columns:
    """The readings of these patients. Numbers are NaN and dates NaT where there is none."""
    pairs = [(history, one) for history in histories for one in read_episodes(history, loss_rule, dmr_rule)]
    columns: dict[str, Column] = {}
    for name in TEXTS:
        of_patient = name in PATIENT_TEXTS
        texts = [getattr(history if of_patient else one, name) for history, one in pairs]
        columns[name] = np.array(texts, dtype=object)
    for name in FLAGS:
        columns[name] = np.array([getattr(one, name) for _h, one in pairs], dtype=bool)
    for name in DATES:
        columns[name] = np.array([getattr(one, name) for _h, one in pairs], dtype="datetime64[D]")
    for name in NUMBERS:
        numbers = (getattr(one, name) for _h, one in pairs)
        columns[name] = np.array([np.nan if n is None else n for n in numbers], dtype=NUMBER)
    return columns


def in_order(columns: Columns) -> Columns:
    """The same readings by centre, patient and stop: an order that no database decides."""
    keys = (columns["stopped_on"], columns["patient_id"].astype(str), columns["centre"].astype(str))
    return rows_of(columns, np.lexsort(keys))


def rows_of(columns: Columns, chosen: Column) -> Columns:
    """Some of the rows, by mask or by position; the same columns, and no copy, where nothing would change."""
    unchanged = chosen.all() if chosen.dtype == bool else np.array_equal(chosen, np.arange(len(columns["stopped_on"])))
    return columns if unchanged else {name: column[chosen] for name, column in columns.items()}
