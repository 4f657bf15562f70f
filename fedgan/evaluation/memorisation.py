"""Whether a generator repeats the records that it was trained on: questions to each of them, whose answers are counted.

The questions are fixed by generated images and by a test set, before any record is read. What a record answers depends
on that record alone, so one more or less moves each count by at most one: that bounds what noise has to hide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

import torch
from torch import Tensor, nn

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.pixels import near, nearest_distances, pixels
from fedgan.evaluation.requirements import require_comparable
from fedgan.seeding import derive_seed

GENERATED = 5000
SHARES = (0.01, 0.05)
"""Of test images that have a generated image as near as the distances of the first questions."""
ABOVE_MEDIAN = "logit_above_median"
_ROWS = 500


@dataclass(frozen=True, eq=False)
class Probe:
    """Questions with yes or no, asked of each record.

    Attributes:
        generated: (M, D) float64, generated images as rows of pixels in [-1, 1].
        distances: at most which an image has to be from the nearest of them, a question each.
        discriminator: (images, labels) -> logits (N,), in evaluation mode and on the CPU; None where there is none.
        logit: the last question is whether it gives more than this.
        expected: (k,) share of test images that answer each question with yes: what a generator and a discriminator
            that remember nothing would make of training records too, but for chance.
    """

    generated: Tensor
    distances: tuple[float, ...]
    discriminator: nn.Module | None
    logit: float
    expected: tuple[float, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What is asked: near_1_percent, near_5_percent and, of a discriminator, logit_above_median."""
        near_names = tuple(f"near_{100 * share:.0f}_percent" for share in SHARES)
        return near_names if self.discriminator is None else (*near_names, ABOVE_MEDIAN)

    def answers(self, images: ImageDataset) -> Tensor:
        """Return (N, k) bool: each image's answers, which depend on it alone, bit for bit."""
        rows = (_rows(images, part) for part in torch.arange(len(images)).split(_ROWS))
        found = torch.cat([near(part, self.generated, self.distances) for part in rows])
        if self.discriminator is None:
            return found
        return torch.cat([found, (_logits(self.discriminator, images) > self.logit)[:, None]], dim=1)

    def count(self, images: ImageDataset) -> Tensor:
        """Return (k,) float64: how many of the images answer each question with yes."""
        return self.answers(images).sum(dim=0).double()


def make_probe(synthetic: ImageDataset, test: ImageDataset, *, seed: int, discriminator: nn.Module | None) -> Probe:
    """Return the questions for generated images and a test set.

    Args:
        synthetic: generated images; at most 5,000 are taken.
        test: real images that nothing was trained on. Those of the shares 0.01 and 0.05 that are the nearest to a
            generated image set the distances, the median of their logits sets the logit.
        seed: draws the generated images.
        discriminator: as in `Probe`.

    Raises:
        UsageError: the sets do not fit each other.
    """
    require_comparable(synthetic, test)
    generated = pixels(synthetic, GENERATED, derive_seed(seed, "memorisation", "synthetic"))
    nearest = nearest_distances(_rows(test, torch.arange(len(test))), generated).sort().values
    distances = tuple(_least(nearest, ceil(share * len(test))) for share in SHARES)
    logit = 0.0 if discriminator is None else float(_logits(discriminator, test).median())
    probe = Probe(generated, distances, discriminator, logit)
    return replace(probe, expected=tuple((probe.count(test) / len(test)).tolist()))


def _least(ascending: Tensor, count: int) -> float:
    """Return a limit that the least `count` of the numbers keep, half-way to the next of them."""
    return float(ascending[count - 1 : count + 1].mean())


def _rows(images: ImageDataset, indices: Tensor) -> Tensor:
    return images.batch(indices)[0].flatten(1).cpu().double()


@torch.no_grad()
def _logits(discriminator: nn.Module, images: ImageDataset) -> Tensor:
    """Return logits (N,), one image at a time: in a batch, what stands beside an image can move its last bits."""
    logits = [float(discriminator(*images.batch(index))) for index in torch.arange(len(images))[:, None]]
    return torch.tensor(logits, dtype=torch.float64)
