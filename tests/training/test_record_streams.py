"""A record's random numbers follow from it, from the use and from the step, and from nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fedgan.training.record_streams import KEY, normals, record_words, uniforms

pytestmark = pytest.mark.privacy


def rows(count: int) -> tuple[Tensor, Tensor]:
    return torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1, torch.arange(count) % 3


def test_words_do_not_follow_the_batch() -> None:
    images, labels = rows(9)
    whole = record_words("use", 5, images, labels, 7)
    assert whole.shape == (9, 7)
    order = torch.tensor([4, 0, 8])
    assert np.array_equal(record_words("use", 5, images[order], labels[order], 7), whole[order.numpy()])
    assert record_words("use", 5, *rows(0), 7).shape == (0, 7)
    assert record_words("use", 5, images, labels, 0).shape == (9, 0)


@pytest.mark.parametrize("other", [("another", 5, 0), ("use", 6, 0), ("use", 5, 1)])
def test_another_use_step_or_label_has_other_words(other: tuple[str, int, int]) -> None:
    images, labels = rows(9)
    name, step, more = other
    here, there = record_words("use", 5, images, labels, 8), record_words(name, step, images, labels + more, 8)
    assert not np.intersect1d(here, there).size


def test_uniforms_reach_from_0_to_below_1() -> None:
    ends = uniforms(np.array([[0, 255, 256, 2**32 - 1]], dtype=np.uint32))
    assert ends.tolist() == [[0.0, 0.0, 2.0**-24, 1 - 2.0**-24]]


def test_numbers_have_the_stated_distributions() -> None:
    """Of 8,000 records; each bound is 5.7 standard errors, and the records are fixed."""
    images = torch.rand(8000, 1, 2, 2, generator=torch.Generator().manual_seed(1))
    words = record_words("use", 0, images, torch.zeros(8000, dtype=torch.int64), 2 + KEY)
    even = uniforms(words[:, :2]).double()
    assert float((even.mean(dim=0) - 0.5).abs().max()) < 5.7 * 12**-0.5 / 8000**0.5
    assert abs(float(torch.corrcoef(even.T)[0, 1])) < 5.7 / 8000**0.5
    bell = normals(words[:, 2:], 3).double()
    assert float(bell.mean(dim=0).abs().max()) < 5.7 / 8000**0.5
    assert float((bell.var(dim=0) - 1).abs().max()) < 5.7 * (2 / 8000) ** 0.5
    assert float((torch.corrcoef(bell.T) - torch.eye(3, dtype=torch.float64)).abs().max()) < 5.7 / 8000**0.5
    assert normals(words[:0, 2:], 3).shape == (0, 3)
