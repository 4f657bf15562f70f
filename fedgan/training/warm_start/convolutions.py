"""Features of random convolutions: what one record adds to the release that teaches a generator edges and texture."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, conv2d

from fedgan.models import ImageShape
from fedgan.training.warm_start.noise_images import noise_images
from fedgan.training.warm_start.rows import ClassFeatures, as_pixels, counted

_FILTERS = (24, 48)
_GRIDS = (7, 4)
"""Places a side at which the responses of each layer are averaged."""
_SMOOTH = 0.3
"""Part of the first filters that see the mean of their window."""
_REACH = 2.5
"""Distance from the centre at which rows are cut off, over the typical one of noise images."""
_EXAMPLES = 500


class ConvolutionMap(ClassFeatures):
    """Maps images (N, C, H, W) in [-1, 1] to rows (N, dimension) whose L2 norm never exceeds 1.

    A row is [a, b f] with a^2 + b^2 = 1. f are the responses of two layers of random 3x3 filters (magnitudes of the
    first, rectified sums of the second at half the resolution), averaged in windows, less their mean over images of
    noise with a falling spectrum, and scaled down to norm 1 if they are longer. So the constants are known without
    any data. Random filters tell textures apart (Jarrett et al. 2009, "What is the best multi-stage architecture for
    object recognition?"). The constant coordinate makes a class's sum carry its number of records.

    Guarantee: every row is finite with norm at most 1, whatever the input: values that are not numbers count as 0,
    others are clamped to [-1, 1].

    Args:
        image_shape: (channels, height, width) in pixels.
        seed: draws the filters. It is public: every client and the server build the same map from it.

    Attributes:
        dimension: length of a row; the constant coordinate is the first.
        count_weight: a above.
    """

    first: Tensor
    second: Tensor
    centre: Tensor
    reach: Tensor

    def __init__(self, image_shape: ImageShape, *, seed: int) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        first = torch.randn(_FILTERS[0], image_shape[0], 3, 3, generator=rng)
        smooth = torch.rand(_FILTERS[0], generator=rng) < _SMOOTH
        first = torch.where(smooth[:, None, None, None], first, first - first.mean((1, 2, 3), keepdim=True))
        first = first / first.flatten(1).norm(dim=1)[:, None, None, None]
        second = torch.randn(_FILTERS[1], _FILTERS[0], 3, 3, generator=rng) * sqrt(2 / (9 * _FILTERS[0]))
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)
        examples = self._responses(noise_images(image_shape, _EXAMPLES, rng))
        self.dimension = 1 + examples.shape[1]
        centre = examples.mean(0)
        self.register_buffer("centre", centre, persistent=False)
        self.register_buffer("reach", _REACH * (examples - centre).norm(dim=1).mean(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the rows (N, dimension) of `images` (N, C, H, W); differentiable."""
        images = as_pixels(images)
        offsets = (self._responses(images) - self.centre) / self.reach
        offsets = offsets / torch.linalg.vector_norm(offsets, dim=1, keepdim=True).clamp(min=1.0)
        return counted(offsets)

    def _responses(self, images: Tensor) -> Tensor:
        fine = conv2d(images, self.first, padding=1).abs()
        coarse = conv2d(avg_pool2d(fine, 2), self.second, padding=1).relu()
        pooled = [
            adaptive_avg_pool2d(layer, (min(grid, layer.shape[2]), min(grid, layer.shape[3]))).flatten(1)
            for layer, grid in zip((fine, coarse), _GRIDS, strict=True)
        ]
        return torch.cat(pooled, dim=1)
