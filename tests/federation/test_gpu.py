"""Whole runs on a GPU: the budget of the CPU's run, a generator that loads anywhere, networks equal up to rounding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fedgan.audit.budget import audit_budget
from fedgan.config import Config
from fedgan.evaluation.shared import forget
from fedgan.federation.assessment import assess, assess_classes, judged_images
from fedgan.federation.card import load_generator
from fedgan.federation.machine import judging_device
from fedgan.federation.simulation import Outcome, prepare, simulate
from fedgan.runs import RunFolder

pytestmark = [pytest.mark.privacy, pytest.mark.gpu]

MakeConfig = Callable[..., Config]
Run = Callable[..., Outcome]
GPU = "device='cuda'"
SUMS = ("federation.algorithm='fedsgd'", "federation.local_steps=1")
KINDS = {
    "rounds": ("federation.algorithm='dp_fedavg_gan'",),
    "aggregator": ("privacy.trust='aggregator'", *SUMS),
    "fedsgd": SUMS,
    "generators": ("federation.algorithm='fedgan'", "privacy.level='none'"),
    "clients": (
        "privacy.level='client'",
        "privacy.trust='aggregator'",
        "training.warm_start='none'",
        "federation.algorithm='dp_fedavg_gan'",
    ),
    "penalty": ("loss.penalty='r1'",),
    "augmented": ("training.augmentation='flip,translation,cutout,colour'", "training.instance_noise=0.1"),
    "dropout": ("training.dropout=0.3", "training.spectral_bound=1"),
    "bfloat16": ("training.precision='bfloat16'",),
    "moments": ("model.name='mixture'", "training.warm_start='mixture'", "federation.rounds=0"),
    "anchored": ("training.anchor_weight=0.5",),
    "convolutions": ("training.warm_start_family='convolutions'",),
    "windows": ("training.warm_start_family='windows'",),
    "early stopping": ("training.early_stopping_rounds=2",),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_keeps_its_budget_and_its_generator_loads_without_a_gpu(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, kind: str
) -> None:
    config = tiny_config(*KINDS[kind], GPU)
    outcome = run(config, tmp_path / "run")
    if config.privacy.level != "none":
        budget = audit_budget([tmp_path / "run"], delta=config.privacy.delta, accountant=config.privacy.accountant)
        assert budget.epsilon == pytest.approx(outcome.budget.epsilon, rel=1e-9)
        assert budget.epsilon <= config.privacy.epsilon
    generator, _ = load_generator(RunFolder.open(tmp_path / "run"))
    assert {value.device.type for value in generator.state_dict().values()} == {"cpu"}
    images, _ = judged_images(RunFolder.open(tmp_path / "run"))
    assert bool(images.images.isfinite().all())


@pytest.mark.parametrize("algorithm", ["dp_fedavg_gan", "fedgan"])
def test_without_a_level_it_is_the_run_of_the_cpu_up_to_rounding(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, algorithm: str
) -> None:
    chosen = ("privacy.level='none'", f"federation.algorithm={algorithm}", "federation.rounds=1")
    found = {}
    for device in ("cpu", "cuda"):
        folder = tmp_path / f"on-{device}"
        run(tiny_config(*chosen, f"device={device}"), folder)
        generator, _ = load_generator(RunFolder.open(folder))
        found[device] = torch.cat([value.flatten().double() for value in generator.state_dict().values()])
    error = float((found["cuda"] - found["cpu"]).norm() / found["cpu"].norm())
    assert error < 1e-2


def test_a_run_goes_on_from_a_checkpoint(tiny_config: MakeConfig, watcher: type, tmp_path: Path) -> None:
    config = tiny_config(GPU)
    folder, sites = prepare(config, tmp_path / "run", resume=False)
    with pytest.raises(KeyboardInterrupt):
        simulate(config, folder, sites, engine="local", resume=False, observer=watcher(stop_after=1))
    folder, sites = prepare(config, tmp_path / "run", resume=True)
    outcome = simulate(config, folder, sites, engine="local", resume=True, observer=watcher())
    assert outcome.budget.epsilon <= config.privacy.epsilon


def test_a_run_is_judged_on_the_gpu_with_the_scores_of_the_cpu(
    tiny_config: MakeConfig, run: Run, tmp_path: Path
) -> None:
    config = tiny_config(GPU, "privacy.level='none'", "evaluation.count=400")
    run(config, tmp_path / "run")
    folder = RunFolder.open(tmp_path / "run")
    _, sites = prepare(config, tmp_path / "other", resume=False)
    assert judging_device("cuda").type == judging_device("auto").type == "cuda"
    assert judging_device("cpu").type == "cpu"
    names = "logistic_regression,cnn,mlp,frechet_distance,kernel_distance,precision,recall,density,coverage,duplicates"
    scores = assess(folder, sites.data.test, names)
    assert list(scores) == names.split(",")
    assert judged_images(folder)[0].images.device.type == "cuda"
    analysis = assess_classes(folder, sites.data.test)
    assert analysis.to_dict()
    forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fedgan.federation.assessment.judging_device", lambda name: torch.device("cpu"))
        again = assess(folder, sites.data.test, names)
    assert scores["logistic_regression"] == pytest.approx(again["logistic_regression"], abs=0.03)
    assert {name for name, score in again.items() if scores[name] == pytest.approx(score, rel=0.3, abs=0.05)} == {
        *again
    }
