"""Images are moved by up to an eighth of their sides; what comes in repeats the border."""

from __future__ import annotations

import torch
from torch import Tensor

from fedgan.training.augmentation import AUGMENTATIONS, Augmentation

REACH = 8
"""An image moves by at most a side over this, and by one pixel at least."""


def _translate(images: Tensor, numbers: Tensor) -> Tensor:
    rows = _sources(images.shape[2], numbers[:, 0])[:, None, :, None].expand_as(images)
    columns = _sources(images.shape[3], numbers[:, 1])[:, None, None, :].expand_as(images)
    return images.gather(2, rows).gather(3, columns)


def _sources(side: int, numbers: Tensor) -> Tensor:
    """Return for each image where its pixels come from, (N, side)."""
    reach = max(1, side // REACH)
    shifts = (numbers * (2 * reach + 1)).floor().long() - reach
    return (torch.arange(side, device=numbers.device) - shifts[:, None]).clamp(0, side - 1)


AUGMENTATIONS.register("translation")(Augmentation(draws=2, apply=_translate))
