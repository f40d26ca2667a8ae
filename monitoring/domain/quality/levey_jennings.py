"""Levey-Jennings charts: values of one control material over time, with the usual rules of internal quality control.

Rules after Westgard 1981 (Clin Chem 27:493): 1-3s, 2-2s and R-4s say that a run is not in control; 1-2s, 4-1s and 10-x
warn. Values are log10 of a percentage, because a PCR scatters by factors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, stdev

LEAST_VALUES = 20  # of which mean and SD are taken; before that the target of the material holds


class Rule(StrEnum):
    """A rule that a value breaks, or with those before it."""

    ONE_3S = "1-3s"
    TWO_2S = "2-2s"
    R_4S = "R-4s"
    ONE_2S = "1-2s"
    FOUR_1S = "4-1s"
    TEN_X = "10-x"

    @property
    def fails(self) -> bool:
        """Whether the run is not in control; the others warn."""
        return self in (Rule.ONE_3S, Rule.TWO_2S, Rule.R_4S)


@dataclass(frozen=True, slots=True)
class Limits:
    """Mean and SD of a control material in log10 units, and of how many values; of none where they are given."""

    mean: float
    sd: float
    values: int = 0

    def distance(self, value: float) -> float:
        """How many SD a value lies from the mean."""
        return (value - self.mean) / self.sd


def limits_of(earlier: Sequence[float], target: float | None, target_sd: float) -> Limits | None:
    """The limits for a value by those before it of the same lot; by the target of the material while they are few.

    None where nothing says what the value should be.
    """
    if len(earlier) >= LEAST_VALUES:
        # A material that never varied in the digits given still cannot be told finer than that.
        return Limits(fmean(earlier), max(stdev(earlier), 0.01), len(earlier))
    return None if target is None else Limits(target, target_sd)


def broken_rules(value: float, earlier: Sequence[float], limits: Limits) -> list[Rule]:
    """The rules that a value breaks; ``earlier`` are the values of the same lot before it, oldest first."""
    return list(_broken([*map(limits.distance, earlier[-9:]), limits.distance(value)]))


def _broken(z: Sequence[float]) -> Iterator[Rule]:
    """The rules that the last of these distances breaks."""
    last = z[-1]
    side = math.copysign(1, last)
    if abs(last) > 3:
        yield Rule.ONE_3S
    if len(z) >= 2 and last * side > 2 and z[-2] * side > 2:
        yield Rule.TWO_2S
    if len(z) >= 2 and abs(last - z[-2]) > 4 and abs(last) > 2 and abs(z[-2]) > 2 and last * z[-2] < 0:
        yield Rule.R_4S
    if abs(last) > 2:
        yield Rule.ONE_2S
    if len(z) >= 4 and all(one * side > 1 for one in z[-4:]):
        yield Rule.FOUR_1S
    if len(z) >= 10 and all(one * side > 0 for one in z[-10:]):
        yield Rule.TEN_X
