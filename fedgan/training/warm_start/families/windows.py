"""Random Fourier features of images and of windows of a half and a quarter of their sides."""

from __future__ import annotations

from fedgan.models import ImageShape
from fedgan.training.warm_start.features import FeatureMap
from fedgan.training.warm_start.registry import FAMILIES


@FAMILIES.register("windows")
def windows(image_shape: ImageShape, *, features: int, seed: int) -> FeatureMap:
    """Return the map of `features` coordinates, an even number of at least 6."""
    return FeatureMap(image_shape, features=features, seed=seed)
