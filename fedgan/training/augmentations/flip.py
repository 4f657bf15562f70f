"""Every other image is mirrored."""

from __future__ import annotations

import torch
from torch import Tensor

from fedgan.training.augmentation import AUGMENTATIONS, Augmentation


def _flip(images: Tensor, numbers: Tensor) -> Tensor:
    return torch.where(numbers.view(-1, 1, 1, 1) < 0.5, images.flip(-1), images)


AUGMENTATIONS.register("flip")(Augmentation(draws=1, apply=_flip))
