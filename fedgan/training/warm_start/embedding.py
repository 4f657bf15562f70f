"""Class-wise sums of features: what a client releases once, with noise, and what the server reads from the total."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from fedgan.data.dataset import ImageDataset
from fedgan.errors import bad_value
from fedgan.training.warm_start.moments import LocalMoments
from fedgan.training.warm_start.rows import ClassFeatures


@torch.no_grad()
def embed(dataset: ImageDataset, feature_map: ClassFeatures | LocalMoments, batch: int = 128) -> Tensor:
    """Return the sums (cells, dimension) float64, on the CPU, of the rows of each cell's records; a class is a cell.

    Guarantee: adding or removing one record, whatever its pixels, moves the result by at most 1 in L2 norm, because its
    row has norm at most 1 and lands in one sum. Sums of disjoint clients add up to the sum of their union.
    No noise is added here.

    Args:
        dataset: the records of one client; it may be empty.
        feature_map: the public map, the same for every client.
        batch: records mapped at a time.
    """
    device = feature_map.device
    sums = torch.zeros(feature_map.cells(dataset.num_classes), feature_map.dimension, dtype=torch.float64)
    for indices in torch.arange(len(dataset)).split(batch):
        images, labels = dataset.batch(indices)
        rows, cells = feature_map.placed(images.to(device), labels.to(device))
        sums.index_add_(0, cells.cpu(), rows.cpu().double())
    return sums


@dataclass(frozen=True, eq=False)
class EmbeddingTarget:
    """What a generator is fitted to.

    Attributes:
        means: estimated mean feature row of each class, (num_classes, dimension) float32.
        counts: estimated records of each class, (num_classes,) float32, all positive.
        noise_std: standard deviation of the noise in each coordinate of the summed embedding (a row has norm 1).
    """

    means: Tensor
    counts: Tensor
    noise_std: float


def estimate_target(
    sums: Tensor,
    *,
    records: int,
    noise_std: float,
    count_weight: float,
    class_counts: Literal["released", "uniform"] = "released",
) -> EmbeddingTarget:
    """Turn the total of all clients' noisy sums into class means: post-processing, free of privacy cost.

    With "released", the class counts are read from the constant coordinate, moved together so that they add up to
    `records`, and shrunk towards equal counts by the positive-part James-Stein factor (Efron and Morris 1973, "Stein's
    estimation rule and its competitors"): where the noise explains all of the differences, classes count as balanced.

    Args:
        sums: the total of the released sums, (num_classes, dimension), any float type.
        records: number of records behind it; public, as client sizes are.
        noise_std: standard deviation of the noise in each coordinate of `sums`; 0 for none.
        count_weight: the feature map's constant coordinate.
        class_counts: "uniform" declares publicly that classes are balanced and reads no count from the release.

    Raises:
        UsageError: `class_counts` is neither of the two.
    """
    classes = len(sums)
    if class_counts == "uniform":
        counts = torch.full((classes,), records / classes, dtype=torch.float64)
    elif class_counts == "released":
        counts = _released_counts(sums[:, 0].double() / count_weight, records, noise_std / count_weight)
    else:
        raise bad_value("training.class_counts", class_counts, "'released' or 'uniform'")
    return EmbeddingTarget((sums.double() / counts[:, None]).float(), counts.float(), noise_std)


def _released_counts(noisy: Tensor, records: int, noise_std: float) -> Tensor:
    """Return counts (num_classes,) of at least max(1, noise_std) records from noisy ones."""
    equal = records / len(noisy)
    differences = noisy - noisy.mean()
    spread = float(differences.square().sum())
    kept = max(0.0, 1.0 - (len(noisy) - 1) * noise_std**2 / spread) if spread > 0 else 0.0
    return (equal + kept * differences).clamp(min=max(1.0, noise_std))
