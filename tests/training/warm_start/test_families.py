"""Every family of features makes a public map of its arguments alone, whose rows have norm at most 1."""

from __future__ import annotations

import pytest
import torch

from fedgan.data.dataset import ImageDataset
from fedgan.training.warm_start import FAMILIES, FeatureMap, embed

FAMILY_NAMES = FAMILIES.names()


def test_the_families() -> None:
    assert FAMILY_NAMES == ["convolutions", "fourier", "windows"]


@pytest.mark.privacy
@pytest.mark.parametrize("name", FAMILY_NAMES)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 16), (1, 28, 28)])
def test_one_record_moves_a_sum_by_at_most_1(name: str, shape: tuple[int, int, int]) -> None:
    feature_map = FAMILIES[name](shape, features=60, seed=5)
    images = torch.rand(40, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    images[0], images[1], images[2], images[3] = float("nan"), float("inf"), -1e30, 1.0
    rows = feature_map(images)
    assert rows.shape == (40, feature_map.dimension)
    assert torch.isfinite(rows).all()
    assert rows.norm(dim=1).max() <= 1
    kept, labels = images[3:], torch.arange(37) % 2  # a data set takes finite images alone
    whole = embed(ImageDataset(kept, labels, 2), feature_map)
    without = embed(ImageDataset(kept[1:], labels[1:], 2), feature_map)
    assert 0 < float((whole - without).norm()) <= 1


@pytest.mark.privacy
@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_a_map_is_made_of_its_arguments_alone(name: str) -> None:
    images = torch.rand(5, 1, 8, 8)
    first, other = (FAMILIES[name]((1, 8, 8), features=60, seed=seed)(images) for seed in (5, 6))
    torch.manual_seed(99)
    assert torch.equal(FAMILIES[name]((1, 8, 8), features=60, seed=5)(images), first)
    assert not torch.allclose(other, first)


def test_whole_images_have_no_windows() -> None:
    whole, windows = (FAMILIES[name]((1, 28, 28), features=600, seed=0) for name in ("fourier", "windows"))
    assert isinstance(whole, FeatureMap)
    assert isinstance(windows, FeatureMap)
    assert (whole.weights != 0).all()
    assert (windows.weights == 0).any()
