"""Aggregation rules, FedAdam and FedProx on federations that are hard, on digits.

    python -m simulations.hard_federations [--epsilon 0 10] [--seeds 0] [--rounds 10] [--json FILE]

Prints, for each epsilon (0: no privacy), a table of federations by methods: the accuracy on the real test set of
logistic regression trained on 2,000 generated digits, the mean over seeds. All methods of a row share settings and
partition; private noise is fresh in each run, so private scores move by a few points from run to run. The first column
is the warm start alone, before any round, the mean over the row's runs.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from time import perf_counter

from flwr.app import Context

from fedgan.config import Config, load_config
from fedgan.data import load_data
from fedgan.errors import FedganError
from fedgan.evaluation import METRICS, generate_images
from fedgan.federation.grid import InProcessGrid
from fedgan.federation.relay import client_app
from fedgan.federation.reports import RoundReport
from fedgan.federation.requests import EmbedRequest, Release, TrainRequest
from fedgan.federation.run import run_server
from fedgan.federation.server import Server
from fedgan.federation.simulation import ledgers_of, prepare
from fedgan.federation.vault import Vault

FEDERATIONS = {
    "iid": ("partition.scheme='iid'",),
    "dirichlet 0.1": ("partition.scheme='dirichlet'", "partition.alpha=0.1", "training.batch_size=4"),
    "shards": ("partition.scheme='shards'",),
    "skew: noise": ("partition.scheme='feature_skew'", "partition.skew='noise'", "partition.skew_strength=1"),
    "skew: rotation": ("partition.scheme='feature_skew'", "partition.skew='rotation'", "partition.skew_strength=0.5"),
    "100 clients": (
        "partition.scheme='iid'",
        "partition.clients=100",
        "federation.fraction=0.2",
        "training.batch_size=8",
    ),
    "half absent": ("partition.scheme='iid'", "partition.clients=14", "federation.absence=0.5"),
    "one of 7 faulty": ("partition.scheme='iid'",),
}
FAULTY = "one of 7 faulty"
METHODS = {
    "mean": (),
    "median": ("federation.aggregation='median'",),
    "trimmed_mean": ("federation.aggregation='trimmed_mean'",),
    "krum": ("federation.aggregation='krum'",),
    "FedAdam": ("federation.server_optimizer='adam'", "federation.server_learning_rate=0.002"),
    "FedProx": ("federation.proximal=1",),
}
COMMON = (
    "threads=1",
    "device='cpu'",
    "partition.clients=7",
    "model.width=128",
    "model.latent_dim=16",
    "training.batch_size=32",
    "training.discriminator_steps=2",
    "training.discriminator_learning_rate=1e-3",
    "training.generator_learning_rate=1e-3",
    "training.ema_decay=0.9",
    "training.warm_start_features=500",
    "training.warm_start_steps=300",
    "training.warm_start_batch_size=200",
    "federation.local_steps=10",
    "privacy.delta=1e-4",
    "privacy.accountant='rdp'",
)
FLIP = 10.0
"""The faulty client sends its update with the opposite sign and this many times as long; the server's bounds on what an
honest client can release refuse what is longer than they allow, under every rule."""


class Flipping:
    """A client that trains, and sends the opposite of what it learned."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def describe(self) -> object:
        """Return what is public about it."""
        return self._vault.describe()

    def embed(self, request: EmbedRequest) -> Release:
        """Take part in the warm start like everybody."""
        return self._vault.embed(request)

    def train(self, request: TrainRequest) -> Release:
        """Return the networks that were sent, moved the other way."""
        release, sent = self._vault.train(request), request.arrays
        arrays = {name: sent[name] - FLIP * (array - sent[name]) for name, array in release.arrays.items()}
        return replace(release, arrays=arrays)


class Watcher:
    """Scores the warm start and the last generator, and counts the rounds in which nobody's networks counted."""

    def __init__(self) -> None:
        self.warm_start = 0.0
        self.unchanged = 0
        self.server: Server | None = None

    def warm_start_step(self, step: int, steps: int) -> None:
        """Do nothing."""

    def after_round(self, server: Server, report: RoundReport, seconds: float) -> None:
        """Note what the round did."""
        self.unchanged += not report.clients
        self.server = server
        if report.round == 0:
            self.warm_start = accuracy(server.average.module)


def accuracy(generator: object) -> float:
    """Return the score of `generator`, 0 where its images are not finite."""
    test = load_data("digits", root=None, image_size=0, channels=0).test
    try:
        return METRICS["logistic_regression"].score(generate_images(generator, 2000, seed=0), test, 0)  # type: ignore[arg-type]
    except FedganError:
        return 0.0


def play(config: Config, *, faulty: bool) -> dict[str, float]:
    """Run `config`, with the last client faulty or not, and return its scores."""
    begun = perf_counter()
    with TemporaryDirectory() as name:
        folder, sites = prepare(config, Path(name) / "run", resume=False)
        watcher, last = Watcher(), len(sites) - 1

        def vault_of(context: Context) -> Vault | Flipping:
            index = int(context.node_config["partition-id"])
            return Flipping(sites.vault(index)) if faulty and index == last else sites.vault(index)

        grid = InProcessGrid(client_app(vault_of), len(sites))  # type: ignore[arg-type]
        try:
            run_server(grid, config, folder, ledgers_of(config, folder), resume=False, observer=watcher)
        except FedganError:  # networks that nobody could train on any more: what is left of them is scored
            watcher.unchanged += 1
        score = accuracy(watcher.server.average.module) if watcher.server else 0.0
    return {
        "accuracy": score,
        "warm_start": watcher.warm_start,
        "rounds_unchanged": watcher.unchanged,
        "seconds": perf_counter() - begun,
    }


def rows(epsilons: list[float], seeds: list[int], rounds: int) -> Iterator[dict[str, object]]:
    """Yield one row a run."""
    for epsilon in epsilons:
        guarantee = ["privacy.level='none'"] if epsilon == 0 else [f"privacy.epsilon={epsilon}"]
        for federation, partition in FEDERATIONS.items():
            for method, keys in METHODS.items():
                for seed in seeds:
                    shared = [f"seed={seed}", f"federation.rounds={rounds}"]
                    config = load_config(None, [*COMMON, *guarantee, *shared, *partition, *keys])
                    found = play(config, faulty=federation == FAULTY)
                    yield {"epsilon": epsilon, "federation": federation, "method": method, "seed": seed, **found}


def print_table(found: list[dict[str, object]], epsilon: float) -> None:
    """Print accuracies of one epsilon, federations by methods."""
    print(f"\nepsilon {epsilon:g}" if epsilon else "\nno privacy")
    print(f"{'':16s} {'warm start':>12s} " + " ".join(f"{method:>12s}" for method in METHODS))
    for federation in FEDERATIONS:
        mine = [row for row in found if (row["epsilon"], row["federation"]) == (epsilon, federation)]
        cells = [mean(float(row["warm_start"]) for row in mine)]  # type: ignore[arg-type]
        for method in METHODS:
            cells.append(mean(float(row["accuracy"]) for row in mine if row["method"] == method))  # type: ignore[arg-type]
        print(f"{federation:16s} " + " ".join(f"{cell:12.3f}" for cell in cells), flush=True)


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epsilon", type=float, nargs="+", default=[0.0, 10.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument(
        "--json", type=Path, help="append the line of JSON of each run to this file, instead of printing it"
    )
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # a ruined run says in every round that nothing is finite
    for epsilon in arguments.epsilon:
        found = []
        for row in rows([epsilon], arguments.seeds, arguments.rounds):
            found.append(row)
            line = json.dumps({"simulation": "hard_federations", "rounds": arguments.rounds, **row})
            if arguments.json:
                with arguments.json.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
            else:
                print(line, flush=True)
        print_table(found, epsilon)


if __name__ == "__main__":
    main()
