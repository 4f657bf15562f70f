"""Rows of the feature map never exceed norm 1, and their inner products estimate the kernel they stand for."""

from __future__ import annotations

from math import exp, sqrt

import pytest
import torch
from torch import Tensor

from fedgan.errors import UsageError
from fedgan.training.warm_start import FeatureMap
from fedgan.training.warm_start.features import BANDWIDTH
from fedgan.training.warm_start.rows import COUNT_WEIGHT


def images(count: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def norms(rows: Tensor) -> Tensor:
    return torch.linalg.vector_norm(rows.double(), dim=1)


@pytest.mark.privacy
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 64, 64), (1, 9, 30)], ids=str)
@pytest.mark.parametrize("features", [6, 2100])
def test_rows_of_images_have_norm_one_and_never_more(shape: tuple[int, int, int], features: int) -> None:
    feature_map = FeatureMap(shape, features=features, seed=1)
    lengths = norms(feature_map(images(64, *shape)))
    assert feature_map.dimension == features + 1
    assert 1 - 1e-5 < lengths.min() <= lengths.max() <= 1


@pytest.mark.parametrize("side", [8, 13])
def test_inner_products_estimate_a_gaussian_kernel_on_small_images(side: int) -> None:
    feature_map = FeatureMap((1, side, side), features=40_000, seed=2)
    pair = images(2, 1, side, side) * 0.5
    first, second = feature_map(pair).double()
    squared_distance = float((pair[0] - pair[1]).square().sum())
    kernel = exp(-squared_distance / (2 * (BANDWIDTH * side) ** 2))
    expected = COUNT_WEIGHT**2 + (1 - COUNT_WEIGHT**2) * kernel
    assert 0.2 < kernel < 0.95
    # The mean of 20,000 cosines, each with a standard deviation below 0.71: five of the mean's are 0.025.
    assert float(first @ second) == pytest.approx(expected, abs=0.025)


@pytest.mark.parametrize(("side", "windows"), [(8, [8]), (13, [13]), (14, [14, 7]), (28, [28, 14, 7])])
def test_frequencies_are_shared_over_windows_of_at_least_seven_pixels(side: int, windows: list[int]) -> None:
    feature_map = FeatureMap((3, side, side), features=600, seed=2)
    seen = feature_map.weights.reshape(300, 3, side, side) != 0
    widths = seen.any(dim=2).any(dim=1).sum(dim=1)
    heights = seen.any(dim=3).any(dim=1).sum(dim=1)
    assert torch.equal(widths, heights)
    assert {int(width): int((widths == width).sum()) for width in widths.unique()} == {
        window: 300 // len(windows) for window in windows
    }
    for window in windows:
        spread = float(feature_map.weights[widths == window].std() * side / window)  # most entries are 0
        assert spread == pytest.approx(1 / (BANDWIDTH * sqrt(3) * window), rel=0.05)


def test_the_seed_alone_decides_the_map() -> None:
    batch = images(3, 1, 8, 8)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = FeatureMap((1, 8, 8), features=20, seed=5)(batch)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(FeatureMap((1, 8, 8), features=20, seed=5)(batch), first)
    assert not torch.allclose(FeatureMap((1, 8, 8), features=20, seed=6)(batch), first)


def test_the_first_coordinate_counts() -> None:
    rows = FeatureMap((1, 8, 8), features=20, seed=5)(images(50, 1, 8, 8))
    assert float(rows[:, 0].sum() / COUNT_WEIGHT) == pytest.approx(50, rel=1e-5)


@pytest.mark.parametrize("features", [4, 7, 0, -2])
def test_odd_or_few_features_are_refused(features: int) -> None:
    with pytest.raises(UsageError, match=r"training\.warm_start_features"):
        FeatureMap((1, 8, 8), features=features, seed=0)
