"""Every family of features makes a public map of its arguments alone, whose rows have norm at most 1."""

from __future__ import annotations

from math import inf, nan

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedgan.data.dataset import ImageDataset
from fedgan.errors import UsageError
from fedgan.training.warm_start import FAMILIES, FeatureMap, embed, map_of
from fedgan.training.warm_start.rows import COUNT_WEIGHT

FAMILY_NAMES = FAMILIES.names()
OF_NORM_ONE = {"bandwidths", "fourier", "wavelets", "windows"}
HOSTILE = st.one_of(st.floats(width=32), st.sampled_from([nan, inf, -inf, 3.4e38, -3.4e38, 1e-45, 0.0, 1.0, -1.0]))
COMBINED = ["windows,wavelets", "patch_moments,convolutions,fourier"]


def test_the_families() -> None:
    assert FAMILY_NAMES == ["bandwidths", "convolutions", "fourier", "patch_moments", "wavelets", "windows"]


@pytest.mark.privacy
@pytest.mark.parametrize("name", [*FAMILY_NAMES, *COMBINED])
def test_no_input_makes_a_row_longer_than_one(name: str) -> None:
    feature_map = map_of(name, (1, 8, 8), features=60, seed=3)
    shortest = 0.99 if set(name.split(",")) <= OF_NORM_ONE else COUNT_WEIGHT - 1e-6

    @settings(deadline=None)
    @given(st.lists(HOSTILE, min_size=64, max_size=64))
    def check(pixels: list[float]) -> None:
        rows = feature_map(torch.tensor(pixels).reshape(1, 1, 8, 8))
        assert rows.isfinite().all()
        assert shortest < float(rows.double().norm()) <= 1

    check()


@pytest.mark.privacy
@pytest.mark.parametrize("name", [*FAMILY_NAMES, *COMBINED])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 16), (1, 28, 28), (2, 3, 2)])
def test_one_record_moves_a_sum_by_at_most_1(name: str, shape: tuple[int, int, int]) -> None:
    feature_map = map_of(name, shape, features=60, seed=5)
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
@pytest.mark.parametrize("name", [*FAMILY_NAMES, *COMBINED])
def test_a_map_is_made_of_its_arguments_alone(name: str) -> None:
    images = torch.rand(5, 1, 8, 8)
    state = torch.get_rng_state()
    first, other = (map_of(name, (1, 8, 8), features=60, seed=seed)(images) for seed in (5, 6))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    assert torch.equal(map_of(name, (1, 8, 8), features=60, seed=5)(images), first)
    assert torch.allclose(other, first) == (name == "patch_moments")  # in which nothing is drawn


def test_whole_images_have_no_windows() -> None:
    whole, windows = (FAMILIES[name]((1, 28, 28), features=600, seed=0) for name in ("fourier", "windows"))
    assert isinstance(whole, FeatureMap)
    assert isinstance(windows, FeatureMap)
    assert (whole.weights != 0).all()
    assert (windows.weights == 0).any()


def test_bandwidths_are_shared_out_equally() -> None:
    weights = FAMILIES["bandwidths"]((1, 28, 28), features=600, seed=0).weights
    spreads = [float(weights[start::3].std()) for start in range(3)]
    assert spreads == pytest.approx([1 / (width * 28) for width in (0.2, 0.4, 0.8)], rel=0.02)


def test_a_combination_holds_an_equal_part_of_each_family() -> None:
    images = torch.rand(5, 1, 8, 8) * 2 - 1
    first, second = (FAMILIES[name]((1, 8, 8), features=60, seed=5)(images) for name in ("windows", "wavelets"))
    rows = map_of("windows,wavelets", (1, 8, 8), features=60, seed=5)(images)
    assert torch.allclose(rows[:, 0], first[:, 0])
    assert torch.equal(rows[:, 1:], torch.cat([first[:, 1:], second[:, 1:]], dim=1) / 2**0.5)


@pytest.mark.parametrize(
    ("names", "said"),
    [("", "''"), ("windows,", "''"), ("windows,patches", "patches"), ("windows,windows", "each family once")],
)
def test_a_combination_of_what_is_no_family_or_of_one_twice_is_refused(names: str, said: str) -> None:
    with pytest.raises(UsageError, match=rf"training\.warm_start_family.*{said}"):
        map_of(names, (1, 8, 8), features=60, seed=5)


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_pictures_that_are_nearly_the_same_have_features_that_are_alike(name: str) -> None:
    """Where they have not, the mean of many pictures of one thing says nothing that a generator could be fitted to."""
    discs = torch.stack([_disc(8), _disc(9), _disc(8, across=15), _disc(8, brightness=0.7)])
    features = map_of(name, (1, 28, 28), features=1000, seed=0)(discs)[:, 1:]
    alike = torch.nn.functional.cosine_similarity(features[:1], features[1:])
    assert alike.min() > 0.25


def _disc(radius: float, *, across: float = 14, brightness: float = 1.0) -> torch.Tensor:
    down, right = torch.meshgrid(torch.arange(28.0), torch.arange(28.0), indexing="ij")
    inside = (down - 14) ** 2 + (right - across) ** 2 < radius**2
    return torch.where(inside, brightness, -1.0)[None]
