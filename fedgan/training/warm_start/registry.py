"""The registry of feature families: one file in `fedgan/training/warm_start/families` adds one."""

from __future__ import annotations

from typing import Protocol

from fedgan.errors import bad_value, unknown_name
from fedgan.models import ImageShape
from fedgan.registry import Registry
from fedgan.training.warm_start.combined import CombinedMap
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


def check_families(names: str, key: str = "training.warm_start_family") -> None:
    """Raise UsageError naming `key` unless `names` are names of families, joined by commas, none of them twice."""
    parts = names.split(",")
    for name in parts:
        if name not in FAMILIES.names():
            raise unknown_name(key, name, FAMILIES.names())
    if len(set(parts)) < len(parts):
        raise bad_value(key, names, "each family once")


def map_of(names: str, image_shape: ImageShape, *, features: int, seed: int) -> ClassFeatures:
    """Return the map of the family `names`, or of several, joined by commas, of `features` dimensions each.

    Raises:
        UsageError: a family is unknown or named twice, or has no map of as many dimensions.
    """
    check_families(names)
    maps = [FAMILIES[name](image_shape, features=features, seed=seed) for name in names.split(",")]
    return maps[0] if len(maps) == 1 else CombinedMap(maps)
