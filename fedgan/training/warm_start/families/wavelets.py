"""Wavelet scattering and random Fourier features of it: edges and textures."""

from __future__ import annotations

from fedgan.models import ImageShape
from fedgan.training.warm_start.registry import FAMILIES
from fedgan.training.warm_start.wavelets import WaveletMap


@FAMILIES.register("wavelets")
def wavelets(image_shape: ImageShape, *, features: int, seed: int) -> WaveletMap:
    """Return the map of `features` coordinates, an even number of at least 2."""
    return WaveletMap(image_shape, features=features, seed=seed)
