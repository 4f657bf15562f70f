"""What one noisy sum says about one canary: its log-likelihood ratio."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def step_evidence(
    projections: npt.NDArray[np.float64], *, probability: float, noise_multiplier: float
) -> npt.NDArray[np.float64]:
    """Return the log-likelihood ratio of "in" against "out" for each canary, given a released sum's projections.

    A canary that is in adds 1 to its projection with `probability` and nothing otherwise; the noise is
    N(0, `noise_multiplier`^2). By Neyman and Pearson the sum over steps is the best score that there is. Without noise
    the projection itself is returned.

    Args:
        projections: the released sum's dot products with the canaries' unit directions, in units of the clip.
        probability: q in (0, 1] of the Poisson sample.
        noise_multiplier: z >= 0 as claimed; a score made with the wrong one still is a score.
    """
    if noise_multiplier == 0:
        return projections
    sampled = math.log(probability) + (2 * projections - 1) / (2 * noise_multiplier**2)
    return np.logaddexp(math.log1p(-probability), sampled) if probability < 1 else sampled
