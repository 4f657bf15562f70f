"""The factors of a mixture's components from noisy covariances of its cells."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

from fedgan.training.warm_start.readings import Readings
from fedgan.training.warm_start.shrinkage import clean_spectrum, kept_share


def component_factors(readings: Readings, weights: Tensor, count: int) -> Tensor:
    """Return `count` factors of each cell, (classes, cells, count, coordinates) float64, the largest first.

    A cell's covariance is shrunk towards the average of its class by what the noise explains, and of the result the
    directions are kept that stand out of the noise that is left.

    Args:
        readings: of order 2.
        weights: of each class's cells, (classes, cells), not negative.
        count: factors wanted; those that a cell has none for are 0.
    """
    size = readings.means.shape[2]
    factors = torch.zeros(*weights.shape, count, size, dtype=torch.float64)
    parts = weights / weights.sum(1, keepdim=True)
    for label, part in enumerate(parts):
        covariances, noise = readings.covariances[label], readings.product_noise[label]
        pooled = (part[:, None, None] * covariances).sum(0)
        pooled_noise = float((part * noise).square().sum().sqrt())
        kept = kept_share(covariances - pooled, noise, size * (size + 1) // 2)
        for cell in range(len(part)):
            share = float(kept[cell])
            left = sqrt((share * float(noise[cell])) ** 2 + ((1 - share) * pooled_noise) ** 2)
            values, vectors = clean_spectrum(pooled + share * (covariances[cell] - pooled), left)
            own = min(count, size)
            factors[label, cell, :own] = values[:own, None].clamp(min=0.0).sqrt() * vectors[:own]
    return factors
