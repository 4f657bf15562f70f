"""Runs one row with one seed: trains, recomputes epsilon from the ledgers, evaluates by the tables' protocol."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import torch

from fedgan.data import DataSplit, ImageDataset
from fedgan.errors import UsageError
from fedgan.evaluation import choose_metrics
from fedgan.evaluation.classes import accuracy_by_class
from fedgan.evaluation.shared import forget
from fedgan.federation.machine import use_threads
from fedgan.federation.sites import Sites
from fedgan.seeding import derive_seed
from simulations.results.fidelity import NAME, training_frechet
from simulations.results.fused import ledgers_beside, train_fused
from simulations.results.origin import configs_of, digest, this_commit
from simulations.results.pictures import draw_samples
from simulations.results.record import Record, record_path, write_record
from simulations.results.row import METRICS, Row
from simulations.results.trained import NO_PROMISE, Trained, cost_now, train


def run_row(row: Row, seed: int, *, data: Path, runs: Path, results: Path, replace: bool = False) -> Path:
    """Run `row` with `seed` and return the JSON file that it was written to.

    A run of the same configuration that is in `runs` already, trained on another machine, say, is only judged:
    trained.json in its folder holds when, how long, on what and from which commit it was trained, and that is what the
    record says.

    Args:
        data: folder of the data sets.
        runs: where the run folder is made.
        results: where the JSON file and the samples go.
        replace: whether a result that is there may be replaced: a bad one is a result too.

    Raises:
        UsageError: there is a result already, or a run of another configuration; the data are missing, or there is no
            GPU for a row that needs one.
    """
    path = free_path(results, row.name, seed, replace=replace)
    commit = this_commit()  # before hours of training, in which the checkout may move on
    output = runs / f"{row.name}-seed-{seed}"
    places = [f"data.root={data / row.data}"] if row.data else []
    if row.parts > 1:
        places.append(f"privacy.ledgers={ledgers_beside(output)}")
    configs = configs_of(row, seed, places)
    use_threads(configs[0].threads)
    sites = Sites(configs[0], runs)
    if row.real:
        trained = _real(row, sites.data, seed)
    else:
        trained = train_fused(configs, output) if row.parts > 1 else train(configs[0], output)
    begun = perf_counter()
    metrics, by_class = _judge(trained.synthetic, sites.data, derive_seed(seed, "evaluation"))
    draw_samples(trained.synthetic, path.with_suffix(".png"))
    record = Record(
        row=row.name,
        seed=seed,
        date=trained.cost.date,
        fedgan=trained.cost.fedgan,
        command=row.command(seed),
        **trained.promised,
        generated=len(trained.synthetic),
        test_records=len(sites.data.test),
        metrics=metrics,
        accuracy_by_class=by_class,
        training_seconds=round(trained.cost.seconds, 1),
        evaluation_seconds=round(perf_counter() - begun, 1),
        hardware=trained.cost.hardware,
        stopped=trained.cost.stopped,
        commit=trained.cost.commit,
        judging_commit=commit,
        configuration=digest(configs),
    )
    return write_record(results, record)


def free_path(results: Path, row: str, seed: int, *, replace: bool) -> Path:
    """Return where the result goes; raises UsageError if there is one that is not to be replaced."""
    path = record_path(results, row, seed)
    if path.exists() and not replace:
        raise UsageError(f"{path} holds this row's result with seed {seed}: give --replace to run it again")
    return path


def _real(row: Row, data: DataSplit, seed: int) -> Trained:
    """Return the real training images, as many of them as generated ones would be."""
    chosen = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed))[: row.images]
    return Trained(data.train.subset(chosen), cost_now(0.0), NO_PROMISE)


def _judge(synthetic: ImageDataset, data: DataSplit, seed: int) -> tuple[dict[str, float], list[float | None]]:
    chosen = choose_metrics(",".join(METRICS))
    scores = {name: metric.score(synthetic, data.test, seed) for name, metric in chosen.items()}
    by_class = accuracy_by_class(synthetic, data.test, seed)
    forget()
    return scores | {NAME: training_frechet(synthetic, data)}, by_class
