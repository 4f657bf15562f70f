"""Random Fourier features of images at three scales: what one record adds to the released embedding."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from fedgan.errors import bad_value
from fedgan.models import ImageShape
from fedgan.training.warm_start.rows import ClassFeatures, as_pixels

BANDWIDTH = 0.4
"""Kernel bandwidth over the square root of a window's pixels: half of 0.8, the typical distance of two images in
[-1, 1] over the same root. Chosen on public benchmarks (digits, Fashion-MNIST), never on the data at hand."""

_DIVISORS = (1, 2, 4)
_SMALLEST_WINDOW = 7
_MARGIN = 1e-6


class FeatureMap(ClassFeatures):
    """Maps images (N, C, H, W) in [-1, 1] to rows (N, dimension) whose L2 norm never exceeds 1.

    A row is [a, b cos(W x), b sin(W x)] with a = `count_weight` and b^2 = (1 - a^2) / number of frequencies (Rahimi and
    Recht 2007, "Random features for large-scale kernel machines"), so the inner product of two rows estimates a
    Gaussian kernel plus a constant. The frequencies are shared out equally over the scales, by default the whole image
    and windows of a half and of a quarter of its sides, as far as these have at least 7 pixels, each frequency at a
    window of its own at a uniform position. The constant coordinate makes a class's sum carry its number of records.

    Guarantee: every row is finite with norm at most 1, whatever the input: values that are not numbers count as 0,
    others are clamped to [-1, 1], and rows are scaled down at the end should rounding ask for it.

    Args:
        image_shape: (channels, height, width) in pixels.
        features: number of Fourier coordinates, even and at least 6.
        seed: draws frequencies and windows. It is public: every client and the server build the same map from it.
        divisors: of the image's sides, which make those of the windows; 1 for the whole image.
        bandwidths: of the kernels, over the root of a window's pixels; the frequencies of each scale are shared out
            equally over them.

    Attributes:
        dimension: length of a row, features + 1; the constant coordinate is the first.

    Raises:
        UsageError: `features` is odd or below 6.
    """

    weights: Tensor
    scale: float

    def __init__(
        self,
        image_shape: ImageShape,
        *,
        features: int,
        seed: int,
        divisors: tuple[int, ...] = _DIVISORS,
        bandwidths: tuple[float, ...] = (BANDWIDTH,),
    ) -> None:
        super().__init__()
        if features < 6 or features % 2:
            raise bad_value("training.warm_start_features", features, "an even number of at least 6")
        self.image_shape = image_shape
        self.dimension = features + 1
        self.scale = sqrt((1 - self.count_weight**2) / (features // 2))
        rng = torch.Generator().manual_seed(seed)
        weights = _frequencies(image_shape, features // 2, divisors, bandwidths, rng)
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the rows (N, dimension) of `images` (N, C, H, W); differentiable."""
        images = as_pixels(images)
        angles = images.flatten(1) @ self.weights.t()  # (N, features / 2)
        constant = torch.full_like(angles[:, :1], self.count_weight)
        rows = torch.cat([constant, angles.cos() * self.scale, angles.sin() * self.scale], dim=1)
        norms = torch.linalg.vector_norm(rows.detach(), dim=1, keepdim=True)
        scaled: Tensor = rows * ((1.0 - _MARGIN) / norms)
        return scaled


def _frequencies(
    image_shape: ImageShape, count: int, wanted: tuple[int, ...], bandwidths: tuple[float, ...], rng: torch.Generator
) -> Tensor:
    """Return `count` frequency vectors (count, C * H * W), zero outside their windows."""
    channels, height, width = image_shape
    divisors = [divisor for divisor in wanted if divisor == 1 or min(height, width) // divisor >= _SMALLEST_WINDOW]
    weights = torch.zeros(count, channels, height, width)
    for index in range(count):
        divisor = divisors[index % len(divisors)]
        rows, columns = height // divisor, width // divisor
        top = int(torch.randint(height - rows + 1, (), generator=rng))
        left = int(torch.randint(width - columns + 1, (), generator=rng))
        bandwidth = bandwidths[index // len(divisors) % len(bandwidths)] * sqrt(channels * rows * columns)
        window = torch.randn(channels, rows, columns, generator=rng) / bandwidth
        weights[index, :, top : top + rows, left : left + columns] = window
    return weights.flatten(1)
