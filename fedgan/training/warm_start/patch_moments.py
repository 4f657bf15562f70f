"""Moments of patches: the mean of each patch of an image and the products of its smooth coefficients."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from fedgan.models import ImageShape
from fedgan.models.cosines import orthonormal_cosines
from fedgan.training.warm_start.rows import ClassFeatures, as_pixels, counted

_SIDE = 7
_COSINES = 4
"""Lowest cosines a side that a patch is described by."""


class PatchMoments(ClassFeatures):
    """Maps images (N, C, H, W) in [-1, 1] to rows (N, dimension) of norm at most 1.

    The image is cut into patches of 7 by 7 pixels (what is left at its end is part of none; smaller images are one
    patch). c is a patch's coefficients in its lowest 4 by 4 cosines, a channel at a time, over the root of its pixels,
    so |c| <= 1. A row holds the coefficients and the products c_i c_j, i <= j, of all P patches and channels, so that
    sums of rows are first and second moments: [a, b c / sqrt(2 P), b c c / sqrt(2 P)], where products of two different
    coefficients count twice, hence sqrt(2) times each.

    Guarantee: every row is finite with norm at most 1, whatever the input: values that are not numbers count as 0,
    others are clamped to [-1, 1].

    Args:
        image_shape: (channels, height, width) in pixels.

    Attributes:
        dimension: length of a row; the constant coordinate is the first.
    """

    basis: Tensor
    products: Tensor

    def __init__(self, image_shape: ImageShape) -> None:
        super().__init__()
        channels, height, width = image_shape
        self._sides = (min(_SIDE, height), min(_SIDE, width))
        rows, columns = (orthonormal_cosines(side, min(_COSINES, side)) for side in self._sides)
        basis = torch.einsum("ih,jw->hwij", rows, columns).flatten(2).flatten(0, 1) / sqrt(
            len(rows[0]) * len(columns[0])
        )
        self.register_buffer("basis", basis.float(), persistent=False)  # (pixels, coefficients)
        self.register_buffer("products", torch.triu_indices(basis.shape[1], basis.shape[1]), persistent=False)
        patches = channels * (height // self._sides[0]) * (width // self._sides[1])
        self.dimension = 1 + patches * (basis.shape[1] + self.products.shape[1])

    def forward(self, images: Tensor) -> Tensor:
        """Return the rows (N, dimension) of `images` (N, C, H, W); differentiable."""
        rows, columns = self._sides
        patches = as_pixels(images).unfold(2, rows, rows).unfold(3, columns, columns)  # (N, C, h, w, rows, columns)
        first = patches.flatten(4).flatten(1, 3) @ self.basis  # (N, P, coefficients)
        left, right = self.products
        second = first[..., left] * first[..., right] * torch.where(left == right, 1.0, sqrt(2.0))
        moments = torch.cat([first.flatten(1), second.flatten(1)], dim=1)
        return counted(moments / sqrt(2 * first.shape[1]))
