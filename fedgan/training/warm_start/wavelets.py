"""Wavelet scattering: how strong edges of each direction and scale are, and how they vary, place by place."""

from __future__ import annotations

from math import pi, sqrt

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, conv2d

from fedgan.errors import bad_value
from fedgan.models import ImageShape
from fedgan.training.warm_start.noise_images import noise_images
from fedgan.training.warm_start.rows import ClassFeatures, as_pixels, counted

_ANGLES = 6
_SIDE = 7
_DEVIATION = 0.9
"""Of a wavelet's envelope, in pixels."""
_FREQUENCY = 2.0
"""Of its wave, in radians a pixel."""
_SMOOTH = 1e-4
"""Keeps a modulus differentiable at 0."""
_GRIDS = (7, 4)
"""Places a side at which images, and moduli, are averaged."""
_BANDWIDTH = 0.5
"""Kernel bandwidth over the typical distance of two noise images."""
_EXAMPLES = 500
_SHARPEST = 4.0
"""Contrast, before it is cut off smoothly, of the noise images with the hardest edges; others have less, down to 1."""


class WaveletMap(ClassFeatures):
    """Maps images (N, C, H, W) in [-1, 1] to rows (N, dimension) of norm at most 1.

    A row is [a, b cos(W s), b sin(W s)], random Fourier features (Rahimi and Recht 2007) of s: the image, the moduli of
    its Morlet wavelets of six directions at two scales, and the moduli of the wavelets of the finer moduli, all
    averaged over windows (Bruna and Mallat 2013, "Invariant scattering convolution networks", arXiv:1203.1513). Each
    coordinate of s is divided by its deviation over images of noise with a falling spectrum, some of them with edges,
    so no constant depends on data. The constant coordinate makes a class's sum carry its number of records.

    Guarantee: every row is finite with norm at most 1, whatever the input: values that are not numbers count as 0,
    others are clamped to [-1, 1].

    Args:
        image_shape: (channels, height, width) in pixels.
        features: number of Fourier coordinates, even and at least 2.
        seed: draws W and the noise images. It is public.

    Attributes:
        dimension: features + 1; the constant coordinate is the first.

    Raises:
        UsageError: `features` is odd or below 2.
    """

    filters: Tensor
    scales: Tensor
    weights: Tensor

    def __init__(self, image_shape: ImageShape, *, features: int, seed: int) -> None:
        super().__init__()
        if features < 2 or features % 2:
            raise bad_value("training.warm_start_features", features, "an even number of at least 2")
        rng = torch.Generator().manual_seed(seed)
        self.register_buffer("filters", _morlets(), persistent=False)
        examples = self._scattering(_sharpened(noise_images(image_shape, _EXAMPLES, rng), rng))
        self.register_buffer("scales", examples.std(dim=0).clamp(min=1e-3), persistent=False)
        examples = examples / self.scales
        distance = (examples[::2] - examples[1::2]).norm(dim=1).median()
        frequencies = torch.randn(features // 2, examples.shape[1], generator=rng) / (_BANDWIDTH * distance)
        self.register_buffer("weights", frequencies, persistent=False)
        self.dimension = features + 1

    def forward(self, images: Tensor) -> Tensor:
        """Return the rows (N, dimension) of `images` (N, C, H, W); differentiable."""
        angles = (self._scattering(as_pixels(images)) / self.scales) @ self.weights.t()
        return counted(torch.cat([angles.cos(), angles.sin()], dim=1) / sqrt(len(self.weights)))

    def _scattering(self, images: Tensor) -> Tensor:
        """Return s (N, coordinates)."""
        count = len(images)
        planes = images.flatten(0, 1)[:, None]  # every channel by itself
        fine, coarse = self._moduli(planes), self._moduli(_halved(planes))
        again = self._moduli(_halved(fine).flatten(0, 1)[:, None])
        averages = [_averages(planes, _GRIDS[0])]
        averages += [_averages(layer, _GRIDS[1]) for layer in (fine, coarse, again)]
        return torch.cat([part.reshape(count, -1) for part in averages], dim=1)

    def _moduli(self, planes: Tensor) -> Tensor:
        """Return the moduli (M, angles, H, W) of the wavelets of `planes` (M, 1, H, W)."""
        found = conv2d(planes, self.filters, padding=_SIDE // 2).unflatten(1, (_ANGLES, 2))
        moduli: Tensor = (found.square().sum(dim=2) + _SMOOTH).sqrt()
        return moduli


def _sharpened(images: Tensor, rng: torch.Generator) -> Tensor:
    """Return `images` (N, C, H, W) with the contrast of each raised at random: smooth ones next to ones with edges.

    Smooth noise alone has so weak edges that pictures of things would lie many deviations apart, all unlike each other.
    """
    contrast = _SHARPEST ** torch.rand(len(images), 1, 1, 1, generator=rng)
    return (contrast * images.clamp(-0.999, 0.999).atanh()).tanh()


def _morlets() -> Tensor:
    """Return real and imaginary parts (2 * angles, 1, side, side) of waves in a Gaussian window, without mean."""
    along = torch.arange(_SIDE, dtype=torch.float64) - _SIDE // 2
    rows, columns = torch.meshgrid(along, along, indexing="ij")
    window = torch.exp(-(rows**2 + columns**2) / (2 * _DEVIATION**2))
    window = window / window.sum()
    parts = []
    for index in range(_ANGLES):
        angle = pi * index / _ANGLES
        phase = _FREQUENCY * (rows * torch.sin(torch.tensor(angle)) + columns * torch.cos(torch.tensor(angle)))
        wave = torch.exp(1j * phase)
        wave = (wave - (wave * window).sum()) * window
        parts += [wave.real, wave.imag]
    return torch.stack(parts)[:, None].float()


def _halved(layers: Tensor) -> Tensor:
    height, width = layers.shape[2:]
    return adaptive_avg_pool2d(layers, (max(1, height // 2), max(1, width // 2)))


def _averages(layers: Tensor, grid: int) -> Tensor:
    return adaptive_avg_pool2d(layers, (min(grid, layers.shape[2]), min(grid, layers.shape[3])))
