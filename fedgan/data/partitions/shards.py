"""Clients that hold a few classes each, by shards of the sorted records."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedgan.data.registry import PARTITIONS
from fedgan.errors import bad_value


@PARTITIONS.register("shards")
def shards(
    *,
    labels: npt.NDArray[np.int64],
    owners: npt.NDArray[np.int64] | None,
    clients: int,
    alpha: float,
    shards_per_client: int,
    rng: np.random.Generator,
) -> list[npt.NDArray[np.int64]]:
    """Sort by label, cut into equal shards, deal each client its number of them.

    The scheme of McMahan et al. 2017, arXiv:1602.05629, section 3, where each client has two shards.

    Raises:
        UsageError: there are fewer records than shards.
    """
    most = len(labels) // clients
    if not 1 <= shards_per_client <= most:
        raise bad_value(
            "partition.shards_per_client",
            shards_per_client,
            f"1 to {most}, with {len(labels)} records and partition.clients = {clients}",
        )
    pieces = np.array_split(np.argsort(labels, kind="stable"), clients * shards_per_client)
    dealt = rng.permutation(len(pieces)).reshape(clients, shards_per_client)
    return [np.concatenate([pieces[shard] for shard in hand]) for hand in dealt]
