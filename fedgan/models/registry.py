"""The registry of model families: one file in `fedgan/models/families` adds one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from torch import nn

from fedgan.models.discriminator import Discriminator
from fedgan.registry import Registry

ImageShape: TypeAlias = tuple[int, int, int]
"""(channels, height, width) of one image, in pixels."""


class GeneratorFactory(Protocol):
    """Makes a generator: (latents (N, latent_dim), labels (N,) int64) -> images (N, C, H, W) in [-1, 1].

    The module has the attributes `latent_dim`, `num_classes` and `image_shape`. `width` 0 is the family's default.
    """

    def __call__(self, *, latent_dim: int, num_classes: int, image_shape: ImageShape, width: int) -> nn.Module:
        """Return a new network; its weights are drawn from the global random state."""
        ...


class DiscriminatorFactory(Protocol):
    """Makes a discriminator: (images (N, C, H, W) in [-1, 1], labels (N,) int64) -> logits (N,).

    A row's logit depends on that row alone (no batch statistics), and the layers are ones whose per-sample gradients
    are known: Linear, Conv2d, Embedding, GroupNorm and LayerNorm, each called once in a forward pass.
    """

    def __call__(self, *, num_classes: int, image_shape: ImageShape, width: int) -> Discriminator:
        """Return a new network; its weights are drawn from the global random state."""
        ...


@dataclass(frozen=True)
class ModelFamily:
    """A generator and the discriminator that belongs with it.

    Both raise UsageError naming `data.image_size` for an image shape that the family cannot be built for.
    """

    generator: GeneratorFactory
    discriminator: DiscriminatorFactory


MODELS: Registry[ModelFamily] = Registry("model.name", "fedgan.models.families")
