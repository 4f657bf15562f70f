"""What the federation costs on top of the training itself, in one run.

    python -m simulations.benchmarks.federation_overhead [--config configs/digits.toml] [--repeats 5]

Two ways to do the same work are timed in turn, A B A B ...: the in-process federation as `fedgan simulate` runs it
(messages, checks, ledgers fsynced before each computation, a checkpoint each round), and a bare loop over the clients
with nothing between the training steps but copying and averaging weights. Prints the medians and their ratio, which
should be at most 1.15, and one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
from copy import deepcopy
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch

from fedgan.config import Config, load_config, to_toml
from fedgan.data import poisson_indices, uniform_indices
from fedgan.federation.algorithms import ALGORITHMS, ClientResult, ClientRound, ServerRound
from fedgan.federation.components import gan_of, loss_of, optimisation_of
from fedgan.federation.reports import RoundReport
from fedgan.federation.server import Server
from fedgan.federation.simulation import check, simulate
from fedgan.federation.sites import Sites
from fedgan.models import ExponentialMovingAverage
from fedgan.privacy.gradient import PlainGradient, PrivateGradient
from fedgan.privacy.noise import SecureNoise
from fedgan.runs import RunFolder
from fedgan.training.gan import Gan
from fedgan.training.local import Batches, GeneratorProgress
from fedgan.training.rules import GradientRule
from fedgan.training.streams import stream
from fedgan.training.warm_start import FeatureMap, embed, estimate_target, fit_generator


class _Silent:
    def warm_start_step(self, step: int, steps: int) -> None: ...

    def after_round(self, server: Server, report: RoundReport, seconds: float) -> None: ...


def federation(config: Config, sites: Sites) -> float:
    """Return the seconds of one in-process federation."""
    with TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "run")
        begun = perf_counter()
        run.create(to_toml(config))
        simulate(config, run, _sites_of_run(sites, config, run), engine="local", resume=False, observer=_Silent())
        return perf_counter() - begun


def _sites_of_run(sites: Sites, config: Config, run: RunFolder) -> Sites:
    """Return the sites of this run's ledgers with the data already in memory, as the bare loop has it."""
    fresh = check(config, run.ledgers)
    fresh.__dict__["data"], fresh.__dict__["parts"] = sites.data, sites.parts
    return fresh


def bare_loop(config: Config, sites: Sites) -> float:
    """Return the seconds of the same training in a plain loop."""
    begun = perf_counter()
    train = sites.data.train
    gan = gan_of(config, train.image_shape, train.num_classes)
    _warm_start(config, sites, gan)
    optimisation, algorithm = optimisation_of(config), ALGORITHMS[config.federation.algorithm]
    average = ExponentialMovingAverage(gan.generator)
    optimizer = optimisation.for_generator(gan)
    steps, every = config.federation.local_steps, config.training.discriminator_steps
    if not isinstance(every, int):
        raise SystemExit("this benchmark wants training.discriminator_steps as a number")
    for number in range(config.federation.rounds):
        begin = {name: deepcopy(gan.network(name).state_dict()) for name in algorithm.sends}
        sums: dict[str, dict[str, torch.Tensor]] = {name: {} for name in algorithm.returns}
        result: ClientResult | None = None
        for client in range(len(sites)):
            for name in algorithm.sends:
                gan.network(name).load_state_dict(begin[name])
            gradient, batches = _client(config, sites, client, number)
            result = algorithm.client_update(
                ClientRound(
                    gan=gan,
                    batches=batches,
                    gradient=gradient,
                    steps=steps,
                    first_step=number * steps,
                    discriminator_steps=every,
                    optimisation=optimisation,
                    loss=loss_of(config),
                    rng=stream(config.seed, client, number),
                    anchor=None,
                )
            )
            for name in algorithm.returns:
                for key, tensor in gan.network(name).state_dict().items():
                    sums[name][key] = sums[name].get(key, 0) + tensor / len(sites)
        for name in algorithm.returns:
            gan.network(name).load_state_dict(sums[name])
        algorithm.server_update(
            ServerRound(
                gan=gan,
                average=average,
                ema_decay=config.training.ema_decay,
                optimizer=optimizer,
                steps=steps,
                first_step=number * steps,
                discriminator_steps=every,
                optimisation=optimisation,
                loss=loss_of(config),
                rng=stream(config.seed, "server", number),
                anchor=None,
                clients=result.progress if result else GeneratorProgress(),
            )
        )
    return perf_counter() - begun


def _warm_start(config: Config, sites: Sites, gan: Gan) -> None:
    training, train = config.training, sites.data.train
    if training.warm_start == "none":
        return
    features = FeatureMap(train.image_shape, features=training.warm_start_features, seed=1)
    noise = SecureNoise()
    total = torch.zeros(train.num_classes, features.dimension, dtype=torch.float64)
    for client in range(len(sites)):
        sums = embed(train.subset(sites.parts[client]), features)
        total += sums + noise.normal(tuple(sums.shape), sites.plan(client).warm_start_noise)
    target = estimate_target(
        total,
        records=len(train),
        noise_std=1.0,
        count_weight=features.count_weight,
        class_counts=training.class_counts,
    )
    fit_generator(
        gan.generator,
        target,
        features,
        steps=training.warm_start_steps,
        batch_size=training.warm_start_batch_size,
        learning_rate=training.warm_start_learning_rate,
        rng=stream(config.seed, "warm start"),
    )


def _client(config: Config, sites: Sites, client: int, number: int) -> tuple[GradientRule, Batches]:
    plan, records = sites.plan(client), sites.data.train.subset(sites.parts[client])
    if plan.level == "none":
        rng = np.random.default_rng((client, number))
        return PlainGradient(microbatch=config.training.microbatch), lambda: records.batch(
            uniform_indices(plan.records, config.training.batch_size, rng)
        )
    noise = SecureNoise()
    gradient = PrivateGradient(
        clip=plan.clip,
        noise_multiplier=plan.noise_multiplier,
        expected_rows=2 * config.training.batch_size,
        noise=noise,
        engine=plan.clipping_engine,
        microbatch=config.training.microbatch,
    )
    return gradient, lambda: records.batch(poisson_indices(plan.records, plan.probability, noise.uniform))


def main() -> None:
    """Time both ways in turn and print their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/digits.toml"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    config = load_config(arguments.config, arguments.set)
    with TemporaryDirectory() as folder:
        sites = check(config, Path(folder))
        plans = [sites.plan(client).planned_epsilon() for client in range(len(sites))]  # calibrated once, for both ways
    times: dict[str, list[float]] = {"federation": [], "bare_loop": []}
    federation(config, sites)
    for _ in range(arguments.repeats):
        times["federation"].append(federation(config, sites))
        times["bare_loop"].append(bare_loop(config, sites))
    ratios = [a / b for a, b in zip(times["federation"], times["bare_loop"], strict=True)]
    print(f"{arguments.config}, {len(plans)} clients, {arguments.repeats} pairs, {torch.get_num_threads()} threads")
    for name, seconds in times.items():
        print(f"  {name:<12} median {median(seconds):7.2f} s  (min {min(seconds):.2f}, max {max(seconds):.2f})")
    print(f"  federation / bare loop, median of pairs: {median(ratios):.3f}  (wanted: at most 1.15)")
    row = {"benchmark": "federation_overhead", "ratio": median(ratios), "pairs": times, "machine": platform.platform()}
    print(json.dumps(row))


if __name__ == "__main__":
    main()
