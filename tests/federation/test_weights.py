"""A client that claims many records does not take a sum over."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedgan.federation.requests import Release
from fedgan.federation.weights import Weights, counted


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
