"""The fit's loss is the unbiased squared distance, and minimising it reproduces the classes of a toy set."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fedgan.data.dataset import ImageDataset
from fedgan.errors import UsageError
from fedgan.models import build_generator
from fedgan.training.warm_start import (
    EmbeddingTarget,
    FeatureMap,
    embed,
    embedding_loss,
    estimate_target,
    fit_generator,
)

SHAPE = (1, 8, 8)


def test_loss_equals_a_double_loop_over_rows() -> None:
    rng = torch.Generator().manual_seed(0)
    rows = torch.randn(12, 5, generator=rng, dtype=torch.float64)
    means = torch.randn(4, 5, generator=rng, dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 1, 1, 0, 1, 3, 1, 0, 1, 0])  # class 2 has no row, class 3 a single one
    expected = 0.0
    for label in (0, 1):
        members = [row for row, other in zip(rows, labels, strict=True) if other == label]
        pairs = [float(a @ b) for i, a in enumerate(members) for j, b in enumerate(members) if i != j]
        expected += sum(pairs) / len(pairs)
        expected -= 2 * sum(float(row @ means[label]) for row in members) / len(members)
    assert float(embedding_loss(rows, labels, means)) == pytest.approx(expected, rel=1e-12)


def test_loss_is_unbiased_whatever_the_batch() -> None:
    """Over all pairs of rows the average of two-row losses is the loss of all rows."""
    rows = torch.randn(7, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    means = torch.ones(1, 3, dtype=torch.float64)
    pairs = [
        float(embedding_loss(rows[[i, j]], torch.zeros(2, dtype=torch.int64), means))
        for i in range(7)
        for j in range(i)
    ]
    whole = float(embedding_loss(rows, torch.zeros(7, dtype=torch.int64), means))
    assert sum(pairs) / len(pairs) == pytest.approx(whole, rel=1e-12)


def test_loss_has_the_right_gradient() -> None:
    labels = torch.tensor([0, 1, 0, 1, 1, 2])
    means = torch.randn(3, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    rows = torch.randn(6, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: embedding_loss(values, labels, means), (rows,))
    embedding_loss(rows, labels, means).backward()
    assert rows.grad is not None
    assert rows.grad[5].abs().max() == 0 < rows.grad[:5].abs().min()


def toy_set() -> tuple[ImageDataset, Tensor]:
    """Return noisy copies of three smooth patterns, unequally many of each, and the patterns (3, 1, 8, 8)."""
    ramp = torch.linspace(-0.8, 0.8, 8)
    patterns = torch.stack([ramp.expand(8, 8), ramp.expand(8, 8).t(), -ramp.expand(8, 8)])[:, None]
    labels = torch.tensor([0] * 300 + [1] * 150 + [2] * 150)
    rng = torch.Generator().manual_seed(0)
    images = patterns[labels] + 0.1 * torch.randn(600, *SHAPE, generator=rng)
    return ImageDataset(images.clamp(-1, 1), labels, 3), patterns


def network() -> nn.Module:
    return build_generator("mlp", latent_dim=8, num_classes=3, image_shape=SHAPE, width=32, seed=1)


def toy_target(feature_map: FeatureMap) -> EmbeddingTarget:
    sums = embed(toy_set()[0], feature_map)
    return estimate_target(sums, records=600, noise_std=0.0, count_weight=feature_map.count_weight)


def fit(generator: nn.Module, *, steps: int, seed: int = 4, batch_size: int = 60) -> list[int]:
    feature_map = FeatureMap(SHAPE, features=200, seed=0)
    seen: list[int] = []
    fit_generator(
        generator,
        toy_target(feature_map),
        feature_map,
        steps=steps,
        batch_size=batch_size,
        learning_rate=5e-3,
        rng=torch.Generator().manual_seed(seed),
        progress=seen.append,
    )
    return seen


def test_fit_reproduces_class_means_and_spread() -> None:
    generator, (records, _) = network(), toy_set()
    fresh = FeatureMap(SHAPE, features=1000, seed=99)  # not the features fitted to
    before = squared_distance(generator, records, fresh)
    fit(generator, steps=400)
    assert 0 <= squared_distance(generator, records, fresh) < 0.05 * before
    labels = torch.arange(3).repeat_interleave(200)
    with torch.no_grad():
        images = generator(torch.randn(600, 8, generator=torch.Generator().manual_seed(5)), labels)
    for label in range(3):
        made, real = images[labels == label], records.images[records.labels == label]
        torch.testing.assert_close(made.mean(0), real.mean(0), rtol=0, atol=0.12)


def squared_distance(generator: nn.Module, records: ImageDataset, feature_map: FeatureMap) -> float:
    labels = torch.arange(3).repeat(200)
    with torch.no_grad():
        rows = feature_map(generator(torch.randn(600, 8, generator=torch.Generator().manual_seed(6)), labels))
    real = feature_map(records.images)
    distances = [
        (rows[labels == label].mean(0) - real[records.labels == label].mean(0)).square().sum() for label in range(3)
    ]
    return float(torch.stack(distances).sum())


def test_equal_seeds_give_equal_bits_and_the_global_stream_stands_still() -> None:
    first, second, other = network(), network(), network()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    fit(first, steps=5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    fit(second, steps=5)
    fit(other, steps=5, seed=5)
    weights, again, differing = (module.state_dict() for module in (first, second, other))
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert any(not torch.equal(weights[name], differing[name]) for name in weights)


def test_progress_counts_the_steps_and_the_generator_is_left_in_evaluation_mode() -> None:
    generator = network()
    assert fit(generator, steps=3) == [1, 2, 3]
    assert not generator.training
    assert all(parameter.grad is None for parameter in generator.parameters())


def test_a_batch_too_small_for_pairs_is_refused() -> None:
    with pytest.raises(UsageError, match=r"training\.warm_start_batch_size = 5"):
        fit(network(), steps=1, batch_size=5)
