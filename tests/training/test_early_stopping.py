"""Early stopping keeps the best generator by coordinates of the release that nothing is fitted to."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch

from fedgan.models import ExponentialMovingAverage, build_generator
from fedgan.training.early_stopping import EarlyStopping, FittedFeatures, held_back
from fedgan.training.warm_start import EmbeddingTarget, FeatureMap

SHAPE = (1, 8, 8)
MAP = FeatureMap(SHAPE, features=60, seed=0)


def average(seed: int = 0) -> ExponentialMovingAverage:
    generator = build_generator("mlp", latent_dim=4, width=8, num_classes=3, image_shape=SHAPE, seed=seed)
    return ExponentialMovingAverage(generator)


def target() -> EmbeddingTarget:
    means = torch.randn(3, MAP.dimension, generator=torch.Generator().manual_seed(1)) / 8
    return EmbeddingTarget(means, torch.full((3,), 10.0), 0.5)


def stopping(patience: int = 2) -> EarlyStopping:
    return EarlyStopping(patience, lambda: torch.Generator().manual_seed(3), ends=True)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Distances that are seen, one after another."""
    distances: list[float] = []
    monkeypatch.setattr(EarlyStopping, "_distance_of", lambda *_: distances.pop(0))
    yield distances
    assert not distances


def test_a_tenth_is_held_back_and_never_the_count() -> None:
    for dimension, count in ((7, 1), (10, 1), (61, 6), (2101, 210)):
        seen = held_back(dimension)
        assert seen.shape == (dimension,)
        assert not seen[0]
        assert int(seen.sum()) == count
        assert torch.equal(seen, held_back(dimension))


def test_what_is_held_back_is_spread_over_all_scales_and_places() -> None:
    """However a family orders its numbers: scales take turns every 2 or 3, places along a side every 4 or 7."""
    chosen = held_back(2101).nonzero()[:, 0]
    for period in (2, 3, 4, 7, 16):
        assert len((chosen % period).unique()) == period


def test_the_fitted_part_and_the_watched_part_share_nothing() -> None:
    images = torch.rand(5, *SHAPE) * 2 - 1
    fitted = FittedFeatures(MAP)
    assert torch.equal(fitted(images), MAP(images)[:, ~held_back(MAP.dimension)])
    assert torch.equal(fitted.target(target()).means, target().means[:, ~held_back(MAP.dimension)])


@pytest.mark.privacy
def test_only_what_is_held_back_is_watched() -> None:
    seen = held_back(MAP.dimension)
    first, fitted, watched = stopping(), stopping(), stopping()
    first.look(average(), 0, MAP, target())
    moved = target()
    moved.means[:, ~seen] += 1.0
    fitted.look(average(), 0, MAP, moved)
    assert fitted.distance == first.distance
    moved = target()
    moved.means[:, seen] += 1.0
    watched.look(average(), 0, MAP, moved)
    assert watched.distance != first.distance


def test_the_distance_is_that_of_a_double_loop() -> None:
    """Over pairs of different images of a class, and less the square of the released mean, which is a constant."""
    watch, generator, seen = stopping(), average(), held_back(MAP.dimension)
    watch.look(generator, 0, MAP, target())
    latents = torch.randn(600, 4, generator=torch.Generator().manual_seed(3))
    labels = torch.arange(3).repeat(200)
    rows = MAP(generator.module(latents, labels))[:, seen].double()
    expected = 0.0
    for label in range(3):
        members, mean = rows[labels == label], target().means[label, seen].double()
        products = members @ members.t()
        pairs = (products.sum() - products.diagonal().sum()) / (200 * 199)
        expected += float(pairs - 2 * members.mean(0) @ mean)
    assert watch.distance == pytest.approx(expected, rel=1e-4)


def test_the_same_generator_looks_the_same_each_time() -> None:
    watch = stopping()
    watch.look(average(), 0, MAP, target())
    first = watch.distance
    watch.look(average(), 1, MAP, target())
    assert watch.distance == first
    assert (watch.best_round, watch.since) == (0, 1)


def test_it_is_over_after_so_many_rounds_without_a_better_one(script: list[float]) -> None:
    watch = stopping(2)
    script += [5.0, 4.0, 6.0, 3.0, 3.0, 9.0]
    states = []
    for number in range(6):
        watch.look(average(number), number, MAP, target())
        states.append((watch.best, watch.best_round, watch.since, watch.over))
    assert states == [
        (5.0, 0, 0, False),
        (4.0, 1, 0, False),
        (4.0, 1, 1, False),
        (3.0, 3, 0, False),
        (3.0, 3, 1, False),
        (3.0, 3, 2, True),
    ]
    assert watch.distance_after(5) == 9.0
    assert watch.distance_after(4) is None
    assert watch.words == "no better generator in 2 rounds; the one after round 3 is kept"


def test_the_best_is_kept_whatever_becomes_of_the_average(script: list[float]) -> None:
    watch, moving = stopping(), average(0)
    script += [2.0, 1.0, 3.0]
    kept = {}
    for number in range(3):
        moving.update(average(number).module, 0.0)
        watch.look(moving, number, MAP, target())
        kept[number] = {name: tensor.clone() for name, tensor in moving.state_dict().items()}
    watch.settle(moving)
    assert all(torch.equal(tensor, kept[1][name]) for name, tensor in moving.state_dict().items())
    assert not all(torch.equal(tensor, kept[2][name]) for name, tensor in moving.state_dict().items())


def test_before_the_first_look_nothing_is_known_and_nothing_changes() -> None:
    watch, moving = stopping(1), average()
    before = {name: tensor.clone() for name, tensor in moving.state_dict().items()}
    watch.settle(moving)
    assert all(torch.equal(tensor, before[name]) for name, tensor in moving.state_dict().items())
    assert (watch.distance, watch.best, watch.over) == (None, math.inf, False)


def test_its_state_goes_on_where_it_was(script: list[float]) -> None:
    watch, again = stopping(), stopping()
    script += [2.0, 3.0, 1.5]
    watch.look(average(0), 0, MAP, target())
    watch.look(average(1), 1, MAP, target())
    again.load_state(watch.state())
    assert (again.best, again.best_round, again.since) == (2.0, 0, 1)
    moving = average(1)
    again.settle(moving)
    assert all(torch.equal(tensor, average(0).state_dict()[name]) for name, tensor in moving.state_dict().items())
    again.look(average(2), 2, MAP, target())
    assert (again.best_round, again.since) == (2, 0)


def test_where_an_epsilon_is_reported_it_is_never_over(script: list[float]) -> None:
    watch = EarlyStopping(1, lambda: torch.Generator().manual_seed(3), ends=False)
    script += [1.0, 2.0, 3.0]
    for number in range(3):
        watch.look(average(number), number, MAP, target())
    assert watch.since == 2
    assert not watch.over
