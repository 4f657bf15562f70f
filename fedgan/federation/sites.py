"""The parties of a simulation: each gets its part of one dataset and, when asked, a vault around it."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from fedgan.config import Config
from fedgan.data import DataSplit, ImageDataset, class_counts, load_data, partition, skewed
from fedgan.errors import bad_value
from fedgan.federation.components import training_of
from fedgan.federation.local_training import LocalTraining
from fedgan.federation.machine import ready_to_train
from fedgan.federation.planning import batch_of, draws_from_everybody, plan_of
from fedgan.federation.vault import Vault
from fedgan.federation.weights import counted
from fedgan.privacy.ledger import read_ledger
from fedgan.privacy.ledger_clock import time_after
from fedgan.privacy.ledger_signing import check_signed
from fedgan.privacy.plan import PrivacyPlan
from fedgan.privacy.signature import load_private_key
from fedgan.seeding import derive_seed


def client_name(index: int) -> str:
    """Return the name of client `index`, for example "00003"."""
    return f"{index:05d}"


def ledger_path(ledgers: Path, client: str) -> Path:
    """Return the file of `client`'s ledger in the folder `ledgers`."""
    return ledgers / f"client-{client}.jsonl"


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
        size = batch_of(self._config)
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
    ready_to_train(config.threads)
    return Sites(config, ledgers, sign_key)
