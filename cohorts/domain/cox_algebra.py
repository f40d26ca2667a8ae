"""Efron's Cox likelihood by sums over the days: gradient, information, robust variance, score test, concordance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Step:
    """One of the d steps in which Efron's approximation takes d events of one time out of the risk set."""

    at_risk: np.ndarray  # positions
    died: np.ndarray
    share: float  # k of d
    weight: float  # the summed hazards that are left
    mean: np.ndarray


def efron_steps(beta: np.ndarray, matrix: np.ndarray, days: np.ndarray, event: np.ndarray) -> Iterator[Step]:
    hazard = np.exp(matrix @ beta)
    for time in np.unique(days[event]):
        at_risk, died = np.flatnonzero(days >= time), np.flatnonzero((days == time) & event)
        whole, tied = hazard[at_risk], hazard[died]
        for number in range(len(died)):
            share = number / len(died)
            weight = float(whole.sum() - share * tied.sum())
            mean = (whole @ matrix[at_risk] - share * (tied @ matrix[died])) / weight
            yield Step(at_risk, died, share, weight, mean)


def gradient_and_information(
    beta: np.ndarray, matrix: np.ndarray, days: np.ndarray, event: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """First and negative second derivative of the log partial likelihood with Efron's ties."""
    width = matrix.shape[1]
    hazard = np.exp(matrix @ beta)
    gradient, information = matrix[event].sum(axis=0), np.zeros((width, width))
    for step in efron_steps(beta, matrix, days, event):
        risk, died = matrix[step.at_risk], matrix[step.died]
        second = (risk.T * hazard[step.at_risk]) @ risk - step.share * ((died.T * hazard[step.died]) @ died)
        information += second / step.weight - np.outer(step.mean, step.mean)
        gradient = gradient - step.mean
    return gradient, information


def polished(
    beta: np.ndarray, matrix: np.ndarray, days: np.ndarray, event: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients to a gradient below 1e-10, and their variance; covariates are centred, which changes neither."""
    centred = matrix - matrix.mean(axis=0)
    for _newton in range(20):
        gradient, information = gradient_and_information(beta, centred, days, event)
        if np.abs(gradient).max() < 1e-10:
            break
        beta = beta + np.linalg.solve(information, gradient)
    return beta, np.linalg.inv(information)


def robust_variance(
    beta: np.ndarray,
    naive: np.ndarray,
    matrix: np.ndarray,
    days: np.ndarray,
    event: np.ndarray,
    clusters: Sequence[str],
) -> np.ndarray:
    """The sandwich of R's ``coxph(..., cluster)``: score residuals with Efron's ties, summed within each cluster."""
    centred = matrix - matrix.mean(axis=0)
    hazard = np.exp(centred @ beta)
    residuals = np.zeros_like(centred)
    for step in efron_steps(beta, centred, days, event):
        apart = centred - step.mean
        residuals[step.died] += apart[step.died] / len(step.died)
        residuals[step.at_risk] -= apart[step.at_risk] * (hazard[step.at_risk] / step.weight)[:, None]
        residuals[step.died] += step.share * apart[step.died] * (hazard[step.died] / step.weight)[:, None]
    _, position = np.unique(np.asarray(clusters), return_inverse=True)
    summed = np.zeros((position.max() + 1, matrix.shape[1]))
    np.add.at(summed, position, residuals @ naive)
    return summed.T @ summed
