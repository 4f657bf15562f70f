from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from fedgan.data import poisson_indices, uniform_indices

ERROR_RATE = 1e-6
"""Chance that a correct sampler fails a statistical test here, both sides together; the seeds are fixed besides."""


def uniform(seed: int) -> Callable[[int], npt.NDArray[np.float64]]:
    return np.random.default_rng(seed).random


@pytest.mark.privacy
@pytest.mark.parametrize("probability", [0.002, 0.1, 0.5, 0.93])
def test_poisson_batch_sizes_are_binomial(probability: float) -> None:
    records, rounds = 500, 2000
    draw = uniform(0)
    sizes = np.array([len(poisson_indices(records, probability, draw)) for _ in range(rounds)])
    binomial = stats.binom(records, probability)
    low, high = stats.binom.interval(1 - ERROR_RATE, records * rounds, probability)
    assert low <= sizes.sum() <= high
    # The spread tells Poisson sampling from batches of fixed size, whose amplification is another one.
    dispersion = ((sizes - binomial.mean()) ** 2).sum() / binomial.var()
    low, high = stats.chi2.interval(1 - ERROR_RATE, rounds)
    assert low <= dispersion <= high


@pytest.mark.privacy
def test_poisson_includes_every_record_and_pair_at_the_same_rate() -> None:
    records, rounds, probability = 6, 20_000, 0.3
    draw = uniform(1)
    included = np.zeros((rounds, records))
    for row in included:
        row[poisson_indices(records, probability, draw)] = 1
    pairs = included.T @ included
    for first in range(records):
        for second in range(records):
            expected = probability if first == second else probability**2
            low, high = stats.binom.interval(1 - ERROR_RATE / records**2, rounds, expected)
            assert low <= pairs[first, second] <= high


def test_poisson_draws_one_number_a_record_and_keeps_those_below_the_probability() -> None:
    asked: list[int] = []

    def fixed(count: int) -> npt.NDArray[np.float64]:
        asked.append(count)
        return np.array([0.0, 0.3, 0.29999, 0.9, 0.1])

    indices = poisson_indices(5, 0.3, fixed)
    assert indices.tolist() == [0, 2, 4]
    assert indices.dtype == np.int64
    assert asked == [5]


def test_poisson_may_draw_nothing() -> None:
    indices = poisson_indices(4, 0.5, lambda count: np.full(count, 0.5))
    assert indices.shape == (0,)
    assert indices.dtype == np.int64
    assert poisson_indices(0, 0.5, uniform(0)).shape == (0,)


def test_poisson_with_certainty_takes_all() -> None:
    assert poisson_indices(4, 1.0, lambda count: np.full(count, np.nextafter(1, 0))).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("probability", [0.0, -0.1, 1.0001, float("nan"), float("inf")])
def test_poisson_refuses_what_is_no_probability(probability: float) -> None:
    with pytest.raises(ValueError, match="probability"):
        poisson_indices(10, probability, uniform(0))


def test_uniform_draws_distinct_records_at_equal_rates() -> None:
    rng = np.random.default_rng(2)
    records, size, rounds = 10, 3, 5000
    counts = np.zeros(records)
    for _ in range(rounds):
        indices = uniform_indices(records, size, rng)
        assert indices.dtype == np.int64
        assert len(set(indices.tolist())) == size
        counts[indices] += 1
    low, high = stats.binom.interval(1 - ERROR_RATE / records, rounds, size / records)
    assert ((counts >= low) & (counts <= high)).all()


def test_uniform_depends_on_the_generator_alone() -> None:
    draws = [uniform_indices(50, 20, np.random.default_rng(seed)).tolist() for seed in (3, 3, 4)]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]


def test_uniform_edges() -> None:
    rng = np.random.default_rng(0)
    assert uniform_indices(5, 0, rng).shape == (0,)
    assert sorted(uniform_indices(5, 5, rng).tolist()) == [0, 1, 2, 3, 4]
    for size in (-1, 6):
        with pytest.raises(ValueError, match="size"):
            uniform_indices(5, size, rng)
