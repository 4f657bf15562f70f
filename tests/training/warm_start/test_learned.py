"""Learned features: no weights that a server could send make a record count more than 1, or look at another record."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fedgan.errors import UsageError
from fedgan.models import build_generator
from fedgan.training.warm_start import (
    EmbeddingTarget,
    FeatureMap,
    LearnedMap,
    LearnedStages,
    embed,
    embedding_shares,
    learned_shapes,
)
from fedgan.training.warm_start.classifier import learn_features

SHAPE = (1, 4, 4)
CLASSES = 3
NAMES = sorted(learned_shapes(SHAPE))
HOSTILE = st.sampled_from([nan, inf, -inf, 3.4e38, -3.4e38, 1e30, 1e-45, 0.0])


def some_weights(seed: int, shape: tuple[int, int, int] = SHAPE, scale: float = 0.3) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {name: torch.randn(size, generator=rng) * scale for name, size in learned_shapes(shape).items()}


def pictures(count: int, shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


class UncheckedRecords:
    """Stands in for an ImageDataset whose images were never checked."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels, self.num_classes = images, labels, CLASSES

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self.images[indices], self.labels[indices]


@pytest.mark.privacy
@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 5),
    scale=st.sampled_from([1e-30, 0.3, 1e3, 1e19, 1e38]),
    hostile=st.dictionaries(st.sampled_from(NAMES), st.tuples(HOSTILE, st.sampled_from([1, 2, 7])), max_size=4),
    pixels=st.lists(st.one_of(st.floats(width=32), HOSTILE), min_size=16, max_size=16),
    label=st.integers(0, CLASSES - 1),
    others=st.integers(0, 6),
)
def test_no_weights_and_no_record_move_the_sums_by_more_than_one(
    seed: int, scale: float, hostile: dict[str, tuple[float, int]], pixels: list[float], label: int, others: int
) -> None:
    weights = some_weights(seed, scale=scale)
    for name, (value, every) in hostile.items():
        weights[name].view(-1)[::every] = value
    feature_map = LearnedMap(SHAPE, weights)
    base, labels = pictures(others, seed=seed), torch.arange(others) % CLASSES
    without = embed(UncheckedRecords(base, labels), feature_map)  # type: ignore[arg-type]
    more = UncheckedRecords(
        torch.cat([base, torch.tensor(pixels).reshape(1, *SHAPE)]), torch.cat([labels, torch.tensor([label])])
    )
    moved = embed(more, feature_map) - without  # type: ignore[arg-type]
    assert moved.isfinite().all()
    assert moved.norm(dim=1).nonzero().flatten().tolist() == [label]
    assert feature_map.count_weight * 0.99 < float(moved.norm()) <= 1


@pytest.mark.privacy
@pytest.mark.parametrize("scale", [1.0, 1e10, 1e37])
def test_rows_that_reach_too_far_are_cut_off_at_norm_one(scale: float) -> None:
    rows, _ = LearnedMap(SHAPE, some_weights(1, scale=scale)).placed(pictures(30).sign(), torch.zeros(30))
    assert 1 - 1e-5 < float(rows.norm(dim=1).min()) <= float(rows.norm(dim=1).max()) <= 1


@pytest.mark.privacy
@pytest.mark.parametrize("first", [0, 1, 3, 17])
@pytest.mark.parametrize("size", [1, 2, 23])
def test_a_row_does_not_depend_on_the_other_records(first: int, size: int) -> None:
    """Of weights whose sums cancel nothing is left but rounding, which they then blow up to a row's whole length."""
    weights = some_weights(2, (1, 12, 12), scale=1.0)
    weights["second"][1::2] = weights["second"][::2]
    weights["second_bias"].zero_()
    pairs = weights["hidden"].view(128, 16, 2, -1)
    pairs[:, :, 1] = -pairs[:, :, 0]
    weights["hidden"] = pairs.reshape(128, -1) * 1e30
    weights["hidden_bias"].zero_()
    weights["centre"].zero_()
    feature_map = LearnedMap((1, 12, 12), weights)
    images, labels = pictures(40, (1, 12, 12)), torch.arange(40) % CLASSES
    rows, _ = feature_map.placed(images, labels)
    part = slice(first, first + size)
    some_rows, some_labels = feature_map.placed(images[part], labels[part])
    assert float(rows.norm(dim=1).max()) > 0.9
    assert torch.equal(some_rows, rows[part])
    assert torch.equal(some_labels, labels[part])


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 30, 20), (1, 28, 28), (2, 1, 3), (1, 64, 64)], ids=str)
def test_what_is_fitted_is_what_records_are_mapped_to(shape: tuple[int, int, int]) -> None:
    feature_map = LearnedMap(shape, some_weights(3, shape, scale=0.05))
    images = pictures(6, shape)
    rows, labels = feature_map.placed(images, torch.arange(6) % 2)
    assert rows.shape == (6, feature_map.dimension)
    assert labels.tolist() == [0, 1] * 3
    torch.testing.assert_close(feature_map(images).double(), rows, atol=1e-5, rtol=1e-4)
    assert feature_map.placed(images[:0], labels[:0])[0].shape == (0, feature_map.dimension)


@pytest.mark.parametrize("change", ["missing", "more", "shape"])
def test_other_arrays_make_no_map(change: str) -> None:
    weights = some_weights(0)
    if change == "missing":
        del weights["centre"]
    else:
        weights["extra" if change == "more" else "hidden"] = torch.zeros(3)
    with pytest.raises(ValueError, match="arrays"):
        LearnedMap(SHAPE, weights)


def generator_of(shape: tuple[int, int, int]) -> Any:
    return build_generator("mlp", latent_dim=4, num_classes=CLASSES, image_shape=shape, width=16, seed=0)


def test_learned_features_tell_classes_apart_within_reach_and_leave_the_generator_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fedgan.training.warm_start.classifier.LEARNING_STEPS", 60)
    generator = generator_of((1, 8, 8))
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    state = torch.get_rng_state()
    weights = learn_features(generator, torch.Generator().manual_seed(1))
    again = learn_features(generator, torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in generator.state_dict().items())
    assert all(torch.equal(again[name], tensor) for name, tensor in weights.items())
    assert not any(tensor.requires_grad for tensor in weights.values())
    latents = torch.randn(900, 4, generator=torch.Generator().manual_seed(2))
    labels = torch.arange(900) % CLASSES
    with torch.no_grad():
        rows = LearnedMap((1, 8, 8), weights)(generator(latents, labels))
    lengths = rows.double().norm(dim=1)
    assert float((lengths < 0.99).double().mean()) > 0.7
    classes = [rows[labels == label] for label in range(CLASSES)]
    means = torch.stack([each.mean(0) for each in classes])
    within = torch.stack([(each - each.mean(0)).square().sum(1).mean() for each in classes]).mean()
    between = (means - means.mean(0)).square().sum(1).mean()
    assert 0.7 < float(between / within) < 2  # 0.14 where nothing is learned


def test_what_is_joined_is_side_by_side_and_survives_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedgan.training.warm_start.classifier.LEARNING_STEPS", 2)
    shape = (1, 8, 8)
    generator, first = generator_of(shape), FeatureMap(shape, features=8, seed=1)
    stages = LearnedStages(3, shape)
    assert (stages.stage, stages.unlearned, stages.done) == (0, False, False)
    stages.absorb(EmbeddingTarget(torch.ones(CLASSES, 9), torch.full((CLASSES,), 5.0), 0.5))
    assert stages.unlearned
    stages.learn(generator, torch.Generator().manual_seed(1))
    assert (stages.stage, stages.steps, stages.unlearned) == (1, 2, False)
    assert stages.joined(first)[1].means.shape == (CLASSES, 9)  # what is not released yet is not fitted to
    stages.absorb(EmbeddingTarget(torch.full((CLASSES, 129), 2.0), torch.full((CLASSES,), 6.0), 0.25))
    other = LearnedStages(3, shape)
    other.load_state(stages.state())
    for each in (stages, other):
        assert (each.stage, each.steps, each.unlearned, each.done) == (2, 3, True, False)
        rows, target = each.joined(first)
        assert torch.equal(target.means, torch.cat([torch.ones(CLASSES, 9), torch.full((CLASSES, 129), 2.0)], dim=1))
        assert [one.noise_std for one in each.targets] == [0.5, 0.25]
        images = pictures(5, shape)
        wanted = torch.cat([first(images), stages.feature_map()(images)], dim=1)
        assert torch.equal(rows(images), wanted)


@pytest.mark.parametrize("stages", [1, 2, 3, 10])
def test_the_shares_of_all_releases_add_up_to_one(stages: int) -> None:
    shares = embedding_shares(stages)
    assert len(shares) == stages
    assert min(shares) > 0
    assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize("stages", [0, 11])
def test_no_other_number_of_releases_is_accepted(stages: int) -> None:
    with pytest.raises(UsageError, match=rf"training\.warm_start_stages = {stages}.*from 1 to 10"):
        embedding_shares(stages)
