"""The maps of a warm start, of which only the size counts here."""

from __future__ import annotations

import torch

from fedgan.config import Config
from fedgan.federation.asked_map import asked_features
from fedgan.federation.components import fitted_family
from fedgan.federation.requests import EmbedRequest
from fedgan.models import ImageShape
from fedgan.training.gan import Gan
from fedgan.training.warm_start import ClassFeatures, LearnedMap, learned_shapes


def learned_map(gan: Gan) -> LearnedMap:
    """Return a map of the size of those that are learned on generated images."""
    shape: ImageShape = gan.generator.image_shape  # type: ignore[assignment]
    return LearnedMap(shape, {name: torch.zeros(size) for name, size in learned_shapes(shape).items()})


def warm_start_map(config: Config, gan: Gan) -> ClassFeatures:
    """Return the map of the release that the generator is fitted to."""
    request = EmbedRequest("", config.training.warm_start_features, 0, family=fitted_family(config))
    return asked_features(request, gan.generator.image_shape)  # type: ignore[arg-type]
