"""The server of a new run, put together from the configuration and what the clients say of themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from secrets import token_hex

from fedgan.config import Config
from fedgan.federation.aggregation import AGGREGATIONS, Assumptions
from fedgan.federation.algorithms import ALGORITHMS
from fedgan.federation.bounds import ReleaseBounds
from fedgan.federation.components import fitted_family, gan_of, generated_images, is_refined, loss_of, optimisation_of
from fedgan.federation.embeddings import WarmStart
from fedgan.federation.inspection import Inspector
from fedgan.federation.planning import plan_of, warm_start_shares
from fedgan.federation.requests import Description
from fedgan.federation.server import Server
from fedgan.federation.server_optimizers import SERVER_OPTIMIZERS, Constants, ServerOptimizer
from fedgan.federation.server_steps import ClippedUpdates, GradientStep, NetworkAverage, ServerStep
from fedgan.federation.weights import Weights
from fedgan.privacy.gradient import PlainGradient, PrivateGradient
from fedgan.privacy.noise import NoiseSource, SecureNoise
from fedgan.privacy.plan import PrivacyPlan
from fedgan.training.augmentation_chance import chance_of
from fedgan.training.early_stopping import EarlyStopping
from fedgan.training.gan import Gan
from fedgan.training.ladder import Ladder, fixed_ladder
from fedgan.training.rules import GradientRule
from fedgan.training.streams import stream


def server_of(config: Config, clients: Sequence[Description]) -> Server:
    """Return the server of a new run for what `clients` say of their data."""
    description, training = clients[0], config.training
    gan = gan_of(config, description.image_shape, description.num_classes)
    weights = Weights({client.client: client.records for client in clients}, config.federation.largest_weight)
    everybody = sum(weights.counted().values())
    plan, noise = _server_plan(config, everybody), SecureNoise()
    steps = training.discriminator_steps
    return Server(
        run=f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{token_hex(4)}",
        gan=gan,
        algorithm=ALGORITHMS[config.federation.algorithm],
        step=_server_step(config, gan, everybody, plan, noise),
        optimisation=optimisation_of(config),
        loss=loss_of(config),
        ladder=Ladder() if steps == "adaptive" else fixed_ladder(steps),
        augmentation=chance_of(training.augmentation_chance),
        local_steps=config.federation.local_steps,
        minimum_clients=config.federation.minimum_clients,
        warm_start=_warm_start(config, plan) if training.warm_start != "none" else None,
        noise=noise,
        anchor_weight=training.anchor_weight,
        ema_decay=training.ema_decay,
        seed=config.seed,
        everybody=everybody,
        compression=config.federation.compression,
        generated_images=generated_images(config, description.num_classes),
        early_stopping=_early_stopping(config),
        inspector=Inspector(weights, _bounds(config, weights.records, everybody)),
    )


def _early_stopping(config: Config) -> EarlyStopping | None:
    rounds = config.training.early_stopping_rounds
    if not rounds:
        return None
    ends = config.privacy.level == "none"
    return EarlyStopping(rounds, lambda: stream(config.seed, "early stopping"), ends=ends)


def _bounds(config: Config, records: Mapping[str, int], everybody: int) -> ReleaseBounds:
    """Return what honest clients can release; the noise of sums over records is the same for every client."""
    privacy, adds_noise = config.privacy, config.privacy.level != "none" and config.privacy.trust == "local"
    rows = max(min(records.values()), config.training.batch_size)
    plan = plan_of(config, records=rows, everybody=max(everybody, rows)) if adds_noise else None
    return ReleaseBounds(
        optimisation=optimisation_of(config),
        records=records,
        clip=math.inf if privacy.level == "none" else privacy.clip,
        gradient_noise=plan.noise_multiplier * plan.clip if plan else 0.0,
        embedding_noise=max(plan.warm_start_multipliers()) if plan else 0.0,
        whole_clients=privacy.level == "client",
        shrinks=config.training.spectral_bound > 0,
    )


def _server_plan(config: Config, everybody: int) -> PrivacyPlan | None:
    """Return the plan by which the server adds noise, the same as every client's; None where it adds none."""
    if config.privacy.level == "none" or config.privacy.trust == "local":
        return None
    return plan_of(config, records=everybody, everybody=everybody)


def _warm_start(config: Config, plan: PrivacyPlan | None) -> WarmStart:
    training = config.training
    return WarmStart(
        features=training.warm_start_features,
        family=fitted_family(config),
        steps=training.warm_start_steps,
        batch_size=training.warm_start_batch_size,
        learning_rate=training.warm_start_learning_rate,
        class_counts=training.class_counts,
        noise_std=plan.warm_start_noise * _of_rounded_sums(plan) if plan else 0.0,
        whole_clients=config.privacy.level == "client",
        shares=warm_start_shares(config),
        mixture=training.warm_start == "mixture",
        refined=is_refined(config),
        shading=training.warm_start_shading,
    )


def _of_rounded_sums(plan: PrivacyPlan) -> float:
    """Return by how much a record can move a sum that arrives in float32, in units of what it moves the exact sum by.

    A sum over n records of norm at most C has norm n C at most and is rounded by 2^-24 of that; so are the sums of two
    neighbouring data sets, each its own way. At level "client" the server clips what arrives.
    """
    return 1.0 + plan.records * 2.0**-23 if plan.level == "record" else 1.0


def _server_step(config: Config, gan: Gan, everybody: int, plan: PrivacyPlan | None, noise: NoiseSource) -> ServerStep:
    algorithm, privacy = ALGORITHMS[config.federation.algorithm], config.privacy
    aggregation = AGGREGATIONS[config.federation.aggregation]
    if algorithm.releases == "gradient_sum":
        return GradientStep(
            gan,
            optimisation=optimisation_of(config),
            loss=loss_of(config),
            probability=config.training.batch_size / everybody,
            fake_gradient=_fake_gradient(config, noise),
            noise_std=plan.noise_multiplier * plan.clip * _of_rounded_sums(plan) if plan else 0.0,
            noise=noise,
            seed=config.seed,
            aggregation=None if config.federation.aggregation == "mean" else aggregation,
            assumptions=assumptions_of(config),
        )
    if plan is not None and plan.level == "client":
        return ClippedUpdates(
            algorithm.returns,
            plan=plan,
            quantile=privacy.clip_quantile,
            noise=noise,
            optimizer=_server_optimizer(config, gan),
        )
    return NetworkAverage(algorithm.returns, aggregation, assumptions_of(config), _server_optimizer(config, gan))


def _server_optimizer(config: Config, gan: Gan) -> ServerOptimizer | None:
    federation = config.federation
    rule = SERVER_OPTIMIZERS[federation.server_optimizer]
    if rule is None:
        return None
    constants = Constants(
        learning_rate=federation.server_learning_rate,
        beta1=federation.server_beta1,
        beta2=federation.server_beta2,
        tau=federation.server_tau,
    )
    return ServerOptimizer(rule, constants, gan, ALGORITHMS[federation.algorithm].returns)


def assumptions_of(config: Config) -> Assumptions:
    """Return what aggregation rules may assume of the clients of `config`."""
    federation = config.federation
    return Assumptions(
        trimmed_part=federation.trimmed_part,
        faulty_clients=federation.faulty_clients,
        krum_kept=federation.krum_kept,
    )


def _fake_gradient(config: Config, noise: NoiseSource) -> GradientRule:
    """Return the sum over generated rows, clipped where real rows are: they need no noise, but must not drown those."""
    if config.privacy.level == "none":
        return PlainGradient(expected_rows=1.0, microbatch=config.training.microbatch)
    return PrivateGradient(
        clip=config.privacy.clip,
        noise_multiplier=0.0,
        expected_rows=1.0,
        noise=noise,
        engine=config.privacy.clipping_engine,
        microbatch=config.training.microbatch,
    )
