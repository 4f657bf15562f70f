"""A whole run on one machine: composition of sites, server, strategy and engine."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from errno import EACCES
from pathlib import Path
from typing import Literal

from flwr.serverapp import Grid

from fedgan.audit.budget import BudgetReport, audit_budget
from fedgan.config import Config, to_toml
from fedgan.errors import FedganError, IntegrityError, bad_value
from fedgan.evaluation import choose_metrics
from fedgan.federation.aggregation import AGGREGATIONS
from fedgan.federation.algorithms import ALGORITHMS
from fedgan.federation.card import save_generator
from fedgan.federation.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from fedgan.federation.cohort import cohort_size
from fedgan.federation.combinations import check_combination
from fedgan.federation.engines import in_process, on_ray
from fedgan.federation.exchange import wait_for_nodes
from fedgan.federation.replay import forget_releases
from fedgan.federation.reports import RoundReport
from fedgan.federation.server import Server
from fedgan.federation.server_setup import server_of
from fedgan.federation.sites import (
    Sites,
    client_name,
    fraction_asked,
    gan_of,
    ledger_path,
    pick_device,
    sites_of_process,
    use_threads,
)
from fedgan.federation.strategy import GanStrategy, Observer, discover
from fedgan.losses import LOSSES, PENALTIES
from fedgan.privacy.clipping import ENGINES
from fedgan.privacy.ledger import read_ledger
from fedgan.runs import RunFolder
from fedgan.training.critic import check_clipping_engine

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


def check_names(config: Config) -> None:
    """Raise UsageError for what `config` names and is not there: an entry of a registry, an extra, a device."""
    for registry, name in (
        (ALGORITHMS, config.federation.algorithm),
        (AGGREGATIONS, config.federation.aggregation),
        (LOSSES, config.loss.name),
        (PENALTIES, config.loss.penalty),
        (ENGINES, config.privacy.clipping_engine),
    ):
        registry[name]
    choose_metrics(config.evaluation.metrics)
    if _private(config):
        check_clipping_engine(
            config.privacy.clipping_engine, penalty=config.loss.penalty, precision=config.training.precision
        )
    pick_device(config.device)
    check_combination(
        level=config.privacy.level,
        trust=config.privacy.trust,
        algorithm=config.federation.algorithm,
        penalty=config.loss.penalty,
        local_steps=config.federation.local_steps,
        aggregation=config.federation.aggregation,
        minimum_clients=config.federation.minimum_clients,
        clip_quantile=config.privacy.clip_quantile,
    )
    asked = cohort_size(config.partition.clients, config.federation.fraction)
    if config.federation.minimum_clients > asked:
        raise bad_value(
            "federation.minimum_clients", config.federation.minimum_clients, f"at most the {asked} clients of a round"
        )


def prepare(config: Config, output: Path, *, resume: bool) -> tuple[RunFolder, Sites]:
    """Check everything that can be checked before training, then create (or reopen) the run folder.

    Raises:
        UsageError: a name, the data, the partition or a batch size is not accepted, or `output` is taken.
        IntegrityError: a ledger that the run would go on with is damaged.
    """
    folder = RunFolder.open(output) if resume else RunFolder.unused(output)
    sites = check(config, ledgers_of(config, folder))
    if _private(config):
        _make_lasting_ledgers(config)
        sites.check_ledgers()
    if not resume:
        folder.create(to_toml(config))
    return folder, sites


def _make_lasting_ledgers(config: Config) -> None:
    """Make the folder of ledgers that go on over runs; raises UsageError if that cannot be done."""
    if not config.privacy.ledgers:
        return
    folder = Path(config.privacy.ledgers).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(EACCES, os.strerror(EACCES))
    except OSError as error:
        accepted = f"a folder that can be written: {error.strerror}"
        raise bad_value("privacy.ledgers", config.privacy.ledgers, accepted) from None


def check(config: Config, ledgers: Path) -> Sites:
    """Return the sites of `config` after checking names, data, partition, networks, and the smallest client's plan.

    A batch that it can draw and a budget that it can meet suit every larger client too.
    """
    check_names(config)
    use_threads(config.threads)
    sites = sites_of_process(config, ledgers.absolute())
    train = sites.data.train
    gan_of(config, train.image_shape, train.num_classes)
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
    run(main, config, ledgers.absolute(), len(sites))
    records = {client_name(index): len(part) for index, part in enumerate(sites.parts)}
    files = tuple(_ledgers_there(ledgers, records))
    return Outcome(folder, _spent(config, ledgers, records), files, records, outcome[0])


def run_server(
    grid: Grid, config: Config, folder: RunFolder, ledgers: Path, *, resume: bool, observer: Observer
) -> str:
    """Run the server's side over any Flower grid; return why it stopped early, or ""."""
    wait_for_nodes(grid, config.partition.clients)
    clients = discover(grid, timeout=None)
    server = server_of(config, [node.description for node in clients.values()])
    heads: dict[str, str] = {}
    if resume and (card := latest_checkpoint(folder.checkpoints)):
        heads = load_checkpoint(server, card)
        _check_heads(heads, ledgers, card)
        folder.keep_metrics_until(-1 if server.warm_start_pending else server.round)
        _LOGGER.info("resumed after round %d", server.round)
    else:
        folder.keep_metrics_until(-1)
        save_checkpoint(server, folder.checkpoints, heads)
    strategy = GanStrategy(
        server,
        clients,
        fraction=fraction_asked(config),
        rounds=config.federation.rounds,
        seed=config.seed,
        time_limit=config.federation.time_limit,
        observer=_Recorder(folder, ledgers, heads, observer),
    )
    strategy.start(grid)
    budget = _spent(config, ledgers, clients)
    final_heads = {client.client: client.head for client in budget.clients} if budget else {}
    epsilon = budget.epsilon if budget else None
    save_generator(folder, server, config, epsilon=epsilon, heads=final_heads, stopped=strategy.stopped)
    return strategy.stopped


class _Recorder:
    """Saves a checkpoint and, after each round, a line of metrics; then passes the word on."""

    def __init__(self, folder: RunFolder, ledgers: Path, heads: dict[str, str], observer: Observer) -> None:
        self._folder = folder
        self._ledgers = ledgers
        self._heads = heads
        self._observer = observer

    def warm_start_step(self, step: int, steps: int) -> None:
        self._observer.warm_start_step(step, steps)

    def after_embedding(self, server: Server) -> None:
        self._save(server, server.unfitted.heads if server.unfitted else {})

    def _save(self, server: Server, heads: dict[str, str]) -> None:
        self._heads |= heads
        save_checkpoint(server, self._folder.checkpoints, self._heads)
        forget_releases(self._ledgers)

    def after_round(self, server: Server, report: RoundReport, seconds: float) -> None:
        self._folder.append_metrics(
            {
                "round": report.round,
                "clients": report.clients,
                "refused": report.refused,
                "discriminator_steps": report.discriminator_steps,
                "generator_steps": report.generator_steps,
                "fake_accuracy": report.fake_accuracy,
                "seconds": round(seconds, 3),
            }
        )
        self._save(server, report.heads)
        self._observer.after_round(server, report, seconds)


def _check_heads(heads: dict[str, str], ledgers: Path, card: Path) -> None:
    """Refuse to go on with a ledger that has lost lines since the checkpoint."""
    for client, head in heads.items():
        path = ledger_path(ledgers, client)
        if not path.is_file() or head not in {line.hash for line in read_ledger(path)}:
            raise IntegrityError(f"{path}: the line {head[:12]}... that {card.name} names is not in this ledger")


def _spent(config: Config, ledgers: Path, clients: Iterable[str]) -> BudgetReport | None:
    """Return what the ledgers of these clients say; a folder that goes on over runs may hold others' too."""
    if not _private(config):
        return None
    files = _ledgers_there(ledgers, clients)
    if not files:
        raise FedganError("no client charged its ledger: nothing was trained")
    return audit_budget(files, accountant=config.privacy.accountant)


def _ledgers_there(ledgers: Path, clients: Iterable[str]) -> list[Path]:
    return [path for client in clients if (path := ledger_path(ledgers, client)).is_file()]


def _private(config: Config) -> bool:
    return config.privacy.level != "none"
