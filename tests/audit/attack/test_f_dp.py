"""The f-DP bound against exact tails of small mechanisms and another implementation."""

from __future__ import annotations

import math

import pytest
from scipy.stats import binom

from fedgan.audit.attack.curves import gaussian_curve, profile_curve
from fedgan.audit.attack.f_dp import f_dp_bound, refutes
from fedgan.audit.attack.guesses import Guesses
from fedgan.audit.attack.one_run import one_run_bound
from fedgan.audit.attack.search import largest_refuted

pytestmark = pytest.mark.privacy

# (canaries, guessed, correct, significance) to the mu of the Gaussian curve whose epsilon google-deepmind/jax_privacy
# 2.0.0, auditing.py, finds at the delta beside it.
PUBLISHED = [
    ((1000, 300, 292, 0.05), 1e-5, 5.1180),
    ((1000, 300, 300, 0.0125), 1e-4, 6.1190),
    ((200, 60, 52, 0.05), 1e-5, 2.1861),
    ((5000, 1500, 1400, 0.01), 1e-5, 3.2380),
    ((50, 10, 10, 0.05), 1e-3, 1.2359),
]


def gaussian_delta(mu: float, epsilon: float) -> float:
    """Dong, Roth and Su 2019, corollary 2.13."""

    def phi(x: float) -> float:
        return 0.5 * math.erfc(-x / math.sqrt(2))

    return phi(-epsilon / mu + mu / 2) - math.exp(epsilon) * phi(-epsilon / mu - mu / 2)


@pytest.mark.parametrize(("case", "delta", "epsilon"), PUBLISHED)
def test_the_largest_refuted_mu_is_that_of_an_independent_implementation(
    case: tuple[int, int, int, float], delta: float, epsilon: float
) -> None:
    canaries, guessed, correct, significance = case
    guesses = Guesses(canaries, guessed, correct)
    mu = largest_refuted(lambda mu: refutes(guesses, gaussian_curve(mu), significance))
    assert gaussian_delta(mu, epsilon - 1e-3) > delta > gaussian_delta(mu, epsilon + 1e-3)


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0, 2.5])
@pytest.mark.parametrize(("canaries", "guessed"), [(1, 1), (3, 2), (6, 6), (12, 5)])
@pytest.mark.parametrize("significance", [0.3, 0.05, 0.01])
def test_no_sound_mechanism_is_refuted_more_often_than_stated(
    canaries: int, guessed: int, epsilon: float, significance: float
) -> None:
    # Randomised response is epsilon-private and has the largest tail of all that are.
    right = math.exp(epsilon) / (1 + math.exp(epsilon))
    curve = profile_curve([epsilon], [0.0])
    refuting = [
        count for count in range(guessed + 1) if refutes(Guesses(canaries, guessed, count), curve, significance)
    ]
    if refuting:
        assert refuting == list(range(refuting[0], guessed + 1))
        assert binom.sf(refuting[0] - 1, guessed, right) <= significance * (1 + 1e-9)


@pytest.mark.parametrize(("guessed", "correct"), [(60, 55), (300, 240), (300, 299)])
def test_without_delta_it_comes_near_the_exact_bound_from_below(guessed: int, correct: int) -> None:
    guesses = Guesses(1000, guessed, correct)
    exact = one_run_bound(guesses, delta=0.0, significance=0.05)
    assert 0.9 * exact < f_dp_bound(guesses, delta=0.0, significance=0.05) <= exact + 1e-5


def test_it_is_above_the_one_run_bound_where_delta_hurts_that() -> None:
    guesses = Guesses(1000, 300, 300)
    one_run = one_run_bound(guesses, delta=1e-4, significance=0.01)
    assert f_dp_bound(guesses, delta=1e-4, significance=0.01) > one_run + 0.5


@pytest.mark.parametrize("correct", [0, 15, 30])
def test_chance_refutes_nothing(correct: int) -> None:
    guesses = Guesses(100, 60, correct)
    assert not refutes(guesses, profile_curve([0.0], [0.0]), 0.05)
    assert f_dp_bound(guesses, delta=1e-5, significance=0.05) == 0.0


def test_no_guess_refutes_nothing() -> None:
    assert not refutes(Guesses(1, 0, 0), profile_curve([0.0], [0.0]), 0.05)
