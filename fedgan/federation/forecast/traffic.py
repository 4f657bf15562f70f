"""How many bytes would travel."""

from __future__ import annotations

from typing import cast

import numpy as np

from fedgan.config import Config
from fedgan.federation.algorithms import Algorithm
from fedgan.federation.arrays import gradient_arrays, networks_of
from fedgan.federation.cohort import cohort_size
from fedgan.federation.components import (
    generated_images,
    is_anchored,
    is_refined,
    learned_releases,
    stages_of,
)
from fedgan.federation.compression import packed_bytes
from fedgan.federation.forecast.maps import learned_map, warm_start_map
from fedgan.federation.planning import expected_clients, fraction_asked
from fedgan.federation.records import count_bytes, to_records
from fedgan.federation.requests import GENERATED, TARGET, Arrays, EmbedRequest, Release, TrainRequest
from fedgan.federation.sites import client_name
from fedgan.models.families.mixture import MixtureGenerator
from fedgan.training.gan import Gan
from fedgan.training.stored import generate_stock
from fedgan.training.streams import stream
from fedgan.training.warm_start import most_numbers

_RUN = "20260101T000000Z-00000000"  # as long as a run's identifier


def round_bytes(config: Config, algorithm: Algorithm, gan: Gan) -> tuple[int, int]:
    """Return the bytes of a request and of its answer, made of networks as they begin."""
    arrays = networks_of(gan, algorithm.sends)
    if algorithm.sends_images:
        count = generated_images(config, cast(int, gan.generator.num_classes))
        arrays[GENERATED] = generate_stock(gan, count, stream(0, "forecast")).cpu().numpy()
    if is_anchored(config) and "generator" in algorithm.returns:
        arrays[TARGET] = np.zeros(_embedding_shape(config, gan), np.float32)
    steps = config.federation.local_steps
    request = TrainRequest(_RUN, 1, steps, 0, 1, arrays, 0, config.federation.compression)
    if algorithm.releases == "networks":
        released = networks_of(gan, algorithm.returns)
    else:
        weights = {name: weight for name, weight in gan.discriminator.named_parameters() if weight.requires_grad}
        released = gradient_arrays(weights)
    return count_bytes(to_records(request)), _answer_bytes(config, released, request)


def arrays_of_all(config: Config, *, down: int, up: int) -> int:
    """Return the bytes to and from all clients in a round, if `down` go to each asked and `up` come from each there."""
    asked = cohort_size(config.partition.clients, fraction_asked(config))
    return round(asked * down + expected_clients(config) * up)


def embedding_bytes(config: Config, gan: Gan, num_classes: int) -> int:
    """Return the bytes of the warm start's releases of one client, at most."""
    if config.training.warm_start == "mixture" and isinstance(gan.generator, MixtureGenerator):
        shapes = [(numbers,) for numbers in most_numbers(gan.generator, stages_of(config))]
        if is_refined(config):
            shapes.append((num_classes * warm_start_map(config, gan).dimension,))
        return packed_bytes(shapes, config.federation.compression)
    request = EmbedRequest(_RUN, config.training.warm_start_features, 0, 0, config.federation.compression)
    first = _answer_bytes(config, {"embedding": np.zeros(_embedding_shape(config, gan), np.float32)}, request)
    later = np.zeros((num_classes, learned_map(gan).dimension), np.float32)
    return first + learned_releases(config) * _answer_bytes(config, {"embedding": later}, request)


def _embedding_shape(config: Config, gan: Gan) -> tuple[int, int]:
    return cast(int, gan.generator.num_classes), warm_start_map(config, gan).dimension


def _answer_bytes(config: Config, arrays: Arrays, request: EmbedRequest | TrainRequest) -> int:
    head = "0" * 64 if config.privacy.level != "none" else ""
    return count_bytes(to_records(Release(client_name(0), 0, arrays, head), request))
