"""The registry of differentiable augmentations (Zhao et al. 2020, arXiv:2006.10738)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from fedgan.registry import Registry


@dataclass(frozen=True)
class Augmentation:
    """A change of images that leaves what they show, row by row and differentiable by the pixels.

    Attributes:
        draws: numbers that it needs for each image.
        apply: maps images (N, C, H, W) in [-1, 1] and numbers (N, draws), uniform over [0, 1), to images of the same
            shape; the i-th depends on the i-th image and the i-th row of numbers alone.
    """

    draws: int
    apply: Callable[[Tensor, Tensor], Tensor]


AUGMENTATIONS: Registry[Augmentation] = Registry("training.augmentation", "fedgan.training.augmentations")


def choose_augmentations(names: str) -> tuple[Augmentation, ...]:
    """Return the augmentations called `names`, joined by commas, in this order; none for ""; UsageError for others."""
    return tuple(AUGMENTATIONS[name.strip()] for name in names.split(",")) if names else ()
