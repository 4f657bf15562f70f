"""A lower bound on epsilon from one run with many canaries (Steinke, Nasr and Jagielski 2023, arXiv:2305.08846)."""

from __future__ import annotations

import numpy as np
from scipy.special import expit
from scipy.stats import binom

from fedgan.audit.attack.guesses import Guesses
from fedgan.audit.attack.search import largest_refuted


def p_value(guesses: Guesses, epsilon: float, delta: float) -> float:
    """Return a bound on the chance of at least so many correct guesses under (epsilon, delta)-privacy.

    Source: theorem 5.2, as computed in appendix D: without delta the number of correct guesses is dominated by a
    binomial one with success probability e^epsilon / (1 + e^epsilon); each canary may break this with probability
    2 delta, which can move the count by i at a price of i.

    Guarantee: holds for every attack, however the guesses depend on each other, provided that the canaries' coins are
    fair and independent and that a canary's being in or out is what the privacy definition hides.

    Args:
        guesses: the attack's outcome.
        epsilon: >= 0.
        delta: in [0, 1).
    """
    right = expit(epsilon)
    tail = float(binom.sf(guesses.correct - 1, guesses.guessed, right))
    if delta == 0 or guesses.correct == 0:
        return tail
    moved = np.arange(1, guesses.correct + 1)
    # P[correct - i <= X < correct], over i
    reached = binom.sf(guesses.correct - moved - 1, guesses.guessed, right) - tail
    return min(1.0, tail + 2 * guesses.canaries * delta * float(np.max(reached / moved)))


def one_run_bound(guesses: Guesses, *, delta: float, significance: float) -> float:
    """Return the largest epsilon that the guesses refute at `significance`, 0.0 if they refute none."""
    return largest_refuted(lambda epsilon: p_value(guesses, epsilon, delta) <= significance)
