"""Class-conditional generators and discriminators, chosen by name and sized from the image shape."""

from fedgan.models.build import build_discriminator, build_generator, count_weights
from fedgan.models.ema import ExponentialMovingAverage
from fedgan.models.registry import MODELS, ImageShape, ModelFamily

__all__ = [
    "MODELS",
    "ExponentialMovingAverage",
    "ImageShape",
    "ModelFamily",
    "build_discriminator",
    "build_generator",
    "count_weights",
]
