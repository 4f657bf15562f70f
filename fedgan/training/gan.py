"""The two networks of a conditional GAN and what one needs to sample from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, cast

import torch
from torch import Tensor, nn

from fedgan.errors import bad_value
from fedgan.models import build_discriminator, build_generator
from fedgan.seeding import derive_seed
from fedgan.training.critic import ClassifyingCritic, ReducedPrecision
from fedgan.training.dropout import places
from fedgan.training.perturbation import NOTHING, Perturbation
from fedgan.training.streams import draw_labels, draw_latents

Precision = Literal["float32", "bfloat16"]


@dataclass
class Gan:
    """Generator and discriminator on one device.

    Attributes:
        precision: of forward passes in training steps; parameters and their gradients are float32 in any case.
        perturbation: what training steps show to the discriminator in place of images.
        spectral_bound: the largest spectral norm of a weight of the discriminator; 0 for none.
        dropout: chance in [0, 1) with which training steps drop a unit of the discriminator; not with penalties.
        auxiliary: whether the discriminator also scores classes (`judge`), for losses with an auxiliary classifier.
    """

    generator: nn.Module
    discriminator: nn.Module
    precision: Precision = "float32"
    perturbation: Perturbation = NOTHING
    spectral_bound: float = 0.0
    dropout: float = 0.0
    auxiliary: bool = False

    @property
    def device(self) -> torch.device:
        """The device that holds both networks."""
        return next(self.discriminator.parameters()).device

    def network(self, name: str) -> nn.Module:
        """Return the network called "generator" or "discriminator"."""
        return {"generator": self.generator, "discriminator": self.discriminator}[name]

    @cached_property
    def critic(self) -> nn.Module:
        """The discriminator as training steps call it: it puts out logits (N,) or, if `auxiliary`, pairs (N, 2)."""
        critic = ClassifyingCritic(self.discriminator) if self.auxiliary else self.discriminator
        return ReducedPrecision(critic) if self.precision == "bfloat16" else critic

    @cached_property
    def _maker(self) -> nn.Module:
        return ReducedPrecision(self.generator) if self.precision == "bfloat16" else self.generator

    def generate(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return the images (N, C, H, W) of latents (N, latent_dim) and labels (N,), as training steps make them."""
        images: Tensor = self._maker(latents, labels)
        return images

    def fakes(self, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return generated images (count, C, H, W) in [-1, 1] and their uniformly drawn labels (count,)."""
        labels = draw_labels(count, cast(int, self.generator.num_classes), rng, self.device)
        latents = draw_latents(count, cast(int, self.generator.latent_dim), rng, self.device)
        return self.generate(latents, labels), labels


def build_gan(
    name: str,
    *,
    latent_dim: int,
    width: int,
    num_classes: int,
    image_shape: tuple[int, int, int],
    seed: int,
    device: torch.device,
    precision: Precision = "float32",
    perturbation: Perturbation = NOTHING,
    spectral_bound: float = 0.0,
    dropout: float = 0.0,
    auxiliary: bool = False,
) -> Gan:
    """Return the networks of family `name` with weights that depend on `seed` alone; see `fedgan.models` and `Gan`.

    Raises:
        UsageError: `fedgan.models` refuses the sizes, or the discriminator has no layer to drop units of.
    """
    generator = build_generator(
        name,
        latent_dim=latent_dim,
        num_classes=num_classes,
        image_shape=image_shape,
        width=width,
        seed=derive_seed(seed, "generator"),
    )
    discriminator = build_discriminator(
        name,
        num_classes=num_classes,
        image_shape=image_shape,
        width=width,
        seed=derive_seed(seed, "discriminator"),
        auxiliary=auxiliary,
    )
    if dropout > 0 and not places(discriminator):
        raise bad_value("training.dropout", dropout, f"0 with model.name = {name!r}, which has no layer for it")
    generator, discriminator = generator.to(device), discriminator.to(device)
    return Gan(generator, discriminator, precision, perturbation, spectral_bound, dropout, auxiliary)


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Keep `module`'s parameters out of the graph: a generator step leaves nothing in the discriminator."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
