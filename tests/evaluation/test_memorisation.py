"""Copies are found among training records, and what was made without them shows none; a record counts at most once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation import METRICS
from fedgan.evaluation.memorisation import Probe, make_probe
from fedgan.evaluation.pixels import near


def images(count: int, seed: int) -> ImageDataset:
    pixels = torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return ImageDataset(pixels, torch.arange(count) % 2, 2)


def copies(data: ImageDataset, count: int, std: float) -> ImageDataset:
    chosen, labels = data.batch(torch.arange(count) % len(data))
    noise = std * torch.randn(chosen.shape, generator=torch.Generator().manual_seed(9))
    return ImageDataset((chosen + noise).clamp(-1, 1), labels, 2)


def joined(*parts: ImageDataset) -> ImageDataset:
    return ImageDataset(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]), 2)


class Recognises(nn.Module):
    """Gives a high logit to the images it was made of, and to all others what their first pixel holds."""

    def __init__(self, known: ImageDataset) -> None:
        super().__init__()
        self.known = known.images.flatten(1)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        rows = images.flatten(1)
        return torch.where(torch.cdist(rows, self.known).min(dim=1).values < 1e-2, 4.0, rows[:, 0])


def shares(probe: Probe, data: ImageDataset) -> list[float]:
    return (probe.count(data) / len(data)).tolist()


def test_who_copies_nothing_is_as_near_to_records_as_to_test_images() -> None:
    train, test = images(4000, 1), images(2000, 2)
    probe = make_probe(images(500, 3), test, seed=0, discriminator=Recognises(images(10, 5)))
    assert probe.names == ("near_1_percent", "near_5_percent", "logit_above_median")
    assert probe.expected == (0.01, 0.05, 0.5)
    assert shares(probe, test) == [0.01, 0.05, 0.5]
    assert shares(probe, train) == pytest.approx([0.01, 0.05, 0.5], abs=0.02)


def test_five_percent_of_records_copied_are_found() -> None:
    train, test = images(2000, 1), images(2000, 2)
    made = joined(images(400, 3), copies(train, 100, 0.01))
    near_1, near_5 = shares(make_probe(made, test, seed=0, discriminator=None), train)
    assert near_1 == pytest.approx(0.05 + 0.95 * 0.01, abs=0.007)
    assert near_5 == pytest.approx(0.05 + 0.95 * 0.05, abs=0.015)


def test_a_discriminator_that_knows_its_records_is_found() -> None:
    train, test = images(500, 1), images(500, 2)
    probe = make_probe(images(200, 3), test, seed=0, discriminator=Recognises(train.subset(torch.arange(250))))
    assert probe.expected[-1] == 0.5
    assert shares(probe, train)[-1] == pytest.approx(0.75, abs=0.04)


def test_no_question_depends_on_training_records() -> None:
    """They are made from generated images, test set and discriminator alone."""
    first, second = (make_probe(images(50, 3), images(80, 2), seed=0, discriminator=None) for _ in range(2))
    assert (first.distances, first.logit, first.expected) == (second.distances, second.logit, second.expected)
    assert torch.equal(first.generated, second.generated)


ALL = images(700, 1)
PROBE = make_probe(images(60, 3), images(90, 2), seed=0, discriminator=Recognises(ALL.subset(torch.arange(350))))


@pytest.mark.privacy
@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, len(ALL) - 1), min_size=1, max_size=len(ALL)), st.data())
def test_a_record_more_or_less_moves_each_count_by_at_most_one(chosen: set[int], data: st.DataObject) -> None:
    """Claim: the counts' joint L2 sensitivity is the root of their number."""
    left = data.draw(st.sampled_from(sorted(chosen)))
    counts = PROBE.count(ALL.subset(torch.tensor(sorted(chosen))))
    fewer = PROBE.count(ALL.subset(torch.tensor(sorted(chosen - {left}), dtype=torch.int64)))
    moved = counts - fewer
    assert set(moved.tolist()) <= {0.0, 1.0}
    assert moved.square().sum() <= len(PROBE.names)
    assert moved.tolist() == PROBE.count(ALL.subset(torch.tensor([left]))).tolist()


@pytest.mark.privacy
def test_what_a_record_answers_does_not_depend_on_its_batch() -> None:
    """At distances that matrix products round to either side, by the place in a batch."""
    rng = torch.Generator().manual_seed(4)
    rows = torch.rand(400, 33, generator=rng, dtype=torch.float64) * 2 - 1
    others = torch.rand(30, 33, generator=rng, dtype=torch.float64) * 2 - 1
    exact = torch.stack([(row - others).square().sum(dim=1).sqrt().min() for row in rows])
    for limit in exact[:40].tolist():
        together = near(rows, others, [limit])
        alone = torch.cat([near(row[None], others, [limit]) for row in rows])
        assert torch.equal(together, alone)
    wide = torch.linspace(0.5, 5, 10).tolist()
    assert torch.equal(near(rows, others, wide), exact[:, None] <= torch.tensor(wide, dtype=torch.float64))


def duplicates(synthetic: ImageDataset, test: ImageDataset) -> float:
    return METRICS["duplicates"].score(synthetic, test, 0)


def test_repeated_images_are_duplicates_and_fresh_ones_are_not() -> None:
    test = images(2000, 2)
    assert duplicates(images(2000, 3), test) == pytest.approx(0.01, abs=0.01)
    assert duplicates(copies(images(20, 3), 2000, 0.01), test) == 1.0
    half = ImageDataset(
        torch.cat([images(1000, 3).images, copies(images(10, 4), 1000, 0.0).images]), torch.arange(2000) % 2, 2
    )
    assert duplicates(half, test) == pytest.approx(0.5, abs=0.02)
