"""What each part is worth: Fashion-MNIST, one client, epsilon 10, one part changed in each row.

Rows whose gradients are taken record by record (penalties, copies) take half an hour of a core and more.
"""

from __future__ import annotations

from simulations.results.row import Row, Table

_CENTRAL = ("partition.clients=1", "partition.scheme=iid", "privacy.epsilon=10")
_WARM = (
    "model.name=mlp",
    "model.width=0",
    "model.latent_dim=16",
    "training.warm_start=mean_embedding",
    "training.warm_start_steps=1500",
    "training.warm_start_batch_size=1000",
)
_ALONE = (*_WARM, "federation.rounds=0")
_UNREFINED = "training.warm_start_refinement=false"
_ROUNDS = (
    *_WARM,
    "federation.algorithm=dp_fedavg_gan",
    "federation.rounds=20",
    "federation.local_steps=20",
    "training.batch_size=1024",
    "training.discriminator_steps=5",
)
_REFINED = (
    "federation.algorithm=dp_fedavg_gan",
    "federation.rounds=10",
    "federation.local_steps=50",
    "training.batch_size=1024",
    "training.discriminator_steps=5",
    "training.generator_learning_rate=0.002",
    "training.ema_decay=0.9",
)
"""Rounds for the shipped generator, which is slower: 500 discriminator steps, at a larger rate and, since there are but
100 generator steps, with an average that forgets where they began."""
_THIRD = ("federation.rounds=0", "privacy.epsilon=5.17", "privacy.lifetime_epsilon=10")
"""Three such runs on the same records, with noise about the square root of 3 times as large, cost 9.98 together: the
accountant composes what their common ledger holds. By basic composition each would have to cost a third of 10."""
IMAGES = 20_000
"""Generated images that these rows are judged by: fewer than in the other tables, as there are many rows."""
_ALL = "flip,translation,cutout,colour"


def _row(name: str, title: str, *settings: str, parts: int = 1) -> Row:
    changes = (*_CENTRAL, *settings)
    return Row(f"ablation-{name}", title, "fashion_mnist.toml", changes, data=".", images=IMAGES, parts=parts)


TABLE = Table(
    "ablation",
    (
        _row("shipped", "the shipped configuration, warm start alone", "federation.rounds=0"),
        _row("shipped-rounds", "the same and adversarial rounds: 500 discriminator steps", *_REFINED),
        _row(
            "shipped-eps1",
            "the shipped configuration at epsilon 1, warm start alone",
            "federation.rounds=0",
            "privacy.epsilon=1",
        ),
        _row("shipped-rounds-eps1", "the same and adversarial rounds", *_REFINED, "privacy.epsilon=1"),
        _row(
            "unrefined",
            "the shipped configuration without the release for refinement",
            "federation.rounds=0",
            _UNREFINED,
        ),
        _row(
            "fused",
            "three generators of the shipped configuration, each of a third of the precision, fused",
            *_THIRD,
            parts=3,
        ),
        _row("warm-start", "the MLP, warm start alone: features of images and windows", *_ALONE),
        _row("fourier", "the MLP, features of whole images", *_ALONE, "training.warm_start_family=fourier"),
        _row(
            "convolutions",
            "the MLP, features of random convolutions",
            *_ALONE,
            "training.warm_start_family=convolutions",
        ),
        _row(
            "bandwidths",
            "the MLP, features of whole images, three bandwidths",
            *_ALONE,
            "training.warm_start_family=bandwidths",
        ),
        _row("wavelets", "the MLP, features of wavelet scattering", *_ALONE, "training.warm_start_family=wavelets"),
        _row("patch-moments", "the MLP, moments of patches", *_ALONE, "training.warm_start_family=patch_moments"),
        _row(
            "windows-wavelets",
            "the MLP, images, windows and wavelets in one release",
            *_ALONE,
            "training.warm_start_family=windows,wavelets",
        ),
        _row(
            "windows-patches",
            "the MLP, images, windows and moments of patches in one release",
            *_ALONE,
            "training.warm_start_family=windows,patch_moments",
        ),
        _row(
            "learned-features",
            "the MLP, features of whole images, then features learned on its images",
            *_ALONE,
            "training.warm_start_family=fourier",
            "training.warm_start_stages=2",
        ),
        _row("public-data", "the MLP, pre-trained on MNIST as public data", *_ALONE, "training.public_data=mnist"),
        _row("adversarial", "the MLP, adversarial rounds alone", *_ROUNDS, "training.warm_start=none"),
        _row("both", "the MLP, both (the rows below change one thing in this one)", *_ROUNDS),
        _row("r1", "penalty R1", *_ROUNDS, "loss.penalty=r1"),
        _row("gradient-penalty", "gradient penalty", *_ROUNDS, "loss.penalty=gradient_penalty"),
        _row("flip", "augmentation: flip", *_ROUNDS, "training.augmentation=flip"),
        _row("translation", "augmentation: translation", *_ROUNDS, "training.augmentation=translation"),
        _row("cutout", "augmentation: cutout", *_ROUNDS, "training.augmentation=cutout"),
        _row("colour", "augmentation: colour", *_ROUNDS, "training.augmentation=colour"),
        _row("all-augmentations", "all four augmentations", *_ROUNDS, f"training.augmentation={_ALL}"),
        _row(
            "adaptive-augmentation",
            "all four, each with an adaptive chance (it stayed at 0 here)",
            *_ROUNDS,
            f"training.augmentation={_ALL}",
            "training.augmentation_chance=adaptive",
        ),
        _row(
            "copies",
            "flip and translation, 4 copies of each image",
            *_ROUNDS,
            "training.augmentation=flip,translation",
            "training.augmentation_copies=4",
        ),
        _row("smoothing", "label smoothing 0.1", *_ROUNDS, "loss.label_smoothing=0.1"),
        _row("noise", "instance noise 0.2, falling", *_ROUNDS, "training.instance_noise=0.2"),
        _row("dropout", "dropout 0.3", *_ROUNDS, "training.dropout=0.3"),
        _row("spectral", "spectral norms of at most 1", *_ROUNDS, "training.spectral_bound=1"),
        _row("hinge", "hinge loss", *_ROUNDS, "loss.name=hinge"),
        _row("auxiliary", "auxiliary classifier, weight 1", *_ROUNDS, "loss.auxiliary_weight=1"),
        _row("early-stopping", "early stopping: the best generator", *_ROUNDS, "training.early_stopping_rounds=3"),
        _row("adaptive", "adaptive discriminator steps", *_ROUNDS, "training.discriminator_steps=adaptive"),
        _row("no-ema", "without the moving average", *_ROUNDS, "training.ema_decay=0"),
        _row("anchor", "anchored to the warm start's embedding", *_ROUNDS, "training.anchor_weight=1"),
    ),
)
