"""What became of a remission: the path that is read at once from all rows is the one that is walked one by one."""

from __future__ import annotations

import numpy as np
import pytest

from cohorts.domain.paths import remission_paths, stays_of
from cohorts.domain.readings import Column, Columns

START, NEVER = np.datetime64("2010-01-01", "D"), np.datetime64("NaT", "D")
IN_MMR = {"MMR", "MR4", "MR4_5", "MR5"}


def made_up(seed: int, span_days: int) -> tuple[Columns, np.ndarray, np.ndarray]:
    """Readings of sixty people with one to three times off treatment, their numbers, and one reading of each."""
    chance = np.random.default_rng(seed)
    many = chance.integers(1, 4, 60)
    patients = np.repeat(np.arange(60), many)

    def sometimes(share: float, number: int) -> Column:
        return np.where(chance.random(number) < share, START + chance.integers(0, span_days, number), NEVER)

    stops = START + chance.integers(0, span_days, len(patients))
    readings: dict[str, Column] = {
        "stopped_on": stops[np.lexsort((stops, patients))],
        "baseline_class": np.array(["", "NONE", "CCYR", *sorted(IN_MMR)], dtype=object)[
            chance.integers(0, 7, len(patients))
        ],
        "death_on": sometimes(0.2, 60)[patients],
        "transplant_on": sometimes(0.2, 60)[patients],
    }
    for name, share in (("loss_on", 0.5), ("seen_again_on", 0.4), ("restarted_on", 0.4), ("last_seen_on", 0.95)):
        readings[name] = sometimes(share, len(patients))
    firsts = np.concatenate([[0], np.cumsum(many)[:-1]])
    return readings, patients, firsts + (many > 1) * chance.integers(0, 2, 60)


def walked(readings: Columns, patients: np.ndarray, chosen: int) -> str:
    """One path, step by step."""
    zero = readings["stopped_on"][chosen]
    steps = []
    for row in (n for n in range(chosen, len(patients)) if patients[n] == patients[chosen]):
        loss, again, restart = (readings[name][row] for name in ("loss_on", "seen_again_on", "restarted_on"))
        if row > chosen and readings["baseline_class"][row] in IN_MMR:
            steps.append((readings["stopped_on"][row], "T"))
        if ended := [day for day in (loss, restart) if not np.isnat(day)]:
            steps.append((min(ended), "L"))
        if not np.isnat(loss) and not np.isnat(again):
            steps.append((again, "T"))
    for name, state in (("transplant_on", "L"), ("death_on", "D")):
        if not np.isnat(day := readings[name][chosen]):
            steps = [*(step for step in steps if step[0] < day), (day, state)]
    if np.isnat(readings["death_on"][chosen]):
        seen = readings["last_seen_on"][chosen]
        steps.append((max([zero, *([] if np.isnat(seen) else [seen]), *(day for day, _state in steps)]), "E"))
    told, state = [], "T"
    for day, to in steps:
        if to != state:
            told.append(f"{to}{(day - zero).astype(int)}")
        state = to
    return " ".join(told)


@pytest.mark.parametrize("span_days", [12, 2000])
@pytest.mark.parametrize("seed", range(10))
def test_all_paths_at_once_are_each_path_walked(seed: int, span_days: int) -> None:
    readings, patients, chosen = made_up(seed, span_days)
    found = remission_paths(readings, patients, chosen)
    assert list(found) == [walked(readings, patients, int(row)) for row in chosen]
    assert len(set(found)) > 30


def test_stays_of_one_day_belong_to_the_stay_before() -> None:
    paths = np.array(["L5 T5 E9", "L0 T6 L9 E9", "E0", "L3 T7 D7"], dtype=object)
    stays = stays_of(paths)
    rows = list(zip(stays.patient, stays.state, stays.start, stays.end, stays.to, strict=True))
    assert [tuple(map(int, row)) for row in rows] == [
        (0, 0, 0, 5, -1), (0, 0, 5, 9, -1), (1, 1, 0, 6, 0), (1, 0, 6, 9, 1), (3, 0, 0, 3, 1), (3, 1, 3, 7, 2),
    ]  # fmt: skip
