"""The one-run bound for a whole trade-off curve instead of one (epsilon, delta).

Source: Mahloujifar, Melis and Chaudhuri 2024, arXiv:2410.22235.
"""

from __future__ import annotations

from fedgan.audit.attack.curves import Curve, profile_curve
from fedgan.audit.attack.guesses import Guesses
from fedgan.audit.attack.search import largest_refuted


def refutes(guesses: Guesses, curve: Curve, significance: float) -> bool:
    """Return whether a mechanism with `curve` gives so many correct guesses with probability below `significance`.

    Write p_j for the probability of exactly j correct guesses among c' of m canaries. Whoever guesses right at a
    random canary would, had its coin fallen the other way, guess wrong there, so that for every i
    sum_{j > i} (j / m) p_j is at most the blow-up of sum_{j >= i} ((c' - j) / m) p_j (theorem 3.2 for two outcomes).
    Suppose that `correct` or more had probability `significance`; going down from there, this forces a least
    probability on every smaller count (algorithm 3). If they add up to more than 1, the supposition was wrong.

    Args:
        guesses: the attack's outcome.
        curve: of the mechanism that is claimed.
        significance: in (0, 1).
    """
    right = significance * guesses.correct / guesses.canaries
    wrong = significance * (guesses.guessed - guesses.correct) / guesses.canaries
    total = guesses.guessed / guesses.canaries
    for count in range(guesses.correct - 1, -1, -1):
        least = curve(min(right, 1.0))
        if least <= wrong:  # nothing more is forced, here or below
            break
        right += count / (guesses.guessed - count) * (least - wrong)
        wrong = least
        if right + wrong >= total:
            return True
    return guesses.guessed > 0 and right + wrong >= total


def f_dp_bound(guesses: Guesses, *, delta: float, significance: float) -> float:
    """Return the largest epsilon for which the guesses refute the curve of (epsilon, delta)-privacy alone."""
    return largest_refuted(
        lambda epsilon: refutes(guesses, profile_curve([epsilon], [delta]), significance),
    )
