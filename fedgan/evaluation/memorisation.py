"""Whether a generator repeats the records that it was trained on. It READS THEM: its numbers are not private.

No noise is added and nothing is charged: what comes out is for the owner of the records alone. Nothing in this package
calls it but `fedgan evaluate --private-reads`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.pixels import nearest_distances, pixels
from fedgan.evaluation.requirements import require_comparable
from fedgan.seeding import derive_seed

GENERATED = 2000
REAL = 10_000


@dataclass(frozen=True)
class DiscriminatorGap:
    """How a discriminator takes the records that it was trained on, and records that it never saw.

    Attributes:
        training, test: its mean logits.
        auc: the chance that it gives a training record the higher logit of a pair; 0.5 where it cannot tell.
    """

    training: float
    test: float
    auc: float


@dataclass(frozen=True)
class Memorisation:
    """Distances in pixels from generated images to training records and to equally many test images.

    Attributes:
        generated, compared: generated images, and real ones of each kind.
        nearest_training, nearest_test: medians of the distances to the nearest.
        ratio: of the two medians: below 1 where training records are nearer.
        nearer_to_training: share of generated images whose nearest real image is a training record; 0.5 is expected of
            a generator that has memorised nothing.
        standard_error: of this share, were the images independent.
        discriminator: its gap; None where there is none to ask.
    """

    generated: int
    compared: int
    nearest_training: float
    nearest_test: float
    ratio: float
    nearer_to_training: float
    standard_error: float
    discriminator: DiscriminatorGap | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self)


def memorisation(
    synthetic: ImageDataset, train: ImageDataset, test: ImageDataset, *, seed: int, discriminator: nn.Module | None
) -> Memorisation:
    """Return how near generated images are to training records, measured by how near they are to test images.

    Args:
        synthetic: generated images; at most 2,000 are taken.
        train: the private records.
        test: real images that nothing was trained on. Of the larger of the two sets as many are drawn as the smaller
            has, at most 10,000, since among more images some are nearer.
        seed: draws the images.
        discriminator: (images, labels) -> logits (N,), in evaluation mode and on the CPU.

    Raises:
        UsageError: the sets do not fit each other.
    """
    for real in (train, test):
        require_comparable(synthetic, real)
    count = min(REAL, len(train), len(test))
    made = pixels(synthetic, GENERATED, derive_seed(seed, "memorisation", "synthetic"))
    to_train, to_test = (
        nearest_distances(made, pixels(real, count, derive_seed(seed, "memorisation", name)))
        for name, real in (("train", train), ("test", test))
    )
    # A tie says nothing, so it counts for both sides alike.
    nearer = float(((to_train < to_test).double() + 0.5 * (to_train == to_test).double()).mean())
    training, held_out = float(to_train.median()), float(to_test.median())
    return Memorisation(
        generated=len(made),
        compared=count,
        nearest_training=training,
        nearest_test=held_out,
        ratio=training / held_out if held_out > 0 else float("nan"),
        nearer_to_training=nearer,
        standard_error=sqrt(0.25 / len(made)),
        discriminator=None if discriminator is None else _gap(discriminator, train, test),
    )


def _gap(discriminator: nn.Module, train: ImageDataset, test: ImageDataset) -> DiscriminatorGap:
    from sklearn.metrics import roc_auc_score

    inside, outside = _logits(discriminator, train), _logits(discriminator, test)
    belongs = torch.cat([torch.ones_like(inside), torch.zeros_like(outside)])
    auc = float(roc_auc_score(belongs.numpy(), torch.cat([inside, outside]).numpy()))
    return DiscriminatorGap(float(inside.mean()), float(outside.mean()), auc)


@torch.no_grad()
def _logits(discriminator: nn.Module, images: ImageDataset) -> Tensor:
    parts = [discriminator(*images.batch(indices)).double() for indices in torch.arange(len(images)).split(500)]
    return torch.cat(parts)
