"""Trade-off curves of mechanisms, as the inverse of their blow-up function.

A mechanism with trade-off function f lets no event that has probability x without a record have more than 1 - f(x)
with it (Dong, Roth and Su 2019, arXiv:1905.02383). A curve here is the inverse of x -> 1 - f(x): given the probability
of an event with the record, the least that it must have without it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

Curve = Callable[[float], float]
"""Maps a probability in [0, 1] to one that is at most as large; rising."""


def profile_curve(epsilons: npt.ArrayLike, deltas: npt.ArrayLike) -> Curve:
    """Return the curve of a mechanism that is (epsilons[i], deltas[i])-private for every i.

    Source: each pair bounds both errors by two lines (Wasserman and Zhou 2010, arXiv:0811.2501, theorem 2.4, for
    delta = 0; Dong et al. 2019, proposition 2.4); all of them hold, so the curve is their upper envelope.
    """
    growth = np.exp(np.asarray(epsilons, dtype=np.float64))
    slack = np.asarray(deltas, dtype=np.float64)

    def curve(probability: float) -> float:
        low = (probability - slack) / growth
        high = 1.0 - slack - (1.0 - probability) * growth
        return max(0.0, float(low.max()), float(high.max()))

    return curve


def gaussian_curve(mu: float) -> Curve:
    """Return the curve of N(0, 1) against N(mu, 1): the Gaussian mechanism of noise multiplier 1 / mu."""
    return lambda probability: float(norm.cdf(norm.ppf(probability) - mu))
