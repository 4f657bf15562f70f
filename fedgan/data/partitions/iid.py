"""Clients that hold random samples of the same data."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedgan.data.registry import PARTITIONS


@PARTITIONS.register("iid")
def iid(
    *,
    labels: npt.NDArray[np.int64],
    owners: npt.NDArray[np.int64] | None,
    clients: int,
    alpha: float,
    shards_per_client: int,
    rng: np.random.Generator,
) -> list[npt.NDArray[np.int64]]:
    """Shuffle the records and deal them out; client sizes differ by at most one."""
    return np.array_split(rng.permutation(len(labels)), clients)
