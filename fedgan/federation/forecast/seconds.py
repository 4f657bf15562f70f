"""How long a run would take on this machine, from a few steps that are tried."""

from __future__ import annotations

from time import perf_counter
from typing import cast

import torch

from fedgan.config import Config
from fedgan.data.dataset import ImageDataset
from fedgan.federation.algorithms import ALGORITHMS
from fedgan.federation.components import (
    fitted_family,
    is_refined,
    learned_releases,
    loss_of,
    optimisation_of,
    stages_of,
)
from fedgan.federation.forecast.maps import learned_map, warm_start_map
from fedgan.federation.planning import expected_clients
from fedgan.models import ImageShape
from fedgan.privacy.gradient import PlainGradient, PrivateGradient
from fedgan.privacy.noise import SecureNoise
from fedgan.training.early_stopping import IMAGES_PER_CLASS
from fedgan.training.gan import Gan
from fedgan.training.local import train_discriminator_steps, train_generator_steps
from fedgan.training.rules import GradientRule
from fedgan.training.streams import stream
from fedgan.training.warm_start import (
    LEARNING_STEPS,
    Cells,
    EmbeddingTarget,
    LearnedMap,
    LocalMoments,
    begin_refinement_by,
    embed,
    fit_generator,
)

_CALIBRATION_STEPS = 3
_CALIBRATION_RECORDS = 256


def expected_seconds(config: Config, gan: Gan, *, records: int) -> float:
    """Return the seconds of a run on `records` records, extrapolated from a few steps of each kind on random images."""
    federation, training = config.federation, config.training
    seconds, fit_step, fitted = 0.0, 0.0, training.warm_start == "mean_embedding" or is_refined(config)
    if fitted or training.public_data:
        fit_step = _fit_step_seconds(config, gan)
        seconds += fit_step * (training.public_steps if training.public_data else 0)
        seconds += fit_step * (training.warm_start_steps if fitted else 0)
    if later := learned_releases(config):
        seconds += later * fit_step * (training.warm_start_steps + LEARNING_STEPS)  # to learn takes such steps too
        seconds += later * records * _seconds_of(learned_map(gan), gan)
    if training.warm_start == "mixture":
        seconds += _moments_seconds(config, gan) * records * stages_of(config)
    discriminator, generator = _step_seconds(config, gan)
    every = training.discriminator_steps if isinstance(training.discriminator_steps, int) else 1
    at_clients = ALGORITHMS[federation.algorithm].returns.count("generator")
    cohort = expected_clients(config)
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
    feature_map = warm_start_map(config, gan).to(gan.device)
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
