"""Clients whose cameras are more or less noisy (Li et al. 2022, arXiv:2102.02079, noise-based feature imbalance)."""

from __future__ import annotations

import torch
from torch import Tensor

from fedgan.data.registry import SKEWS


@SKEWS.register("noise")
def noise(images: Tensor, position: float, strength: float, rng: torch.Generator) -> Tensor:
    """Add Gaussian noise of deviation `strength` x `position`, in units of half the range of a pixel."""
    return images + strength * position * torch.randn(images.shape, generator=rng)
