"""Random Fourier features of whole images in kernels of three bandwidths."""

from __future__ import annotations

from fedgan.models import ImageShape
from fedgan.training.warm_start.features import BANDWIDTH, FeatureMap
from fedgan.training.warm_start.registry import FAMILIES


@FAMILIES.register("bandwidths")
def bandwidths(image_shape: ImageShape, *, features: int, seed: int) -> FeatureMap:
    """Return the map of `features` coordinates, an even number of at least 6."""
    widths = (BANDWIDTH / 2, BANDWIDTH, 2 * BANDWIDTH)
    return FeatureMap(image_shape, features=features, seed=seed, divisors=(1,), bandwidths=widths)
