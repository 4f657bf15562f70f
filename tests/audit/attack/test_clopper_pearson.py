"""The bound from both error rates against SciPy's exact intervals, and its honesty about the threshold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from fedgan.audit.attack.clopper_pearson import clopper_pearson_bound, upper_rate

pytestmark = pytest.mark.privacy


@pytest.mark.parametrize(("events", "trials"), [(0, 5), (2, 9), (9, 9), (30, 1000), (0, 1)])
@pytest.mark.parametrize("significance", [0.05, 0.001])
def test_the_rate_is_scipys_exact_one(events: int, trials: int, significance: float) -> None:
    exact = binomtest(events, trials, alternative="less").proportion_ci(1 - significance, method="exact").high
    assert upper_rate(events, trials, significance) == pytest.approx(exact, rel=1e-9)


def test_no_trials_bound_nothing() -> None:
    assert upper_rate(0, 0, 0.05) == 1.0


@pytest.mark.parametrize("flip", [False, True])
def test_separated_scores_give_the_closed_form(flip: bool) -> None:
    included = np.arange(400) % 4 < 2
    scores = np.where(included != flip, 1.0, 0.0)
    bound, guesses = clopper_pearson_bound(scores, included, delta=1e-5, significance=0.05)
    if flip:  # scores that speak against membership flag nobody rightly
        assert bound == 0.0
        return
    # 100 of each kind are judged: all members found, no false alarm, each at half of the significance
    least, most = 0.025 ** (1 / 100), 1 - 0.025 ** (1 / 100)
    assert bound == pytest.approx(math.log((least - 1e-5) / most), rel=1e-6)
    assert (guesses.canaries, guesses.guessed, guesses.correct) == (200, 100, 100)


def test_the_half_that_chooses_the_threshold_does_not_judge() -> None:
    rng = np.random.default_rng(5)
    scores, included = rng.random(100), rng.random(100) < 0.5
    scores[::2] = included[::2]  # the choosing half is perfect, the judging half is chance
    bound, _ = clopper_pearson_bound(scores, included, delta=0.0, significance=0.05)
    assert bound == 0.0


@pytest.mark.slow
def test_scores_of_chance_are_found_out_no_more_often_than_stated() -> None:
    """At epsilon 0 a bound above 0 is wrong: 5 % of 300 runs at most, and more than 35 happens once in 1e5 times."""
    rng = np.random.default_rng(11)
    wrong = 0
    for _ in range(300):
        bound, _ = clopper_pearson_bound(rng.random(60), rng.random(60) < 0.5, delta=0.0, significance=0.05)
        wrong += bound > 0
    assert wrong <= 35


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_hardly_any_canaries_prove_nothing(count: int) -> None:
    included = np.arange(count) % 2 == 0
    bound, _ = clopper_pearson_bound(included.astype(float), included, delta=0.0, significance=0.05)
    assert bound == 0.0
