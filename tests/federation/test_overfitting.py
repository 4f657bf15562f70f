"""Against overfitting, in whole runs: what is changed goes on over rounds, and impossible wishes are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedgan.config import Config
from fedgan.errors import UsageError
from fedgan.federation import simulation
from fedgan.federation.requests import Refusal
from fedgan.federation.simulation import Outcome
from fedgan.training.augmentation_chance import AugmentationChance

ADAPTIVE = ("training.augmentation='flip,colour'", "training.augmentation_chance='adaptive'")
ALL = (
    "training.augmentation='flip,translation,cutout,colour'",
    "training.augmentation_copies=2",
    "training.instance_noise=0.3",
    "training.spectral_bound=0.5",
    "training.dropout=0.3",
    "loss.label_smoothing=0.1",
    "loss.auxiliary_weight=0.5",
)
QUICK = AugmentationChance(0.4, adaptive=True, full=20)
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


def test_an_adaptive_chance_is_resumed_and_told(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, watcher: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedgan.federation.server_setup.chance_of", lambda setting: QUICK)
    config = tiny_config("privacy.level='none'", "federation.rounds=3", *ADAPTIVE)
    run(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "broken", observer=watcher(stop_after=2))
    run(config, tmp_path / "broken", resume=True)
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert "augmentation_chance" not in lines[0]  # the warm start
    chance = QUICK
    for line in lines[1:]:
        assert line["augmentation_chance"] == chance.value
        chance = chance.after(line["fake_accuracy"] or 0.0, line["generator_steps"])
    assert chance.value != QUICK.value


@pytest.mark.parametrize("chance", ["0", "0.5", "'adaptive'"])
def test_a_chance_reaches_the_networks(tiny_config: MakeConfig, run: Run, tmp_path: Path, chance: str) -> None:
    changes = ("privacy.level='none'", "federation.rounds=1", ADAPTIVE[0])
    run(tiny_config(*changes), tmp_path / "always")
    run(tiny_config(*changes, f"training.augmentation_chance={chance}"), tmp_path / "sometimes")
    assert weights(tmp_path / "always") != weights(tmp_path / "sometimes")


@pytest.mark.privacy
@pytest.mark.parametrize("chance", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_site_refuses_a_chance_that_is_none(
    make_vault: Callable[..., Any], make_server: Callable[..., Any], tmp_path: Path, chance: float
) -> None:
    asked = replace(make_server().train_request(), augmentation_chance=chance)
    with pytest.raises(Refusal, match=Refusal.BAD_REQUEST):
        make_vault().train(asked)
    assert not (tmp_path / "ledgers").exists()


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
            ["training.augmentation_chance='adaptive'"],
            r"training\.augmentation_chance = 'adaptive' is not accepted: give 1 without training\.augmentation",
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
