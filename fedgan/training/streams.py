"""Torch generators for named streams, and the latents and labels drawn from them."""

from __future__ import annotations

import torch
from torch import Tensor

from fedgan.seeding import derive_seed


def stream(seed: int, *path: str | int) -> torch.Generator:
    """Return a CPU generator for the stream named by `path`; it is reproducible, so never use it for privacy noise."""
    return torch.Generator().manual_seed(derive_seed(seed, *path))


def draw_latents(count: int, latent_dim: int, rng: torch.Generator, device: torch.device) -> Tensor:
    """Return standard normal latents (count, latent_dim), drawn on the CPU so that devices agree."""
    return torch.randn(count, latent_dim, generator=rng).to(device)


def draw_labels(count: int, num_classes: int, rng: torch.Generator, device: torch.device) -> Tensor:
    """Return labels (count,) int64, uniform over classes: a public prior, never the private label counts."""
    return torch.randint(num_classes, (count,), generator=rng).to(device)
