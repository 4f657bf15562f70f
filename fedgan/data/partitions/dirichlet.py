"""Clients whose shares of each class are drawn from a Dirichlet distribution."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedgan.data.registry import PARTITIONS
from fedgan.errors import bad_value

LARGEST_ALPHA = 1e9
"""Beyond this the shares are equal to within a record, and far beyond it the draw overflows."""


@PARTITIONS.register("dirichlet")
def dirichlet(
    *,
    labels: npt.NDArray[np.int64],
    owners: npt.NDArray[np.int64] | None,
    clients: int,
    alpha: float,
    shards_per_client: int,
    rng: np.random.Generator,
) -> list[npt.NDArray[np.int64]]:
    """Split each class in proportions drawn from Dirichlet(alpha, ..., alpha).

    The scheme of Yurochkin et al. 2019, arXiv:1905.12022. Large alpha gives every client an equal share of every
    class, small alpha leaves each class with few clients.

    Raises:
        UsageError: alpha is not in (0, 1e9].
    """
    if not 0 < alpha <= LARGEST_ALPHA:
        raise bad_value("partition.alpha", alpha, f"a number in (0, {LARGEST_ALPHA:g}]")
    parts: list[list[npt.NDArray[np.int64]]] = [[] for _ in range(clients)]
    for label in np.unique(labels):
        records = rng.permutation(np.flatnonzero(labels == label))
        shares = rng.dirichlet(np.full(clients, alpha))
        cuts = np.rint(np.cumsum(shares)[:-1] * len(records)).astype(np.int64)
        for part, piece in zip(parts, np.split(records, cuts), strict=True):
            part.append(piece)
    return [np.concatenate(part) for part in parts]
