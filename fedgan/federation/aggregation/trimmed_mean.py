"""The mean of each coordinate without the largest and the smallest values."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor

import numpy as np

from fedgan.federation.aggregation.base import AGGREGATIONS, Aggregation, Assumptions, stacked
from fedgan.federation.requests import Arrays

_ROUNDING = 1e-9  # 0.29 * 100 is 28.999999999999996


def trimmed(clients: int, part: float) -> int:
    """Return how many of `clients` values are left out at each end: `part` of them, in (0, 0.5), rounded down."""
    return floor(part * clients + _ROUNDING)


def trimmed_mean(clients: Sequence[Arrays], assumptions: Assumptions) -> Arrays:
    """Return the coordinate-wise trimmed mean (Yin et al. 2018, arXiv:1803.01498, definition 2).

    It withstands as many faulty clients as values are left out at one end.
    """
    cut = trimmed(len(clients), assumptions.trimmed_part)
    inner = slice(cut, len(clients) - cut)
    return {name: np.sort(stacked(clients, name), axis=0)[inner].mean(axis=0).astype(np.float32) for name in clients[0]}


def least(assumptions: Assumptions) -> int:
    """Return the fewest clients of whom one is left out at each end."""
    return ceil(1 / assumptions.trimmed_part - _ROUNDING)


AGGREGATIONS.register("trimmed_mean")(
    Aggregation(
        merge=trimmed_mean,
        least=least,
        why="federation.trimmed_part of fewer is less than one client, and nothing would be trimmed",
    )
)
