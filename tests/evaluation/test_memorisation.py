"""Copies are found, and what was made without the records shows none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fedgan.data.dataset import ImageDataset
from fedgan.evaluation import METRICS
from fedgan.evaluation.memorisation import memorisation


def images(count: int, seed: int) -> ImageDataset:
    pixels = torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return ImageDataset(pixels, torch.arange(count) % 2, 2)


def copies(data: ImageDataset, count: int, std: float) -> ImageDataset:
    chosen, labels = data.batch(torch.arange(count) % len(data))
    noise = std * torch.randn(chosen.shape, generator=torch.Generator().manual_seed(9))
    return ImageDataset((chosen + noise).clamp(-1, 1), labels, 2)


class Recognises(nn.Module):
    """Gives a high logit to the images it was made of."""

    def __init__(self, known: ImageDataset) -> None:
        super().__init__()
        self.known = known.images.flatten(1)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return (torch.cdist(images.flatten(1), self.known).min(dim=1).values < 1e-2).float() * 4 - 1


def test_fresh_images_are_as_near_to_test_images_as_to_training_records() -> None:
    found = memorisation(images(1500, 3), images(900, 1), images(300, 2), seed=0, discriminator=None)
    assert (found.generated, found.compared) == (1500, 300)
    assert found.ratio == pytest.approx(1.0, abs=0.03)
    # The standard error counts generated images; that they share real neighbours adds some.
    assert found.nearer_to_training == pytest.approx(0.5, abs=4 * found.standard_error)
    assert found.discriminator is None


def test_copies_are_found() -> None:
    train, test = images(300, 1), images(300, 2)
    found = memorisation(copies(train, 300, 0.02), train, test, seed=0, discriminator=Recognises(train))
    assert found.nearer_to_training == 1.0
    assert found.nearest_training == pytest.approx(0.02 * 4, rel=0.2)  # 16 pixels
    assert found.ratio < 0.1
    assert found.discriminator is not None
    assert (found.discriminator.training, found.discriminator.test, found.discriminator.auc) == (3.0, -1.0, 1.0)


def test_copies_of_test_images_are_on_the_other_side() -> None:
    train, test = images(300, 1), images(300, 2)
    found = memorisation(copies(test, 300, 0.02), train, test, seed=0, discriminator=Recognises(images(10, 5)))
    assert found.nearer_to_training == 0.0
    assert found.ratio > 5
    assert found.discriminator is not None
    assert found.discriminator.auc == 0.5


def test_a_larger_training_set_is_not_nearer_for_its_size() -> None:
    """Among ten times as many images the nearest is nearer, which is no memory."""
    found = memorisation(images(1000, 3), images(3000, 1), images(300, 2), seed=0, discriminator=None)
    assert found.ratio == pytest.approx(1.0, abs=0.04)


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
