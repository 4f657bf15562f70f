"""Noise that the server adds comes from no seed: two servers of one configuration make different things of one answer.

Whoever knows the configuration, which the card quotes, would otherwise subtract it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from fedgan.config import Config
from fedgan.federation.requests import Release
from fedgan.federation.server import Server
from fedgan.federation.server_setup import server_of
from fedgan.federation.sites import Sites

pytestmark = pytest.mark.privacy

MakeConfig = Callable[..., Config]
AGGREGATOR = ("privacy.trust=aggregator", "partition.clients=3")
PRIVATE = {
    "fedsgd": ("federation.algorithm=fedsgd", "federation.local_steps=1"),
    "client": ("federation.algorithm=dp_fedavg_gan", "privacy.level=client"),
    "adaptive-clip": ("federation.algorithm=dp_fedavg_gan", "privacy.level=client", "privacy.clip_quantile=0.5"),
}


def two_servers(config: Config, folder: Path) -> list[Server]:
    sites = Sites(config, folder)
    return [server_of(config, [sites.vault(index).describe() for index in range(len(sites))]) for _ in range(2)]


def answered(server: Server) -> Server:
    """Return `server` after a round in which every client sent zeros, or the discriminator as it was."""
    shapes, networks = server.step.expected(server.gan), server.train_request().arrays
    arrays = {name: networks.get(name, np.zeros(shape, np.float32)) for name, shape in shapes.items()}
    releases = [Release(f"{index:05d}", 1, arrays, head="f" * 64) for index in range(3)]
    assert server.absorb_round(releases, {}, records=48).enough
    return server


@pytest.mark.parametrize("settings", PRIVATE.values(), ids=PRIVATE)
def test_no_seed_decides_the_noise_of_a_round(
    tiny_config: MakeConfig, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    one, other = (
        answered(server).gan.discriminator.state_dict()
        for server in two_servers(tiny_config(*AGGREGATOR, *settings), tmp_path)
    )
    assert any(bool((one[name] != other[name]).any()) for name in one)  # a first step of Adam knows signs alone


@pytest.mark.parametrize("settings", PRIVATE.values(), ids=PRIVATE)
def test_no_seed_decides_the_noise_of_the_warm_start(
    tiny_config: MakeConfig, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    targets = []
    for server in two_servers(tiny_config(*AGGREGATOR, *settings), tmp_path):
        zeros = {"embedding": np.zeros(server.embedding_shape(), np.float32)}
        releases = [Release(f"{index:05d}", 0, zeros, head="f" * 64) for index in range(3)]
        server.absorb_embeddings(releases, refused={}, records={release.client: 16 for release in releases})
        server.finish_embeddings()
        assert server.target is not None
        targets.append(server.target.means)
    assert not torch.equal(*targets)


def test_without_noise_the_same_answer_has_the_same_effect(tiny_config: MakeConfig, tmp_path: Path) -> None:
    config = tiny_config(
        *AGGREGATOR, *PRIVATE["fedsgd"], "privacy.level=none", "privacy.trust=local", "training.warm_start=none"
    )
    one, other = (answered(server).gan.discriminator.state_dict() for server in two_servers(config, tmp_path))
    assert all(torch.equal(one[name], other[name]) for name in one)
