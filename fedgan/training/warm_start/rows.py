"""What all maps have in common that make of each record a row of features for the sum of its class."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn

_MARGIN = 1e-6

COUNT_WEIGHT = 0.3
"""Value of the constant coordinate: the larger, the better class counts are known and the worse everything else."""


class ClassFeatures(nn.Module):
    """Maps images (N, C, H, W) to rows (N, dimension) of norm at most 1, whose sums are taken class by class.

    Attributes:
        dimension: length of a row; its first coordinate is the constant `count_weight`, so that a class's sum carries
            its number of records.
        count_weight: `COUNT_WEIGHT`.
    """

    dimension: int
    count_weight = COUNT_WEIGHT

    @property
    def device(self) -> torch.device:
        """The device that rows are computed on."""
        return next(self.buffers()).device

    def cells(self, num_classes: int) -> int:
        """Return how many sums there are: one a class."""
        return num_classes

    def placed(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows (N, dimension) of `images` and the sum (N,) that each belongs to: that of its class."""
        return self(images), labels


def as_pixels(images: Tensor) -> Tensor:
    """Return `images` with values that are not numbers as 0 and others clamped to [-1, 1]."""
    return torch.nan_to_num(images, nan=0.0, posinf=1.0, neginf=-1.0).clamp(-1.0, 1.0)


def cut_off(offsets: Tensor) -> Tensor:
    """Return `offsets` (N, D), rows longer than 1 scaled down to norm 1; rows may be as long as their type holds."""
    largest = offsets.abs().amax(1, keepdim=True).clamp(min=1.0)  # squares of huge numbers would overflow
    norms = torch.linalg.vector_norm(offsets / largest, dim=1, keepdim=True) * largest
    inside: Tensor = offsets / norms.clamp(min=1.0)
    return inside


def counted(offsets: Tensor) -> Tensor:
    """Return rows [a, b f] (N, 1 + D) of norm at most 1, with f a row of `offsets` (N, D), of norm at most 1 too.

    a is `COUNT_WEIGHT` and a^2 + b^2 = 1.
    """
    constant = torch.full_like(offsets[:, :1], COUNT_WEIGHT)
    rows = torch.cat([constant, offsets * sqrt(1 - COUNT_WEIGHT**2)], dim=1)
    return rows * (1.0 - _MARGIN)
