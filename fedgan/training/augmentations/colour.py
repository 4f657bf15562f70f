"""Brightness, saturation and contrast change, in the ranges of Zhao et al. 2020 (arXiv:2006.10738)."""

from __future__ import annotations

from torch import Tensor

from fedgan.training.augmentation import AUGMENTATIONS, Augmentation


def _colour(images: Tensor, numbers: Tensor) -> Tensor:
    brightness, saturation, contrast = (part.view(-1, 1, 1, 1) for part in numbers.unbind(dim=1))
    images = images + (brightness - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (2 * saturation)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (images - mean) * (contrast + 0.5)


AUGMENTATIONS.register("colour")(Augmentation(draws=3, apply=_colour))
