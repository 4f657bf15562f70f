"""Runs one row with one seed: trains, recomputes epsilon from the ledgers, evaluates by the tables' protocol."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from fedgan import __version__
from fedgan.audit.budget import audit_budget
from fedgan.cli.progress import RunProgress
from fedgan.config import Config, load_config
from fedgan.data import DataSplit, ImageDataset
from fedgan.errors import UsageError
from fedgan.evaluation import choose_metrics
from fedgan.evaluation.classes import accuracy_by_class
from fedgan.evaluation.shared import forget
from fedgan.federation import simulation
from fedgan.federation.assessment import judged_images
from fedgan.federation.machine import use_threads
from fedgan.federation.run import is_private
from fedgan.federation.sites import Sites
from fedgan.files import write_text
from fedgan.runs import RunFolder
from fedgan.seeding import derive_seed
from simulations.results.fidelity import NAME, training_frechet
from simulations.results.hardware import hardware
from simulations.results.pictures import draw_samples
from simulations.results.record import Record, record_path, write_record
from simulations.results.row import METRICS, Row

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class _Trained:
    """What there is to judge, what it cost, where and when."""

    synthetic: ImageDataset
    seconds: float
    promised: dict[str, Any]
    hardware: dict[str, str | int | float]
    date: str
    fedgan: str = __version__
    stopped: str = ""


def run_row(row: Row, seed: int, *, data: Path, runs: Path, results: Path, replace: bool = False) -> Path:
    """Run `row` with `seed` and return the JSON file that it was written to.

    A run of the same configuration that is in `runs` already, trained on another machine, say, is only judged:
    trained.json in its folder holds when, how long and on what it was trained, and that is the record's hardware.

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
    root = [f"data.root={data / row.data}"] if row.data else []
    config = load_config(ROOT / "configs" / row.config, [*row.overrides(seed), *root])
    use_threads(config.threads)
    sites = Sites(config, runs)
    trained = _real(row, sites.data, seed) if row.real else _train(config, runs / f"{row.name}-seed-{seed}")
    begun = perf_counter()
    metrics, by_class = _judge(trained.synthetic, sites.data, derive_seed(seed, "evaluation"))
    draw_samples(trained.synthetic, path.with_suffix(".png"))
    record = Record(
        row=row.name,
        seed=seed,
        date=trained.date,
        fedgan=trained.fedgan,
        command=row.command(seed),
        **trained.promised,
        generated=len(trained.synthetic),
        test_records=len(sites.data.test),
        metrics=metrics,
        accuracy_by_class=by_class,
        training_seconds=round(trained.seconds, 1),
        evaluation_seconds=round(perf_counter() - begun, 1),
        hardware=trained.hardware,
        stopped=trained.stopped,
    )
    return write_record(results, record)


def free_path(results: Path, row: str, seed: int, *, replace: bool) -> Path:
    """Return where the result goes; raises UsageError if there is one that is not to be replaced."""
    path = record_path(results, row, seed)
    if path.exists() and not replace:
        raise UsageError(f"{path} holds this row's result with seed {seed}: give --replace to run it again")
    return path


def _train(config: Config, output: Path) -> _Trained:
    note = output / "trained.json"
    if note.exists():
        _check_same(config, output)
    else:
        begun = perf_counter()
        folder, sites = simulation.prepare(config, output, resume=False)
        with RunProgress(folder, rounds=config.federation.rounds, seed=config.seed, quiet=True) as progress:
            outcome = simulation.simulate(config, folder, sites, engine="local", resume=False, observer=progress)
        cost = {
            "seconds": perf_counter() - begun,
            "stopped": outcome.stopped,
            "date": _today(),
            "fedgan": __version__,
            "hardware": hardware(),
        }
        write_text(note, json.dumps(cost) + "\n")
    # On the CPU, whatever it was trained on: all rows of a table are judged by the same networks.
    synthetic = judged_images(RunFolder.open(output))[0].to(torch.device("cpu"))
    return _Trained(synthetic, promised=_promised(config, output), **json.loads(note.read_text(encoding="utf-8")))


def _check_same(config: Config, output: Path) -> None:
    """Raise UsageError unless the run in `output` is one of `config`, wherever its data lay."""
    there = load_config(RunFolder.open(output).config, [])
    if _anywhere(there) != _anywhere(config):
        raise UsageError(f"{output} holds a run of another configuration: delete it or give another --runs")


def _anywhere(config: Config) -> Config:
    return config.model_copy(update={"data": config.data.model_copy(update={"root": ""})})


def _promised(config: Config, output: Path) -> dict[str, Any]:
    if not is_private(config):
        return {"level": "none", "trust": None, "epsilon": None, "delta": None}
    budget = audit_budget([output], delta=config.privacy.delta, accountant=config.privacy.accountant)
    return {
        "level": budget.level,
        "trust": config.privacy.trust,
        "epsilon": budget.epsilon,
        "delta": budget.delta,
    }


def _real(row: Row, data: DataSplit, seed: int) -> _Trained:
    """Return the real training images, as many of them as generated ones would be."""
    chosen = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(seed))[: row.images]
    nothing = {"level": "none", "trust": None, "epsilon": None, "delta": None}
    return _Trained(data.train.subset(chosen), 0.0, nothing, hardware(), _today())


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def _judge(synthetic: ImageDataset, data: DataSplit, seed: int) -> tuple[dict[str, float], list[float | None]]:
    chosen = choose_metrics(",".join(METRICS))
    scores = {name: metric.score(synthetic, data.test, seed) for name, metric in chosen.items()}
    by_class = accuracy_by_class(synthetic, data.test, seed)
    forget()
    return scores | {NAME: training_frechet(synthetic, data)}, by_class
