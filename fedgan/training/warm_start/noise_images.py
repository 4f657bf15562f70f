"""Images of noise, on which maps of features set their constants without any data."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from fedgan.models import ImageShape
from fedgan.models.cosines import orthonormal_cosines


def noise_images(image_shape: ImageShape, count: int, rng: torch.Generator) -> Tensor:
    """Return images (count, C, H, W) of noise whose spectrum falls off as that of photographs does, in [-1, 1]."""
    channels, height, width = image_shape
    squares = torch.arange(height)[:, None] ** 2 + torch.arange(width) ** 2
    scale = sqrt(height * width) / 2 / (1.0 + squares / 4.0)
    spectrum = torch.randn(count, channels, height, width, generator=rng) * scale
    rows, columns = (orthonormal_cosines(side, side).float() for side in (height, width))
    return (rows.t() @ spectrum @ columns).tanh()
