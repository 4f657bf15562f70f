"""Noise has the distribution it claims and cannot be steered from outside.

The statistical checks on `SecureNoise` cannot fix a seed, so each bound is set for a false alarm once in 1e8 runs.
"""

from __future__ import annotations

import copy
import math
import os
import pickle

import numpy as np
import pytest
import torch
from scipy import stats

from fedgan.privacy.noise import NoiseSource, SecureNoise, SeededNoise, add_noise

pytestmark = pytest.mark.privacy

SIGMAS = 5.73  # two-sided tail of a normal: 1e-8


@pytest.mark.parametrize("noise", [SecureNoise(), SeededNoise(1)], ids=["secure", "seeded"])
def test_normals_have_the_stated_distribution(noise: NoiseSource) -> None:
    count, std = 300_000, 2.5
    draws = noise.normal((count,), std).double().numpy() / std
    assert abs(draws.mean()) < SIGMAS / count**0.5
    assert abs(draws.var() - 1) < SIGMAS * (2 / count) ** 0.5
    assert abs(np.mean(draws**4) - 3) < SIGMAS * (96 / count) ** 0.5
    assert stats.kstest(draws, "norm").pvalue > 1e-8
    for lag in (1, count // 2, 1 << 15):  # neighbours, and the two halves of a Box-Muller pair
        assert abs(np.mean(draws[:-lag] * draws[lag:])) < SIGMAS / (count - lag) ** 0.5


def test_the_two_normals_of_a_pair_are_independent() -> None:
    draws = SecureNoise().normal((1 << 16,), 1.0).double().numpy()
    first, second = draws[: 1 << 15], draws[1 << 15 :]
    for power in (1, 2):
        correlation = np.corrcoef(first**power, second**power)[0, 1]
        assert abs(correlation) < SIGMAS / (1 << 15) ** 0.5


@pytest.mark.parametrize("noise", [SecureNoise(), SeededNoise(1)], ids=["secure", "seeded"])
def test_uniforms_fill_the_half_open_unit_interval(noise: NoiseSource) -> None:
    draws = noise.uniform(200_000)
    assert draws.dtype == np.float64
    assert draws.min() >= 0
    assert draws.max() < 1
    assert stats.kstest(draws, "uniform").pvalue > 1e-8


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3,), (2, 0, 3), (5, 7), (3, 1 << 15)])
@pytest.mark.parametrize("noise", [SecureNoise(), SeededNoise(1)], ids=["secure", "seeded"])
def test_shapes_and_type(noise: NoiseSource, shape: tuple[int, ...]) -> None:
    draws = noise.normal(shape, 1.0)
    assert draws.shape == shape
    assert draws.dtype == torch.float64
    assert bool((draws != 0).all())


def test_global_seeds_change_nothing_and_sources_differ() -> None:
    def drawn() -> torch.Tensor:
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        return SecureNoise().normal((16,), 1.0)

    assert not torch.equal(drawn(), drawn())
    torch.manual_seed(0)
    expected = torch.rand(4)
    torch.manual_seed(0)
    SecureNoise().normal((1000,), 1.0)
    assert torch.equal(torch.rand(4), expected)  # and the global generator is left alone


def test_a_source_never_repeats_itself() -> None:
    noise = SecureNoise()
    assert not torch.equal(noise.normal((16,), 1.0), noise.normal((16,), 1.0))


def test_a_forked_child_draws_other_noise() -> None:
    noise = SecureNoise()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, noise.uniform(4).tobytes())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = np.frombuffer(os.read(reading, 64))
    os.close(reading)
    os.close(writing)
    assert len(theirs) == 4
    assert not np.array_equal(theirs, noise.uniform(4))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickle.dumps])
def test_the_keystream_cannot_be_duplicated(duplicate: object) -> None:
    with pytest.raises(TypeError):
        duplicate(SecureNoise())  # type: ignore[operator]


def test_seeded_noise_repeats() -> None:
    assert torch.equal(SeededNoise(3).normal((8,), 1.0), SeededNoise(3).normal((8,), 1.0))
    assert not torch.equal(SeededNoise(3).normal((8,), 1.0), SeededNoise(4).normal((8,), 1.0))


class Words(SecureNoise):
    """Draws its words from a fixed list in place of the keystream."""

    def __init__(self, words: list[int]) -> None:
        super().__init__()
        self._words = np.array(words, dtype=np.uint64)

    def _keystream(self, size: int) -> bytes:
        taken, self._words = self._words[: size // 8], self._words[size // 8 :]
        return taken.tobytes()


@pytest.mark.parametrize(
    ("high", "low", "length"),
    [
        pytest.param(0, 0, math.sqrt(2 * 128 * math.log(2)), id="smallest uniform"),  # the longest radius
        pytest.param(0, 2**63, math.sqrt(2 * 65 * math.log(2)), id="far tail"),
        pytest.param(2**63, 0, math.sqrt(2 * math.log(2)), id="middle"),
        pytest.param(2**64 - 1, 2**64 - 1, 0.0, id="largest uniform"),
    ],
)
def test_radii_have_full_precision_far_into_the_tail(high: int, low: int, length: float) -> None:
    draws = Words([high, low, 0]).normal((2,), 1.0)  # a turn of 0: all of the radius is in the first normal
    np.testing.assert_allclose(draws.numpy(), [length, 0.0], rtol=1e-12, atol=1e-12)


# Adding noise to a sum


class Nothing:
    """Noise that is always zero."""

    def normal(self, shape: tuple[int, ...], std: float) -> torch.Tensor:
        return torch.zeros(shape, dtype=torch.float64)

    def uniform(self, count: int) -> np.ndarray:
        return np.zeros(count)


@pytest.mark.parametrize("std", [0.03, 1.0, 700.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_noisy_sums_lie_on_a_grid_that_does_not_depend_on_them(std: float, dtype: torch.dtype) -> None:
    """Low-order bits of the exact sum must not be there to be read."""
    spacing = 2.0 ** (math.floor(math.log2(std)) - 20)
    total = std * torch.randn(5000, generator=torch.Generator().manual_seed(3), dtype=dtype)
    noisy = add_noise(total, std, SecureNoise())
    assert noisy.dtype == dtype
    steps = noisy.double() / spacing
    assert torch.equal(steps, steps.round())
    rounded = add_noise(total, std, Nothing())
    torch.testing.assert_close(rounded, total, rtol=0, atol=0.5 * spacing * (1 + 1e-6))
    assert not torch.equal(rounded, total)


def test_sums_closer_than_the_grid_cannot_be_told_apart() -> None:
    total = torch.full((100,), 0.7, dtype=torch.float64)  # float32 could not tell them apart to begin with
    nearby = total + 1e-9
    assert bool((total != nearby).all())
    seeded = [add_noise(values, 1.0, SeededNoise(0)) for values in (total, nearby)]
    assert float((seeded[0] == seeded[1]).double().mean()) > 0.95


def test_added_noise_has_the_stated_deviation() -> None:
    total = torch.linspace(-5, 5, 200_000)
    draws = (add_noise(total, 2.0, SeededNoise(4)) - total).double() / 2.0
    assert abs(float(draws.mean())) < SIGMAS / len(draws) ** 0.5
    assert abs(float(draws.var()) - 1) < SIGMAS * (2 / len(draws)) ** 0.5


def test_without_noise_a_sum_is_left_as_it_is() -> None:
    total = torch.tensor([0.1, -1 / 3])
    kept = add_noise(total, 0.0, SecureNoise())
    assert torch.equal(kept, total)
    assert kept is not total


def test_integers_take_no_noise() -> None:
    with pytest.raises(ValueError, match="floating-point"):
        add_noise(torch.arange(3), 1.0, SecureNoise())
