"""What the total of noisy moments says of each cell: counts, means and covariances, with the noise that they carry."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fedgan.training.warm_start.moments import LocalMoments
from fedgan.training.warm_start.shrinkage import kept_share


@dataclass(frozen=True, eq=False)
class Readings:
    """Estimates for cells in coordinates about their centres; all float64, (classes, cells, ...).

    Attributes:
        raw_counts: records of each cell as released; noise may make them negative.
        counts: the same, large enough to divide by.
        count_floor: below it a cell counts as empty, since noise could explain its count.
        means: (classes, cells, coordinates), shrunk towards 0 by what the noise explains.
        covariances: (classes, cells, coordinates, coordinates); zero for moments of order 1.
        product_noise: deviation of the noise on the diagonal of each covariance, (classes, cells).
    """

    raw_counts: Tensor
    counts: Tensor
    count_floor: float
    means: Tensor
    covariances: Tensor
    product_noise: Tensor


def read(sums: Tensor, moments: LocalMoments, num_classes: int, noise_std: float) -> Readings:
    """Return what `sums` (classes * cells, dimension) with noise of `noise_std` in every coordinate say."""
    sums = sums.double().unflatten(0, (num_classes, -1))  # (classes, cells, dimension)
    size = moments.coordinates
    raw_counts = sums[..., 0] / moments.count_weight
    least = max(1.0, 2 * noise_std / moments.count_weight)
    counts = raw_counts.clamp(min=least)
    means = sums[..., 1 : 1 + size] / moments.mean_weight / counts[..., None]
    kept = kept_share(means.flatten(0, 1), (noise_std / moments.mean_weight / counts).flatten(), size)
    means = means * kept.view(*counts.shape, 1)
    covariances = torch.zeros(*counts.shape, size, size, dtype=torch.float64)
    product_noise = torch.zeros_like(counts)
    if moments.order == 2:
        products = moments.symmetric(sums[..., 1 + size :]) / moments.product_weight / counts[..., None, None]
        covariances = products - means[..., :, None] * means[..., None, :]
        product_noise = noise_std / moments.product_weight / counts
    return Readings(raw_counts, counts, least, means, covariances, product_noise)
