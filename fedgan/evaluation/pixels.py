"""Distances between images in pixels, where nothing has been learnt from either of them."""

from __future__ import annotations

import torch
from torch import Tensor

from fedgan.data.dataset import ImageDataset

_ROWS = 500


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
