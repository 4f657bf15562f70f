"""Streams depend on their names alone; labels come from a public prior."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fedgan.training.streams import draw_labels, draw_latents, stream

CPU = torch.device("cpu")


def draws(*path: str | int) -> torch.Tensor:
    return torch.rand(8, generator=stream(*path))  # type: ignore[arg-type]


def test_the_same_name_is_the_same_stream() -> None:
    first = draws(1, "client", "00000", 3)
    torch.manual_seed(77)
    assert torch.equal(first, draws(1, "client", "00000", 3))


@pytest.mark.parametrize(
    "other",
    [
        (2, "client", "00000", 3),
        (1, "server", "00000", 3),
        (1, "client", "00001", 3),
        (1, "client", "00000", 4),
        (1, "client", "00000", "3"),
        (1, "client", "00000/3"),
        (1,),
    ],
)
def test_another_name_is_another_stream(other: tuple[str | int, ...]) -> None:
    assert not torch.equal(draws(1, "client", "00000", 3), draws(*other))


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    rng = stream(0, "a")
    draw_latents(5, 3, rng, CPU)
    draw_labels(5, 3, rng, CPU)
    assert torch.equal(torch.get_rng_state(), before)


def test_latents_are_standard_normal() -> None:
    latents = draw_latents(500, 40, stream(0, "latents"), CPU)
    assert latents.shape == (500, 40)
    assert latents.dtype == torch.float32
    assert abs(float(latents.mean())) < 5 / np.sqrt(20_000)
    assert abs(float(latents.var()) - 1) < 5 * np.sqrt(2 / 20_000)


def test_labels_are_uniform() -> None:
    labels = draw_labels(10_000, 10, stream(0, "labels"), CPU)
    assert labels.shape == (10_000,)
    assert labels.dtype == torch.int64
    counts = torch.bincount(labels, minlength=10).double()
    assert len(counts) == 10
    statistic = float(((counts - 1000).square() / 1000).sum())
    assert 1.0 < statistic < 40  # chi-squared with 9 degrees of freedom: 0.1 % and 99.999 %
