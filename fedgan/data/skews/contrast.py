"""Clients whose images have more or less contrast."""

from __future__ import annotations

import torch
from torch import Tensor

from fedgan.data.registry import SKEWS


@SKEWS.register("contrast")
def contrast(images: Tensor, position: float, strength: float, rng: torch.Generator) -> Tensor:
    """Multiply the distance from mid-grey by 1 - `strength` x `position`."""
    return images * (1 - strength * position)
