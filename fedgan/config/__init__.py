"""Typed, frozen configuration (no torch)."""

from fedgan.config.flat import flatten, unflatten
from fedgan.config.load import config_from_flat, load_config
from fedgan.config.places import naming_places
from fedgan.config.schema import Config
from fedgan.config.write import to_toml

__all__ = ["Config", "config_from_flat", "flatten", "load_config", "naming_places", "to_toml", "unflatten"]
