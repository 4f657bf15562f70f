"""The mean with uniform weights.

Weights by a client's own record count would be a lever for whoever lies about it, and under add/remove neighbours the
count is private; uniform weights are neither.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fedgan.federation.aggregation.base import AGGREGATIONS, Aggregation, Assumptions
from fedgan.federation.requests import Arrays


def mean(clients: Sequence[Arrays], assumptions: Assumptions) -> Arrays:
    """Return the unweighted mean (McMahan et al. 2017, arXiv:1602.05629, with equal weights), summed in float64."""
    merged: Arrays = {}
    for name, first in clients[0].items():
        total = np.zeros(first.shape, dtype=np.float64)
        for arrays in clients:
            total += arrays[name]
        merged[name] = np.asarray(total / len(clients), dtype=np.float32)
    return merged


AGGREGATIONS.register("mean")(Aggregation(merge=mean))
