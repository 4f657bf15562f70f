"""The mean with uniform weights.

Weights by a client's own record count would be a lever for whoever lies about it, and under add/remove neighbours the
count is private; uniform weights are neither.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedgan.federation.aggregation.base import AGGREGATIONS


@AGGREGATIONS.register("mean")
def mean(arrays: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the unweighted mean (McMahan et al. 2017, arXiv:1602.05629, with equal weights), summed in float64."""
    total = np.zeros(arrays[0].shape, dtype=np.float64)
    for array in arrays:
        total += array
    return np.asarray(total / len(arrays), dtype=np.float32)
