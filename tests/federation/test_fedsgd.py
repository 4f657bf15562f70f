"""fedsgd: many clients' gradient sums are one step of central training on the union of their records."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fedgan.config import Config
from fedgan.data.dataset import ImageDataset
from fedgan.data.sampling import poisson_indices
from fedgan.federation.components import gan_of, loss_of, optimisation_of
from fedgan.federation.requests import EmbedRequest, Release
from fedgan.federation.server import Server
from fedgan.federation.server_setup import server_of
from fedgan.federation.simulation import Outcome
from fedgan.federation.sites import Sites
from fedgan.federation.vault import Vault
from fedgan.privacy.accounting import epsilon
from fedgan.privacy.events import Gaussian, PoissonSampled, SelfComposed
from fedgan.privacy.gradient import PlainGradient, PrivateGradient
from fedgan.privacy.ledger import read_ledger
from fedgan.privacy.noise import SeededNoise
from fedgan.seeding import derive_seed
from fedgan.training.gan import Gan
from fedgan.training.rules import GradientRule
from fedgan.training.steps import discriminator_step, generator_step
from fedgan.training.streams import stream

pytestmark = pytest.mark.privacy

SIGMAS = 5.7
CLIENTS, ROUNDS = 10, 50
FEDSGD = (
    "federation.algorithm=fedsgd",
    "federation.local_steps=1",
    f"partition.clients={CLIENTS}",
    "training.warm_start=none",
    "training.batch_size=64",
    "training.discriminator_steps=3",
    "loss.name=hinge",
)
MakeConfig = Callable[..., Config]
Run = Callable[..., Outcome]


class Coins:
    """Noise that is zero, and coins of a seeded stream a client: the same for a federation and a central loop."""

    def __init__(self, client: int) -> None:
        self._rng = np.random.default_rng((4, client))

    def normal(self, shape: tuple[int, ...], std: float) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64)

    def uniform(self, count: int) -> np.ndarray:
        return self._rng.random(count)


def federation(config: Config, ledgers: Path, noises: list[Any]) -> tuple[Server, list[Vault], Sites]:
    sites = Sites(config, ledgers)
    vaults = [sites.vault(index) for index in range(len(sites))]
    for vault, noise in zip(vaults, noises, strict=True):
        vault._noise = noise or vault._noise
    return server_of(config, [vault.describe() for vault in vaults]), vaults, sites


def play(server: Server, vaults: list[Vault], rounds: int) -> None:
    records = sum(vault.describe().records for vault in vaults)
    for _ in range(rounds):
        server.absorb_round([vault.train(server.train_request()) for vault in vaults], {}, records=records)


def sgd(gan: Gan) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Return plain gradient descent, which unlike Adam does not blow up the last bits of vanishing gradients."""
    discriminator, generator = gan.discriminator.parameters(), gan.generator.parameters()
    return torch.optim.SGD(discriminator, lr=0.05), torch.optim.SGD(generator, lr=0.05)


def adam(config: Config, gan: Gan) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    optimisation = optimisation_of(config)
    return optimisation.for_discriminator(gan), optimisation.for_generator(gan)


def central(
    config: Config,
    data: ImageDataset,
    batches: list[Tensor],
    gradient: GradientRule,
    gan: Gan,
    optimizers: tuple[torch.optim.Optimizer, torch.optim.Optimizer],
) -> Gan:
    """Train `gan` in one place, in plain sight, on the records named by `batches`."""
    loss, optimisation = loss_of(config), optimisation_of(config)
    for number, batch in enumerate(batches, start=1):
        discriminator_step(
            gan,
            *data.batch(batch),
            fakes=optimisation.batch_size,
            loss=loss,
            gradient=gradient,
            optimizer=optimizers[0],
            rng=stream(config.seed, "fakes", number),
        )
        if number % 3 == 0:
            generator_step(
                gan,
                batch_size=optimisation.generator_batch_size,
                loss=loss,
                optimizer=optimizers[1],
                rng=stream(config.seed, "server", number),
            )
    return gan


def initial(config: Config, sites: Sites) -> Gan:
    return gan_of(config, sites.data.train.image_shape, sites.data.train.num_classes)


def distance(one: Gan, other: Gan, network: str) -> float:
    """Return the largest difference of two weights, or of a weight's moving statistics."""
    pairs = zip(one.network(network).state_dict().values(), other.network(network).state_dict().values(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


def seeded_batches(config: Config, sites: Sites) -> list[Tensor]:
    """Return what all clients together draw in each round without privacy."""
    drawn = []
    for number in range(1, ROUNDS + 1):
        rngs = [
            np.random.default_rng(derive_seed(config.seed, "batches", f"{index:05d}", number))
            for index in range(CLIENTS)
        ]
        drawn.append(union(sites, [rng.random for rng in rngs]))
    return drawn


def union(sites: Sites, uniforms: list[Callable[[int], np.ndarray]]) -> Tensor:
    rate = 64 / sites.records
    parts = zip(sites.parts, uniforms, strict=True)
    return torch.from_numpy(np.concatenate([part[poisson_indices(len(part), rate, each)] for part, each in parts]))


def test_ten_clients_without_privacy_are_central_training(tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = tiny_config(*FEDSGD, "privacy.level=none")
    server, vaults, sites = federation(config, tmp_path, [None] * CLIENTS)
    server.step.optimizer, server.generator_optimizer = sgd(server.gan)  # type: ignore[attr-defined]
    play(server, vaults, ROUNDS)
    gan, rule = initial(config, sites), PlainGradient(expected_rows=64 + 64)
    wanted = central(config, sites.data.train, seeded_batches(config, sites), rule, gan, sgd(gan))
    for network in ("generator", "discriminator"):
        assert distance(server.gan, wanted, network) <= 1e-5
        assert distance(server.gan, initial(config, sites), network) > 1e-3  # 50 steps went somewhere


def test_with_adam_ten_clients_are_central_training_too(tiny_config: MakeConfig, tmp_path: Path) -> None:
    """The run's own optimisers, in float64: Adam turns the last bits of a vanishing gradient into whole steps."""
    config = tiny_config(*FEDSGD, "privacy.level=none")
    server, vaults, sites = federation(config, tmp_path, [None] * CLIENTS)
    for gan in (server.gan, *(vault._training.gan for vault in vaults)):
        in_float64(gan)
    play(server, vaults, ROUNDS)
    gan, rule = in_float64(initial(config, sites)), PlainGradient(expected_rows=64 + 64)
    wanted = central(config, sites.data.train, seeded_batches(config, sites), rule, gan, adam(config, gan))
    for network in ("generator", "discriminator"):
        assert distance(server.gan, wanted, network) <= 1e-8
        assert distance(server.gan, initial(config, sites), network) > 0.005


def in_float64(gan: Gan) -> Gan:
    """Return `gan`, whose networks now compute in float64 whatever they are given."""
    for network in (gan.generator, gan.discriminator):
        network.double().register_forward_pre_hook(lambda _, given: tuple(map(as_float64, given)))
    return gan


def as_float64(value: Tensor) -> Tensor:
    return value.double() if value.is_floating_point() else value


def test_with_adam_they_differ_by_rounding_alone(tiny_config: MakeConfig, tmp_path: Path) -> None:
    """Adam turns the last bits of a vanishing gradient into whole steps, as it does where rows change their order."""
    config = tiny_config(*FEDSGD, "privacy.level=none")
    server, vaults, sites = federation(config, tmp_path, [None] * CLIENTS)
    play(server, vaults, ROUNDS)
    batches, rule = seeded_batches(config, sites), PlainGradient(expected_rows=64 + 64)
    one, other = initial(config, sites), initial(config, sites)
    central(config, sites.data.train, batches, rule, one, adam(config, one))
    central(config, sites.data.train, [batch.flip(0) for batch in batches], rule, other, adam(config, other))
    for network in ("generator", "discriminator"):
        assert 0 < distance(one, other, network) < 0.005
        assert distance(server.gan, one, network) <= 10 * distance(one, other, network)
        assert distance(server.gan, initial(config, sites), network) > 0.005


@pytest.mark.parametrize(("trust", "penalty"), [("local", "none"), ("aggregator", "none"), ("aggregator", "r1")])
def test_ten_clients_with_clipping_and_no_noise_are_central_dp_sgd(
    tiny_config: MakeConfig, tmp_path: Path, trust: str, penalty: str
) -> None:
    settings = ("federation.rounds=50", f"privacy.trust={trust}", "privacy.clip=0.3", f"loss.penalty={penalty}")
    config = tiny_config(*FEDSGD, *settings)
    server, vaults, sites = federation(config, tmp_path, [Coins(index) for index in range(CLIENTS)])
    server.step._noise = Coins(99)  # type: ignore[attr-defined]
    server.step.optimizer, server.generator_optimizer = sgd(server.gan)  # type: ignore[attr-defined]
    play(server, vaults, ROUNDS)
    coins = [Coins(index) for index in range(CLIENTS)]
    batches = [union(sites, [each.uniform for each in coins]) for _ in range(ROUNDS)]
    gan = initial(config, sites)
    rule = PrivateGradient(clip=0.3, noise_multiplier=0.0, expected_rows=64 + 64, noise=SeededNoise(0))
    wanted = central(config, sites.data.train, batches, rule, gan, sgd(gan))
    for network in ("generator", "discriminator"):
        assert distance(server.gan, wanted, network) <= 1e-5
        assert distance(server.gan, initial(config, sites), network) > 1e-3


@pytest.mark.parametrize("trust", ["local", "aggregator"])
def test_the_noise_of_the_aggregate_is_as_stated(tiny_config: MakeConfig, tmp_path: Path, trust: str) -> None:
    """With local trust K clients add z C each, so the sum carries z C sqrt(K); an aggregator adds z C once.

    The noise is read off the gradient that Adam gets. Fixed seeds; bounds at 5.7 standard errors (1e-8 a fresh seed).
    """
    config = tiny_config(*FEDSGD, "federation.rounds=8", f"privacy.trust={trust}", "privacy.clip=0.3")
    seen: dict[bool, list[Tensor]] = {}
    for noisy in (False, True):
        ledgers = tmp_path / f"{noisy}"
        server, vaults, _ = federation(
            config, ledgers, [Mixed(index) if noisy else Coins(index) for index in range(CLIENTS)]
        )
        server.step._noise = Mixed(99) if noisy else Coins(99)  # type: ignore[attr-defined]
        seen[noisy] = []
        start = deepcopy(server.gan.discriminator.state_dict())
        for number in range(1, 9):
            server.gan.discriminator.load_state_dict(start)  # so that both federations clip the same gradients
            spy_on(server, seen[noisy])
            server.absorb_round([vault.train(server.train_request()) for vault in vaults], {}, records=1437)
            assert server.round == number
    plan = vaults[0]._plan
    parties = CLIENTS if trust == "local" else 1
    std = plan.noise_multiplier * 0.3 * math.sqrt(parties) / (64 + 64)
    draws = torch.cat([noisy - clean for noisy, clean in zip(seen[True], seen[False], strict=True)]).double() / std
    assert len(draws) > 10_000
    assert abs(float(draws.mean())) < SIGMAS / math.sqrt(len(draws))
    assert abs(float(draws.var()) - 1) < SIGMAS * math.sqrt(2 / len(draws))


class Mixed(Coins):
    """The coins of `Coins`, with seeded noise."""

    def __init__(self, client: int) -> None:
        super().__init__(client)
        self._source = SeededNoise(client)

    def normal(self, shape: tuple[int, ...], std: float) -> Tensor:
        return self._source.normal(shape, std)


def spy_on(server: Server, seen: list[Tensor]) -> None:
    optimizer = server.step.optimizer  # type: ignore[attr-defined]

    def note(*_: Any) -> None:
        seen.append(torch.cat([value.grad.flatten().clone() for value in server.gan.discriminator.parameters()]))
        handle.remove()

    handle = optimizer.register_step_pre_hook(note)


def test_every_client_is_charged_what_central_dp_sgd_costs(tiny_config: MakeConfig, run: Run, tmp_path: Path) -> None:
    """At one common rate and noise a small client pays no more than a large one: what central training would cost."""
    config = tiny_config(*FEDSGD, "partition.scheme=dirichlet", "federation.rounds=4", "privacy.trust=aggregator")
    outcome = run(config, tmp_path / "run")
    events = {
        tuple(line.event for line in read_ledger(path)[1:]) for path in (tmp_path / "run/ledgers").glob("*.jsonl")
    }
    assert len(events) == 1
    [charged] = events
    assert len(charged) == 4
    step = charged[0].event  # type: ignore[union-attr]
    assert charged[0] == SelfComposed(1, PoissonSampled(64 / 1437, Gaussian(step.event.noise_multiplier)))  # type: ignore[union-attr]
    central_cost = epsilon([SelfComposed(4, step)], delta=1e-4, accountant="rdp")  # type: ignore[arg-type]
    assert outcome.budget is not None
    assert outcome.budget.epsilon == pytest.approx(central_cost, rel=1e-9)
    assert 0.99 * 10 < central_cost <= 10
    lines = [line for path in (tmp_path / "run/ledgers").glob("*.jsonl") for line in read_ledger(path)[1:]]
    assert {(line.level, line.trust) for line in lines} == {("record", "aggregator")}


@pytest.mark.parametrize("trust", ["local", "aggregator"])
def test_it_runs_with_a_warm_start_and_resumes(tiny_config: MakeConfig, run: Run, tmp_path: Path, trust: str) -> None:
    overrides = [item for item in FEDSGD if "warm_start" not in item]
    config = tiny_config(*overrides, f"privacy.trust={trust}", "federation.rounds=4", "partition.clients=3")
    outcome = run(config, tmp_path / "run")
    assert outcome.budget is not None
    assert 0.9 * 10 < outcome.budget.epsilon <= 10
    assert {client.charges for client in outcome.budget.clients} == {5}


def test_only_an_aggregator_sees_a_sum_without_noise(make_vault: Callable[..., Vault], make_server: Any) -> None:
    request = make_server(algorithm="fedsgd", local_steps=1).train_request()
    for trust, private in (("local", True), ("aggregator", False)):
        vault = make_vault(algorithm="fedsgd", trust=trust, steps=1, client=trust, noise=Mixed(0))
        release = vault.train(request)
        assert (release.noise_std > 0) is private
        assert {name.partition("/")[0] for name in release.arrays} == {"gradient"}
    with pytest.raises(ValueError, match="sums of clipped gradients only"):
        make_vault(algorithm="fedgan", trust="aggregator")


def test_where_the_server_adds_the_noise_a_repeated_round_is_charged_again(
    make_vault: Callable[..., Vault], make_server: Any, tmp_path: Path
) -> None:
    request = make_server(algorithm="fedsgd", local_steps=1).train_request()
    ledger = tmp_path / "ledgers" / "client-00000.jsonl"
    vault = make_vault(algorithm="fedsgd", trust="aggregator", steps=1)
    first, second = vault.train(request), vault.train(request)
    assert first.head != second.head
    assert len(read_ledger(ledger)) == 3
    local = make_vault(algorithm="fedsgd", steps=1, client="00001")
    assert local.train(request).head == local.train(request).head


def test_where_the_server_adds_the_noise_a_repeated_embedding_is_charged_again(
    make_vault: Callable[..., Vault], tmp_path: Path
) -> None:
    request = EmbedRequest("run-1", 8, 1)
    vault = make_vault(algorithm="fedsgd", trust="aggregator", steps=1)
    assert vault.embed(request).head != vault.embed(request).head
    assert len(read_ledger(tmp_path / "ledgers" / "client-00000.jsonl")) == 3


@pytest.mark.privacy
def test_the_servers_noise_covers_the_rounding_of_sums(tiny_config: MakeConfig, tmp_path: Path) -> None:
    """Neighbouring sums of 20,000 rows are further than 1 apart once they are float32."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((20_000, 400)) + 1.0
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for lost in range(50):
        total = rows.sum(0)
        moved = (total.astype(np.float32) - (total - rows[lost]).astype(np.float32)).astype(np.float64)
        assert np.linalg.norm(moved) <= 1 + len(rows) * 2.0**-23
    server, vaults, _ = federation(
        tiny_config(*FEDSGD, "privacy.trust=aggregator", "training.warm_start=mean_embedding"),
        tmp_path,
        [None] * CLIENTS,
    )
    records = sum(vault.describe().records for vault in vaults)
    charged = vaults[0]._plan.warm_start_noise
    assert server.warm_start.noise_std == pytest.approx(charged * (1 + records * 2.0**-23), rel=1e-12)
    assert server.step._noise_std > vaults[0]._plan.noise_multiplier * vaults[0]._plan.clip


@pytest.mark.parametrize("array", ["missing", "shape", "network"])
def test_a_reply_that_is_no_gradient_is_refused(
    make_vault: Any, tiny_config: MakeConfig, array: str, tmp_path: Path
) -> None:
    config = tiny_config(*FEDSGD, "privacy.level=none")
    server, vaults, _ = federation(config, tmp_path, [None] * CLIENTS)
    release = vaults[0].train(server.train_request())
    arrays = dict(release.arrays)
    name = min(arrays)
    if array == "missing":
        del arrays[name]
    elif array == "shape":
        arrays[name] = arrays[name][..., None]
    else:
        arrays = {key.replace("gradient/", "discriminator/"): value for key, value in arrays.items()}
    before = deepcopy(server.gan.discriminator.state_dict())
    report = server.absorb_round([replace(release, arrays=arrays)], {}, records=1437)
    assert set(report.refused) == {"00000"}
    assert all(torch.equal(value, before[key]) for key, value in server.gan.discriminator.state_dict().items())


def test_the_release_type(make_vault: Any, make_server: Any) -> None:
    request = make_server(algorithm="fedsgd", local_steps=1).train_request()
    release = make_vault(algorithm="fedsgd", steps=1).train(request)
    assert isinstance(release, Release)
    assert set(request.arrays) == {f"discriminator/{key.partition('/')[2]}" for key in release.arrays}
