"""The parties of a simulation: each gets its part of one dataset and, when asked, a vault around it."""

from __future__ import annotations

import os
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from fedgan.config import Config
from fedgan.data import DataSplit, ImageDataset, class_counts, load_data, partition, skewed
from fedgan.errors import UsageError, bad_value
from fedgan.federation.algorithms import ALGORITHMS
from fedgan.federation.cohort import participations
from fedgan.federation.vault import LocalTraining, Vault
from fedgan.federation.weights import counted
from fedgan.losses import GanLoss, gan_loss
from fedgan.privacy.ledger import read_ledger
from fedgan.privacy.ledger_clock import time_after
from fedgan.privacy.ledger_signing import check_signed
from fedgan.privacy.plan import PrivacyPlan, make_plan
from fedgan.privacy.signature import load_private_key
from fedgan.seeding import derive_seed
from fedgan.training.augmentation import choose_augmentations
from fedgan.training.gan import Gan, build_gan
from fedgan.training.local import Optimisation
from fedgan.training.perturbation import Perturbation
from fedgan.training.warm_start import FAMILIES, stage_shares

_STEPS_WORTH = 4
"""Steps whose generated rows go out in a round by default: more changed no score on digits, fewer began to."""


def client_name(index: int) -> str:
    """Return the name of client `index`, for example "00003"."""
    return f"{index:05d}"


def ledger_path(ledgers: Path, client: str) -> Path:
    """Return the file of `client`'s ledger in the folder `ledgers`."""
    return ledgers / f"client-{client}.jsonl"


def pick_device(name: str) -> torch.device:
    """Return the device called `name`: "auto" takes a GPU if there is one; UsageError for a GPU that is not there."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device = 'cuda' is not accepted: torch sees no GPU here; give 'cpu' or 'auto'")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def judging_device(name: str) -> torch.device:
    """Return the device to judge a run on that was trained on `name`: a GPU if there is one, unless that is "cpu".

    A run that was trained on a GPU can be judged without one.
    """
    return pick_device("cpu" if name == "cpu" else "auto")


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


def draws_from_everybody(config: Config) -> bool:
    """Return whether a batch of `config` is drawn from the records of all clients, at one common rate."""
    return ALGORITHMS[config.federation.algorithm].releases == "gradient_sum"


def fraction_asked(config: Config) -> float:
    """Return the part of the clients that is asked in a round: all where each decides by a coin of its own."""
    return 1.0 if config.privacy.level == "client" else config.federation.fraction


def plan_of(config: Config, *, records: int, everybody: int) -> PrivacyPlan:
    """Return the plan of a client with `records` records, in a federation that holds `everybody` records."""
    privacy, federation, clients = config.privacy, config.federation, config.partition.clients
    whole_clients = privacy.level == "client"
    if whole_clients:
        probability = federation.fraction
    else:
        probability = config.training.batch_size / (everybody if draws_from_everybody(config) else records)
        if not federation.rounds:  # no batch is ever drawn, so none is too large
            probability = min(1.0, probability)
    return make_plan(
        level=privacy.level,
        trust=privacy.trust,
        records=records,
        clients=clients,
        probability=probability,
        clip=privacy.clip,
        epsilon=privacy.epsilon,
        delta=privacy.delta,
        accountant=privacy.accountant,
        clipping_engine=privacy.clipping_engine,
        warm_start_share=privacy.warm_start_share if config.training.warm_start != "none" else 0.0,
        steps_per_round=1 if whole_clients else federation.local_steps,
        participations=participations(clients, fraction_asked(config), federation.rounds),
        adaptive_clip=privacy.clip_quantile > 0,
        warm_start_shares=warm_start_shares(config),
    )


def warm_start_shares(config: Config) -> tuple[float, ...]:
    """Return how the warm start of `config` shares its precision between its releases."""
    training = config.training
    if training.warm_start != "mixture":
        return (1.0,)
    return stage_shares(training.warm_start_stages, fitted_family(config) if is_refined(config) else "")


def is_refined(config: Config) -> bool:
    """Return whether a mixture generator is fitted to one more release, of features."""
    return config.training.warm_start == "mixture" and config.training.warm_start_refinement


def fitted_family(config: Config) -> str:
    """Return the family of the features that the generator is fitted to, if it is fitted to any."""
    training = config.training
    return training.warm_start_refinement_family if is_refined(config) else training.warm_start_family


def training_of(config: Config, image_shape: tuple[int, int, int], num_classes: int) -> LocalTraining:
    """Return how every site of `config` trains."""
    gan = gan_of(config, image_shape, num_classes)
    features = FAMILIES[config.training.warm_start_family](
        image_shape, features=config.training.warm_start_features, seed=derive_seed(config.seed, "features")
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


class Sites:
    """All clients of a simulation.

    A vault is made when it is asked for and not kept, so memory does not grow with the clients.

    Args:
        config: the run.
        ledgers: folder of the ledgers.
        sign_key: file of the key that signs them, if any.
    """

    def __init__(self, config: Config, ledgers: Path, sign_key: Path | None = None) -> None:
        self._config = config
        self._ledgers = ledgers
        self.sign_key = sign_key

    @cached_property
    def data(self) -> DataSplit:
        """Training records of all clients, and the held-out test set."""
        data = self._config.data
        root = Path(data.root).expanduser() if data.root else None
        return load_data(data.name, root=root, image_size=data.image_size, channels=data.channels)

    @cached_property
    def parts(self) -> list[npt.NDArray[np.int64]]:
        """Indices of each client's training records."""
        train, settings = self.data.train, self._config.partition
        return partition(
            settings.scheme,
            labels=train.labels.numpy(),
            owners=None if train.owners is None else train.owners.numpy(),
            clients=settings.clients,
            alpha=settings.alpha,
            shards_per_client=settings.shards_per_client,
            seed=derive_seed(self._config.seed, "partition"),
        )

    def __len__(self) -> int:
        return self._config.partition.clients

    def class_counts(self) -> npt.NDArray[np.int64]:
        """Return (clients, classes): who holds what."""
        return class_counts(self.data.train.labels.numpy(), self.parts, num_classes=self.data.train.num_classes)

    def plan(self, index: int) -> PrivacyPlan:
        """Return the privacy plan of client `index`; raises UsageError for a batch larger than its records."""
        self.check_batch(index)
        return plan_of(self._config, records=len(self.parts[index]), everybody=self.records)

    @property
    def records(self) -> int:
        """Training records of all clients together, each with as many as it counts with."""
        return sum(counted([len(part) for part in self.parts], self._config.federation.largest_weight))

    @property
    def smallest(self) -> int:
        """The client with the fewest records: its batches are the largest part of them, and its noise the most."""
        return min(range(len(self)), key=lambda index: len(self.parts[index]))

    def check_batch(self, index: int) -> None:
        """Raise UsageError if a batch is larger than the records it is drawn from; without rounds none is drawn."""
        size = self._config.training.batch_size
        if not self._config.federation.rounds:
            return
        if draws_from_everybody(self._config):
            if size > self.records:
                accepted = f"at most {self.records}, the records of all clients together"
                raise bad_value("training.batch_size", size, accepted)
        elif size > (records := len(self.parts[index])):
            accepted = (
                f"at most {min(len(part) for part in self.parts)}: client {client_name(index)} holds {records} records"
            )
            raise bad_value("training.batch_size", size, accepted)

    def records_of(self, index: int) -> ImageDataset:
        """Return the training records of client `index`, as it sees them."""
        records, settings = self.data.train.subset(self.parts[index]), self._config.partition
        if settings.scheme != "feature_skew":
            return records
        return skewed(
            records,
            skew=settings.skew,
            strength=settings.skew_strength,
            client=index,
            clients=settings.clients,
            seed=derive_seed(self._config.seed, "partition"),
        )

    def vault(self, index: int) -> Vault:
        """Return a vault around the records of client `index`."""
        config = self._config
        client = client_name(index)
        return Vault(
            client,
            self.records_of(index),
            plan=self.plan(index),
            ledger=ledger_path(self._ledgers, client),
            lifetime_epsilon=config.privacy.lifetime_epsilon or config.privacy.epsilon,
            training=self._training,
            seed=config.seed,
            sign_key=self._signer,
        )

    @cached_property
    def _signer(self) -> EllipticCurvePrivateKey | None:
        return None if self.sign_key is None else load_private_key(self.sign_key)

    def check_ledgers(self) -> None:
        """Verify the ledgers that are there; a last line torn by a crash is repaired, as its client would do next.

        Raises:
            IntegrityError: a ledger is damaged, or its signature.
            ClockError: the clock is behind a ledger's last line.
            UsageError: a torn one belongs to other records; the key is not usable, or another one signed a ledger.
        """
        key = self._signer
        for index in range(len(self)):
            path = ledger_path(self._ledgers, client_name(index))
            if path.is_file():
                if not path.read_bytes().endswith(b"\n"):
                    self.vault(index).repair_ledger()
                lines = read_ledger(path)
                check_signed(path, lines, key)
                time_after(path, lines[-1])

    @cached_property
    def _training(self) -> LocalTraining:
        train = self.data.train
        return training_of(self._config, train.image_shape, train.num_classes)


@lru_cache(maxsize=1)
def sites_of_process(config: Config, ledgers: Path, sign_key: Path | None = None) -> Sites:
    """Return this process' sites of a run, loaded once: worker processes of an engine call it for every message."""
    use_threads(config.threads)
    return Sites(config, ledgers, sign_key)


def use_threads(threads: int) -> int:
    """Let torch use `threads` threads in this process, 0 for one a core; return the number.

    Set outright and not left to a default, since engines set other defaults in their workers and sums would round
    differently there.
    """
    number = threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(number)
    return number
