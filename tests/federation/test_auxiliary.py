"""The auxiliary classifier in whole runs: what leaves a client, and what is made of the networks afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from fedgan.config import Config, load_config
from fedgan.data.dataset import ImageDataset
from fedgan.evaluation import generate_images
from fedgan.federation.arrays import networks_of
from fedgan.federation.card import load_generator
from fedgan.federation.components import gan_of, loss_of
from fedgan.federation.discriminator import load_discriminator
from fedgan.federation.private_reads import PrivateReads
from fedgan.federation.requests import Release
from fedgan.federation.simulation import Outcome
from fedgan.federation.vault import Vault
from fedgan.losses import gan_loss
from fedgan.privacy.clipping import clipped_gradient_sum
from fedgan.runs import RunFolder
from fedgan.training.gan import Gan
from fedgan.training.objective import discriminator_objective
from fedgan.training.streams import stream

AUXILIARY = "loss.auxiliary_weight=1"
FEDSGD = ("federation.algorithm=fedsgd", "federation.local_steps=1")
DP_FEDAVG = ("federation.algorithm=dp_fedavg_gan",)
WAYS = {
    "fedgan": ("federation.algorithm=fedgan",),
    "dp_fedavg_gan": DP_FEDAVG,
    "fedsgd": FEDSGD,
    "fedsgd, noise of the server": (*FEDSGD, "privacy.trust=aggregator"),
    "whole clients": (*DP_FEDAVG, "privacy.level=client", "privacy.trust=aggregator"),
    "no privacy": ("privacy.level=none",),
    "adaptive": ("training.discriminator_steps=adaptive", "privacy.clipping_engine=opacus", "training.microbatch=5"),
    "penalty and bfloat16": ("loss.penalty=r1", "training.precision=bfloat16", "federation.compression=int8"),
}
MakeConfig = Callable[..., Config]
Run = Callable[..., Outcome]


class Silent:
    """No noise, and coins that draw every record."""

    def normal(self, shape: tuple[int, ...], std: float) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64)

    def uniform(self, count: int) -> np.ndarray:
        return np.zeros(count)


@pytest.mark.parametrize("way", WAYS)
def test_a_run_moves_the_second_head_and_says_its_weight(
    tiny_config: MakeConfig, run: Run, tmp_path: Path, way: str
) -> None:
    config = tiny_config(AUXILIARY, "federation.rounds=2", *WAYS[way])
    run(config, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    assert json.loads(folder.card.read_text())["config"]["loss"]["auxiliary_weight"] == 1
    saved, begun = load_file(folder.checkpoints / "round-00002.safetensors"), gan_of(config, (1, 8, 8), 10)
    for name, value in begun.discriminator.state_dict().items():
        assert not torch.equal(saved[f"discriminator/{name}"], value), name
    assert {"discriminator/classes.weight", "discriminator/classes.bias"} <= saved.keys()
    assert all(
        0 <= line["fake_accuracy"] <= 1 for line in folder.read_metrics() if line.get("fake_accuracy") is not None
    )


def test_who_asks_a_finished_runs_discriminator_for_logits_gets_them(
    tiny_config: MakeConfig, run: Run, tmp_path: Path
) -> None:
    run(tiny_config(AUXILIARY, "federation.rounds=1", "privacy.evaluation_epsilon=2"), tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    generator, config = load_generator(folder)
    made = generate_images(generator, 20, seed=1)
    discriminator, _ = load_discriminator(folder, config, num_classes=10, image_shape=(1, 8, 8))
    assert discriminator(made.images, made.labels).shape == (20,)
    reads = PrivateReads(folder, config, 2.0).ask(made)
    assert {name: 0.4 < share < 0.6 for name, share in reads.expected.items()}["logit_above_median"]


def test_a_run_of_before_there_was_the_key_has_no_second_head(
    tiny_config: MakeConfig, run: Run, tmp_path: Path
) -> None:
    run(tiny_config("federation.rounds=1"), tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    card = json.loads(folder.card.read_text())
    del card["config"]["loss"]["auxiliary_weight"]
    folder.card.write_text(json.dumps(card))
    _, config = load_generator(folder)
    assert config.loss.auxiliary_weight == load_config().loss.auxiliary_weight == 0
    module, _ = load_discriminator(folder, config, num_classes=10, image_shape=(1, 8, 8))
    assert not any("classes" in name for name in module.state_dict())


@pytest.fixture
def answer(make_vault: Callable[..., Vault], make_server: Any, make_gan: Callable[..., Gan]) -> Callable[..., Release]:
    """Return what a vault of some records releases without noise, with all of them in each batch."""

    def train(data: ImageDataset, *, weight: float, algorithm: str) -> Release:
        vault = make_vault(algorithm=algorithm, data=data, noise=Silent(), client=f"{id(data)}")
        loss = gan_loss("non_saturating", penalty="none", penalty_weight=0.0, auxiliary_weight=weight)
        vault._training = replace(vault._training, gan=make_gan(auxiliary=True), loss=loss)
        request = make_server(algorithm=algorithm, gan=make_gan(auxiliary=True)).train_request()
        return vault.train(replace(request, steps=1))

    return train


def beside_arrays(release: Release) -> Release:
    """Return `release` without its arrays and without what names the client, its ledger and its plan's noise."""
    return replace(release, client="", arrays={}, head="", noise_std=0.0)


@pytest.mark.privacy
@pytest.mark.parametrize("weight", [0.7, 1e6])
def test_a_gradient_sum_is_that_of_each_records_joint_loss(
    answer: Callable[..., Release], records: ImageDataset, make_gan: Callable[..., Gan], weight: float
) -> None:
    gan, loss = (
        make_gan(auxiliary=True),
        gan_loss("non_saturating", penalty="none", penalty_weight=0.0, auxiliary_weight=weight),
    )
    images, labels = records.batch(torch.arange(48))
    objective = discriminator_objective(gan, (images, labels), (images[:0], labels[:0]), loss=loss, rng=stream(0))
    sums, _ = clipped_gradient_sum(*objective, max_norm=1.0)
    found = answer(records, weight=weight, algorithm="fedsgd").arrays
    assert found.keys() == {f"gradient/{name}" for name, _ in gan.discriminator.named_parameters()}
    for name, array in found.items():
        expected = sums[f"discriminator.{name.removeprefix('gradient/')}"]  # as the critic around it names them
        torch.testing.assert_close(torch.from_numpy(array), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.privacy
@pytest.mark.parametrize("changed", [1, 7])
def test_labels_reach_a_release_by_clipped_gradients_alone(
    answer: Callable[..., Release], records: ImageDataset, changed: int
) -> None:
    """Another label moves the sum by at most two clips, however much classes count for, and nothing else at all."""
    labels = records.labels.clone()
    labels[:changed] = (labels[:changed] + 1) % 4
    others = ImageDataset(records.images, labels, records.num_classes)
    one, other = (answer(data, weight=1e6, algorithm="fedsgd") for data in (records, others))
    moved = np.sqrt(sum(np.square(one.arrays[name] - other.arrays[name]).sum() for name in one.arrays))
    assert 0.1 < moved <= 2.0 * changed * 1.001
    assert beside_arrays(one) == beside_arrays(other) == Release("", 1, {}, "")


@pytest.mark.privacy
def test_networks_are_released_with_both_heads_and_nothing_beside(
    answer: Callable[..., Release], records: ImageDataset, make_gan: Callable[..., Gan]
) -> None:
    release = answer(records, weight=1.0, algorithm="dp_fedavg_gan")
    assert release.arrays.keys() == networks_of(make_gan(auxiliary=True), ["discriminator"]).keys()
    assert beside_arrays(release) == Release("", 1, {}, "")


def test_key_and_networks_come_together(tiny_config: MakeConfig) -> None:
    for weight in (0.0, 1e-3):
        config = tiny_config(f"loss.auxiliary_weight={weight}")
        gan, loss = gan_of(config, (1, 8, 8), 10), loss_of(config)
        assert gan.auxiliary is bool(weight)
        assert loss.auxiliary_weight == weight
        assert loss.generator(gan.critic(*gan.fakes(3, stream(0)))).shape == (3,)
