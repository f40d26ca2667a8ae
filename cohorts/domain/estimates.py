"""Results of survival statistics: points of a curve, landmarks, tests, terms of a model. Days count from the stop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Observed:
    """One observed time in days, and whether the event ended it."""

    days: int
    event: bool


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The curve at one time at which something happened."""

    days: int
    estimate: float
    lower: float | None
    upper: float | None
    at_risk: int
    events: int
    censored: int
    greenwood: float


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
class CoxModel:
    """A fitted Cox model with its global tests. Ties: Efron."""

    terms: tuple[CoxTerm, ...]
    lrt: ChiSquare | None
    wald: ChiSquare | None
    score: ChiSquare | None
    concordance: float | None
    warnings: tuple[Warning_, ...]
    coefficients: tuple[float, ...] = ()
    variance: tuple[tuple[float, ...], ...] = ()


# A warning of a model: a code with its values, worded in the reader's language where it is shown.
Warning_ = dict[str, str | int]


class NotEstimable(Exception):
    """A statistic that these data do not determine; the message is the code of the reason."""
