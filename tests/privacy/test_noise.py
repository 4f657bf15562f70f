"""Noise has the distribution it claims and cannot be steered from outside.

The statistical checks on `SecureNoise` cannot fix a seed, so each bound is set for a false alarm once in 1e8 runs.
"""

from __future__ import annotations

import copy
import os
import pickle

import numpy as np
import pytest
import torch
from scipy import stats

from fedgan.privacy.noise import NoiseSource, SecureNoise, SeededNoise

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
    assert draws.dtype == torch.float32
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


def test_seeded_noise_repeats_and_says_so() -> None:
    assert torch.equal(SeededNoise(3).normal((8,), 1.0), SeededNoise(3).normal((8,), 1.0))
    assert not torch.equal(SeededNoise(3).normal((8,), 1.0), SeededNoise(4).normal((8,), 1.0))
    assert (SecureNoise().secure, SeededNoise(0).secure) == (True, False)
