"""Kaplan–Meier curves with their variance, read at landmarks, at one half, and as an area."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from cohorts.domain.engine.arrays import Floats, Ints, Times, still_to_come

TRANSFORMS = ("log-log", "log", "linear")


@dataclass(frozen=True, slots=True)
class Curve:
    """A survival curve at each day on which something ended.

    ``variance`` is that of the logarithm of the estimate (Greenwood's sum, or robust); infinite where the curve is 0.
    """

    days: Ints
    at_risk: Ints
    events: Ints
    censored: Ints
    estimate: Floats
    variance: Floats

    @property
    def longest(self) -> int:
        return int(self.days[-1])

    def position(self, days: float) -> int:
        """The last step at or before so many days; -1 before the first."""
        return int(np.searchsorted(self.days, days, side="right")) - 1


def kaplan_meier(times: Times, clusters: Ints | None = None) -> Curve:
    """The curve of these times; an event on the day of a censoring comes first. Needs one row at least.

    ``clusters`` number the patient of each row: the variance is then the infinitesimal jackknife by patient.
    """
    days, ended = np.unique(times.days, return_inverse=True)
    events = np.bincount(ended[times.event], minlength=len(days))
    total = np.bincount(ended, minlength=len(days))
    at_risk = still_to_come(total)
    left = at_risk - events
    estimate = np.cumprod(left / at_risk)
    if clusters is None:
        with np.errstate(divide="ignore"):
            variance = np.cumsum(np.where(events > 0, events / (at_risk * np.maximum(left, 0)), 0.0))
    else:
        variance = _jackknife(times, ended, clusters, events, at_risk)
    return Curve(days, at_risk, events, total - events, estimate, variance)


def _jackknife(times: Times, ended: Ints, clusters: Ints, events: Ints, at_risk: Ints) -> Floats:
    """Squares of each patient's summed influence on the logarithm of the curve, at every step.

    A row's influence moves only until its own day: sums of a patient are gathered from its rows, day by day.
    """
    patients = int(clusters.max()) + 1
    influence = np.zeros(patients)
    exposed = np.bincount(clusters, minlength=patients).astype(float)
    order = np.argsort(ended, kind="stable")
    starts = np.searchsorted(ended[order], np.arange(len(events) + 1))
    variance = np.empty(len(events))
    for step, died in enumerate(events):
        here = order[starts[step] : starts[step + 1]]
        if died:
            if at_risk[step] == died:
                variance[step:] = math.inf
                break
            left = at_risk[step] - died
            influence += exposed * (died / at_risk[step] / left)
            np.add.at(influence, clusters[here[times.event[here]]], -1 / left)
        variance[step] = influence @ influence
        np.add.at(exposed, clusters[here], -1.0)
    return variance


def limits(estimate: Floats, variance: Floats, *, transform: str, level: float) -> tuple[Floats, Floats]:
    """Limits of survival probabilities on the named scale.

    NaN where the estimate is 0; both are 1 before the first event.
    """
    z = float(stats.norm.ppf(0.5 + level / 2))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        root = np.sqrt(variance)
        if transform == "log-log":
            logarithm = np.log(estimate)
            width = z * root / logarithm
            lower, upper = np.exp(logarithm * np.exp(-width)), np.exp(logarithm * np.exp(width))
        elif transform == "log":
            lower, upper = estimate * np.exp(-z * root), np.minimum(1.0, estimate * np.exp(z * root))
        elif transform == "linear":
            lower, upper = np.maximum(0.0, estimate - z * estimate * root), estimate + z * estimate * root
            upper = np.minimum(1.0, upper)
        else:
            raise ValueError(f"unknown transform {transform}")
    none = (estimate <= 0) | np.isinf(variance)
    before = variance == 0
    return np.where(none, np.nan, np.where(before, 1.0, lower)), np.where(none, np.nan, np.where(before, 1.0, upper))


def crossing(days: Ints, values: Floats, at: float = 0.5) -> float | None:
    """The day on which the curve or a limit reaches ``at``; None if it never does.

    A flat part exactly there is read at its middle. A limit that rises again (the scale ``log`` allows it) is read at
    its highest step below: both as R does.
    """
    reached = np.flatnonzero(values <= at + 1e-9)  # NaN is not
    if not len(reached):
        return None
    first = reached[np.argmax(values[reached])]
    if values[first] < at - 1e-9:
        return float(days[first])
    later = np.flatnonzero(values < at - 1e-9)
    return float(days[first] + days[later[0]]) / 2 if len(later) else float(days[first])


@dataclass(frozen=True, slots=True)
class Area:
    """Restricted mean time in days up to a horizon, with its standard error."""

    days: float
    se: float


def restricted_mean(curve: Curve, horizon: float) -> Area:
    """The area under the curve up to ``horizon`` days, with Greenwood's variance (Klein & Moeschberger 4.5).

    Raises ``ValueError`` where the horizon lies beyond the longest time: the area is not known there.
    """
    if horizon > curve.longest:
        raise ValueError("beyond the longest time")
    steps = curve.days < horizon
    edges = np.concatenate([[0.0], curve.days[steps], [horizon]])
    heights = np.concatenate([[1.0], curve.estimate[steps]])
    pieces = heights * np.diff(edges)
    after = still_to_come(pieces)[1:]  # the area from each step on
    events, at_risk = curve.events[steps], curve.at_risk[steps]
    left = at_risk - events
    added = np.divide(events, at_risk * left, out=np.zeros(len(events)), where=left > 0)
    return Area(float(pieces.sum()), math.sqrt(float((after**2 * added).sum())))


def given_free_until(times: Times, days: float) -> Times:
    """The times of those still observed and free of the event after so many days."""
    return times.of(times.days > days)
