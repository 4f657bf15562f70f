"""Density and coverage (Naeem et al. 2020, arXiv:2002.09797)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation.features import compared_features, drawn
from fedgan.seeding import derive_seed

NEIGHBOUR = 5
IMAGES = 5000
_ROWS = 500


@dataclass(frozen=True)
class Support:
    """How densely synthetic images lie around real ones (>= 0), and how many of these have one nearby (in [0, 1])."""

    density: float
    coverage: float


def support(synthetic: ImageDataset, test: ImageDataset, seed: int) -> Support:
    """Return density and coverage of `synthetic` in the features of `compared_features` (section 3.2 of the paper).

    Each real image has a ball that reaches to the fifth nearest of the other real ones. Density is the number of balls
    that a synthetic image lies in, over 5; coverage the share of balls with a synthetic image in them. An outlier
    among the real images widens one ball, where it would stretch the manifold of `overlap`. At most 5,000 images of
    each set are taken, equally many of both.

    Args:
        synthetic: at least 6 images.
        test: real, public images, at least 6, of at least two classes.
        seed: draws the images of the larger set.

    Raises:
        UsageError: the two sets do not fit each other or are too small.
    """
    made, real = compared_features(synthetic, test, at_least=NEIGHBOUR + 1)
    count = min(IMAGES, len(made), len(real))
    made = drawn(made, count, derive_seed(seed, "support", "synthetic"))
    real = drawn(real, count, derive_seed(seed, "support", "test"))
    radii = _radii(real)
    inside = [_distances(rows, made) < radius[:, None] for rows, radius in zip(*_chunks(real, radii), strict=True)]
    density = sum(int(part.sum()) for part in inside) / (NEIGHBOUR * count)
    return Support(density, sum(int(part.any(dim=1).sum()) for part in inside) / count)


def _radii(rows: Tensor) -> Tensor:
    """Return the distance (N,) of each of `rows` (N, D) to the fifth nearest of the others."""
    # Sorted, a row itself comes first, at distance 0.
    nearest = [_distances(part, rows).kthvalue(NEIGHBOUR + 1, dim=1).values for part in rows.split(_ROWS)]
    return torch.cat(nearest)


def _distances(left: Tensor, right: Tensor) -> Tensor:
    # Differences, not products, whose rounding would put an image a little away from itself.
    return torch.cdist(left, right, compute_mode="donot_use_mm_for_euclid_dist")


def _chunks(*tensors: Tensor) -> tuple[tuple[Tensor, ...], ...]:
    return tuple(tensor.split(_ROWS) for tensor in tensors)
