"""Which records enter a batch. The privacy accounting assumes `poisson_indices`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt


def poisson_indices(
    records: int, probability: float, uniform: Callable[[int], npt.NDArray[np.float64]]
) -> npt.NDArray[np.int64]:
    """Include each record independently with the same probability (Poisson sampling; Abadi et al. 2016, section 3.1).

    Args:
        records: number of records to draw from.
        probability: chance of each record, in (0, 1].
        uniform: called once with `records`; gives that many independent float64 in [0, 1). Under a privacy guarantee
            this is a secret stream: amplification by sampling holds only while the choice is not known.

    Returns:
        (B,) int64, ascending and without repeats. B is random with mean `records * probability`, and may be 0.

    Raises:
        ValueError: the probability is outside (0, 1].
    """
    if not 0 < probability <= 1:
        raise ValueError(f"probability = {probability} must be in (0, 1]")
    return np.flatnonzero(uniform(records) < probability).astype(np.int64, copy=False)


def uniform_indices(records: int, size: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw `size` of the records without replacement, every subset equally likely.

    Returns:
        (size,) int64 without repeats, in random order.

    Raises:
        ValueError: `size` is negative or exceeds `records`.
    """
    if not 0 <= size <= records:
        raise ValueError(f"size = {size} must be in [0, {records}]")
    return rng.choice(records, size=size, replace=False).astype(np.int64, copy=False)
