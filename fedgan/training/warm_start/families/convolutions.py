"""Responses of random convolutions, averaged in windows: edges and textures."""

from __future__ import annotations

from fedgan.models import ImageShape
from fedgan.training.warm_start.convolutions import ConvolutionMap
from fedgan.training.warm_start.registry import FAMILIES


@FAMILIES.register("convolutions")
def convolutions(image_shape: ImageShape, *, features: int, seed: int) -> ConvolutionMap:
    """Return the map, whose dimension follows from the image's alone."""
    del features
    return ConvolutionMap(image_shape, seed=seed)
