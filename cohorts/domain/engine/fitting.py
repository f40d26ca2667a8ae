"""What every model of hazards does alike: covariates on a common scale, and steps that climb a likelihood."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cohorts.domain.engine.arrays import Floats
from cohorts.domain.estimates import NotEstimable

# A category of a hundred centres is no model: its products alone would fill the memory.
MOST_COLUMNS = 30
# The largest change of the log hazard ratio between a covariate's ends in one step: hazards must not underflow.
MOST_OF_A_STEP = 5.0
MOST_HALVINGS = 30
# A coefficient is flat where the log ratio between a covariate's ends, or its standard error, is beyond these.
FLAT, LEAST_KNOWN = 15, 100


def on_a_common_scale(covariates: Floats) -> tuple[Floats, Floats]:
    """The columns (rows x p) with mean 0 and deviation 1, and the deviations.

    Raises ``NotEstimable`` without a column, with too many, and where one is constant or follows from the others.
    """
    if not covariates.shape[1]:
        raise NotEstimable("no_covariate")
    if covariates.shape[1] > MOST_COLUMNS:
        raise NotEstimable("too_many_groups")
    centre = covariates.mean(axis=0)
    if (np.ptp(covariates, axis=0) <= 1e-9 * np.maximum(1.0, np.abs(centre))).any():
        raise NotEstimable("constant_covariate")
    scale = covariates.std(axis=0)
    x = (covariates - centre) / scale
    if np.linalg.matrix_rank(x.T @ x / len(x), tol=1e-9) < x.shape[1]:
        raise NotEstimable("redundant_covariate")
    return x, scale


def climb(
    likelihood_of: Callable[[Floats], float], beta: Floats, move: Floats, likelihood: float, spread: Floats
) -> tuple[Floats, float]:
    """A Newton step, bounded and halved where the likelihood would fall: the next coefficients and their likelihood.

    ``spread`` is the range of each covariate on the common scale.
    """
    move = move / max(1.0, float((np.abs(move) * spread).max()) / MOST_OF_A_STEP)
    found = likelihood_of(beta + move)
    for _halving in range(MOST_HALVINGS):
        if found >= likelihood - 1e-12 * abs(likelihood):
            break
        move = move / 2
        found = likelihood_of(beta + move)
    return beta + move, found
