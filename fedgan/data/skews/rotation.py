"""Clients whose images are turned, each by an angle of its own."""

from __future__ import annotations

from math import cos, pi, sin

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from fedgan.data.registry import SKEWS


@SKEWS.register("rotation")
def rotation(images: Tensor, position: float, strength: float, rng: torch.Generator) -> Tensor:
    """Turn by between -90 x `strength` and 90 x `strength` degrees; corners take the nearest pixel of the border."""
    angle = pi / 2 * strength * (2 * position - 1)
    turn = torch.tensor([[cos(angle), -sin(angle), 0.0], [sin(angle), cos(angle), 0.0]])
    grid = affine_grid(turn.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return grid_sample(images, grid, padding_mode="border", align_corners=False)
