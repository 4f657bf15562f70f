"""Against overfitting, in whole runs: what is changed goes on over rounds, and impossible wishes are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedgan.config import Config
from fedgan.errors import UsageError
from fedgan.federation import simulation
from fedgan.federation.simulation import Outcome

ALL = (
    "training.augmentation='flip,translation,cutout,colour'",
    "training.augmentation_copies=2",
    "training.instance_noise=0.3",
    "training.spectral_bound=0.5",
    "training.dropout=0.3",
    "loss.label_smoothing=0.1",
)
MakeConfig = Callable[..., Config]
Run = Callable[..., Outcome]


def weights(folder: Path) -> bytes:
    return (folder / "generator.safetensors").read_bytes()


@pytest.mark.parametrize("algorithm", ["fedgan", "dp_fedavg_gan", "fedsgd"])
def test_a_resumed_run_is_the_uninterrupted_one(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, watcher: Any, algorithm: str
) -> None:
    """So the noise goes on where it was, and every round is shown what it would have been."""
    steps = ["federation.local_steps=1"] if algorithm == "fedsgd" else []
    config = tiny_config("privacy.level='none'", f"federation.algorithm={algorithm}", *steps, *ALL)
    run(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "broken", observer=watcher(stop_after=1))
    run(config, tmp_path / "broken", resume=True)
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")


@pytest.mark.parametrize("key", ALL)
def test_each_key_reaches_the_networks(tiny_config: MakeConfig, run: Run, tmp_path: Path, key: str) -> None:
    for name, changes in (("without", ()), ("with", (key,))):
        run(tiny_config("privacy.level='none'", "federation.rounds=1", *changes), tmp_path / name)
    assert weights(tmp_path / "with") != weights(tmp_path / "without")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["training.augmentation='flip,rotation'"], "'rotation' is unknown: .*accepted are colour, cutout, flip"),
        (
            ["training.augmentation_copies=2", "privacy.clipping_engine='opacus'"],
            r"training\.augmentation_copies = 2 is not accepted: give 1 with privacy\.clipping_engine = 'opacus'",
        ),
        (
            ["training.dropout=0.5", "loss.penalty='r1'"],
            r"training\.dropout = 0\.5 is not accepted: give 0 with loss\.penalty = 'r1'",
        ),
        (
            ["training.augmentation_copies=2", "loss.penalty='r1'"],
            r"training\.augmentation_copies = 2 is not accepted: give 1 with loss\.penalty = 'r1'",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(
    tiny_config: MakeConfig, tmp_path: Path, changes: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        simulation.prepare(tiny_config(*changes), tmp_path / "run", resume=False)
    assert not (tmp_path / "run").exists()
