"""Builds a named network with weights that depend on the seed alone."""

from __future__ import annotations

import torch
from torch import nn

from fedgan.errors import bad_value
from fedgan.models.auxiliary import AuxiliaryDiscriminator
from fedgan.models.registry import MODELS, ImageShape


def build_generator(
    name: str, *, latent_dim: int, num_classes: int, image_shape: ImageShape, width: int, seed: int
) -> nn.Module:
    """Return the generator of family `name` on the CPU.

    Its forward takes latents (N, latent_dim) float and labels (N,) int64 and returns images (N, C, H, W) in [-1, 1];
    its attributes `latent_dim`, `num_classes` and `image_shape` tell what it was built for.

    Args:
        name: a name in `MODELS`.
        latent_dim: length of a latent vector, at least 1.
        num_classes: labels lie in [0, num_classes); at least 1.
        image_shape: (channels, height, width) in pixels.
        width: the family's unit of size (channels of the layer nearest the image, or hidden units); 0 is its default.
        seed: draws the initial weights, in [0, 2**63); the global random state is neither read nor moved.

    Raises:
        UsageError: the name, width, latent size or image shape is not one that can be built.
    """
    if latent_dim < 1:
        raise bad_value("model.latent_dim", latent_dim, "an integer of at least 1")
    _check(num_classes, width)
    family = MODELS[name]
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        return family.generator(latent_dim=latent_dim, num_classes=num_classes, image_shape=image_shape, width=width)


def build_discriminator(
    name: str, *, num_classes: int, image_shape: ImageShape, width: int, seed: int, auxiliary: bool = False
) -> nn.Module:
    """Return the discriminator of family `name` on the CPU.

    Its forward takes images (N, C, H, W) in [-1, 1] and labels (N,) int64 and returns logits (N,). Arguments and errors
    are those of `build_generator`, but for `auxiliary`: whether it is an `AuxiliaryDiscriminator`, with a second head
    that scores classes. All other weights are the same with and without.
    """
    _check(num_classes, width)
    family = MODELS[name]
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        discriminator = family.discriminator(num_classes=num_classes, image_shape=image_shape, width=width)
        return AuxiliaryDiscriminator(discriminator, num_classes) if auxiliary else discriminator


def count_weights(
    name: str, *, latent_dim: int, num_classes: int, image_shape: ImageShape, width: int, auxiliary: bool = False
) -> int:
    """Return the numbers in generator and discriminator of family `name` together, buffers counted, building neither.

    With `auxiliary` the discriminator's second head is counted too.

    Raises:
        UsageError: the name, width, latent size or image shape is not one that can be built.
    """
    try:
        with torch.device("meta"):  # shapes alone, no memory
            modules = (
                build_generator(
                    name, latent_dim=latent_dim, num_classes=num_classes, image_shape=image_shape, width=width, seed=0
                ),
                build_discriminator(
                    name, num_classes=num_classes, image_shape=image_shape, width=width, seed=0, auxiliary=auxiliary
                ),
            )
    except (RuntimeError, TypeError):  # torch cannot even count the bytes
        raise bad_value("model.width", width, "a width that makes networks of less than 2**63 bytes") from None
    return sum(tensor.numel() for module in modules for tensor in (*module.parameters(), *module.buffers()))


def _check(num_classes: int, width: int) -> None:
    if num_classes < 1:
        raise ValueError(f"num_classes = {num_classes} must be at least 1")
    if width < 0:
        raise bad_value("model.width", width, "0 for the family's default, or a positive integer")
