"""Images between a real one and a generated one of its own, for penalties that look there."""

from __future__ import annotations

from hashlib import sha256
from typing import cast

import torch
from torch import Tensor

from fedgan.seeding import derive_seed
from fedgan.training.gan import Gan


@torch.no_grad()
def interpolate(gan: Gan, images: Tensor, labels: Tensor, *, rng: torch.Generator) -> Tensor:
    """Return u x + (1 - u) G(z, y) for each real image x with its label y, u uniform over [0, 1], z normal.

    Guarantee: the i-th row is a function of the i-th record and of what is public. u and z come from a stream named by
    the step and by the record itself, not by its place in the batch: were they dealt out in order, leaving out one
    record would give every later one another partner, and the sum of clipped gradients would change by more than one
    record's share. `rng` advances by the same amount whatever the batch, which is private.

    Args:
        gan: its generator is in evaluation mode, so that it does not mix rows.
        images: (B, C, H, W) in [-1, 1]; B may be 0.
        labels: (B,) int64.
        rng: names the step.
    """
    step = int(torch.randint(2**62, (), generator=rng))
    if not len(images):
        return images
    latents, weights = zip(*[_draws(gan, step, *record) for record in zip(images, labels, strict=True)], strict=True)
    partners = gan.generate(torch.stack(latents).to(images), labels)
    return torch.lerp(partners, images, torch.stack(weights).to(images).view(-1, 1, 1, 1))


def _draws(gan: Gan, step: int, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Return the latent (latent_dim,) and the weight () of one record in one step."""
    record = sha256(image.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
    stream = torch.Generator().manual_seed(derive_seed(step, record, int(label)))
    latent_dim = cast(int, gan.generator.latent_dim)
    return torch.randn(latent_dim, generator=stream), torch.rand((), generator=stream)
