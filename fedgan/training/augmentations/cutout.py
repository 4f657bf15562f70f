"""A square of half a side is grey, wherever its centre lies."""

from __future__ import annotations

import torch
from torch import Tensor

from fedgan.training.augmentation import AUGMENTATIONS, Augmentation


def _cut(images: Tensor, numbers: Tensor) -> Tensor:
    rows, columns = (_inside(side, numbers[:, index]) for index, side in enumerate(images.shape[2:]))
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


def _inside(side: int, numbers: Tensor) -> Tensor:
    """Return for each image which of `side` pixels lie within a quarter of a side of a uniform centre, (N, side)."""
    centres = (numbers * side).floor()[:, None]
    positions = torch.arange(side, device=numbers.device)
    return (positions >= centres - side // 4) & (positions < centres - side // 4 + side // 2)


AUGMENTATIONS.register("cutout")(Augmentation(draws=2, apply=_cut))
