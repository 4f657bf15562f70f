"""Features of several families in one release: each record adds one row that holds a part of each."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch
from torch import Tensor, nn

from fedgan.training.warm_start.rows import ClassFeatures


class CombinedMap(ClassFeatures):
    """Maps images (N, C, H, W) to rows [a, f_1 / sqrt(k), ..., f_k / sqrt(k)], where [a, f_i] is the i-th map's row.

    Guarantee: a row's norm is at most the largest of the maps' (root of the mean of |f_i|^2, beside the same a), so at
    most 1.

    Args:
        maps: at least one; every row of theirs has norm at most 1 and `count_weight` first.

    Attributes:
        dimension: length of a row; the constant coordinate is the first.

    Raises:
        ValueError: no map is given.
    """

    def __init__(self, maps: Sequence[ClassFeatures]) -> None:
        super().__init__()
        if not maps:
            raise ValueError("give at least one map")
        self.maps = nn.ModuleList(maps)
        self.dimension = 1 + sum(one.dimension - 1 for one in maps)

    def forward(self, images: Tensor) -> Tensor:
        """Return the rows (N, dimension) of `images` (N, C, H, W); differentiable."""
        rows = [one(images) for one in self.maps]
        shortest = torch.stack([row[:, 0] for row in rows]).amin(dim=0)[:, None]  # a, up to rounding
        return torch.cat([shortest, *(row[:, 1:] / sqrt(len(rows)) for row in rows)], dim=1)
