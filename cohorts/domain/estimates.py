"""Results of survival statistics: landmarks, medians, tests, terms of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Landmark:
    """The curve read at a landmark; beyond the longest time there is no estimate, and ``reason`` says so."""

    months: float
    estimate: float | None
    lower: float | None
    upper: float | None
    at_risk: int
    events: int
    censored: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Median:
    """Median time in months by R's midpoint rule; None where the curve or the limit never reaches one half."""

    estimate: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class ChiSquare:
    """A test statistic with its degrees of freedom."""

    chi2: float
    df: int
    p: float


@dataclass(frozen=True, slots=True)
class CoxTerm:
    """One coefficient of a Cox model; all None where it is not estimable."""

    coef: float | None
    se: float | None
    hr: float | None
    lower: float | None
    upper: float | None
    p: float | None


@dataclass(frozen=True, slots=True)
class Proportionality:
    """Tests of proportional hazards: of each term and of all together."""

    terms: tuple[ChiSquare, ...]
    together: ChiSquare


@dataclass(frozen=True, slots=True)
class ScaledResiduals:
    """Scaled Schoenfeld residuals by event in order of time, and the scale of time of each event and event day."""

    days: NDArray[np.int64]
    scale: NDArray[np.floating[Any]]
    values: NDArray[np.floating[Any]]  # events x coefficients
    event_days: NDArray[np.int64]
    event_day_scale: NDArray[np.floating[Any]]
    coefficients: NDArray[np.floating[Any]]
    variances: NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class CoxModel:
    """A fitted Cox model with its tests. ``firth`` are the terms of the penalised fit, with profile limits."""

    ties: str
    terms: tuple[CoxTerm, ...]
    lrt: ChiSquare | None
    wald: ChiSquare | None
    score: ChiSquare | None
    concordance: float | None
    zph: Proportionality | None
    residuals: ScaledResiduals | None
    firth: tuple[CoxTerm, ...] | None
    warnings: tuple[Warning_, ...]


# A warning of a model: a code with its values, worded in the reader's language where it is shown.
Warning_ = dict[str, str | int]


class NotEstimable(Exception):
    """A statistic that these data do not determine; the message is the code of the reason."""
