"""Labelled images out of a generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from fedgan.data.dataset import ImageDataset
from fedgan.errors import FedganError, UsageError


def generate_images(
    generator: nn.Module, count: int, *, labels: Sequence[int] | None = None, seed: int, batch: int = 500
) -> ImageDataset:
    """Return `count` images drawn from `generator` in eval mode, without gradients.

    The latents depend on `seed` and `count` alone: neither `labels`, `batch` nor the device changes them, and the
    global random state is neither read nor moved. The generator is left in the mode it was found in.

    Args:
        generator: maps latents (N, latent_dim) and labels (N,) to images (N, C, H, W) in [-1, 1]; has the attributes
            `latent_dim` and `num_classes`.
        count: images to draw, at least 1.
        labels: classes to draw, taken in turn; None means every class equally often (up to one image).
        seed: seed of the latents.
        batch: images per forward pass.

    Returns:
        float32 images in [-1, 1] and their labels, on the CPU.

    Raises:
        UsageError: if `count` is below 1 or a label is no class of the generator.
        FedganError: if an image is not finite, as after a training that diverged.
    """
    if count < 1:
        raise UsageError(f"count = {count} is not accepted: give at least 1 image")
    latent_dim, num_classes = cast(int, generator.latent_dim), cast(int, generator.num_classes)
    classes = _repeated(range(num_classes) if labels is None else labels, count, num_classes)  # (N,)
    rng = torch.Generator().manual_seed(seed)
    # One draw, however many batches: torch's normal stream depends on the size of each draw.
    latents = torch.randn((count, latent_dim), generator=rng)  # (N, Z)
    images = _forward(generator, latents, classes, batch)  # (N, C, H, W)
    if not images.isfinite().all():
        raise FedganError("the generator's images are not finite: its training diverged")
    return ImageDataset(images=images, labels=classes, num_classes=num_classes)


def _repeated(labels: Sequence[int], count: int, num_classes: int) -> Tensor:
    """Return `labels` in turn, over and over, (count,) int64."""
    wrong = [label for label in labels if not 0 <= label < num_classes]
    if wrong or not labels:
        raise UsageError(f"labels = {list(labels)} is not accepted: give classes from 0 to {num_classes - 1}")
    return torch.as_tensor(list(labels), dtype=torch.int64)[torch.arange(count) % len(labels)]


@torch.no_grad()
def _forward(generator: nn.Module, latents: Tensor, labels: Tensor, batch: int) -> Tensor:
    device = next(generator.parameters()).device
    was_training = generator.training
    generator.eval()
    try:
        parts = [
            generator(z.to(device), y.to(device)).float().cpu()
            for z, y in zip(latents.split(batch), labels.split(batch), strict=True)
        ]
    finally:
        generator.train(was_training)
    return torch.cat(parts)
