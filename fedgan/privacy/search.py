"""A root search for decreasing functions that are expensive to evaluate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

TOLERANCE = 1e-3  # relative
_LOCAL = 0.1  # logarithmic distance within which a secant is the slope at the root
_SECANTS = 30  # evaluations before bisection takes over


class Found(NamedTuple):
    """The answer of `smallest_within`, and the slope of log cost over log x around it where that was measured."""

    x: float
    slope: float | None


def smallest_within(
    cost: Callable[[float], float], target: float, *, start: float, most: float, slope: float | None = None
) -> Found:
    """Return the smallest x <= `most` with cost(x) <= `target`, at most a thousandth above the root.

    The secant method on log cost over log x, which is nearly straight for privacy costs, kept inside a bracket and
    aimed a little above the root, because only an x that was seen to cost at most `target` is returned.

    Args:
        cost: decreasing in x > 0, with cost(most) <= target; may be 0 or infinite.
        target: positive.
        start: where to begin, near the root if that is known.
        most: the largest x worth trying.
        slope: of log cost over log x (negative) if it is known where `start` is near the root: saves evaluations.
    """
    low, high = -math.inf, math.log(most)  # logarithms of x with cost(low) > target >= cost(high)
    x, last = min(math.log(start), high), None
    local = slope is not None
    evaluations = 0
    while high - low > TOLERANCE:
        gap = _log_ratio(cost(math.exp(x)), target)
        low, high = (x, high) if gap > 0 else (low, x)
        if last is not None and gap != last[1]:
            slope = min((gap - last[1]) / (x - last[0]), -1e-3)
            local = abs(x - last[0]) < _LOCAL
        if gap <= 0 and local and slope is not None and gap / slope <= TOLERANCE:
            break
        last = (x, gap) if math.isfinite(gap) else None
        evaluations += 1
        x = _next(x, gap, slope or -1.0, low, high, bisect=evaluations > _SECANTS)
    return Found(math.exp(high), slope if local else None)


def _next(x: float, gap: float, slope: float, low: float, high: float, *, bisect: bool) -> float:
    """Return where to evaluate next: strictly between `low` and `high`."""
    middle = (low + high) / 2 if math.isfinite(low) else high - TOLERANCE
    if bisect:
        return middle
    move = -gap / slope + 0.3 * TOLERANCE
    aim = x + max(-3.0, min(3.0, move))
    return aim if low < aim < high else middle


def _log_ratio(cost: float, target: float) -> float:
    if cost == 0:
        return -math.inf
    return math.log(cost / target)
