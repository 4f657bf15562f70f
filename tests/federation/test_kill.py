"""`kill -9` at any moment: the run resumes, and no ledger holds less than what was computed."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest

from fedgan.config import Config, to_toml
from fedgan.errors import BudgetError
from fedgan.federation.simulation import Outcome
from fedgan.privacy.ledger import read_ledger
from fedgan.runs import RunFolder

MakeConfig = Callable[..., Config]
Run = Callable[..., Outcome]


def run_for(seconds: float, run: Run, config: Config, output: Path) -> None:
    """Start a run in a child and kill it after `seconds`."""
    child = multiprocessing.get_context("fork").Process(target=run, args=(config, output))
    child.start()
    child.join(seconds)
    child.kill()
    child.join()


def charges(folder: Path) -> Counter[tuple[int, str]]:
    """Return how often each round of each client was charged."""
    return Counter(
        (line.row["round"], line.client)
        for path in (folder / "ledgers").glob("*.jsonl")
        for line in read_ledger(path)
        if line.event is not None
    )


def assert_paid(folder: Path) -> None:
    """Every client's part in every round that was computed stands in its ledger."""
    paid = charges(folder)
    for row in RunFolder(folder).read_metrics():
        for client in row["clients"]:
            assert paid[row["round"], client] >= 1


FEDSGD = ("federation.algorithm=fedsgd", "federation.local_steps=1")
WHOLE_CLIENTS = ("federation.algorithm=dp_fedavg_gan", "federation.fraction=0.5", "privacy.clip_quantile=0.5")


@pytest.mark.parametrize(
    ("level", "settings", "kills"),
    [
        ("none", (), 8),
        ("record", (), 8),
        ("none", FEDSGD, 4),
        ("record", (*FEDSGD, "privacy.trust=aggregator"), 4),
        ("client", (*WHOLE_CLIENTS, "privacy.trust=aggregator"), 4),
    ],
    ids=["none", "record", "none-fedsgd", "record-aggregator", "client"],
)
def test_a_killed_run_resumes(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, level: str, settings: tuple[str, ...], kills: int
) -> None:
    config = tiny_config(f"privacy.level='{level}'", "training.warm_start_steps=20", *settings)
    run(config, tmp_path / "warm-up")  # what it calibrates and loads, the children inherit
    begun = monotonic()
    run(config, tmp_path / "whole")
    duration = monotonic() - begun
    for number, moment in enumerate(np.random.default_rng().uniform(0, 1.5 * duration, size=kills)):
        folder = tmp_path / f"killed-{number}"
        run_for(moment, run, config, folder)
        if not (folder / "config.toml").exists():
            continue  # killed before it was a run
        for path in (folder / "ledgers").glob("*.jsonl"):
            path.write_bytes(path.read_bytes() + b'{"version":1,')  # and in the middle of a line
        try:
            outcome = run(config, folder, resume=True)
        except BudgetError:
            # Killed between the first charge of the warm start and the end of its exchange.
            assert {path.stem for path in (folder / "checkpoints").glob("*.json")} <= {"begin"}
            assert set(charges(folder).values()) == {1}
            continue
        if level == "none":
            assert (folder / "generator.safetensors").read_bytes() == (
                tmp_path / "whole" / "generator.safetensors"
            ).read_bytes()
        else:
            assert outcome.budget is not None
            assert outcome.budget.epsilon <= 10
            assert_paid(folder)


def command(folder: Path, *arguments: str) -> list[str]:
    program = "from fedgan.cli import main; main()"
    return [sys.executable, "-c", program, "simulate", *arguments, "--output", str(folder), "--quiet"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("level", "kills"), [("none", 2), pytest.param("record", 1, marks=pytest.mark.privacy)])
def test_a_killed_command_resumes(tiny_config: MakeConfig, tmp_path: Path, level: str, kills: int) -> None:
    config = tiny_config(f"privacy.level='{level}'", "federation.rounds=12", "evaluation.count=200")
    (tmp_path / "run.toml").write_text(to_toml(config))
    settings = {"cwd": tmp_path, "env": {**os.environ, "OMP_NUM_THREADS": "1"}, "timeout": 120}
    whole = tmp_path / "whole"
    if level == "none":
        subprocess.run(command(whole, "run.toml"), check=True, **settings)
    for number in range(kills):
        folder = tmp_path / f"killed-{number}"
        child = subprocess.Popen(command(folder, "run.toml"), cwd=tmp_path, env=settings["env"])
        rows: list[Any] = []
        wanted = np.random.default_rng().integers(1, 12)
        while child.poll() is None and len(rows) < wanted:
            sleep(0.01)
            rows = RunFolder(folder).read_metrics()
        child.send_signal(signal.SIGKILL)
        assert child.wait(60) == -signal.SIGKILL
        subprocess.run(command(folder, "--resume"), check=True, **settings)
        assert [row["round"] for row in RunFolder(folder).read_metrics()] == list(range(13))
        card = json.loads((folder / "generator.json").read_text())
        if level == "none":
            assert (folder / "generator.safetensors").read_bytes() == (whole / "generator.safetensors").read_bytes()
        else:
            assert card["epsilon"] <= 10
            assert_paid(folder)
