"""Splits the training records over the clients of a simulation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fedgan.data.registry import PARTITIONS
from fedgan.errors import UsageError, bad_value
from fedgan.seeding import derive_seed


def partition(
    scheme: str,
    *,
    labels: npt.NDArray[np.int64],
    owners: npt.NDArray[np.int64] | None,
    clients: int,
    alpha: float,
    shards_per_client: int,
    seed: int,
) -> list[npt.NDArray[np.int64]]:
    """Assign every record to exactly one client; the same arguments give the same result.

    A partition is an experiment's design and counts as public: it looks at labels across clients, which a deployment
    never does.

    Args:
        scheme: a name in `PARTITIONS`.
        labels: (N,) class of each record.
        owners: (N,) natural client of each record, for the scheme `natural`; None where the data has none.
        clients: number of clients, 1 to N.
        alpha: concentration of the scheme `dirichlet`.
        shards_per_client: shards of the scheme `shards`.
        seed: the experiment's seed.

    Returns:
        For each client its records' indices, (N_k,) int64 ascending; disjoint, and together 0 ... N - 1.

    Raises:
        UsageError: a setting is out of range, or a client is left without records.
    """
    if not 1 <= clients <= len(labels):
        raise bad_value("partition.clients", clients, f"1 to {len(labels)}, the number of training records")
    parts = PARTITIONS[scheme](
        labels=labels,
        owners=owners,
        clients=clients,
        alpha=alpha,
        shards_per_client=shards_per_client,
        rng=np.random.default_rng(derive_seed(seed, "partition", scheme)),
    )
    for client, part in enumerate(parts):
        if len(part) == 0:
            raise UsageError(
                f"partition.scheme = {scheme!r} with partition.alpha = {alpha} leaves client {client} of {clients} "
                f"without records: give fewer partition.clients, a larger partition.alpha or another seed"
            )
    return [np.sort(part).astype(np.int64, copy=False) for part in parts]


def class_counts(
    labels: npt.NDArray[np.int64], parts: Sequence[npt.NDArray[np.int64]], num_classes: int
) -> npt.NDArray[np.int64]:
    """Return the table (clients, num_classes) of how many records of each class a client holds.

    For pictures of a simulation's design: of a real client these counts are private.
    """
    return np.stack([np.bincount(labels[part], minlength=num_classes) for part in parts]).astype(np.int64, copy=False)
