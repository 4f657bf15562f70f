"""Discriminators and batches that benchmarks share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, softplus


class ReferenceDiscriminator(nn.Module):
    """The discriminator of Bie et al. 2023 (arXiv:2302.02936) for 28 x 28 images: 1.72 million weights."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.label = (nn.Conv2d(channels, 64, 4, 2, 1) for channels in (1, 10))
        layers = [nn.Conv2d(128, 256, 4, 2, 1), nn.Conv2d(256, 512, 3, 2, 1)]
        self.layers = nn.Sequential(*[part for layer in layers for part in (layer, nn.LeakyReLU(0.2))])
        self.score = nn.Conv2d(512, 1, 4)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return logits (N,) of images (N, 1, 28, 28) and labels (N,)."""
        planes = one_hot(labels, 10).to(images.dtype)[:, :, None, None].expand(-1, -1, 28, 28)
        stems = torch.cat([self.image(images), self.label(planes)], dim=1)
        logits: Tensor = self.score(self.layers(nn.functional.leaky_relu(stems, 0.2))).flatten()
        return logits


class Discriminator(nn.Sequential):
    """Convolutions of stride 2 down to at most 4 pixels, then a linear score; labels are ignored."""

    def __init__(self, side: int, *channels: int) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(channels):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
            side //= 2
        super().__init__(*layers, nn.Flatten(), nn.Linear(channels[-1] * side**2, 1), nn.Flatten(0))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return logits (N,) of images (N, C, side, side)."""
        logits: Tensor = super().forward(images)
        return logits


@dataclass(frozen=True)
class Case:
    """One discriminator and one batch."""

    build: Callable[[], nn.Module]
    image_shape: tuple[int, int, int]
    rows: int
    changing: bool = False
    """Whether each step has another number of rows, as Poisson samples have, up to 5 % fewer."""

    def batches(self, inputs: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, ...]]:
        """Yield the inputs of one step after the other, without end."""
        for step in count():
            fewer = step * 7 % (self.rows // 20) if self.changing else 0
            yield tuple(values[: len(values) - fewer] for values in inputs)


CASES = {
    "28x28, 128 rows": Case(lambda: Discriminator(28, 1, 64, 128, 256), (1, 28, 28), 128),
    "28x28, 256 rows": Case(lambda: Discriminator(28, 1, 64, 128, 256), (1, 28, 28), 256),
    "32x32x3, 128 rows": Case(lambda: Discriminator(32, 3, 64, 128, 256), (3, 32, 32), 128),
    "64x64x3, 64 rows": Case(lambda: Discriminator(64, 3, 32, 64, 128, 256), (3, 64, 64), 64),
    "1.72 M weights, 128 + 128 rows": Case(ReferenceDiscriminator, (1, 28, 28), 256),
}

GPU_CASES = {
    "28x28, 4,096 rows": Case(lambda: Discriminator(28, 1, 64, 128, 256), (1, 28, 28), 4096),
    "the same, ever other numbers": Case(lambda: Discriminator(28, 1, 64, 128, 256), (1, 28, 28), 4096, changing=True),
}
"""Batches of which a CPU would take minutes: those of published DP-GANs."""


def losses(logits: Tensor) -> Tensor:
    """Return the losses (N,) of logits (N,), the first half of which is of real rows."""
    real, fake = logits.chunk(2)
    return torch.cat([softplus(-real), softplus(fake)])


def prepare(case: Case, rows: int, device: torch.device) -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    """Return the case's discriminator, and images in [-1, 1] and labels of `rows` rows, the same at each call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        images, labels = torch.rand(rows, *case.image_shape) * 2 - 1, torch.arange(rows) % 10
        return case.build().to(device), (images.to(device), labels.to(device))
