"""What a run's configuration says that every site and the server build alike: networks, losses, sizes."""

from __future__ import annotations

from fedgan.config import Config
from fedgan.errors import bad_value
from fedgan.federation.algorithms import ALGORITHMS
from fedgan.federation.local_training import LocalTraining
from fedgan.federation.machine import pick_device
from fedgan.losses import GanLoss, gan_loss
from fedgan.seeding import derive_seed
from fedgan.training.augmentation import choose_augmentations
from fedgan.training.gan import Gan, build_gan
from fedgan.training.local import Optimisation
from fedgan.training.perturbation import Perturbation
from fedgan.training.warm_start import map_of

_STEPS_WORTH = 4
"""Steps whose generated rows go out in a round by default: more changed no score on digits, fewer began to."""


def optimisation_of(config: Config) -> Optimisation:
    """Return the sizes and Adam's constants of `config`."""
    training = config.training
    return Optimisation(
        batch_size=training.batch_size,
        generator_batch_size=training.generator_batch_size,
        discriminator_learning_rate=training.discriminator_learning_rate,
        generator_learning_rate=training.generator_learning_rate,
        beta1=training.beta1,
        beta2=training.beta2,
        microbatch=training.microbatch,
        proximal=config.federation.proximal,
    )


def loss_of(config: Config) -> GanLoss:
    """Return the losses of `config`, with the penalty if there is one."""
    return gan_loss(
        config.loss.name,
        penalty=config.loss.penalty,
        penalty_weight=config.loss.penalty_weight,
        label_smoothing=config.loss.label_smoothing,
        auxiliary_weight=config.loss.auxiliary_weight,
    )


def perturbation_of(config: Config) -> Perturbation:
    """Return what the discriminator is shown in place of images."""
    return Perturbation(
        choose_augmentations(config.training.augmentation),
        noise=config.training.instance_noise,
        rounds=config.federation.rounds,
        copies=config.training.augmentation_copies,
    )


def gan_of(config: Config, image_shape: tuple[int, int, int], num_classes: int) -> Gan:
    """Return the networks of `config` with their initial weights."""
    return build_gan(
        config.model.name,
        latent_dim=config.model.latent_dim,
        width=config.model.width,
        num_classes=num_classes,
        image_shape=image_shape,
        seed=derive_seed(config.seed, "weights"),
        device=pick_device(config.device),
        precision=config.training.precision,
        perturbation=perturbation_of(config),
        spectral_bound=config.training.spectral_bound,
        dropout=config.training.dropout,
        auxiliary=config.loss.auxiliary_weight > 0,
    )


def generated_images(config: Config, num_classes: int) -> int:
    """Return how many generated images each request brings in place of a generator; UsageError for too few."""
    if not ALGORITHMS[config.federation.algorithm].sends_images:
        return 0
    count = config.federation.generated_images
    if 0 < count < num_classes:
        raise bad_value("federation.generated_images", count, f"0, or at least {num_classes}, one of each class")
    return count or max(num_classes, _STEPS_WORTH * config.training.batch_size)


def is_anchored(config: Config) -> bool:
    """Return whether generator steps are anchored to the warm start's embedding."""
    return config.training.anchor_weight > 0 and config.training.warm_start == "mean_embedding"


def is_refined(config: Config) -> bool:
    """Return whether a mixture generator is fitted to one more release, of features."""
    return config.training.warm_start == "mixture" and config.training.warm_start_refinement


def stages_of(config: Config) -> int:
    """Return how many releases the warm start has, without the one for refinement."""
    return config.training.warm_start_stages or (5 if config.training.warm_start == "mixture" else 1)


def learned_releases(config: Config) -> int:
    """Return how many releases of the warm start are of features learned on generated images."""
    return stages_of(config) - 1 if config.training.warm_start == "mean_embedding" else 0


def fitted_family(config: Config) -> str:
    """Return the family of the features that the generator is fitted to, if it is fitted to any."""
    training = config.training
    return training.warm_start_refinement_family if is_refined(config) else training.warm_start_family


def training_of(config: Config, image_shape: tuple[int, int, int], num_classes: int) -> LocalTraining:
    """Return how every site of `config` trains."""
    gan = gan_of(config, image_shape, num_classes)
    features = map_of(
        config.training.warm_start_family,
        image_shape,
        features=config.training.warm_start_features,
        seed=derive_seed(config.seed, "features"),
    )
    return LocalTraining(
        algorithm=ALGORITHMS[config.federation.algorithm],
        gan=gan,
        local_steps=config.federation.local_steps,
        optimisation=optimisation_of(config),
        loss=loss_of(config),
        anchor_weight=config.training.anchor_weight,
        anchor_features=features.to(gan.device) if is_anchored(config) else None,
        generated_images=generated_images(config, num_classes),
    )
