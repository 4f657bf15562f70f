"""What a run would cost, before anything runs: epsilon, noise, bytes and time."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import cast

import numpy as np
import torch

from fedgan.config import Config
from fedgan.data.dataset import ImageDataset
from fedgan.federation.algorithms import ALGORITHMS, Algorithm
from fedgan.federation.arrays import gradient_arrays, networks_of
from fedgan.federation.asked_map import asked_features
from fedgan.federation.cohort import cohort_size, participations
from fedgan.federation.components import (
    fitted_family,
    gan_of,
    generated_images,
    is_anchored,
    is_refined,
    learned_releases,
    loss_of,
    optimisation_of,
    stages_of,
)
from fedgan.federation.compression import packed_bytes
from fedgan.federation.planning import fraction_asked, warm_start_shares
from fedgan.federation.records import count_bytes, to_records
from fedgan.federation.requests import GENERATED, TARGET, Arrays, EmbedRequest, Release, TrainRequest
from fedgan.federation.sites import Sites, client_name
from fedgan.models import ImageShape
from fedgan.models.families.mixture import MixtureGenerator
from fedgan.privacy.gradient import PlainGradient, PrivateGradient
from fedgan.privacy.noise import SecureNoise
from fedgan.privacy.plan import PrivacyPlan
from fedgan.training.early_stopping import IMAGES_PER_CLASS
from fedgan.training.gan import Gan
from fedgan.training.local import train_discriminator_steps, train_generator_steps
from fedgan.training.rules import GradientRule
from fedgan.training.stored import generate_stock
from fedgan.training.streams import stream
from fedgan.training.warm_start import (
    LEARNING_STEPS,
    Cells,
    ClassFeatures,
    EmbeddingTarget,
    LearnedMap,
    LocalMoments,
    begin_refinement_by,
    embed,
    fit_generator,
    learned_shapes,
    most_numbers,
)

_CALIBRATION_STEPS = 3
_CALIBRATION_RECORDS = 256
_RUN = "20260101T000000Z-00000000"  # as long as a run's identifier


@dataclass(frozen=True)
class Forecast:
    """The cost of a run for all clients.

    Attributes:
        plans: privacy plan of each client, by name.
        clients_asked: clients asked in a round: all at level "client", where each tosses a coin of its own.
        clients_a_round: clients that are expected to take part in a round.
        participations: rounds in which one client is asked at most.
        bytes_down: to one client that is asked in a round, arrays and scalars as they travel.
        bytes_up: from one client that takes part in it; on separate machines its ledger comes on top.
        bytes_a_round: to and from all clients in a round, as many as are expected to take part.
        embeddings: releases of the warm start that each client is asked for.
        embedding_bytes: of the warm start's releases of one client, at most; 0 without one.
        seconds: expected time on this machine, from a few timed steps on random images; None where none were timed.
    """

    plans: dict[str, PrivacyPlan]
    clients_asked: int
    clients_a_round: float
    participations: int
    bytes_down: int
    bytes_up: int
    bytes_a_round: int
    embeddings: int
    embedding_bytes: int
    seconds: float | None


def forecast(config: Config, sites: Sites, *, timed: bool = True) -> Forecast:
    """Return what running `config` would cost; no record is read beyond the clients' public sizes.

    Without `timed` no step is tried, and no time expected.
    """
    train = sites.data.train
    gan = gan_of(config, train.image_shape, train.num_classes)
    algorithm = ALGORITHMS[config.federation.algorithm]
    clients = len(sites)
    warm = config.training.warm_start != "none"
    down, up = _traffic(config, algorithm, gan)
    return Forecast(
        plans={client_name(index): sites.plan(index) for index in range(clients)},
        clients_asked=cohort_size(clients, fraction_asked(config)),
        clients_a_round=_expected_clients(config),
        participations=participations(clients, fraction_asked(config), config.federation.rounds),
        bytes_down=down,
        bytes_up=up,
        bytes_a_round=arrays_of_all(config, down=down, up=up),
        embeddings=len(warm_start_shares(config)) if warm else 0,
        embedding_bytes=_embedding_bytes(config, gan, train.num_classes) if warm else 0,
        seconds=_expected_seconds(config, gan, records=len(train)) if timed else None,
    )


def arrays_of_all(config: Config, *, down: int, up: int) -> int:
    """Return the bytes to and from all clients in a round, if `down` go to each asked and `up` come from each there."""
    asked = cohort_size(config.partition.clients, fraction_asked(config))
    return round(asked * down + _expected_clients(config) * up)


def _expected_clients(config: Config) -> float:
    clients, fraction = config.partition.clients, config.federation.fraction
    return clients * fraction if config.privacy.level == "client" else cohort_size(clients, fraction)


def _traffic(config: Config, algorithm: Algorithm, gan: Gan) -> tuple[int, int]:
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


def _embedding_bytes(config: Config, gan: Gan, num_classes: int) -> int:
    if config.training.warm_start == "mixture" and isinstance(gan.generator, MixtureGenerator):
        shapes = [(numbers,) for numbers in most_numbers(gan.generator, stages_of(config))]
        if is_refined(config):
            shapes.append((num_classes * _warm_start_map(config, gan).dimension,))
        return packed_bytes(shapes, config.federation.compression)
    request = EmbedRequest(_RUN, config.training.warm_start_features, 0, 0, config.federation.compression)
    first = _answer_bytes(config, {"embedding": np.zeros(_embedding_shape(config, gan), np.float32)}, request)
    later = np.zeros((num_classes, _learned_map(gan).dimension), np.float32)
    return first + learned_releases(config) * _answer_bytes(config, {"embedding": later}, request)


def _embedding_shape(config: Config, gan: Gan) -> tuple[int, int]:
    return cast(int, gan.generator.num_classes), _warm_start_map(config, gan).dimension


def _answer_bytes(config: Config, arrays: Arrays, request: EmbedRequest | TrainRequest) -> int:
    head = "0" * 64 if config.privacy.level != "none" else ""
    return count_bytes(to_records(Release(client_name(0), 0, arrays, head), request))


def _expected_seconds(config: Config, gan: Gan, *, records: int) -> float:
    """Extrapolate from a few steps of each kind on random images."""
    federation, training = config.federation, config.training
    seconds, fit_step, fitted = 0.0, 0.0, training.warm_start == "mean_embedding" or is_refined(config)
    if fitted or training.public_data:
        fit_step = _fit_step_seconds(config, gan)
        seconds += fit_step * (training.public_steps if training.public_data else 0)
        seconds += fit_step * (training.warm_start_steps if fitted else 0)
    if later := learned_releases(config):
        seconds += later * fit_step * (training.warm_start_steps + LEARNING_STEPS)  # to learn takes such steps too
        seconds += later * records * _seconds_of(_learned_map(gan), gan)
    if training.warm_start == "mixture":
        seconds += _moments_seconds(config, gan) * records * stages_of(config)
    discriminator, generator = _step_seconds(config, gan)
    every = training.discriminator_steps if isinstance(training.discriminator_steps, int) else 1
    at_clients = ALGORITHMS[federation.algorithm].returns.count("generator")
    cohort = _expected_clients(config)
    a_round = cohort * federation.local_steps * discriminator
    a_round += (cohort if at_clients else 1) * (federation.local_steps / every) * generator
    if training.early_stopping_rounds:  # a look is the forward pass of a step, of which it is a third
        looked_at = IMAGES_PER_CLASS * cast(int, gan.generator.num_classes)
        a_round += fit_step / 3 * looked_at / training.warm_start_batch_size
    return seconds + federation.rounds * a_round


def _step_seconds(config: Config, gan: Gan) -> tuple[float, float]:
    optimisation, loss = optimisation_of(config), loss_of(config)
    rng = stream(0, "forecast")
    with torch.no_grad():
        images, labels = (tensor.cpu() for tensor in gan.fakes(optimisation.batch_size, rng))
    gradient: GradientRule = PlainGradient(microbatch=optimisation.microbatch)
    if config.privacy.level == "record":  # at level "client" an update is clipped once, not every gradient
        gradient = PrivateGradient(
            clip=config.privacy.clip,
            noise_multiplier=1.0,
            expected_rows=2 * optimisation.batch_size,
            noise=SecureNoise(),
            engine=config.privacy.clipping_engine,
            microbatch=optimisation.microbatch,
        )

    def discriminator_steps(steps: int) -> None:
        train_discriminator_steps(
            gan,
            lambda: (images, labels),
            steps=steps,
            optimisation=optimisation,
            loss=loss,
            gradient=gradient,
            rng=rng,
        )

    optimizer = optimisation.for_generator(gan)

    def generator_steps(steps: int) -> None:
        train_generator_steps(gan, steps=steps, optimisation=optimisation, optimizer=optimizer, loss=loss, rng=rng)

    times = []
    for work in (discriminator_steps, generator_steps):
        work(1)
        begun = perf_counter()
        work(_CALIBRATION_STEPS)
        times.append((perf_counter() - begun) / _CALIBRATION_STEPS)
    return times[0], times[1]


def _moments_seconds(config: Config, gan: Gan) -> float:
    """Return the seconds of one record in the dearest release of the warm start by local moments."""
    shape, classes = gan.generator.image_shape, cast(int, gan.generator.num_classes)
    numbers, coordinates = LocalMoments.coefficients(shape), config.model.latent_dim  # type: ignore[arg-type]
    cells = Cells(
        origins=torch.zeros(classes, numbers),
        bases=torch.zeros(classes, coordinates, numbers),
        centres=torch.zeros(classes, max(1, config.model.width), coordinates),
        radii=torch.ones(classes),
    )
    return _seconds_of(LocalMoments(shape, cells, order=2), gan)  # type: ignore[arg-type]


def _learned_map(gan: Gan) -> LearnedMap:
    """Return a map of the size of those that are learned on generated images."""
    shape: ImageShape = gan.generator.image_shape  # type: ignore[assignment]
    return LearnedMap(shape, {name: torch.zeros(size) for name, size in learned_shapes(shape).items()})


def _seconds_of(row_map: LearnedMap | LocalMoments, gan: Gan) -> float:
    """Return the seconds that a client takes for one record."""
    shape: ImageShape = gan.generator.image_shape  # type: ignore[assignment]
    classes = cast(int, gan.generator.num_classes)
    images = 2 * torch.rand((_CALIBRATION_RECORDS, *shape), generator=stream(0, "forecast")) - 1
    records = ImageDataset(images, torch.arange(_CALIBRATION_RECORDS) % classes, classes)
    embed(records, row_map)
    begun = perf_counter()
    embed(records, row_map)
    return (perf_counter() - begun) / len(records)


def _fit_step_seconds(config: Config, gan: Gan) -> float:
    training = config.training
    feature_map = _warm_start_map(config, gan).to(gan.device)
    classes = int(gan.generator.num_classes)  # type: ignore[arg-type]
    target = EmbeddingTarget(torch.zeros(classes, feature_map.dimension), torch.ones(classes), 0.0)
    marks: list[float] = []
    fit_generator(
        gan.generator,
        target,
        feature_map,
        steps=_CALIBRATION_STEPS + 1,
        batch_size=training.warm_start_batch_size,
        learning_rate=1e-6,
        rng=stream(0, "forecast"),
        parameters=begin_refinement_by(gan.generator, fitted_family(config)) if is_refined(config) else None,
        progress=lambda step: marks.append(perf_counter()),
    )
    return (marks[-1] - marks[0]) / _CALIBRATION_STEPS


def _warm_start_map(config: Config, gan: Gan) -> ClassFeatures:
    """Return the map of the release that the generator is fitted to."""
    request = EmbedRequest(_RUN, config.training.warm_start_features, 0, family=fitted_family(config))
    return asked_features(request, gan.generator.image_shape)  # type: ignore[arg-type]
