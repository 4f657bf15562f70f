"""Generated images that stand in for the generator that made them, where the generator itself is not to travel."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from fedgan.training.gan import Gan
from fedgan.training.streams import draw_latents

_AT_ONCE = 256


class StoredGenerator(nn.Module):
    """Answers as a generator does, with one of the images that it was given: image i is of class i mod `num_classes`.

    A latent picks among the images of its label's class, each with the same probability if the latent is normal.
    Nothing is learnt: it has no parameters.

    Args:
        images: (N, C, H, W) in [-1, 1], N at least `num_classes`, so that every class has one.
        num_classes: labels lie in [0, num_classes).

    Raises:
        ValueError: there are fewer images than classes.
    """

    images: Tensor

    def __init__(self, images: Tensor, num_classes: int) -> None:
        super().__init__()
        if len(images) < num_classes:
            raise ValueError(f"{len(images)} images leave some of {num_classes} classes without any")
        self.latent_dim = 1
        self.num_classes = num_classes
        self.image_shape = tuple(images.shape[1:])
        self.register_buffer("images", images, persistent=False)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return images (N, C, H, W) for latents (N, 1) and labels (N,) int64."""
        counts = (len(self.images) - labels + self.num_classes - 1) // self.num_classes
        picked = (torch.special.ndtr(latents[:, 0].double()) * counts).long().minimum(counts - 1)
        return self.images[labels + self.num_classes * picked]


@torch.no_grad()
def generate_stock(gan: Gan, count: int, rng: torch.Generator) -> Tensor:
    """Return `count` images (count, C, H, W) in [-1, 1] for a `StoredGenerator`, drawn with `rng`."""
    gan.generator.eval()
    classes = cast(int, gan.generator.num_classes)
    labels = (torch.arange(count) % classes).to(gan.device)
    latents = draw_latents(count, cast(int, gan.generator.latent_dim), rng, gan.device)
    parts = zip(latents.split(_AT_ONCE), labels.split(_AT_ONCE), strict=True)
    return torch.cat([gan.generate(*part) for part in parts])
