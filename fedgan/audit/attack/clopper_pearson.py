"""The bound from exact confidence intervals of both error rates (Jagielski et al. 2020, arXiv:2006.07709).

Assumes, unlike the one-run bounds, that scores of different canaries are independent. Directions of their own under
noise of their own come close to that; images that one network scores do not have to.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

from fedgan.audit.attack.guesses import Guesses, Membership, Scores, check_scores


def upper_rate(events: int, trials: int, significance: float) -> float:
    """Return the exact one-sided upper bound on a probability (Clopper and Pearson 1934)."""
    return 1.0 if events >= trials else float(beta.ppf(1 - significance, events + 1, trials - events))


@dataclass(frozen=True)
class Detector:
    """Flag as members those whose score is beyond `threshold`, above it or (`above` = False) as non-members below."""

    threshold: float
    above: bool

    def flags(self, scores: Scores) -> Membership:
        """Return (m,) who is flagged."""
        return scores >= self.threshold if self.above else scores < self.threshold


def clopper_pearson_bound(
    scores: Scores, included: Membership, *, delta: float, significance: float
) -> tuple[float, Guesses]:
    """Return the bound and, as guesses, how many of the judged canaries were flagged and how many of these rightly.

    (epsilon, delta)-privacy means rate <= e^epsilon * false_rate + delta for every test. Canaries at even positions
    choose the test, those at odd positions judge it, so that the choice costs no confidence; each of the two rates
    gets half of `significance`.
    """
    check_scores(scores, included)
    chosen, judged = slice(0, None, 2), slice(1, None, 2)
    bound, best = -1.0, Detector(math.inf, True)
    for detector in _detectors(scores[chosen]):
        value, _ = _judge(detector, scores[chosen], included[chosen], delta, significance)
        if value > bound:
            bound, best = value, detector
    return _judge(best, scores[judged], included[judged], delta, significance)


def _detectors(scores: Scores) -> Iterator[Detector]:
    """Yield up to 101 detectors in either direction, at quantiles of `scores`."""
    if len(scores):
        for threshold in np.unique(np.quantile(scores, np.linspace(0, 1, 101))):
            yield Detector(float(threshold), True)
            yield Detector(float(threshold), False)


def _judge(
    detector: Detector, scores: Scores, included: Membership, delta: float, significance: float
) -> tuple[float, Guesses]:
    target = included if detector.above else ~included
    flagged = detector.flags(scores)
    hits, alarms = int((flagged & target).sum()), int((flagged & ~target).sum())
    members = int(target.sum())
    least = 1.0 - upper_rate(members - hits, members, significance / 2) - delta
    most = upper_rate(alarms, len(scores) - members, significance / 2)
    bound = max(0.0, math.log(least / most)) if least > 0 else 0.0
    return bound, Guesses(len(scores), hits + alarms, hits)
