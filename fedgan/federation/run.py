"""The server's side of a run, over any Flower grid: who takes part, checkpoints, metrics, and the card at the end."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flwr.serverapp import Grid

from fedgan.audit.budget import BudgetReport, audit_budget
from fedgan.config import Config
from fedgan.errors import FedganError, IntegrityError
from fedgan.federation.card import save_generator
from fedgan.federation.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from fedgan.federation.ledger_copies import LedgerCopies
from fedgan.federation.meeting import last_ledgers, meet
from fedgan.federation.observers import Observer
from fedgan.federation.planning import fraction_asked
from fedgan.federation.public_start import pretrain
from fedgan.federation.replay import forget_releases
from fedgan.federation.reports import RoundReport
from fedgan.federation.server import Server
from fedgan.federation.server_setup import server_of
from fedgan.federation.sites import ledger_path
from fedgan.federation.strategy import GanStrategy
from fedgan.privacy.ledger import read_ledger
from fedgan.runs import RunFolder

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Terms:
    """How a server deals with clients that are elsewhere; the defaults are those of a simulation.

    Attributes:
        patience: seconds to wait for nodes, and again for the first answer of those that are there.
        names: of the clients by node, where they are known.
        copies: keeps the ledgers that stay with the clients; None where they lie in the run folder.
    """

    patience: float = 60.0
    names: Mapping[int, str] | None = None
    copies: LedgerCopies | None = None


def run_server(
    grid: Grid,
    config: Config,
    folder: RunFolder,
    ledgers: Path,
    *,
    resume: bool,
    observer: Observer,
    terms: Terms = Terms(),
) -> str:
    """Run the server's side over any Flower grid; return why it stopped early, or "".

    Raises:
        FedganError: clients are missing that had to be there, or nothing was trained.
    """
    card = latest_checkpoint(folder.checkpoints) if resume else None
    clients = meet(grid, config, folder, terms, resume=card is not None)
    server = server_of(config, [node.description for node in clients.values()])
    heads: dict[str, str] = {}
    if card:
        heads = load_checkpoint(server, card)
        _check_heads(heads, ledgers, card)
        folder.keep_metrics_until(-1 if server.warm_start_pending else server.round)
        _LOGGER.info("resumed after round %d", server.round)
    else:
        folder.keep_metrics_until(-1)
        pretrain(server.gan, config)
        server.average.update(server.gan.generator, 0.0)
        save_checkpoint(server, folder.checkpoints, heads)
    copies = terms.copies if is_private(config) else None
    strategy = GanStrategy(
        server,
        clients,
        fraction=fraction_asked(config),
        rounds=config.federation.rounds,
        seed=config.seed,
        time_limit=config.federation.time_limit,
        absence=config.federation.absence,
        observer=_Recorder(folder, ledgers, heads, observer, timed=terms.copies is not None),
        attempts=config.federation.attempts,
        patience=terms.patience if terms.copies else 0.0,
        timed=terms.copies is not None,
        fault_of=lambda release: copies.fault(release, server.run, heads.get(release.client, "")) if copies else None,
    )
    strategy.start(grid, timeout=config.federation.round_timeout or None)
    faults = last_ledgers(grid, terms)
    budget = spent(config, ledgers, clients)
    final_heads = {client.client: client.head for client in budget.clients} if budget else {}
    epsilon = budget.epsilon if budget else None
    save_generator(
        folder, server, config, epsilon=epsilon, heads=final_heads, stopped=strategy.stopped, ledger_faults=faults
    )
    return strategy.stopped


class _Recorder:
    """Saves a checkpoint and, after each round, a line of metrics; then passes the word on."""

    def __init__(
        self,
        folder: RunFolder,
        ledgers: Path,
        heads: dict[str, str],
        observer: Observer,
        *,
        timed: bool,
    ) -> None:
        self._folder = folder
        self._ledgers = ledgers
        self._heads = heads
        self._observer = observer
        self._timed = timed

    def warm_start_step(self, step: int, steps: int) -> None:
        self._observer.warm_start_step(step, steps)

    def after_embedding(self, server: Server) -> None:
        self._save(server, server.beginning.heads)

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
                **_augmentation(server, report),
                **_watched(server, report),
                "bytes_down": report.bytes_down,
                "bytes_up": report.bytes_up,
                "seconds": None if server.step.secret_cohort else round(seconds, 3),  # tells how many took part
                **({"answers": report.answers()} if self._timed else {}),
            }
        )
        self._save(server, report.heads)
        self._observer.after_round(server, report, seconds)


def _watched(server: Server, report: RoundReport) -> dict[str, float | None]:
    """Return what early stopping saw after a round, None if it did not look."""
    watch = server.early_stopping
    return {"held_back_distance": watch.distance_after(report.round)} if watch else {}


def _augmentation(server: Server, report: RoundReport) -> dict[str, float]:
    """Return the chance of augmentations that a round had, where it moves."""
    moves = server.augmentation.adaptive and report.round > 0
    return {"augmentation_chance": server.gan.perturbation.chance} if moves else {}


def _check_heads(heads: dict[str, str], ledgers: Path, card: Path) -> None:
    """Refuse to go on with a ledger that has lost lines since the checkpoint."""
    for client, head in heads.items():
        path = ledger_path(ledgers, client)
        if not path.is_file() or head not in {line.hash for line in read_ledger(path)}:
            raise IntegrityError(f"{path}: the line {head[:12]}... that {card.name} names is not in this ledger")


def spent(config: Config, ledgers: Path, clients: Iterable[str]) -> BudgetReport | None:
    """Return what the ledgers of these clients say; a folder that goes on over runs may hold others' too."""
    if not is_private(config):
        return None
    files = ledgers_there(ledgers, clients)
    if not files:
        raise FedganError("no client charged its ledger: nothing was trained")
    return audit_budget(files, delta=config.privacy.delta, accountant=config.privacy.accountant)


def ledgers_there(ledgers: Path, clients: Iterable[str]) -> list[Path]:
    """Return the ledgers of `clients` in the folder `ledgers`, of those that have begun one."""
    return [path for client in clients if (path := ledger_path(ledgers, client)).is_file()]


def is_private(config: Config) -> bool:
    """Return whether a run of `config` promises anything."""
    return config.privacy.level != "none"
