"""Convolutions that give smooth images their edges and textures."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

_FILTERS = 16
_SLOPE = 0.1


class Refiner(nn.Module):
    """Adds to images what three convolutions make of them and of noise; at first next to nothing.

    Args:
        channels: of the images.
        noise: planes of noise beside each image.
    """

    def __init__(self, channels: int, noise: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(channels + noise, _FILTERS, 5, padding=2)
        self.middle = nn.Conv2d(_FILTERS, _FILTERS, 3, padding=1)
        self.last = nn.Conv2d(_FILTERS, channels, 3, padding=1)
        nn.init.normal_(self.last.weight, std=1e-4)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        """Return what to add, (N, C, H, W), to images of that shape, given noise (N, noise, H, W)."""
        hidden = leaky_relu(self.wide(torch.cat([images, noise], dim=1)), _SLOPE)
        added: Tensor = self.last(leaky_relu(self.middle(hidden), _SLOPE))
        return added
