"""What honest clients can send passes, however large their gradients are; what they cannot is named."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from fedgan.config import load_config
from fedgan.federation.bounds import ReleaseBounds, adam_reach
from fedgan.federation.inspection import Inspector
from fedgan.federation.requests import Description, Release
from fedgan.federation.server import Server
from fedgan.federation.server_setup import server_of
from fedgan.federation.vault import Vault
from fedgan.privacy.noise import SeededNoise
from fedgan.training.local import Optimisation

BETAS = [(0.5, 0.999), (0.9, 0.999), (0.0, 0.9), (0.9, 0.5)]


def moves(gradients: list[float], betas: tuple[float, float]) -> list[float]:
    """Return where torch's Adam takes a weight after each gradient, from 0 with learning rate 1."""
    weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([weight], lr=1.0, betas=betas, eps=0.0)
    places = []
    for gradient in gradients:
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        places.append(float(weight))
    return places


@pytest.mark.parametrize("betas", BETAS)
@pytest.mark.parametrize("steps", [1, 2, 5, 12])
def test_the_worst_gradients_move_a_last_step_exactly_as_far_as_said(betas: tuple[float, float], steps: int) -> None:
    """Equality in Cauchy-Schwarz: gradients that grow by b2 / b1 a step."""
    growth = betas[1] / betas[0] if betas[0] else 1e6
    places = moves([growth**step for step in range(steps)], betas)
    last = abs(places[-1] - (places[-2] if steps > 1 else 0.0))
    assert last == pytest.approx(adam_reach(1.0, *betas, steps) - adam_reach(1.0, *betas, steps - 1), rel=1e-6)


@pytest.mark.parametrize("betas", BETAS)
def test_no_gradients_move_a_weight_further(betas: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    for scale in (0.0, 1.0, 5.0):
        places = moves(list(rng.standard_normal(20) * np.exp(scale * rng.standard_normal(20))), betas)
        assert abs(places[-1]) <= adam_reach(1.0, *betas, 20)
    assert 0.7 * 20 <= adam_reach(1.0, *betas, 20) < 20 * 20


def test_without_a_memory_of_squares_nothing_bounds_a_step() -> None:
    assert adam_reach(0.1, 0.0, 0.0, 3) == pytest.approx(0.3)
    assert math.isinf(adam_reach(0.1, 0.5, 0.0, 3))


def bounds(optimisation: Optimisation, **changes: Any) -> ReleaseBounds:
    settings: dict[str, Any] = {"clip": 1.0, "gradient_noise": 2.0, "embedding_noise": 3.0, **changes}
    return ReleaseBounds(optimisation, {"00000": 48}, **settings)


@pytest.mark.parametrize("algorithm", ["fedgan", "dp_fedavg_gan"])
@pytest.mark.parametrize("level", ["record", "none"])
def test_networks_of_honest_clients_pass_and_those_moved_further_do_not(
    make_server: Callable[..., Server],
    make_vault: Callable[..., Vault],
    optimisation: Optimisation,
    algorithm: str,
    level: str,
) -> None:
    server = make_server(algorithm=algorithm, inspector=Inspector(bounds=bounds(optimisation)))
    release = make_vault(level=level, algorithm=algorithm, warm_start_share=0.0).train(server.train_request())
    for factor in (1.0, 100.0):
        name = "discriminator/head.weight"
        before = server.train_request().arrays[name]
        arrays = {**release.arrays, name: before + factor * (release.arrays[name] - before)}
        report = server.absorb_round([replace(release, arrays=arrays)], {}, records=48)
        if factor == 1:
            assert report.clients == ["00000"]
            server = make_server(algorithm=algorithm, inspector=Inspector(bounds=bounds(optimisation)))
        else:
            assert report.refused["00000"].startswith(f"array {name} moved by")
            assert report.refused["00000"].endswith("more than 4 steps can move it")


def test_rounding_to_eight_bits_is_no_lie(
    make_server: Callable[..., Server], make_vault: Callable[..., Vault], optimisation: Optimisation
) -> None:
    server = make_server(inspector=Inspector(bounds=bounds(optimisation)))
    release = make_vault(warm_start_share=0.0).train(server.train_request())
    arrays = {}
    for name, array in release.arrays.items():
        step = max(float(np.abs(array).max()), 1e-30) / 127
        arrays[name] = (np.floor(array / step) * step).astype(np.float32)
    assert server.absorb_round([replace(release, arrays=arrays)], {}, records=48).refused == {}


def test_weights_that_are_kept_small_may_shrink_to_nothing_and_go_no_further(optimisation: Optimisation) -> None:
    before = {name: np.full(2, 0.5, np.float32) for name in ("discriminator/weight", "generator/weight")}

    def fault(name: str, value: float, shrinks: bool) -> str | None:
        release = Release("00000", 1, before | {name: np.full(2, value, np.float32)})
        found = bounds(optimisation, shrinks=shrinks)
        return found.network_fault(release, before, trained={*before}, steps=1, generator_steps=1)

    assert fault("discriminator/weight", 0.0, True) is None
    for name, value, shrinks in (
        ("discriminator/weight", 0.0, False),
        ("discriminator/weight", -0.1, True),
        ("discriminator/weight", 1.1, True),
        ("generator/weight", 0.0, True),
    ):
        assert "more than 1 steps can move it" in str(fault(name, value, shrinks))


def test_running_statistics_are_not_held_against_a_step_size(optimisation: Optimisation) -> None:
    before = {"generator/norm.mean": np.zeros(2, np.float32)}

    def fault(value: float) -> str | None:
        release = Release("00000", 1, {"generator/norm.mean": np.full(2, value, np.float32)})
        limits = {"trained": set[str](), "steps": 4, "generator_steps": 4}
        return bounds(optimisation).network_fault(release, before, **limits)  # type: ignore[arg-type]

    assert fault(50.0) is None
    assert fault(1e30) is not None


@pytest.mark.parametrize("kind", ["embedding", "gradient"])
def test_a_sum_is_held_against_its_records_and_its_noise(optimisation: Optimisation, kind: str) -> None:
    std = 3.0 if kind == "embedding" else 2.0

    def fault(norm: float, noise_std: float = std, **changes: Any) -> str | None:
        array = np.zeros(400, np.float32)
        array[7] = norm
        release = Release("00000", 1, {"a": array}, "head", noise_std)
        return getattr(bounds(optimisation, **changes), f"{kind}_fault")(release)  # type: ignore[no-any-return]

    most = 48 + std * (20 + 8)
    assert fault(most) is None
    assert "over the" in str(fault(most * 1.12))
    assert "over the" in str(fault(1e30))
    assert "noise_std is" in str(fault(1.0, std * 1.02))
    if kind == "gradient":
        assert fault(1e17, 0.0, clip=math.inf) is None
        assert "has norm" in str(fault(1e30, 0.0, clip=math.inf))


@pytest.mark.parametrize("algorithm", ["fedsgd", "fedgan"])
@pytest.mark.parametrize("level", ["record", "none"])
def test_the_bounds_of_a_run_are_those_of_its_vaults(
    make_vault: Callable[..., Vault], algorithm: str, level: str
) -> None:
    """The noise that the server expects is what a vault with the same plan adds, and the largest draws of it pass."""
    overrides = [f"federation.algorithm={algorithm}", f"privacy.level={level}", "privacy.accountant=rdp"]
    overrides += ["training.batch_size=12", "partition.clients=1", "federation.rounds=10"]
    overrides += ["federation.local_steps=1"]
    server = server_of(load_config(None, overrides), [Description("00000", 48, (1, 8, 8), 4)])
    found = server.inspector.bounds
    assert found is not None
    private = level == "record"
    assert (found.embedding_noise > 0) is private
    assert (found.gradient_noise > 0) is private
    assert math.isinf(found.clip) is not private
    size = math.prod(server.embedding_shape())
    noise = SeededNoise(1).normal((200, size), 1.0).numpy()
    assert np.linalg.norm(noise, axis=1).max() < math.sqrt(size) + 8
