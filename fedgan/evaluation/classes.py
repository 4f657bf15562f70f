"""Which classes fail: by a classifier trained on generated images, and by one trained on real test images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import log
from typing import Any

import torch
from torch import Tensor

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.features import real_classifier
from fedgan.evaluation.metrics.cnn import cnn_predictions
from fedgan.evaluation.network import outputs
from fedgan.evaluation.requirements import require_classes, require_comparable


@dataclass(frozen=True)
class ClassAnalysis:
    """What became of each of K classes; None stands for a class without an image.

    Attributes:
        accuracy: share of a class's real test images that a CNN trained on the generated images gets right.
        mistaken: test images by their class (K rows) and by what that CNN sees in them (K columns).
        recognised: share of the images generated as a class that a CNN trained on the test set sees as that class.
        confusion: generated images by the class asked for (K rows) and by what that CNN sees in them (K columns).
        entropy: of what it sees in the images of one class, in bits: 0 where it is always the same class, whichever.
        conditional_entropy: the mean of `entropy` over generated images: H(class seen | class asked for).
    """

    accuracy: list[float | None]
    mistaken: list[list[int]]
    recognised: list[float | None]
    confusion: list[list[int]]
    entropy: list[float | None]
    conditional_entropy: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return asdict(self)


def analyse_classes(synthetic: ImageDataset, test: ImageDataset, seed: int) -> ClassAnalysis:
    """Return what became of each class. Of real data it reads the test set only, which is public.

    Args:
        synthetic: generated images of at least two classes.
        test: real, public images of at least two classes.
        seed: of the CNN that is trained on `synthetic`: the one of the metric `cnn`.

    Raises:
        UsageError: the two sets do not fit each other, or one holds a single class.
    """
    require_comparable(synthetic, test)
    require_classes(test, "test")
    mistaken = _counts(test.labels, cnn_predictions(synthetic, test, seed), test.num_classes)
    seen = outputs(real_classifier(test), synthetic, test.labels.device).argmax(dim=1)
    confusion = _counts(synthetic.labels, seen, test.num_classes)
    entropy = _entropies(confusion)
    asked = confusion.sum(dim=1)
    return ClassAnalysis(
        accuracy=_or_none(mistaken.diagonal() / mistaken.sum(dim=1)),
        mistaken=mistaken.int().tolist(),
        recognised=_or_none(confusion.diagonal() / asked),
        confusion=confusion.int().tolist(),
        entropy=_or_none(torch.where(asked > 0, entropy, torch.nan)),
        conditional_entropy=float((entropy * asked).sum() / asked.sum()),
    )


def accuracy_by_class(synthetic: ImageDataset, test: ImageDataset, seed: int) -> list[float | None]:
    """Return `ClassAnalysis.accuracy` alone; arguments and errors are those of `analyse_classes`."""
    mistaken = _counts(test.labels, cnn_predictions(synthetic, test, seed), test.num_classes)
    return _or_none(mistaken.diagonal() / mistaken.sum(dim=1))


def _counts(rows: Tensor, columns: Tensor, classes: int) -> Tensor:
    """Return how often each pair of classes occurs, (classes, classes) float64."""
    pairs = rows.cpu() * classes + columns.cpu()
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes).double()


def _entropies(counts: Tensor) -> Tensor:
    """Return the entropy in bits of each row (K,), 0 for an empty one."""
    shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    bits: Tensor = -torch.special.xlogy(shares, shares).sum(dim=1) / log(2)
    return bits


def _or_none(values: Tensor) -> list[float | None]:
    return [float(value) if bool(value.isfinite()) else None for value in values]
