"""Guesses are fixed in number before a score is seen, and blind to the coins."""

from __future__ import annotations

import numpy as np
import pytest

from fedgan.audit.attack.guesses import Guesses, guess

pytestmark = pytest.mark.privacy


def test_the_extremes_are_guessed_and_the_middle_is_left_out() -> None:
    scores = np.array([9.0, 8.0, 7.0, 5.0, 5.0, 5.0, 5.0, 3.0, 2.0, 1.0])
    included = np.array([True, True, False, True, True, False, False, False, False, True])
    # three tenths of ten: one guess on each side, of the highest (in: right) and of the lowest (in: wrong)
    assert guess(scores, included) == Guesses(10, 2, 1)


@pytest.mark.parametrize("canaries", [0, 1, 6, 7, 200, 1001])
def test_the_number_of_guesses_depends_on_the_number_of_canaries_alone(canaries: int) -> None:
    rng = np.random.default_rng(canaries)
    seen = {guess(rng.normal(size=canaries), rng.random(canaries) < 0.5).guessed for _ in range(5)}
    assert seen == {2 * (3 * canaries // 20)}


def test_equal_scores_are_guessed_no_better_than_chance() -> None:
    included = np.arange(1000) % 2 == 0
    assert guess(np.zeros(1000), included) == Guesses(1000, 300, 150)


def test_perfect_scores_are_all_guessed_rightly() -> None:
    included = np.random.default_rng(0).random(1000) < 0.5
    assert guess(included.astype(float), included) == Guesses(1000, 300, 300)


@pytest.mark.parametrize("scores", [np.zeros(3), np.array([0.0, np.nan]), np.array([0.0, np.inf]), np.zeros((2, 1))])
def test_scores_that_are_none_are_refused(scores: np.ndarray) -> None:
    with pytest.raises(ValueError, match="score"):
        guess(scores, np.array([True, False]))
