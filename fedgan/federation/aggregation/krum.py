"""Krum: whole clients are kept or left out, by how near their nearest neighbours are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedgan.federation.aggregation.base import AGGREGATIONS, Aggregation, Assumptions
from fedgan.federation.aggregation.mean import mean
from fedgan.federation.requests import Arrays


def krum(clients: Sequence[Arrays], assumptions: Assumptions) -> Arrays:
    """Return the mean of the `krum_kept` clients with the lowest scores (Blanchard et al. 2017, arXiv:1703.02757).

    A client's score is the sum of the squared distances, over all arrays together, to its n - f - 2 nearest other
    clients (section 4), where f is `faulty_clients`. With one client kept this is Krum, with more Multi-Krum. Of equal
    scores the first client's counts as lower.
    """
    scores = krum_scores(squared_distances(clients), assumptions.faulty_clients)
    kept = sorted(np.argsort(scores, kind="stable")[: assumptions.krum_kept])
    return mean([clients[index] for index in kept], assumptions)


def squared_distances(clients: Sequence[Arrays]) -> NDArray[np.float64]:
    """Return the squared Euclidean distances (n, n) between clients.

    They come from inner products, and are not centred first: the centre would be whatever the furthest client makes it,
    and the differences of the others would be lost in rounding.
    """
    products = np.zeros((len(clients), len(clients)))
    for name in clients[0]:
        rows = np.stack([arrays[name].ravel() for arrays in clients]).astype(np.float64)
        products += rows @ rows.T
    norms = np.diag(products)
    return np.maximum(norms[:, None] + norms[None, :] - 2 * products, 0.0)


def krum_scores(distances: NDArray[np.float64], faulty: int) -> NDArray[np.float64]:
    """Return the score (n,) of each client from squared distances (n, n), for n >= 2 `faulty` + 3."""
    others = np.sort(distances + np.diag(np.full(len(distances), np.inf)), axis=1)
    scores: NDArray[np.float64] = others[:, : len(distances) - faulty - 2].sum(axis=1)
    return scores


def least(assumptions: Assumptions) -> int:
    """Return the fewest clients for which n > 2 f + 2 and no faulty client need be kept: m <= n - f - 2."""
    faulty = assumptions.faulty_clients
    return max(2 * faulty + 3, assumptions.krum_kept + faulty + 2)


AGGREGATIONS.register("krum")(
    Aggregation(
        merge=krum,
        least=least,
        why="of n replies, f = federation.faulty_clients of them faulty, it keeps m = federation.krum_kept, and that "
        "takes n > 2 f + 2 and n >= m + f + 2",
    )
)
