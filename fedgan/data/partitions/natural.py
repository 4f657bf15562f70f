"""Clients that are the people or sites who made the records."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedgan.data.registry import PARTITIONS
from fedgan.errors import bad_value


@PARTITIONS.register("natural")
def natural(
    *,
    labels: npt.NDArray[np.int64],
    owners: npt.NDArray[np.int64] | None,
    clients: int,
    alpha: float,
    shards_per_client: int,
    rng: np.random.Generator,
) -> list[npt.NDArray[np.int64]]:
    """Give each owner's records to one client; owners in ascending order go round the clients.

    Raises:
        UsageError: the data has no owners, or fewer than there are clients.
    """
    if owners is None:
        raise bad_value("partition.scheme", "natural", "another scheme: this data does not say who owns a record")
    people, owner_of_record = np.unique(owners, return_inverse=True)
    if clients > len(people):
        raise bad_value("partition.clients", clients, f"at most {len(people)}, the number of owners in this data")
    return [np.flatnonzero(owner_of_record % clients == client) for client in range(clients)]
