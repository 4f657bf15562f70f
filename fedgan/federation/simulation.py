"""A whole run on one machine: composition of sites, server, strategy and engine."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal

from flwr.serverapp import Grid

from fedgan.audit.budget import BudgetReport
from fedgan.config import Config, to_toml
from fedgan.errors import UsageError, bad_value
from fedgan.federation.components import gan_of, generated_images
from fedgan.federation.engines import in_process, on_ray
from fedgan.federation.machine import ready_to_train
from fedgan.federation.names import check_names
from fedgan.federation.observers import Observer
from fedgan.federation.run import is_private, ledgers_there, run_server, spent
from fedgan.federation.sites import Sites, client_name, sites_of_process
from fedgan.runs import RunFolder

_LOGGER = logging.getLogger(__name__)

Engine = Literal["local", "flower"]


@dataclass(frozen=True)
class Outcome:
    """What a finished run left behind.

    Attributes:
        folder: the run folder.
        budget: what the ledgers say was spent; None under level "none".
        ledgers: the ledgers of the run's clients; none under level "none".
        records: training records by client.
        stopped: why the run ended before its last round, or "".
    """

    folder: RunFolder
    budget: BudgetReport | None
    ledgers: tuple[Path, ...]
    records: dict[str, int]
    stopped: str


def prepare(config: Config, output: Path, *, resume: bool, sign_key: Path | None = None) -> tuple[RunFolder, Sites]:
    """Check everything that can be checked before training, then create (or reopen) the run folder.

    Args:
        config: the run.
        output: its folder.
        resume: whether it goes on.
        sign_key: file of the private key that signs the ledgers, if any.

    Raises:
        UsageError: a name, the data, the partition, a batch size or the key is not accepted, or `output` is taken.
        IntegrityError: a ledger that the run would go on with is damaged.
        ClockError: the clock is behind such a ledger's last line.
    """
    folder = RunFolder.of_run(output) if resume else RunFolder.unused(output)
    check_signing(config, sign_key)
    sites = check(config, ledgers_of(config, folder), sign_key)
    if is_private(config):
        _make_lasting_ledgers(config)
        sites.check_ledgers()
    if not resume:
        folder.create(to_toml(config))
    return folder, sites


def check_signing(config: Config, sign_key: Path | None) -> None:
    """Raise UsageError for a key where there is nothing to sign."""
    if sign_key is not None and not is_private(config):
        raise UsageError("--sign-key: nothing is signed at privacy.level = 'none', which keeps no ledgers")


def _make_lasting_ledgers(config: Config) -> None:
    """Make the folder of ledgers that go on over runs; raises UsageError if that cannot be done."""
    if not config.privacy.ledgers:
        return
    folder = Path(config.privacy.ledgers).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        accepted = f"a folder that can be written: {error.strerror}"
        raise bad_value("privacy.ledgers", config.privacy.ledgers, accepted) from None


def check(config: Config, ledgers: Path, sign_key: Path | None = None) -> Sites:
    """Return the sites of `config` after checking names, data, partition, networks, and the smallest client's plan.

    A batch that it can draw and a budget that it can meet suit every larger client too.
    """
    check_names(config)
    ready_to_train(config.threads)
    sites = sites_of_process(config, ledgers.absolute(), sign_key and sign_key.absolute())
    train = sites.data.train
    gan_of(config, train.image_shape, train.num_classes)
    generated_images(config, train.num_classes)
    sites.plan(sites.smallest)
    return sites


def ledgers_of(config: Config, folder: RunFolder) -> Path:
    """Return the folder of the ledgers: the run's own, or the one that goes on over runs."""
    return Path(config.privacy.ledgers).expanduser() if config.privacy.ledgers else folder.ledgers


def simulate(
    config: Config, folder: RunFolder, sites: Sites, *, engine: Engine, resume: bool, observer: Observer
) -> Outcome:
    """Run `config` on one machine, from the beginning or from the last checkpoint in `folder`.

    Args:
        config, folder, sites: from `prepare`.
        engine: "local" runs everything in this process, "flower" on Flower's Ray simulation.
        observer: is told after the warm start and each round.
    """
    ledgers = ledgers_of(config, folder)
    outcome: list[str] = []

    def main(grid: Grid) -> None:
        outcome.append(run_server(grid, config, folder, ledgers, resume=resume, observer=observer))

    run = in_process if engine == "local" else on_ray
    run(main, config, ledgers.absolute(), len(sites), sites.sign_key)
    records = {client_name(index): len(part) for index, part in enumerate(sites.parts)}
    files = tuple(ledgers_there(ledgers, records))
    return Outcome(folder, spent(config, ledgers, records), files, records, outcome[0])
