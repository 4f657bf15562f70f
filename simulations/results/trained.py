"""Trains one run, unless it is there already, and says what it cost and what it promises."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from fedgan import __version__
from fedgan.audit.budget import audit_budget
from fedgan.cli.progress import RunProgress
from fedgan.config import Config, load_config
from fedgan.data import ImageDataset
from fedgan.errors import UsageError
from fedgan.federation import simulation
from fedgan.federation.assessment import judged_images
from fedgan.federation.run import is_private
from fedgan.files import write_text
from fedgan.runs import RunFolder
from simulations.results.hardware import hardware
from simulations.results.origin import UNKNOWN, anywhere, this_commit

NO_PROMISE: dict[str, Any] = {"level": "none", "trust": None, "epsilon": None, "delta": None}


@dataclass(frozen=True)
class Cost:
    """When, where, by which code and how long something was trained: trained.json in its folder.

    Attributes:
        seconds: by the clock.
        stopped: why it ended early, or "".
        date: such as "2026-11-24".
        fedgan: the version.
        hardware: see `hardware`.
        commit: see `this_commit`; UNKNOWN in folders that are older than this field.
    """

    seconds: float
    stopped: str
    date: str
    fedgan: str
    hardware: dict[str, str | int | float]
    commit: str | None = UNKNOWN


@dataclass(frozen=True)
class Trained:
    """What there is to judge, what it cost and what it promises (the record's fields about privacy)."""

    synthetic: ImageDataset
    cost: Cost
    promised: dict[str, Any]


def cost_now(seconds: float, stopped: str = "") -> Cost:
    """Return the cost of what has just been done here."""
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    return Cost(seconds, stopped, date, __version__, hardware(), this_commit())


def train(config: Config, output: Path) -> Trained:
    """Train `config` in the folder `output`, or take the run that is there; see `run_once`."""
    cost = run_once(config, output)
    return Trained(images_of(output), cost, _promised(config, output))


def run_once(config: Config, output: Path) -> Cost:
    """Run `config` in the folder `output` unless trained.json says that it was, and return what it cost.

    Raises:
        UsageError: the run that is there is of another configuration, or not finished.
    """
    note = output / "trained.json"
    if note.exists():
        _check_same(config, output)
        return Cost(**json.loads(note.read_text(encoding="utf-8")))
    begun = perf_counter()
    folder, sites = simulation.prepare(config, output, resume=False)
    with RunProgress(folder, rounds=config.federation.rounds, seed=config.seed, quiet=True) as progress:
        outcome = simulation.simulate(config, folder, sites, engine="local", resume=False, observer=progress)
    cost = cost_now(perf_counter() - begun, outcome.stopped)
    write_text(note, json.dumps(asdict(cost)) + "\n")
    return cost


def images_of(folder: Path) -> ImageDataset:
    """Return what the generator in `folder` is judged by.

    On the CPU, whatever it was trained on: all rows of a table are judged by the same networks.
    """
    return judged_images(RunFolder.open(folder))[0].to(torch.device("cpu"))


def _check_same(config: Config, output: Path) -> None:
    """Raise UsageError unless the run in `output` is one of `config`, wherever its data lay."""
    there = load_config(RunFolder.open(output).config, [])
    if anywhere(there) != anywhere(config):
        raise UsageError(f"{output} holds a run of another configuration: delete it or give another --runs")


def _promised(config: Config, output: Path) -> dict[str, Any]:
    if not is_private(config):
        return NO_PROMISE
    budget = audit_budget([output], delta=config.privacy.delta, accountant=config.privacy.accountant)
    return {
        "level": budget.level,
        "trust": config.privacy.trust,
        "epsilon": budget.epsilon,
        "delta": budget.delta,
    }
