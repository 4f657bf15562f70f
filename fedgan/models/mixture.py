"""Several networks as one: a generator that shares its draws out, and a discriminator that averages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from fedgan.models.registry import ImageShape


class MixtureGenerator(nn.Module):
    """Each draw goes to one of several generators, to the k-th with probability w_k.

    The first coordinate of a latent chooses the part, by which of the intervals of a standard normal with masses w_1,
    w_2, ... it lies in; the part takes as many of the coordinates after it as its own latents have. So which part makes
    an image depends on that image's latent alone, whatever the batch, its label or its place in it.

    Args:
        parts: at least one generator, of one image shape and number of classes.
        weights: the w_k > 0, whose sum is 1.
    """

    def __init__(self, parts: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.latent_dim = 1 + max(cast(int, part.latent_dim) for part in parts)
        self.num_classes = cast(int, parts[0].num_classes)
        self.image_shape = cast(ImageShape, parts[0].image_shape)
        masses = torch.tensor(weights, dtype=torch.float64).cumsum(0)[:-1]
        self.bounds: Tensor
        self.register_buffer("bounds", torch.special.ndtri(masses).float(), persistent=False)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return the images (N, C, H, W) in [-1, 1] of latents (N, latent_dim) and labels (N,)."""
        chosen = torch.searchsorted(self.bounds, latents[:, 0].contiguous())  # (N,)
        images = latents.new_zeros((len(latents), *self.image_shape))
        for index, part in enumerate(self.parts):
            rows = torch.nonzero(chosen == index)[:, 0]
            if len(rows):
                images[rows] = part(latents[rows, 1 : 1 + cast(int, part.latent_dim)], labels[rows])
        return images


class MeanDiscriminator(nn.Module):
    """The weighted mean of several discriminators' logits.

    Args:
        parts: at least one discriminator.
        weights: as many numbers > 0, whose sum is 1.
    """

    def __init__(self, parts: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self._weights = tuple(weights)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return logits (N,) of images (N, C, H, W) and labels (N,)."""
        logits = [
            weight * cast(Tensor, part(images, labels)) for weight, part in zip(self._weights, self.parts, strict=True)
        ]
        return torch.stack(logits).sum(dim=0)
