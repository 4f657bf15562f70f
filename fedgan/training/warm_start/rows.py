"""What all maps have in common that make of each record a row of features for the sum of its class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
