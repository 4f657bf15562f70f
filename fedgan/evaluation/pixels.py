"""Distances between images in pixels, where nothing has been learnt from either of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fedgan.data.dataset import ImageDataset

_ROWS = 500
_MARGIN = 1e-8  # of a squared distance, a pixel: ten thousand times what float64 loses in matrix products


def pixels(images: ImageDataset, count: int, seed: int) -> Tensor:
    """Return `count` of the images (fewer where there are fewer), drawn by `seed`, as rows (N, C * H * W).

    They are float64 in [-1, 1], on the CPU.
    """
    chosen = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:count]
    return images.batch(chosen.to(images.labels.device))[0].flatten(1).cpu().double()


def nearest_distances(rows: Tensor, others: Tensor, *, itself: bool = False) -> Tensor:
    """Return the Euclidean distance (N,) of each of `rows` (N, D) to the nearest of `others` (M, D).

    Args:
        rows: what to find a neighbour for.
        others: where to look.
        itself: whether the rows are the others, and none is its own neighbour.
    """
    parts = [torch.cdist(part, others).kthvalue(2 if itself else 1, dim=1).values for part in rows.split(_ROWS)]
    return torch.cat(parts)


def near(rows: Tensor, others: Tensor, distances: Sequence[float]) -> Tensor:
    """Return (N, k) bool: whether the nearest of `others` (M, D) is at most each of `distances` from each of `rows`.

    What is said of a row depends on that row and the others alone, bit for bit: where matrix products, which round by
    the place in a batch, are too coarse to tell, the distance is computed for that row by itself.

    Args:
        rows: (N, D) float64 in [-1, 1].
        others: (M, D) float64 in [-1, 1], M >= 1.
        distances: k limits.
    """
    limits = torch.tensor(list(distances), dtype=torch.float64)
    nearest = torch.cdist(rows, others, compute_mode="use_mm_for_euclid_dist").amin(dim=1)
    gaps = (nearest[:, None].square() - limits.square()).abs()
    unsure = (gaps <= _MARGIN * rows.shape[1]).any(dim=1)
    exact = torch.cdist(rows[unsure], others, compute_mode="donot_use_mm_for_euclid_dist")
    nearest[unsure] = exact.amin(dim=1)
    return nearest[:, None] <= limits
