"""The training records of a finished run, for their owner alone."""

from __future__ import annotations

import hmac

from fedgan.config import Config
from fedgan.data.dataset import ImageDataset
from fedgan.data.digest import dataset_digest
from fedgan.errors import IntegrityError, UsageError
from fedgan.evaluation.memorisation import Memorisation, memorisation
from fedgan.federation.discriminator import load_discriminator
from fedgan.federation.run import is_private
from fedgan.federation.simulation import ledgers_of
from fedgan.federation.sites import Sites, client_name, ledger_path
from fedgan.privacy.commitment import commitment
from fedgan.privacy.ledger import read_ledger
from fedgan.runs import RunFolder
from fedgan.seeding import derive_seed

STATEMENT = (
    "These numbers were computed on the training records, without noise and without a charge to any ledger: "
    "they are not private. Keep them where the records are, do not publish them, and choose nothing by them that is "
    "published."
)


def memorised(folder: RunFolder, config: Config, synthetic: ImageDataset) -> Memorisation:
    """Return how near the images of a run's generator are to the records that it was trained on.

    Raises:
        UsageError: the records are not all here, or not those of the run.
    """
    sites = Sites(config, ledgers_of(config, folder))
    _check_owner(folder, config, sites)
    train = sites.data.train
    discriminator = None
    if config.federation.rounds > 0:
        discriminator, _ = load_discriminator(
            folder, config, num_classes=train.num_classes, image_shape=train.image_shape
        )
    seed = derive_seed(config.seed, "evaluation")
    return memorisation(synthetic, train, sites.data.test, seed=seed, discriminator=discriminator)


def _check_owner(folder: RunFolder, config: Config, sites: Sites) -> None:
    """Refuse unless the records here are those that the ledgers were opened for, as only their salts can tell.

    The salts stay with the records: a server that keeps copies of its clients' ledgers has none.
    """
    if not is_private(config):
        return
    for index in range(len(sites)):
        path = ledger_path(ledgers_of(config, folder), client_name(index))
        if not path.is_file():
            continue  # a client that was never asked
        try:
            expected = commitment(dataset_digest(sites.records_of(index)), path.with_suffix(".salt"), begin=False)
        except IntegrityError:
            raise UsageError(
                f"--private-reads: {path.with_suffix('.salt')} is not here: only who owns a run's records may read them"
            ) from None
        if not hmac.compare_digest(expected, read_ledger(path)[-1].dataset):
            raise UsageError(
                f"--private-reads: the records that {config.data.name!r} loads here are not those of client "
                f"{client_name(index)}, whose ledger commits to others"
            )
