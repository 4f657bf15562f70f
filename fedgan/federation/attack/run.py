"""A run with canaries, from the first message to what each attack saw of them. Its generator is never saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from fedgan.audit.attack.claim import Claim, instead, ledger_claim
from fedgan.audit.attack.findings import Evidence
from fedgan.audit.attack.proximity import Rows, density_ratio_scores, nearest_neighbour_scores
from fedgan.config import Config
from fedgan.errors import FedganError, UsageError
from fedgan.evaluation import generate_images
from fedgan.federation.attack.clients import CanaryClients
from fedgan.federation.attack.published import PublishedStep
from fedgan.federation.attack.sites import Canaries, WatchedSites
from fedgan.federation.clients import discover
from fedgan.federation.components import gan_of
from fedgan.federation.grid import InProcessGrid
from fedgan.federation.machine import ready_to_train
from fedgan.federation.names import check_names
from fedgan.federation.planning import fraction_asked
from fedgan.federation.relay import client_app
from fedgan.federation.replay import forget_releases
from fedgan.federation.reports import RoundReport
from fedgan.federation.server import Server
from fedgan.federation.server_setup import server_of
from fedgan.federation.server_steps import ClippedUpdates, GradientStep
from fedgan.federation.sites import client_name, ledger_path
from fedgan.federation.strategy import GanStrategy
from fedgan.privacy.noise import SecureNoise
from fedgan.seeding import derive_seed

Progress = Callable[[int], None]
"""Is called with each round that is done; 0 is the warm start."""


def watched_sites(config: Config, ledgers: Path, canaries: Canaries) -> WatchedSites:
    """Return the sites of an audit after checking what can be checked before it runs.

    Raises:
        UsageError: a name, the data, a batch size or a client is not accepted, or the run has no private step of one
            record at the clients.
    """
    check_names(config)
    if config.privacy.level == "client" and canaries.clients:
        raise UsageError("--clients: at privacy.level = 'client' canaries are clients of their own: leave it out")
    if config.privacy.level == "client" and canaries.directions == 0:
        raise UsageError("--canaries: at privacy.level = 'client' they alone attack: give at least 1")
    if config.federation.rounds == 0:
        raise UsageError("audit attack: federation.rounds = 0 leaves no step to attack: give at least 1")
    ready_to_train(config.threads)
    sites = WatchedSites(config, ledgers.absolute(), canaries)
    train = sites.data.train
    gan_of(config, train.image_shape, train.num_classes)
    sites.plan(sites.smallest)
    return sites


def run_with_canaries(
    config: Config, ledgers: Path, sites: WatchedSites, progress: Progress, *, claim: float | None = None
) -> list[Evidence]:
    """Train the whole federation in this process, and return what each attack saw of the watched clients.

    Args:
        config: the run.
        ledgers: an empty folder: an audit charges ledgers of its own.
        sites: from `watched_sites`.
        progress: is told how it goes.
        claim: an epsilon to hold the attacks against instead of what the ledgers say.

    Raises:
        FedganError: a watched client sent nothing.
    """
    grid = InProcessGrid(client_app(lambda context: sites.vault(int(context.node_config["partition-id"]))), len(sites))
    clients = discover(grid, timeout=None)
    server = server_of(config, [node.description for node in clients.values()])
    canary_clients = _watch_server(server, config, sites)
    strategy = GanStrategy(
        server,
        clients,
        fraction=fraction_asked(config),
        rounds=config.federation.rounds,
        seed=config.seed,
        time_limit=config.federation.time_limit,
        observer=_Observer(progress),
    )
    strategy.start(grid)
    forget_releases(ledgers)
    for client, watch in sites.watches.items():
        if watch.rounds == 0:
            raise FedganError(f"client {client} released nothing, so there is nothing to attack")
    if canary_clients is not None:
        seen = _evidence_of_clients(config, ledgers, sites, canary_clients)
    else:
        seen = _evidence(config, ledgers, sites, server.average.module)
    return [replace(one, claim=instead(one.claim, claim)) for one in seen]


def _watch_server(server: Server, config: Config, sites: WatchedSites) -> CanaryClients | None:
    """Put canaries into the step of a `server` that adds noise; return those that are clients of their own, if any."""
    step, wanted, num_classes = server.step, sites.canaries, server.num_classes
    if isinstance(step, ClippedUpdates):
        plan, noise = sites.plan(0), SecureNoise()
        server.step = clients = CanaryClients(
            step, plan=plan, clients=wanted.directions, num_classes=num_classes, noise=noise, seed=wanted.seed
        )
        return clients
    if isinstance(step, GradientStep) and config.privacy.trust == "aggregator" and wanted.directions:
        server.step = PublishedStep(step, sites.watches, num_classes=num_classes, clip=config.privacy.clip)
    return None


def _evidence(config: Config, ledgers: Path, sites: WatchedSites, generator: nn.Module) -> Iterator[Evidence]:
    """Yield what each attack saw; one without canaries is left out."""
    watches = list(sites.watches.values())
    coins = np.concatenate([watch.canaries.coins(watch.canaries.gradient) for watch in watches])
    if len(coins):  # these canaries are in no warm start
        claim = _claim(config, ledgers, sites, first_round=1)
        yield Evidence("gradient", np.concatenate([watch.evidence for watch in watches]), coins, claim)
    claim = _claim(config, ledgers, sites, first_round=0)
    coins = np.concatenate([watch.canaries.coins(watch.canaries.input) for watch in watches])
    if len(coins):
        yield Evidence("input", np.concatenate([watch.logit_scores() for watch in watches]), coins, claim)
    coins = np.concatenate([watch.canaries.coins(watch.canaries.sample) for watch in watches])
    if len(coins):
        records = np.concatenate([_rows(watch.canaries.images(watch.canaries.sample)[0]) for watch in watches])
        seed = derive_seed(config.seed, "attack samples")
        generated = _rows(generate_images(generator, config.evaluation.count, seed=seed).images)
        reference = _rows(sites.data.test.batch(np.arange(len(sites.data.test)))[0])
        yield Evidence("distance", nearest_neighbour_scores(records, generated), coins, claim)
        yield Evidence("density", density_ratio_scores(records, generated, reference), coins, claim)


def _evidence_of_clients(
    config: Config, ledgers: Path, sites: WatchedSites, canaries: CanaryClients
) -> Iterator[Evidence]:
    """Yield what the attack on whole clients saw: canaries are in no warm start, and in rounds as all others."""
    paths = [path for index in range(len(sites)) if (path := ledger_path(ledgers, client_name(index))).is_file()]
    if not paths:
        raise FedganError("no client was charged for a round, so there is nothing to attack")
    claim = ledger_claim(paths, delta=config.privacy.delta, accountant=config.privacy.accountant, first_round=1)
    claim = replace(claim, clients=tuple(dict.fromkeys(claim.clients)))
    yield Evidence("update", canaries.evidence, canaries.included, claim)


def _claim(config: Config, ledgers: Path, sites: WatchedSites, *, first_round: int) -> Claim:
    privacy = config.privacy
    if privacy.level == "none":
        return Claim(None, privacy.delta)
    paths = [ledger_path(ledgers, client) for client in sites.watches]
    return ledger_claim(paths, delta=privacy.delta, accountant=privacy.accountant, first_round=first_round)


def _rows(images: Tensor) -> Rows:
    """Return images (N, C, H, W) as rows (N, C * H * W)."""
    rows: Rows = images.flatten(1).double().numpy()
    return rows


class _Observer:
    """Says how many rounds are done, and saves nothing."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def warm_start_step(self, step: int, steps: int) -> None: ...

    def after_embedding(self, server: Server) -> None: ...

    def after_round(self, server: Server, report: RoundReport, seconds: float) -> None:
        self._progress(report.round)
