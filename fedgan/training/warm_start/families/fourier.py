"""Random Fourier features of whole images: one kernel of one bandwidth."""

from __future__ import annotations

from fedgan.models import ImageShape
from fedgan.training.warm_start.features import FeatureMap
from fedgan.training.warm_start.registry import FAMILIES


@FAMILIES.register("fourier")
def fourier(image_shape: ImageShape, *, features: int, seed: int) -> FeatureMap:
    """Return the map of `features` coordinates, an even number of at least 6."""
    return FeatureMap(image_shape, features=features, seed=seed, divisors=(1,))
