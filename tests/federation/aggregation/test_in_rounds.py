"""Aggregation rules in rounds: one faulty client of five, too few replies, sums of gradients, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedgan.config import Config
from fedgan.errors import FedganError, UsageError
from fedgan.evaluation import METRICS, generate_images
from fedgan.federation.aggregation import AGGREGATIONS, Assumptions
from fedgan.federation.arrays import load_network, network_arrays, networks_of
from fedgan.federation.inspection import Inspector
from fedgan.federation.names import check_names
from fedgan.federation.requests import Arrays, Release
from fedgan.federation.server import Server
from fedgan.federation.server_setup import server_of
from fedgan.federation.server_steps import GradientStep, NetworkAverage
from fedgan.federation.sites import Sites
from fedgan.federation.vault import Vault
from fedgan.privacy.gradient import PlainGradient
from fedgan.privacy.noise import SeededNoise
from fedgan.training.gan import Gan
from fedgan.training.local import Optimisation

ROBUST = ["krum", "median", "trimmed_mean"]
Attack = Callable[[Release, Arrays], Arrays]


def huge(release: Release, sent: Arrays) -> Arrays:
    return {name: np.full_like(array, 1e6) for name, array in release.arrays.items()}


def flipped(release: Release, sent: Arrays) -> Arrays:
    return {name: sent[name] - 50 * (array - sent[name]) for name, array in release.arrays.items()}


def noise(release: Release, sent: Arrays) -> Arrays:
    rng = np.random.default_rng(release.round)
    return {name: array + 5 * rng.standard_normal(array.shape, np.float32) for name, array in release.arrays.items()}


# On digits


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Server, list[Vault], Sites]]:
    """A federation of five over the digits at level "none", warm-started once for all tests of this module."""
    from fedgan.config import load_config

    started: dict[str, Any] = {}

    def build(rule: str) -> tuple[Server, list[Vault], Sites]:
        config = load_config(
            None,
            [
                "threads=1",
                "device='cpu'",
                "privacy.level='none'",
                "partition.scheme='iid'",
                "model.width=64",
                "model.latent_dim=8",
                "training.warm_start_features=400",
                "training.warm_start_steps=250",
                "training.warm_start_batch_size=200",
                "federation.rounds=10",
                "federation.local_steps=5",
                f"federation.aggregation='{rule}'",
            ],
        )
        check_names(config)
        sites = Sites(config, tmp_path_factory.mktemp("ledgers"))
        vaults = [sites.vault(index) for index in range(5)]
        server = server_of(config, [vault.describe() for vault in vaults])
        if not started:
            releases = [vault.embed(server.embed_request()) for vault in vaults]
            server.absorb_embeddings(releases, refused={}, records={release.client: 287 for release in releases})
            server.finish_embeddings()
            server.fit()
            started["generator"] = network_arrays("generator", server.gan.generator)
        load_network("generator", server.gan.generator, started["generator"])
        server.average.update(server.gan.generator, 0.0)
        server.warm_start = None
        return server, vaults, sites

    return build


def accuracy(server: Server, sites: Sites) -> float:
    try:
        synthetic = generate_images(server.gan.generator, 1000, seed=0)
    except FedganError:  # not finite
        return 0.0
    return METRICS["logistic_regression"].score(synthetic, sites.data.test, 0)


@pytest.mark.parametrize("attack", [huge, flipped, noise])
def test_one_faulty_client_of_five_ruins_the_mean_and_no_robust_rule(
    digits: Callable[..., Any], attack: Attack
) -> None:
    scores = {}
    for rule in ("mean", *ROBUST):
        server, vaults, sites = digits(rule)
        server.inspector = Inspector()  # without bounds on releases, so that the rule stands alone
        before = accuracy(server, sites)
        for _ in range(2):
            request = server.train_request()
            releases = [vault.train(request) for vault in vaults]
            releases[2] = replace(releases[2], arrays=attack(releases[2], request.arrays))
            report = server.absorb_round(releases, {}, records=1437)
            assert rule == "mean" or report.enough
        scores[rule] = accuracy(server, sites)
    assert before > 0.75
    assert scores["mean"] < 0.6
    for rule in ROBUST:
        assert scores[rule] > before - 0.1, (rule, scores)


# Too few


@pytest.mark.parametrize(("rule", "least"), [("median", 3), ("trimmed_mean", 5), ("krum", 5)])
def test_a_round_with_too_few_replies_changes_nothing_and_says_so(
    make_server: Callable[..., Server], make_vault: Callable[..., Vault], rule: str, least: int
) -> None:
    vaults = [make_vault(client=f"{index:05d}", level="none") for index in range(least)]
    server = make_server(step=NetworkAverage(("generator", "discriminator"), AGGREGATIONS[rule]))
    before = networks_of(server.gan, ("generator", "discriminator"))
    releases = [vault.train(server.train_request()) for vault in vaults[1:]]
    report = server.absorb_round(releases, {"00000": "no answer in time"}, records=48 * least)
    assert not report.enough
    assert (server.minimum_clients, report.round, server.round, report.generator_steps) == (least, 1, 0, 0)
    after = networks_of(server.gan, ("generator", "discriminator"))
    assert all(np.array_equal(before[name], after[name]) for name in before)
    enough = server.absorb_round([vault.train(server.train_request()) for vault in vaults], {}, records=48 * least)
    assert enough.enough
    moved = networks_of(server.gan, ("generator", "discriminator"))
    assert not all(np.array_equal(before[name], moved[name]) for name in before)


def test_a_run_stops_when_fewer_clients_have_budget_left_than_the_rule_needs(
    tiny_config: Callable[..., Config], run: Callable[..., Any], tmp_path: Path
) -> None:
    """Two of three clients have budget for one round less than the third asks for."""
    settings = (
        "federation.aggregation='median'",
        f"privacy.ledgers='{tmp_path}/ledgers'",
        "training.warm_start='none'",
    )
    run(tiny_config(*settings, "federation.rounds=1", "privacy.epsilon=3"), tmp_path / "first")
    (tmp_path / "ledgers" / "client-00002.jsonl").unlink()
    outcome = run(tiny_config(*settings, "federation.rounds=2", "privacy.epsilon=3"), tmp_path / "second")
    assert outcome.stopped == "1 of 3 clients have budget left, at least 3 are needed"


# Sums of gradients


def gradient_step(gan: Gan, optimisation: Optimisation, noise_std: float, rule: str | None) -> GradientStep:
    from fedgan.losses import LOSSES

    return GradientStep(
        gan,
        optimisation=optimisation,
        loss=LOSSES["hinge"],
        probability=0.25,
        fake_gradient=PlainGradient(expected_rows=1.0),
        noise_std=noise_std,
        noise=SeededNoise(0),
        seed=0,
        aggregation=AGGREGATIONS[rule] if rule else None,
        assumptions=Assumptions(),
    )


def test_a_rule_takes_the_place_of_a_sum(make_gan: Callable[..., Gan], optimisation: Optimisation) -> None:
    """The total is that many times the rule's; a client that shouts moves it no further than the others."""
    names = gradient_step(make_gan(), optimisation, 0.0, None).expected(make_gan())
    rng = np.random.default_rng(0)
    releases = [
        Release(f"{index:05d}", 1, {name: rng.standard_normal(shape, np.float32) for name, shape in names.items()})
        for index in range(5)
    ]
    for rule, reduce in ((None, np.sum), ("mean", np.sum), ("median", lambda stack, axis: 5 * np.median(stack, axis))):
        total = gradient_step(make_gan(), optimisation, 0.0, rule)._total(releases)
        for name in names:
            wanted = reduce(np.stack([release.arrays[name] for release in releases]).astype(np.float64), axis=0)
            np.testing.assert_allclose(total[name].numpy(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.privacy
@pytest.mark.parametrize("rule", ["mean", *ROBUST])
def test_the_servers_noise_goes_with_a_sum_alone(
    make_gan: Callable[..., Gan], optimisation: Optimisation, rule: str
) -> None:
    with pytest.raises(ValueError, match="no other aggregate"):
        gradient_step(make_gan(), optimisation, 1.0, rule)


# Refused before the run


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["federation.aggregation='krum'"], "'krum' needs 5 replies in a round, which asks 3 clients: of n replies"),
        (
            ["federation.aggregation='trimmed_mean'"],
            "needs 5 replies in a round, which asks 3 clients: federation.trim",
        ),
        (["federation.aggregation='median'", "federation.fraction=0.6"], "needs 3 replies in a round, which asks 2"),
        (
            ["federation.aggregation='krum'", "partition.clients=7", "federation.faulty_clients=3"],
            "needs 9 replies in a round, which asks 7 clients",
        ),
        (
            ["federation.aggregation='krum'", "partition.clients=7", "federation.krum_kept=5"],
            "needs 8 replies in a round, which asks 7 clients",
        ),
    ],
)
def test_too_few_clients_for_a_rule_are_refused(
    tiny_config: Callable[..., Config], settings: list[str], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        check_names(tiny_config(*settings))
    assert caught.value.key == "federation.aggregation"


@pytest.mark.parametrize("rule", ROBUST)
@pytest.mark.parametrize("algorithm", ["fedgan", "dp_fedavg_gan", "fedsgd"])
def test_private_runs_with_robust_rules_stay_within_their_budget(
    tiny_config: Callable[..., Config], run: Callable[..., Any], tmp_path: Path, rule: str, algorithm: str
) -> None:
    config = tiny_config(
        f"federation.aggregation='{rule}'",
        f"federation.algorithm='{algorithm}'",
        "partition.clients=5",
        "federation.rounds=2",
        *(["federation.local_steps=1"] if algorithm == "fedsgd" else []),
    )
    outcome = run(config, tmp_path / "run")
    assert outcome.stopped == ""
    assert 9.9 < outcome.budget.epsilon <= 10
    assert all(len(row["clients"]) == 5 for row in outcome.folder.read_metrics())
