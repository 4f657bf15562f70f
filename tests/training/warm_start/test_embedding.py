"""One record moves the embedding by at most 1, parts add up, and class sizes are read from the release."""

from __future__ import annotations

from math import inf, nan

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fedgan.data.dataset import ImageDataset
from fedgan.errors import UsageError
from fedgan.training.warm_start import FeatureMap, embed, estimate_target
from fedgan.training.warm_start.rows import COUNT_WEIGHT

FEATURE_MAP = FeatureMap((1, 4, 4), features=30, seed=3)


def dataset(records: int, seed: int = 0, classes: int = 3) -> ImageDataset:
    rng = torch.Generator().manual_seed(seed)
    images = torch.rand(records, 1, 4, 4, generator=rng) * 2 - 1
    return ImageDataset(images, torch.randint(classes, (records,), generator=rng), classes)


class UncheckedRecords:
    """Stands in for an ImageDataset whose images were never checked."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels, self.num_classes = images, labels, 3

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self.images[indices], self.labels[indices]


def test_sums_equal_a_loop_over_records() -> None:
    records = dataset(40)
    expected = torch.zeros(3, FEATURE_MAP.dimension, dtype=torch.float64)
    for index in range(40):
        image, label = records.batch(torch.tensor([index]))
        expected[label] += FEATURE_MAP(image).double()
    sums = embed(records, FEATURE_MAP, batch=7)
    assert sums.dtype == torch.float64
    torch.testing.assert_close(sums, expected, rtol=0, atol=1e-5)


def test_clients_sums_add_up_to_the_sum_over_everybody() -> None:
    records = dataset(60)
    parts = [torch.arange(0, 11), torch.arange(11, 11), torch.arange(11, 60)]
    total = sum(embed(records.subset(part), FEATURE_MAP) for part in parts)
    torch.testing.assert_close(total, embed(records, FEATURE_MAP), rtol=0, atol=1e-5)
    assert total.abs().max() > 1


@pytest.mark.privacy
@settings(deadline=None, max_examples=60)
@given(
    pixels=st.lists(st.one_of(st.floats(width=32), st.sampled_from([nan, inf, -inf, 3e38])), min_size=16, max_size=16),
    label=st.integers(0, 2),
    others=st.integers(0, 9),
)
def test_one_record_moves_the_sums_by_at_most_one(pixels: list[float], label: int, others: int) -> None:
    base = dataset(others, seed=others)
    image = torch.tensor(pixels).reshape(1, 1, 4, 4)
    images, labels = torch.cat([base.images, image]), torch.cat([base.labels, torch.tensor([label])])
    # One record a batch, so that no other record's rounding differs between the two.
    without = embed(UncheckedRecords(base.images, base.labels), FEATURE_MAP, batch=1)
    moved = embed(UncheckedRecords(images, labels), FEATURE_MAP, batch=1) - without
    assert 0.99 < float(moved.norm()) <= 1
    assert set(moved.norm(dim=1).nonzero().flatten().tolist()) == {label}


def test_without_noise_the_target_is_the_true_means_and_counts() -> None:
    records = dataset(200)
    target = estimate_target(
        embed(records, FEATURE_MAP), records=200, noise_std=0.0, count_weight=FEATURE_MAP.count_weight
    )
    torch.testing.assert_close(target.counts, torch.bincount(records.labels).float(), rtol=1e-5, atol=1e-3)
    for label in range(3):
        mean = FEATURE_MAP(records.images[records.labels == label]).mean(0)
        torch.testing.assert_close(target.means[label], mean, rtol=0, atol=1e-5)


@pytest.mark.parametrize("noise_std", [0.5, 10.0])
def test_unbalanced_counts_are_read_from_a_noisy_release(noise_std: float) -> None:
    true = torch.tensor([1214.0, 3494.0])
    sums = noisy_sums(true, noise_std, seed=1)
    target = estimate_target(sums, records=4708, noise_std=noise_std, count_weight=COUNT_WEIGHT)
    assert float(target.counts.sum()) == pytest.approx(4708, rel=1e-5)
    # Half the difference of two noisy counts deviates by noise / (0.3 sqrt(2)): four of these, and the shrinkage.
    torch.testing.assert_close(target.counts, true, rtol=0, atol=10 * noise_std + 1)


def test_where_noise_explains_the_differences_classes_count_as_balanced() -> None:
    true = torch.full((10,), 140.0)
    errors = []
    for seed in range(20):
        sums = noisy_sums(true, 9.0, seed)
        counts = estimate_target(sums, records=1400, noise_std=9.0, count_weight=COUNT_WEIGHT).counts
        errors.append((counts - true).square().mean() / (sums[:, 0] / COUNT_WEIGHT - true).square().mean())
    assert 0 <= float(torch.stack(errors).mean()) < 0.3


def test_a_class_that_nobody_holds_gets_a_small_positive_count() -> None:
    sums = noisy_sums(torch.tensor([0.0, 500.0, 500.0]), 0.0, seed=0)
    target = estimate_target(sums, records=1000, noise_std=0.0, count_weight=COUNT_WEIGHT)
    assert float(target.counts[0]) == 1.0
    assert target.means.isfinite().all()


def test_declared_balance_reads_no_count() -> None:
    sums = noisy_sums(torch.tensor([100.0, 300.0]), 0.0, seed=0)
    target = estimate_target(sums, records=400, noise_std=0.0, count_weight=COUNT_WEIGHT, class_counts="uniform")
    assert target.counts.tolist() == [200.0, 200.0]
    torch.testing.assert_close(target.means, (sums / 200).float(), rtol=1e-6, atol=1e-6)


def test_an_unknown_way_to_count_is_refused() -> None:
    with pytest.raises(UsageError, match=r"training\.class_counts"):
        estimate_target(torch.ones(2, 7), records=4, noise_std=0, count_weight=0.3, class_counts="guessed")  # type: ignore[arg-type]


def noisy_sums(counts: Tensor, noise_std: float, seed: int) -> Tensor:
    """Return sums of rows (counts weight, 1, 1, ...) with Gaussian noise."""
    rng = torch.Generator().manual_seed(seed)
    sums = torch.ones(len(counts), 7, dtype=torch.float64)
    sums[:, 0] = counts.double() * COUNT_WEIGHT
    return sums + noise_std * torch.randn(sums.shape, generator=rng, dtype=torch.float64)
