"""A client that claims many records does not take a sum over."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from fedgan.federation.algorithms import ALGORITHMS
from fedgan.federation.arrays import networks_of
from fedgan.federation.inspection import Inspector
from fedgan.federation.requests import Release
from fedgan.federation.weights import Weights, counted
from fedgan.training.gan import Gan

pytestmark = pytest.mark.privacy


@pytest.mark.parametrize(
    ("claims", "largest", "wanted"),
    [
        ([100, 120, 90], 10.0, [100, 120, 90]),
        ([100, 120, 10**9], 10.0, [100, 120, 1200]),
        ([100, 10**9], 10.0, [100, 1000]),
        ([10**9], 10.0, [10**9]),
        ([100, 120, 10**9], math.inf, [100, 120, 10**9]),
        ([3, 5, 50], 1.0, [3, 5, 5]),
        ([], 10.0, []),
    ],
)
def test_a_client_counts_with_so_many_times_the_median(claims: list[int], largest: float, wanted: list[int]) -> None:
    assert counted(claims, largest) == wanted


def release(client: str) -> Release:
    return Release(client, 1, {"gradient/w": np.array([3.0, -6.0], np.float32)}, "head", 2.0)


def test_a_sum_is_scaled_to_the_records_its_client_counts_with() -> None:
    weights = Weights({"00000": 10, "00001": 10, "00002": 400}, largest=10.0)
    small, large = weights.apply(release("00000")), weights.apply(release("00002"))
    np.testing.assert_array_equal(small.arrays["gradient/w"], [3.0, -6.0])
    np.testing.assert_array_equal(large.arrays["gradient/w"], [0.75, -1.5])
    assert (small.noise_std, large.noise_std) == (2.0, 0.5)
    assert sum(weights.counted().values()) == 120


CLAIMS = {"00000": 10, "00001": 10, "00002": 400}
INSPECTOR = Inspector(Weights(CLAIMS, largest=10.0))


def test_the_embeddings_of_whole_clients_weigh_alike_whatever_they_claim() -> None:
    """Or the presence of one client would move the median, and by it what others add to the sum."""
    sent = [Release(client, 0, {"embedding": np.ones((4, 9), np.float32)}) for client in CLAIMS]
    whole, _ = INSPECTOR.embeddings(sent, (4, 9), whole_clients=True, stage=0)
    by_records, _ = INSPECTOR.embeddings(sent, (4, 9), whole_clients=False, stage=0)
    assert [float(release.arrays["embedding"][0, 0]) for release in whole] == [1.0, 1.0, 1.0]
    assert [float(release.arrays["embedding"][0, 0]) for release in by_records] == [1.0, 1.0, 0.25]


@pytest.mark.parametrize("algorithm", ["dp_fedavg_gan", "fedgan"])
def test_the_networks_of_clients_weigh_alike_whatever_they_claim(make_gan: Callable[..., Gan], algorithm: str) -> None:
    gan, rule = make_gan(), ALGORITHMS[algorithm]
    networks = networks_of(gan, rule.returns)
    good, faulty = INSPECTOR.round(
        [Release(client, 1, networks) for client in CLAIMS],
        rule,
        gan,
        expected={name: array.shape for name, array in networks.items()},
        number=1,
        steps=1,
        generator_steps=1,
    )
    assert (len(good), faulty) == (3, {})
    for release in good:
        for name, array in networks.items():
            np.testing.assert_array_equal(release.arrays[name], array)
