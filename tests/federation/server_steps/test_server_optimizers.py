"""Server optimisers against recursions written out, with both server steps, over a restart, and with batch norm."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedgan.config import Config
from fedgan.errors import UsageError
from fedgan.federation.aggregation import AGGREGATIONS
from fedgan.federation.arrays import networks_of
from fedgan.federation.names import check_names
from fedgan.federation.requests import Arrays, Release
from fedgan.federation.server_optimizers import SERVER_OPTIMIZERS, Constants, ServerOptimizer
from fedgan.federation.server_steps import ClippedUpdates, NetworkAverage
from fedgan.privacy.noise import SeededNoise
from fedgan.privacy.plan import make_plan
from fedgan.training.gan import Gan

NAMES = ["adagrad", "adam", "momentum", "yogi"]
CONSTANTS = Constants(learning_rate=0.05, beta1=0.8, beta2=0.95, tau=0.01)
BOTH = ("generator", "discriminator")


def optimizer_of(name: str, gan: Gan, networks: tuple[str, ...] = BOTH) -> ServerOptimizer:
    rule = SERVER_OPTIMIZERS[name]
    assert rule is not None
    return ServerOptimizer(rule, CONSTANTS, gan, networks)


def by_hand(name: str, updates: list[float]) -> list[float]:
    """Return the steps for one weight: Reddi et al. 2021, algorithm 2; Hsu et al. 2019 for momentum."""
    eta, beta1, beta2, tau = CONSTANTS.learning_rate, CONSTANTS.beta1, CONSTANTS.beta2, CONSTANTS.tau
    m, v, steps = 0.0, tau * tau, []
    for delta in updates:
        m = beta1 * m + (delta if name == "momentum" else (1 - beta1) * delta)
        if name == "adagrad":
            v = v + delta**2
        elif name == "adam":
            v = beta2 * v + (1 - beta2) * delta**2
        elif name == "yogi":
            v = v + (1 - beta2) * delta**2 * (1 if v < delta**2 else -1 if v > delta**2 else 0)
        steps.append(eta * m if name == "momentum" else eta * m / (math.sqrt(v) + tau))
    return steps


def test_the_optimisers_are_the_documented_ones() -> None:
    assert SERVER_OPTIMIZERS.names() == ["adagrad", "adam", "momentum", "none", "yogi"]
    assert SERVER_OPTIMIZERS["none"] is None


@given(name=st.sampled_from(NAMES), updates=st.lists(st.floats(-10, 10), min_size=1, max_size=6))
@settings(deadline=None, max_examples=60)
def test_steps_are_those_of_the_papers(name: str, updates: list[float]) -> None:
    rule = SERVER_OPTIMIZERS[name]
    assert rule is not None
    first, second = np.zeros(3), np.full(3, CONSTANTS.tau**2)
    for delta, wanted in zip(updates, by_hand(name, updates), strict=True):
        step, first, second = rule(np.array([delta, -delta, 0.0]), first, second, CONSTANTS)
        np.testing.assert_allclose(step, [wanted, -wanted, 0.0], rtol=1e-12, atol=1e-15)


def replies(gan: Gan, networks: tuple[str, ...], seed: int) -> list[Release]:
    rng = np.random.default_rng(seed)
    sent = networks_of(gan, networks)
    return [
        Release(
            f"{index:05d}",
            1,
            {name: array + 0.1 * rng.standard_normal(array.shape, np.float32) for name, array in sent.items()},
        )
        for index in range(3)
    ]


def plan_of() -> Any:
    return make_plan(
        level="client",
        trust="aggregator",
        records=48,
        clients=6,
        probability=0.5,
        clip=0.5,
        epsilon=5.0,
        delta=1e-3,
        accountant="rdp",
        clipping_engine="book_keeping",
        warm_start_share=0.0,
        steps_per_round=1,
        participations=4,
    )


def step_of(kind: str, name: str | None, gan: Gan) -> NetworkAverage | ClippedUpdates:
    networks = BOTH if kind == "average" else ("discriminator",)
    optimizer = optimizer_of(name, gan, networks) if name else None
    if kind == "average":
        return NetworkAverage(networks, AGGREGATIONS["mean"], optimizer=optimizer)
    return ClippedUpdates(networks, plan=plan_of(), quantile=0.0, noise=SeededNoise(3), optimizer=optimizer)


def moved(step: Any, gan: Gan, networks: tuple[str, ...], seed: int) -> tuple[Arrays, Arrays]:
    before = networks_of(gan, networks)
    step.move(gan, replies(gan, networks, seed), round_number=1, records=144)
    return before, networks_of(gan, networks)


@pytest.mark.parametrize("kind", ["average", "clipped"])
@pytest.mark.parametrize("name", NAMES)
def test_the_update_without_an_optimiser_is_the_pseudo_gradient(
    make_gan: Callable[..., Gan], kind: str, name: str
) -> None:
    """One step from the same place with the same noise: what the optimiser saw is what the plain step did."""
    networks = BOTH if kind == "average" else ("discriminator",)
    plain, optimised = make_gan(), make_gan()
    before, after = moved(step_of(kind, None, plain), plain, networks, seed=1)
    _, found = moved(step_of(kind, name, optimised), optimised, networks, seed=1)
    rule = SERVER_OPTIMIZERS[name]
    assert rule is not None
    for key, array in before.items():
        network, _, parameter = key.partition("/")
        update = after[key].astype(np.float64) - array
        if parameter in dict(plain.network(network).named_parameters()):
            update, *_ = rule(update, np.zeros(array.shape), np.full(array.shape, CONSTANTS.tau**2), CONSTANTS)
        np.testing.assert_allclose(found[key], array + update, rtol=0, atol=5e-5, err_msg=key)


@pytest.mark.parametrize("kind", ["average", "clipped"])
@pytest.mark.parametrize("name", NAMES)
def test_a_saved_state_goes_on_bit_for_bit(make_gan: Callable[..., Gan], kind: str, name: str) -> None:
    networks = BOTH if kind == "average" else ("discriminator",)
    whole, broken = make_gan(), make_gan()
    ends = []
    for gan, restart in ((whole, False), (broken, True)):
        step = step_of(kind, name, gan)
        moved(step, gan, networks, seed=1)
        moved(step, gan, networks, seed=2)
        if restart:
            state = {key: tensor.clone() for key, tensor in step.state().items()}
            step = step_of(kind, name, gan)
            step.load_state(state)
        if kind == "clipped":
            step._noise = SeededNoise(7)  # type: ignore[union-attr]
        ends.append(moved(step, gan, networks, seed=3)[1])
    for key, array in ends[0].items():
        np.testing.assert_array_equal(array, ends[1][key])


@pytest.mark.parametrize("damage", ["missing", "shape", "dtype"])
def test_a_state_that_does_not_fit_is_refused(make_gan: Callable[..., Gan], damage: str) -> None:
    step = step_of("average", "adam", make_gan())
    state = step.state()
    name = "first/discriminator/head.weight"
    if damage == "missing":
        del state[name]
    else:
        state[name] = state[name].float() if damage == "dtype" else torch.zeros(3, dtype=torch.float64)
    with pytest.raises((KeyError, ValueError), match=r"first/discriminator/head\.weight"):
        step.load_state(state)


def test_running_variances_become_what_the_clients_made_of_them(make_gan: Callable[..., Gan]) -> None:
    """A step past the mean of variances can be negative, and a generator with one makes no images."""
    gan = make_gan()
    buffers = {f"generator/{name}" for name, _ in gan.generator.named_buffers()} & networks_of(gan, BOTH).keys()
    assert any(name.endswith("variance") for name in buffers)
    step = step_of("average", "momentum", gan)
    for seed in range(3):
        sent = networks_of(gan, BOTH)
        parties = replies(gan, BOTH, seed)
        step.move(gan, parties, round_number=1, records=144)
        found = networks_of(gan, BOTH)
        for name in buffers:
            wanted = np.mean([release.arrays[name].astype(np.float64) for release in parties], axis=0)
            np.testing.assert_allclose(found[name], wanted, rtol=1e-5, atol=1e-6)
        assert all(not np.array_equal(found[name], sent[name]) for name in found.keys() - buffers)


# Whole runs


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("algorithm", ["fedgan", "dp_fedavg_gan"])
def test_a_resumed_run_is_the_uninterrupted_one(
    tiny_config: Callable[..., Config],
    run: Callable[..., Any],
    tmp_path: Path,
    watcher: Any,
    name: str,
    algorithm: str,
) -> None:
    config = tiny_config(
        "privacy.level='none'",
        f"federation.algorithm='{algorithm}'",
        f"federation.server_optimizer='{name}'",
        "training.warm_start='none'",
    )
    run(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "broken", observer=watcher(stop_after=2))
    run(config, tmp_path / "broken", resume=True)
    ends = [(tmp_path / folder / "generator.safetensors").read_bytes() for folder in ("whole", "broken")]
    assert ends[0] == ends[1]
    run(
        tiny_config("privacy.level='none'", f"federation.algorithm='{algorithm}'", "training.warm_start='none'"),
        tmp_path / "plain",
    )
    assert (tmp_path / "plain" / "generator.safetensors").read_bytes() != ends[0]


@pytest.mark.privacy
def test_whole_clients_stay_within_their_budget(
    tiny_config: Callable[..., Config], run: Callable[..., Any], tmp_path: Path
) -> None:
    config = tiny_config(
        "privacy.level='client'",
        "privacy.trust='aggregator'",
        "federation.algorithm='dp_fedavg_gan'",
        "federation.server_optimizer='adam'",
        "federation.fraction=0.5",
        "partition.clients=10",
        "privacy.delta=1e-2",
    )
    outcome = run(config, tmp_path / "run")
    assert 9.5 < outcome.budget.epsilon <= 10
    assert outcome.stopped == ""


def test_an_unknown_optimiser_is_refused(tiny_config: Callable[..., Config]) -> None:
    with pytest.raises(UsageError, match=r"federation\.server_optimizer = 'adan' is unknown: did you mean 'adam'"):
        check_names(tiny_config("federation.server_optimizer='adan'"))
