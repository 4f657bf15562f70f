"""The registries of data sources and partitions: one file in `sources` or `partitions` adds one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedgan.data.dataset import DataSplit
from fedgan.data.image_format import ImageFormat
from fedgan.registry import Registry

Loader: TypeAlias = Callable[[Path | None, ImageFormat], DataSplit]
"""Loads a source: (data.root or None, the shape to deliver) -> the split.

Raises UsageError naming `data.root` for a missing or damaged source and saying what to put where.
"""


class Partition(Protocol):
    """Splits records over clients: each record's index goes to one client; a client may come out empty."""

    def __call__(
        self,
        *,
        labels: npt.NDArray[np.int64],
        owners: npt.NDArray[np.int64] | None,
        clients: int,
        alpha: float,
        shards_per_client: int,
        rng: np.random.Generator,
    ) -> list[npt.NDArray[np.int64]]:
        """Return one array of indices for each client.

        Takes labels (N,), owners (N,) or None, and the settings of every scheme, of which each reads its own.
        """
        ...


DATASETS: Registry[Loader] = Registry("data.name", "fedgan.data.sources")
"""Sources of labelled images, by name."""

_PUBLIC: set[Loader] = set()


def public(loader: Loader) -> Loader:
    """Mark a source as a published benchmark: anybody may read its test set, which nothing private is told by."""
    _PUBLIC.add(loader)
    return loader


def is_public(name: str) -> bool:
    """Return whether the source `name` is a published benchmark; what an operator's own files hold is not known."""
    return DATASETS[name] in _PUBLIC


PARTITIONS: Registry[Partition] = Registry("partition.scheme", "fedgan.data.partitions")
"""Ways to spread records over clients, by name."""

Skew: TypeAlias = Callable[[Tensor, float, float, torch.Generator], Tensor]
"""Maps images (N, C, H, W) in [-1, 1], a client's place in [0, 1] between both ends, the strength in [0, 1] and a
stream of the client's own to the images that it sees, of the same shape, to be cut to the same range."""

SKEWS: Registry[Skew] = Registry("partition.skew", "fedgan.data.skews")
"""Ways in which clients' images differ, by name."""
