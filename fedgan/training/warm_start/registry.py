"""The registry of feature families: one file in `fedgan/training/warm_start/families` adds one."""

from __future__ import annotations

from typing import Protocol

from fedgan.models import ImageShape
from fedgan.registry import Registry
from fedgan.training.warm_start.rows import ClassFeatures


class FeatureFamily(Protocol):
    """Makes a map from images (N, C, H, W) to rows (N, dimension) of norm at most 1, from nothing but its arguments.

    Whatever it holds beyond them is a constant known without any data, so that the map is public: server and clients
    build the same one, and one record moves the sum of a class by at most 1.
    """

    def __call__(self, image_shape: ImageShape, *, features: int, seed: int) -> ClassFeatures:
        """Return the map of about `features` dimensions; UsageError for a number that the family has no map of."""
        ...


FAMILIES: Registry[FeatureFamily] = Registry("training.warm_start_family", "fedgan.training.warm_start.families")
